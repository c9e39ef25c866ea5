-- One row per cohort, segment and column: users who reached one of the column's periods.
-- A user's periods are bits of one whole number, so that a single pass over the activity answers all
-- columns, overlapping and endless ones too; later periods than `top` share its bit. One event is
-- enough for a period here. `origin` and `position` are both periods, or both days. Cohorts and
-- segments have a number, because grouping by words is slow.
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
        dense_rank() over (order by cohort, segment) as number
    from members
),

kinds as (
    select distinct
        number,
        cohort,
        segment
    from numbered
),

-- The comparison is no condition of the join: it would tempt engines to pair all users with all days.
reached as (
    select
        numbered.user_number,
        numbered.number,
        bit_or(
            case
                when calendar.position >= numbered.origin
                    then
                        cast(1 as bigint)
                        << cast(
                            least(
                                (calendar.position - numbered.origin) // options.span, options.top
                            ) as integer
                        )
                else 0
            end
        ) as mask
    from activity
    inner join numbered on activity.user_number = numbered.user_number
    inner join calendar on activity.day = calendar.day
    cross join options
    group by numbered.user_number, numbered.number
),

alike as (
    select
        number,
        mask,
        count(*) as users
    from reached
    group by number, mask
),

counted as (
    select
        alike.number,
        cells.number as cell,
        sum(case when (alike.mask & cells.mask) <> 0 then alike.users else 0 end) as users
    from alike
    cross join cells
    group by alike.number, cells.number
)

select
    kinds.cohort,
    kinds.segment,
    counted.cell as number,
    counted.users
from counted
inner join kinds on counted.number = kinds.number
