-- One row per cohort, segment and column: users who had enough events in one of its periods. In the
-- entry's own period one event is enough. As retention_masks, for any number of periods and of events:
-- table `bits` says which periods share a bit.
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

periods as (
    select
        members.user_number,
        members.cohort,
        members.segment,
        case
            when calendar.position >= members.origin
                then (calendar.position - members.origin) // options.span
            else -1
        end as period_index,
        sum(activity.events) as events
    from activity
    inner join members on activity.user_number = members.user_number
    inner join calendar on activity.day = calendar.day
    cross join options
    group by
        members.user_number,
        members.cohort,
        members.segment,
        case
            when calendar.position >= members.origin
                then (calendar.position - members.origin) // options.span
            else -1
        end
),

reached as (
    select
        periods.user_number,
        periods.cohort,
        periods.segment,
        bit_or(bits.mask) as mask
    from periods
    inner join bits
        on periods.period_index >= bits.first_period and periods.period_index < bits.end_period
    cross join options
    where periods.period_index = 0 or periods.events >= options.min_events
    group by periods.user_number, periods.cohort, periods.segment
),

alike as (
    select
        cohort,
        segment,
        mask,
        count(*) as users
    from reached
    group by cohort, segment, mask
)

select
    alike.cohort,
    alike.segment,
    cells.number,
    sum(case when (alike.mask & cells.mask) <> 0 then alike.users else 0 end) as users
from alike
cross join cells
group by alike.cohort, alike.segment, cells.number
