-- Grain: one row: a name for all booked rows of the month as they are, and how many of them were
-- written since $since, Unix seconds. Runs in the engine. Why: equal names mean that nothing changed.
select
    count(*) filter (where written >= $since) as written_since,
    count(*)::varchar || '-' || coalesce(
        sum(
            hash(
                payment_id,
                match_id,
                status,
                captured,
                currency,
                amount_minor,
                refunded_minor,
                disputed_minor,
                customer_id,
                created,
                written
            )::hugeint
        ), 0
    )::varchar as state
from books
where in_month
