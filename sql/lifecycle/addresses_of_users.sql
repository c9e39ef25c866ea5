-- Grain: one asked user who is not deleted and has an address: as the source of users tells it, else
-- as the application told it beside the customer.
select
    n.user_number,
    coalesce(
        (
            select s.email
            from activity.source_users as s
            where s.user_id = n.user_id and s.email is not null
            order by s.email
            limit 1
        ),
        (
            select u.email
            from billing.user_customers as u
            where u.user_id = n.user_id and u.email is not null and u.deleted_at is null
            order by u.written_at desc, u.account_id, u.livemode
            limit 1
        )
    ) as email
from activity.user_numbers as n
where
    n.user_number = any(%(users)s::int [])
    and n.deleted_at is null
    and (
        exists (select 1 from activity.source_users as s where s.user_id = n.user_id and s.email is not null)
        or exists (
            select 1 from billing.user_customers as u
            where u.user_id = n.user_id and u.email is not null and u.deleted_at is null
        )
    )
