-- Grain: one line of a closed month that is not as it was frozen, or that changed once before: what
-- was frozen, and what is now; null where one of them has no such line. Runs in the engine.
select
    coalesce(n.side, f.side) as side,
    coalesce(n.object, f.object) as object,
    coalesce(n.object_id, f.object_id) as object_id,
    coalesce(n.currency, f.currency) as currency,
    coalesce(n.reference, f.reference) as reference,
    f.status as frozen_status,
    f.count as frozen_count,
    f.gross_minor as frozen_gross_minor,
    f.refunded_minor as frozen_refunded_minor,
    f.disputed_minor as frozen_disputed_minor,
    n.status,
    n.count,
    n.gross_minor,
    n.refunded_minor,
    n.disputed_minor
from frozen as f
full outer join lines as n
    on
        f.side = n.side
        and f.object = n.object
        and f.object_id = n.object_id
        and f.currency = n.currency
left join restated as r
    on
        coalesce(n.side, f.side) = r.side
        and coalesce(n.object, f.object) = r.object
        and coalesce(n.object_id, f.object_id) = r.object_id
        and coalesce(n.currency, f.currency) = r.currency
where
    r.side is not null
    or f.status is distinct from n.status
    or f.count is distinct from n.count
    or f.gross_minor is distinct from n.gross_minor
    or f.refunded_minor is distinct from n.refunded_minor
    or f.disputed_minor is distinct from n.disputed_minor
order by side, object, object_id, currency
