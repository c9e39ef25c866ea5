-- Grain: one asked (object, id) whose newest state that Stripe showed could not be used. In Postgres.
with asked as (
    select *
    from unnest(%(objects)s::text [], %(ids)s::text []) as asked (object, id)
)

select
    asked.object,
    asked.id,
    newest.refused
from asked
cross join lateral (
    select refused
    from billing.fetched_states as f
    where
        f.account_id = %(account_id)s
        and f.livemode = %(livemode)s
        and f.object = asked.object
        and f.id = asked.id
    order by f.state_at desc
    limit 1
) as newest
where newest.refused is not null
