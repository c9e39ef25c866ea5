-- One row per member of an entry in Postgres who entered on one of some days (since 1970), or whose row
-- does not hold any more, day null: deleted since, does not count, or weeks start elsewhere.
with members as (
    select
        u.user_number,
        case
            when
                n.user_number is not null
                and u.user_id is not distinct from n.user_id
                and mod(u.week_start - c.week_anchor, 7) = 0
                and e.user_key is null
                and m.merged_key is null
                then u.entered_on - date '1970-01-01'
        end as entry_day
    from cohorts.user_cohorts as u
    cross join cohorts.calendar as c
    left join activity.user_numbers as n on u.user_number = n.user_number
    left join activity.excluded_users as e on n.user_key = e.user_key
    left join activity.merged_ids as m on n.user_key = m.merged_key
    where u.entry = %(entry)s
)

select
    user_number,
    entry_day
from members
where entry_day is null or entry_day = any(%(days)s::int4 [])
