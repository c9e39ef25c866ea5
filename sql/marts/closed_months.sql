-- Marts: months that are over at the as_of of their policy, from the first day with MRR on.
select
    p.policy,
    m.month_start::date as month_start,
    (m.month_start + interval '1 month')::date - 1 as last_day
from revenue.policies as p
inner join (
    select
        policy,
        min(day) as first_day
    from revenue.mrr_daily
    group by policy
) as d on p.policy = d.policy
cross join lateral generate_series(
    date_trunc('month', d.first_day::timestamp), p.as_of at time zone p.tz, interval '1 month'
) as m (month_start)
where m.month_start + interval '1 month' <= p.as_of at time zone p.tz
order by p.policy, m.month_start;
