-- Members of an entry other than the sign-up who differ, as staged (user_number, entered_on): new,
-- moved, or gone (entered_on null); users who do not count are gone. Grain of the result: one row,
-- the three counts.
with staged as (
    select
        s.user_number,
        n.user_id,
        s.entered_on,
        cohorts.period_start(
            cohorts.period_number(s.entered_on, 'week', c.week_anchor), 'week', c.week_anchor
        ) as week_start,
        date_trunc('month', s.entered_on::timestamp)::date as month_start
    from growth_staging as s
    inner join activity.user_numbers as n on s.user_number = n.user_number
    cross join cohorts.calendar as c
    where
        s.entered_on is not null
        and not exists (select 1 from activity.excluded_users as e where e.user_key = n.user_key)
        and not exists (select 1 from activity.merged_ids as m where m.merged_key = n.user_key)
),

gone as (
    delete from cohorts.user_cohorts as u
    using growth_staging as g
    where
        u.entry = %(entry)s
        and u.user_number = g.user_number
        and not exists (select 1 from staged as s where s.user_number = u.user_number)
    returning 1
),

written as (
    insert into cohorts.user_cohorts as stored (
        entry, user_number, user_id, entered_on, week_start, month_start
    )
    select
        %(entry)s::text,
        s.user_number,
        s.user_id,
        s.entered_on,
        s.week_start,
        s.month_start
    from staged as s
    left join cohorts.user_cohorts as u on u.entry = %(entry)s and s.user_number = u.user_number
    where
        (s.user_id, s.entered_on, s.week_start)
        is distinct from (u.user_id, u.entered_on, u.week_start)
    order by s.user_number
    on conflict (entry, user_number) do update set
    user_id = excluded.user_id,
    entered_at = case when stored.entered_on = excluded.entered_on then stored.entered_at end,
    entered_on = excluded.entered_on,
    week_start = excluded.week_start,
    month_start = excluded.month_start
    returning stored.xmax = 0 as is_new
)

select
    (select count(*) from written where is_new) as assigned,
    (select count(*) from written where not is_new) as moved,
    (select count(*) from gone) as removed
