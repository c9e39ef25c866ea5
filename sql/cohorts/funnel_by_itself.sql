-- One row per stage and value: units (of_rows: rows) with an event of the stage in the range.
select
    s.stage,
    e.value,
    grouping(e.value) = 1 as is_total,
    case when o.of_rows then count(*) else count(distinct e.user_id) end as units
from events as e
cross join options as o
inner join stage_bits as s on e.bits & s.bits <> 0
where
    (o.first_us is null or e.at_microsecond >= o.first_us)
    and (o.last_us is null or e.at_microsecond < o.last_us)
group by grouping sets ((s.stage, o.of_rows), (s.stage, e.value, o.of_rows))
