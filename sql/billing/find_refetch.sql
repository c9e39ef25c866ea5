-- Grain: one object that waits to be asked about; at most one row, to see whether any does.
select 1
from billing.refetches
limit 1
