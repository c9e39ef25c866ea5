-- Audit: settled money of Stripe's charges that lies between a month's limits in its zone and in UTC.
-- Grain: one currency, charges created in [$since, $until), Unix seconds. Runs in the engine.
select
    c.currency,
    count(*) as count,
    sum(coalesce(c.amount_captured, c.amount)) as gross_minor,
    sum(case when r.charge is null then c.amount_refunded else r.refunded_minor end) as refunded_minor,
    sum(coalesce(r.withdrawn_minor - r.reinstated_minor, 0)) as disputed_minor
from charges as c
left join returned as r on c.id = r.charge
where
    c.created >= $since
    and c.created < $until
    and c.status = 'succeeded'
    and coalesce(c.paid, true)
    and coalesce(c.captured, true)
group by c.currency
order by c.currency
