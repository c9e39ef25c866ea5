-- Grain: one row: how many charges of a month are not as the audit before read them, themselves or
-- in a refund or dispute of the month. Runs in the engine. Only columns that an audit looks at.
with moved as (
    select coalesce(a.id, b.id) as charge
    from charges as a
    full outer join charges_before as b on a.id = b.id
    where
        a.status is distinct from b.status
        or a.paid is distinct from b.paid
        or a.captured is distinct from b.captured
        or a.currency is distinct from b.currency
        or a.amount is distinct from b.amount
        or a.amount_captured is distinct from b.amount_captured
        or a.amount_refunded is distinct from b.amount_refunded
        or a.disputed is distinct from b.disputed
        or a.customer is distinct from b.customer
        or a.invoice is distinct from b.invoice
        or a.payment_intent is distinct from b.payment_intent
        or a.balance_transaction is distinct from b.balance_transaction
    union
    select coalesce(a.charge, b.charge)
    from refunds as a
    full outer join refunds_before as b on a.id = b.id
    where a.status is distinct from b.status or a.amount is distinct from b.amount
    union
    select coalesce(a.charge, b.charge)
    from disputes as a
    full outer join disputes_before as b on a.id = b.id
    where
        a.status is distinct from b.status
        or a.withdrawn_minor is distinct from b.withdrawn_minor
        or a.reinstated_minor is distinct from b.reinstated_minor
)

select count(*) as changed
from moved
where charge is not null
