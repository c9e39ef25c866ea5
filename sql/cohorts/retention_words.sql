-- One row per day of entry, segment and cell: users who reached one of the cell's periods. Up to two
-- questions at once: each has some bits of one word per user, so that week and month cost a single
-- pass over the activity. For users who enter once, and one event is enough for a period. As in
-- retention_masks: `origin` and `position` are both periods, or both days, and periods after `top` share
-- its bit. A question that is not asked repeats another one: the same bits again. Bound values, and not
-- a table of options, because engines compute a fifth faster with constants.
with kinds as (
    select
        entry_day,
        segment,
        cast(row_number() over (order by entry_day, segment) as integer) as number
    from (
        select distinct
            entry_day,
            segment
        from users
    ) as found
),

members as (
    select
        users.user_number,
        kinds.number,
        calendar.origin_1,
        calendar.origin_2
    from users
    inner join kinds
        on users.entry_day = kinds.entry_day and users.segment is not distinct from kinds.segment
    inner join calendar on users.entry_day = calendar.day
),

-- The comparison is no condition of the join: it would tempt engines to pair all users with all days.
reached as (
    select
        members.user_number,
        min(members.number) as number,
        bit_or(
            case
                when calendar.position_1 >= members.origin_1
                    then
                        cast(1 as bigint) << cast(
                            $base_1
                            + least(
                                (calendar.position_1 - members.origin_1) // $span_1,
                                $top_1
                            ) as integer
                        )
                else 0
            end
            | case
                when calendar.position_2 >= members.origin_2
                    then
                        cast(1 as bigint) << cast(
                            $base_2
                            + least(
                                (calendar.position_2 - members.origin_2) // $span_2,
                                $top_2
                            ) as integer
                        )
                else 0
            end
        ) as word
    from activity
    inner join members on activity.user_number = members.user_number
    inner join calendar on activity.day = calendar.day
    group by members.user_number
),

alike as (
    select
        number,
        word,
        count(*) as users
    from reached
    group by number, word
),

counted as (
    select
        alike.number,
        cells.number as cell,
        sum(case when (alike.word & cells.mask) <> 0 then alike.users else 0 end) as users
    from alike
    cross join cells
    group by alike.number, cells.number
)

select
    kinds.entry_day,
    kinds.segment,
    counted.cell as number,
    counted.users
from counted
inner join kinds on counted.number = kinds.number
where counted.users > 0
