-- Grain: one closed month with published figures of a policy, and the newest receipt of it. In Postgres.
select
    f.period_start,
    (
        select r.receipt_id
        from revenue.receipts as r
        where r.policy = %(policy)s and r.grain = 'month' and r.period_start = f.period_start
        order by r.made_at desc, r.receipt_id desc
        limit 1
    )
from (
    select distinct period_start
    from revenue.figures
    where policy = %(policy)s and grain = 'month' and state = 'closed'
) as f
where %(month)s::date is null or f.period_start = %(month)s
order by f.period_start
