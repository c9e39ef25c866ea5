-- Users of other entries than the sign-up into the cohorts of the calendar, where it has changed.
update cohorts.user_cohorts as u
set
    entered_on = d.entered_on,
    week_start = d.week_start,
    month_start = d.month_start
from (
    select
        e.entry,
        e.user_number,
        e.entered_on,
        cohorts.period_start(
            cohorts.period_number(e.entered_on, 'week', c.week_anchor), 'week', c.week_anchor
        ) as week_start,
        date_trunc('month', e.entered_on::timestamp)::date as month_start
    from cohorts.calendar as c
    cross join lateral (
        select
            entry,
            user_number,
            coalesce((entered_at at time zone c.tz)::date, entered_on) as entered_on
        from cohorts.user_cohorts
        where entry <> 'signup'
    ) as e
) as d
where
    u.entry = d.entry
    and u.user_number = d.user_number
    and (u.entered_on, u.week_start) is distinct from (d.entered_on, d.week_start)
