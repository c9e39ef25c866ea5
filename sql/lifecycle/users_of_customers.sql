-- Grain: one user of asked customers of an account and mode.
select distinct n.user_number
from billing.user_customers as u
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(u.user_id, 'UTF8'))
inner join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(u.user_id, 'UTF8')))
where
    u.account_id = %(account_id)s
    and u.livemode = %(livemode)s
    and u.customer_id = any(%(customers)s::text [])
