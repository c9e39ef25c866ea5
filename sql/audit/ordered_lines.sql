-- Grain: one line of a month. Runs in the engine. Why in order: equal lines give an equal file.
select *
from lines
order by side, object, object_id, currency
