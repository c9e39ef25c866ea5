-- Grain: one row: whether anything that counts happened before the first week, and whether there are
-- users whose events do not count. Why exists: a look for the first event of all would read every
-- event; this one ends with the first that counts.
select
    exists(
        select
        from activity.source_events as e
        where
            e.occurred_at < %(start_at)s
            and not exists (
                select
                from activity.excluded_users as x
                left join activity.merged_ids as m on m.merged_key = activity.user_key(e.user_id)
                where x.user_key = coalesce(m.user_key, activity.user_key(e.user_id))
            )
    ) as is_older,
    exists(select from activity.excluded_users) as has_excluded
