-- Grain: one wanted object as its extract has it, whatever the kind; the raw JSON stays behind.
-- Runs in the engine.
select objects.* exclude (raw)
from objects
where id in (select id from wanted)
