-- Grain: one subscription that the mirror knows of the asked customers. Runs in Postgres.
-- Why the ended ones too: the mirror may have heard of an end after a file was read.
select
    s.id,
    s.customer,
    extract(epoch from s.created_at)::bigint as created,
    s.status,
    s.cancel_at is not null or s.cancel_at_period_end as is_ending,
    extract(epoch from s.state_from)::bigint as seen_from
from stripe.subscriptions as s
where
    s.account_id = %(account_id)s
    and s.livemode = %(livemode)s
    and s.customer = any(%(customers)s::text [])
    and s.deleted_at is null
order by s.customer, s.id
