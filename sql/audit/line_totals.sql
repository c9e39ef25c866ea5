-- Grain: one side and currency of a month's lines, settled money in minor units. In the engine.
select
    side,
    currency,
    sum(count) as count,
    sum(gross_minor) as gross_minor,
    sum(refunded_minor) as refunded_minor,
    sum(disputed_minor) as disputed_minor,
    sum(gross_minor) - sum(refunded_minor) - sum(disputed_minor) as net_minor
from lines
group by side, currency
order by side, currency
