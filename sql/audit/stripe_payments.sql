-- Grain: one charge of the wanted ids, with its refunds, disputes and balance transaction summed up.
-- Why: only pairs that differ are looked at in full. Runs in the engine. `touched`: when one of its
-- refunds, disputes or balance transactions was made last; Unix seconds.
with wanted_charges as (
    select c.*
    from charges as c
    semi join wanted as w on c.id = w.id
),

moves_of as (
    select
        w.id as charge,
        max(t.created) as touched
    from balance_transactions as t
    join movers as w on t.source = w.source
    group by w.id
)

select
    c.id,
    c.created,
    c.status,
    coalesce(c.captured, true) as captured,
    coalesce(c.paid, true) as paid,
    c.currency,
    c.amount,
    coalesce(c.amount_captured, c.amount) as amount_captured,
    c.amount_refunded,
    c.disputed,
    c.customer,
    c.invoice,
    c.payment_intent,
    c.fetched_at,
    r.refunded_minor,
    r.failed_refunds,
    r.withdrawn_minor,
    r.reinstated_minor,
    greatest(r.touched, m.touched) as touched,
    t.fee,
    t.net,
    t.currency as settlement_currency
from wanted_charges as c
left join returned as r on c.id = r.charge
left join balance_transactions as t on c.balance_transaction = t.id
left join moves_of as m on c.id = m.charge
