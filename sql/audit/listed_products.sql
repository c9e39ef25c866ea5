-- Grain: one wanted subscription in a file, with the products of its items. Runs in the engine.
select
    s.id,
    json_extract_string(s.raw, '$.items.data[*].price.product') as products
from subscriptions as s
semi join wanted as w on s.id = w.id
