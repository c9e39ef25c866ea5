-- Grain: one booked row of the wanted match ids. Runs in the engine.
select b.*
from books as b
semi join wanted as w on b.match_id = w.id
