-- Grain: one line of a closed month that is not as it was frozen, or that changed once before: what
-- was frozen, and what is now; null where one of them has no such line. Runs in the engine.
-- A line that came after the close and went again is known from the log alone.
with both_times as (
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
)

select
    coalesce(b.side, r.side) as side,
    coalesce(b.object, r.object) as object,
    coalesce(b.object_id, r.object_id) as object_id,
    coalesce(b.currency, r.currency) as currency,
    coalesce(b.reference, r.object_id) as reference,
    b.frozen_status,
    b.frozen_count,
    b.frozen_gross_minor,
    b.frozen_refunded_minor,
    b.frozen_disputed_minor,
    b.status,
    b.count,
    b.gross_minor,
    b.refunded_minor,
    b.disputed_minor
from both_times as b
full outer join restated as r
    on
        b.side = r.side
        and b.object = r.object
        and b.object_id = r.object_id
        and b.currency = r.currency
where
    r.side is not null
    or b.frozen_status is distinct from b.status
    or b.frozen_count is distinct from b.count
    or b.frozen_gross_minor is distinct from b.gross_minor
    or b.frozen_refunded_minor is distinct from b.refunded_minor
    or b.frozen_disputed_minor is distinct from b.disputed_minor
order by 1, 2, 3, 4
