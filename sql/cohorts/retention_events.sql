-- One row per cohort, segment and period index: events of its members, before entry under a negative
-- index. Days are added up first, because they are few: nothing here is kept per user. Members alike
-- share a number, because adding up by words takes eight times as long.
with members as (
    select
        users.user_number,
        calendar.period as cohort,
        users.segment,
        min(calendar.origin) as origin
    from users
    inner join calendar on users.entry_day = calendar.day
    group by users.user_number, calendar.period, users.segment
),

numbered as (
    select
        user_number,
        cohort,
        segment,
        origin,
        dense_rank() over (order by cohort, segment, origin) as number
    from members
),

kinds as (
    select distinct
        number,
        cohort,
        segment,
        origin
    from numbered
),

days as (
    select
        numbered.number,
        activity.day,
        sum(activity.events) as events
    from activity
    inner join numbered on activity.user_number = numbered.user_number
    group by numbered.number, activity.day
),

placed as (
    select
        kinds.cohort,
        kinds.segment,
        case
            when calendar.position < kinds.origin then -1
            else (calendar.position - kinds.origin) // options.span
        end as period_index,
        days.events
    from days
    inner join kinds on days.number = kinds.number
    inner join calendar on days.day = calendar.day
    cross join options
)

select
    cohort,
    segment,
    period_index,
    cast(sum(events) as bigint) as events
from placed
group by cohort, segment, period_index
