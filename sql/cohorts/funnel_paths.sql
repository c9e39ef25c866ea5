-- One row per event of the units that can enter, in order of unit and time: for the rule, which goes
-- through them once. Units without an event of stage 1 in the range are left out.
with entering as (
    select distinct e.user_id
    from events as e
    cross join options as o
    where
        e.bits & 1 = 1
        and (o.first_us is null or e.at_microsecond >= o.first_us)
        and (o.last_us is null or e.at_microsecond < o.last_us)
)

select
    dense_rank() over (order by e.user_id) as unit,
    e.at_microsecond,
    e.bits,
    e.value
from events as e
cross join options as o
where (o.any_event or e.bits <> 0) and e.user_id in (select n.user_id from entering as n)
order by unit, e.at_microsecond, e.bits, e.value
