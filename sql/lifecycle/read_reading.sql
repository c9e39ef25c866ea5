-- Grain: one thing that is read bit by bit.
select
    until,
    told
from lifecycle.readings
where what = %(what)s
