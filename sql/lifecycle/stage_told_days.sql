-- Grain: one user and local day with an event that was received since an instant; events of a source
-- that does not say when it received them by when they happened. Ids that turned out to be a user are
-- that user; whoever does not count is left out.
create temporary table growth_told_days on commit drop as
select
    n.user_number,
    (s.occurred_at at time zone %(tz)s)::date as day,
    coalesce(
        array_agg(distinct s.event order by s.event) filter (where s.event = any(%(features)s::text [])), '{}'
    ) as features,
    coalesce(
        array_agg(distinct s.event order by s.event) filter (where s.event = any(%(milestones)s::text [])), '{}'
    ) as milestones
from (
    select
        user_id,
        occurred_at,
        event
    from activity.source_events
    where received_at >= %(since)s
    union all
    select
        user_id,
        occurred_at,
        event
    from activity.source_events
    where received_at is null and occurred_at >= %(since)s::timestamptz - interval '2 days'
) as s
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(s.user_id, 'UTF8'))
inner join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
where
    s.occurred_at is not null
    and not exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key)
group by 1, 2
