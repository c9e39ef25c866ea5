-- One row: units with an event in the range, whatever it is (of_rows: events).
select case when any_value(o.of_rows) then count(*) else count(distinct e.user_id) end as units
from events as e
cross join options as o
where
    (o.first_us is null or e.at_microsecond >= o.first_us)
    and (o.last_us is null or e.at_microsecond < o.last_us)
