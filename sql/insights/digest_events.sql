-- Grain: one local day and event name, with how often it happened, less what users did who do not
-- count. Only the weeks that are asked for. Why excludes: ids are hashed only where it matters.
select
    (e.occurred_at at time zone %(tz)s)::date as day,
    e.event,
    count(*) as events
from activity.source_events as e
where
    e.occurred_at >= %(start_at)s
    and e.occurred_at < %(end_at)s
    and (
        not %(excludes)s
        or not exists (
            select
            from activity.excluded_users as x
            left join activity.merged_ids as m on m.merged_key = activity.user_key(e.user_id)
            where x.user_key = coalesce(m.user_key, activity.user_key(e.user_id))
        )
    )
group by 1, 2
