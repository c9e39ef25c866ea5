-- Grain: one user: what is kept of them, and whether something new waits to be looked at.
select
    n.deleted_at is not null as is_deleted,
    exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key) as is_excluded,
    u.stage,
    u.since_on,
    u.decided_on,
    u.next_due_on,
    z.tz,
    (select count(*) from lifecycle.news as w where w.user_number = n.user_number) as news,
    n.signed_up_at
from activity.user_numbers as n
left join lifecycle.users as u on n.user_number = u.user_number
left join lifecycle.zones as z on n.user_number = z.user_number
where n.user_number = %(user_number)s
