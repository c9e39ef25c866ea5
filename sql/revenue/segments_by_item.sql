-- One row per customer, currency and instant from which its segment holds: by plan or interval, also
-- after the last MRR.
select
    i.number,
    i.currency,
    i.at_us,
    case when o.by_plan then i.plan else i.every end as segment
from items as i
cross join options as o
