-- Audit: control totals of Stripe's side. Grain: one currency, settled charges created before
-- $cutoff. Runs in the engine. Contract: docs/metrics.md, "Payments" and "Revenue audit".
select
    c.currency,
    count(*) as count,
    sum(coalesce(c.amount_captured, c.amount)) as gross_minor,
    sum(
        case
            when not $refunds_complete or c.amount_captured < c.amount then c.amount_refunded
            else coalesce(r.refunded_minor, 0)
        end
    ) as refunded_minor,
    sum(coalesce(r.withdrawn_minor - r.reinstated_minor, 0)) as disputed_minor
from charges as c
left join returned as r on c.id = r.charge
where
    c.created < $cutoff
    and c.status = 'succeeded'
    and coalesce(c.paid, true)
    and coalesce(c.captured, true)
group by c.currency
