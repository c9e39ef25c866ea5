-- One row per segment with an active user, those without one last.
select distinct segment
from entries
order by segment nulls last
