-- Grain: one reason and the addresses that are suppressed for it now.
select
    reason,
    count(*)
from lifecycle.suppressions
where lifted_at is null
group by reason
order by reason
