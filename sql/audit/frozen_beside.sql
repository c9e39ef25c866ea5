-- Grain: one line of Stripe's side that a month was frozen with and that is no charge: an invoice,
-- invoice payment or payment intent. Runs in the engine.
-- Why: no list of the month's charges tells it, so it is looked up by its id when months compare.
select
    object,
    object_id,
    currency,
    status,
    count,
    gross_minor,
    refunded_minor,
    disputed_minor
from frozen
where side = 'stripe' and object <> 'charge'
order by object, object_id
