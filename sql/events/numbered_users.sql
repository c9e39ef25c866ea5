-- One row per user that counts and whose sign-up is known, in order of the number.
select
    n.user_number,
    ((n.signed_up_at at time zone %(tz)s)::date - date '1970-01-01')::int4 as entry_day
from activity.user_numbers as n
where
    activity.can_be_sign_up(n.signed_up_at)
    and n.signed_up_at < %(as_of)s
    and not exists (select 1 from activity.excluded_users as e where e.user_key = n.user_key)
    and not exists (select 1 from activity.merged_ids as m where m.merged_key = n.user_key)
order by n.user_number
