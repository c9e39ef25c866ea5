-- Grain: until when something was read; no row before the first time.
select until
from activity.readings
where what = %(what)s
