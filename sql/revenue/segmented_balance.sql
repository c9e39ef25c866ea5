-- One row per period, currency and segment: MRR and customers at the snapshot.
select
    period,
    packed as currency,
    sum(now) as mrr,
    count(*) filter (where pays) as customers
from panel
group by period, packed
