-- Grain: one subscription that has MRR after it ended, or lives in the mirror and has no spell at as_of;
-- nothing where all is right. Asked of policies that look at subscriptions until they end. In Postgres.
with asked as (
    select policy, as_of
    from revenue.policies
    where policy = %(policy)s and options ->> 'basis' = 'subscription' and options ->> 'churn_at' = 'ended_at'
),

told as (
    select
        s.account_id,
        s.id,
        s.ended_at,
        a.policy,
        a.as_of,
        s.status = 'active' and s.pause_collection_behavior is null and s.deleted_at is null
        and s.items_count > 0 and s.state_from < a.as_of as is_live
    from stripe.subscriptions as s
    cross join asked as a
    where
        s.account_id = any(%(accounts)s::text []) and s.livemode = %(livemode)s
        and s.applied_at <= %(known_at)s
)

select t.account_id || ' ' || t.id || ' has MRR after ' || t.ended_at as fault
from told as t
inner join revenue.mrr_spells as m
    on t.policy = m.policy and t.account_id = m.account_id and t.id = m.subscription_id
where m.until_at is null and t.ended_at is not null or m.until_at > t.ended_at
union all
select t.account_id || ' ' || t.id || ' is active and has no spell' as fault
from told as t
where
    t.is_live
    and not exists (
        select from revenue.mrr_spells as m
        where
            m.policy = t.policy and m.account_id = t.account_id and m.subscription_id = t.id
            and m.from_at < t.as_of and (m.until_at is null or m.until_at >= t.as_of)
    )
limit %(limit)s
