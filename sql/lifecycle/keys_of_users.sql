-- Grain: one key that activity of an asked user is matched by: the user's own, and of every id that
-- turned out to be this user. None for who does not count, or turned out to be another user.
with asked as (
    select
        n.user_number,
        n.user_key
    from activity.user_numbers as n
    where
        n.user_number = any(%(users)s::int [])
        and not exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key)
        and not exists (select 1 from activity.merged_ids as m where m.merged_key = n.user_key)
)

select
    user_number,
    user_key as key
from asked
union all
select
    a.user_number,
    m.merged_key
from asked as a
inner join activity.merged_ids as m on a.user_key = m.user_key
order by 1, 2
