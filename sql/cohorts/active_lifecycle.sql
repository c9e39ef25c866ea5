-- One row per period with an active user: who is new, came back from the period before, or returned
-- after a pause. Each active user of a period is exactly one of them.
-- New by sign-up: signed up in the period and not active in the one before; then who is active for
-- the first time but signed up earlier counts as returned after a pause.
-- Contract: docs/metrics.md, "Active users".
with periods as (
    select distinct
        user_number,
        period
    from activity
    inner join calendar using (day)
    cross join options
    where events >= min_events
),

placed as (
    select
        user_number,
        period,
        lag(period) over (partition by user_number order by period) as period_before
    from periods
),

signed as (
    select
        signups.user_number,
        calendar.period as signup_period
    from signups
    inner join calendar on signups.day = calendar.day
),

judged as (
    select
        placed.period,
        coalesce(placed.period_before = placed.period - 1, false) as is_returning,
        case
            when options.new_by_signup then coalesce(signed.signup_period = placed.period, false)
            else placed.period_before is null
        end as is_first
    from placed
    cross join options
    left join signed on placed.user_number = signed.user_number
)

select
    period,
    count(*) as active_users,
    count(*) filter (where is_returning) as returning_users,
    count(*) filter (where is_first and not is_returning) as new_users,
    count(*) filter (where not is_first and not is_returning) as resurrecting_users
from judged
group by period
order by period
