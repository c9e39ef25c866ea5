-- Grain: one of the asked subscriptions with an open invoice that was tried; since when. In Postgres.
select
    subscription,
    extract(epoch from min(coalesce(due_date, created_at)))::bigint as since
from stripe.invoices
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and subscription = any(%(ids)s::text [])
    and status = 'open'
    and (attempt_count > 0 or due_date is not null)
    and deleted_at is null
group by subscription
