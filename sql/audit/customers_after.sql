-- Grain: one customer of the month's list, the next ones after an id. Runs in the engine.
-- Why by pages: a month's customers need not fit into memory.
select
    id,
    created,
    email
from customers
where id > $after
order by id
limit $rows
