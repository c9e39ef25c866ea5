-- Rows of mrr_steps whose currency also carries the segment: of the customer at the period's snapshot,
-- else the last before it; by_opening: of members, at the snapshot before. v and n tell null apart.
with opened as (
    select
        period,
        look_us,
        lag(look_us) over (order by period) as open_us
    from looks
),

looked as (
    select
        s.*,
        case when o.by_opening and s.was_customer then coalesce(l.open_us, l.look_us) else l.look_us end as seen_us
    from steps as s
    inner join opened as l on s.period = l.period
    cross join options as o
)

select
    s.* exclude (currency, seen_us),
    s.currency || chr(31) || coalesce('v' || g.segment, 'n') as currency
from looked as s
asof left join segments as g
    on s.customer = g.number and s.currency = g.currency and s.seen_us >= g.at_us
