-- Grain: one wanted reference and the charge it means, if these charges hold one: by charge id, else
-- payment intent, else invoice. Of several attempts the settled one counts, else the newest.
-- Runs in the engine.
with found as (
    select w.key, c.id, c.created, c.status
    from wanted as w
    join charges as c on w.charge_id = c.id
    union all
    select w.key, c.id, c.created, c.status
    from wanted as w
    join charges as c on w.payment_intent_id = c.payment_intent
    where w.charge_id is null
    union all
    select w.key, c.id, c.created, c.status
    from wanted as w
    join charges as c on w.invoice_id = c.invoice
    where w.charge_id is null and w.payment_intent_id is null
)

select
    key,
    arg_max(id, (status = 'succeeded')::bigint * 1000000000000 + created) as charge,
    arg_max(created, (status = 'succeeded')::bigint * 1000000000000 + created) as created
from found
group by key
