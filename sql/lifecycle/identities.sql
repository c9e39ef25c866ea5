-- Grain: one asked user: days of sign-up, numbering and deletion, and whether the user counts.
select
    n.user_number,
    (n.signed_up_at at time zone %(tz)s)::date as signed_up_on,
    (n.numbered_at at time zone %(tz)s)::date as numbered_on,
    (n.deleted_at at time zone %(tz)s)::date as deleted_on,
    not (
        exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key)
        or exists (select 1 from activity.merged_ids as m where m.merged_key = n.user_key)
    ) as counts
from activity.user_numbers as n
where n.user_number = any(%(users)s::int [])
order by n.user_number
