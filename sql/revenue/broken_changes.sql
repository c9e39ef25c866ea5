-- One row per kind of customer histories that cannot be: MRR below 0, MRR after the end, steps that
-- do not lead from one snapshot to the next. None in a right computation.
select
    'an MRR below 0' as broken,
    count(*) as times
from changes
where now < 0
having count(*) > 0
union all
select
    'MRR after the end' as broken,
    count(*) as times
from changes
where live_now = 0 and now <> 0
having count(*) > 0
union all
select
    'a period that does not start where the one before ended' as broken,
    count(*) as times
from (
    select
        customer,
        before,
        lag(now, 1, 0) over (partition by customer, currency order by period) as ended
    from steps
) as s
where before <> ended
having count(*) > 0
