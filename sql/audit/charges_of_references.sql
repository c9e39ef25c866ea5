-- Grain: one wanted reference and the charge it means, if these charges hold one: by charge id, else
-- payment intent, else invoice payment, else invoice. Of several attempts the settled one counts,
-- else the newest. An invoice that several intents paid means none of them. Runs in the engine.
with asked as (
    select distinct match_id as key, charge_id, payment_intent_id, invoice_payment_id, invoice_id
    from wanted
),

only_intents as (
    select p.invoice, min(p.payment_intent) as payment_intent
    from invoice_payments as p
    semi join asked as a on p.invoice = a.invoice_id
    where p.payment_intent is not null and p.status <> 'canceled'
    group by p.invoice
    having count(distinct p.payment_intent) = 1
),

named as (
    select a.key, a.charge_id, a.payment_intent_id, null as invoice_id
    from asked as a
    where a.charge_id is not null or a.payment_intent_id is not null
    union all
    select a.key, p.charge as charge_id, p.payment_intent as payment_intent_id, null as invoice_id
    from asked as a
    join invoice_payments as p on a.invoice_payment_id = p.id
    where a.charge_id is null and a.payment_intent_id is null
    union all
    select
        a.key,
        null as charge_id,
        coalesce(i.payment_intent, o.payment_intent, k.payment_intent) as payment_intent_id,
        a.invoice_id
    from asked as a
    left join invoices as i on a.invoice_id = i.id
    left join only_intents as o on a.invoice_id = o.invoice
    left join known_intents as k on a.invoice_id = k.invoice
    where a.charge_id is null and a.payment_intent_id is null and a.invoice_payment_id is null
),

found as (
    select n.key, c.id, c.created, c.status
    from named as n
    join charges as c on n.charge_id = c.id
    union all
    select n.key, c.id, c.created, c.status
    from named as n
    join charges as c on n.payment_intent_id = c.payment_intent
    where n.charge_id is null
    union all
    select n.key, c.id, c.created, c.status
    from named as n
    join charges as c on n.invoice_id = c.invoice
    where n.payment_intent_id is null
)

select
    key,
    arg_max(id, (status = 'succeeded')::bigint * 1000000000000 + created) as charge
from found
group by key
