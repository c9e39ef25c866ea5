-- Grain: one booked row without a charge id, matched by the charge it means where there is one.
-- Runs in the engine.
select b.* replace (coalesce(l.charge, b.match_id) as match_id)
from loose as b
left join links as l on b.match_id = l.key
