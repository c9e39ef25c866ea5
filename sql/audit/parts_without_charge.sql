-- Audit: refunds and disputes whose charge is not among the month's. Grain: one refund or dispute.
-- Only candidates: other months, the books, the mirror and Stripe are asked next. Runs in the engine.
-- Why the charges are narrowed down first: there are many more of them than of their parts.
with parts as (
    select 'refund' as object, id, charge, currency, amount, status
    from refunds
    where charge is not null and created >= $start and created < $cutoff
    union all
    select 'dispute' as object, id, charge, currency, amount, status
    from disputes
    where charge is not null and created >= $start and created < $cutoff
),

here as (
    select c.id
    from charges as c
    semi join parts as p on c.id = p.charge
)

select p.object, p.id, p.charge, p.currency, p.amount, p.status
from parts as p
anti join here as h on p.charge = h.id
