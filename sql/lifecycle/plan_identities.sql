-- Grain: one asked user who has a stage.
select
    n.user_number,
    n.user_key,
    n.user_id,
    z.tz
from activity.user_numbers as n
inner join lifecycle.users as u on n.user_number = u.user_number
left join lifecycle.zones as z on n.user_number = z.user_number
where n.user_number = any(%(users)s::int [])
order by n.user_number
