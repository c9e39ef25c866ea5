-- Grain: one state and its messages; `due` is the pending ones that could go now.
select
    state,
    count(*)
from lifecycle.outbox
group by state
union all
select
    'due',
    count(*)
from lifecycle.outbox
where state = 'pending' and due_at <= clock_timestamp()
