-- Grain: one user and customer of an account and mode. An id that turned out to be a user is that user.
select
    n.user_number,
    u.customer_id
from billing.user_customers as u
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(u.user_id, 'UTF8'))
inner join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(u.user_id, 'UTF8')))
where
    u.account_id = %(account_id)s
    and u.livemode = %(livemode)s
    and u.customer_id is not null
    and n.user_number = any(%(users)s::int [])
    and not exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key)
order by n.user_number, u.customer_id
