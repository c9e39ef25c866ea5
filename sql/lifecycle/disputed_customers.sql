-- Grain: one customer of an account and mode of whose disputes, or of the charges that are disputed,
-- something came to be known after an instant: a dispute may be told before its charge.
with charged as (
    select object_id as id
    from billing.inbox
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object = 'charge'
        and applied_at > %(since)s
    union
    select id
    from billing.fetched_states
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object = 'charge'
        and stored_at > %(since)s
),

told as (
    select d.id
    from charged as c
    inner join stripe.disputes as d
        on d.account_id = %(account_id)s and d.livemode = %(livemode)s and d.charge = c.id
    union
    select object_id as id
    from billing.inbox
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object = 'dispute'
        and applied_at > %(since)s
    union
    select id
    from billing.fetched_states
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object = 'dispute'
        and stored_at > %(since)s
)

select distinct coalesce(c.customer, p.customer) as customer
from told as t
inner join stripe.disputes as d
    on d.account_id = %(account_id)s and d.livemode = %(livemode)s and d.id = t.id
left join stripe.charges as c
    on d.account_id = c.account_id and d.livemode = c.livemode and d.charge = c.id
left join stripe.payment_intents as p
    on d.account_id = p.account_id and d.livemode = p.livemode and d.payment_intent = p.id
where coalesce(c.customer, p.customer) is not null
