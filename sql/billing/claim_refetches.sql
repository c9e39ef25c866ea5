-- Grain: one object that is due, taken by one asker until its claim runs out.
-- Why the fewest attempts first: one that never gets an answer must not be first for ever.
-- Why claimed and not locked: no transaction stays open while Stripe is asked.
with due as (
    select
        account_id,
        livemode,
        object,
        id
    from billing.refetches
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and due_at <= %(now)s
        and (claimed_until is null or claimed_until < %(now)s)
    order by due_at, attempts, object, id
    limit %(limit)s
    for update skip locked
)

update billing.refetches as waiting
set
    claim = %(claim)s,
    claimed_until = %(until)s,
    attempts = waiting.attempts + 1
from due
where
    waiting.account_id = due.account_id
    and waiting.livemode = due.livemode
    and waiting.object = due.object
    and waiting.id = due.id
returning waiting.account_id, waiting.livemode, waiting.object, waiting.id, waiting.reason
