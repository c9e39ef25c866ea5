-- Grain: one state of the inbox with the number of its events.
select
    state,
    count(*) as events
from billing.inbox
group by state
