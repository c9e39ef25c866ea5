-- Audit: payments whose two sides differ in anything, or that stand on one side alone.
-- Grain: one row: their match ids (charge id, else what the row is matched by; repeats are possible;
-- $most of them at most), how many charges there are, and how many charges and rows found no
-- partner. Agreeing pairs stay inside. Runs in the engine. The same rule as compare.py, but wider:
-- compare.py decides. Instants are Unix seconds; $cutoff = as-of less grace.
with stripe as (
    select
        c.id,
        c.created,
        c.status,
        c.currency,
        c.customer,
        c.status = 'succeeded' and coalesce(c.paid, true) and coalesce(c.captured, true) as settled,
        coalesce(c.amount_captured, c.amount) as captured_minor,
        case
            when not $refunds_complete or c.amount_captured < c.amount then c.amount_refunded
            else coalesce(r.refunded_minor, 0)
        end as refunded_minor,
        coalesce(r.withdrawn_minor - r.reinstated_minor, 0) as disputed_minor,
        c.disputed and r.withdrawn_minor is null and not $disputes_complete as is_dispute_unknown
    from charges as c
    left join returned as r on c.id = r.charge
)

select
    (select count(*) from charges) as charges,
    count(*) filter (where b.match_id is null) as lone_charges,
    count(*) filter (where s.id is null) as lone_rows,
    list_slice(list(coalesce(s.id, b.match_id)) filter (
        where
        s.id is null
        or (b.match_id is null and s.settled and s.created < $cutoff)
        or (s.created < $cutoff) <> (b.created < $cutoff)
        or (
            s.created < $cutoff
            and (
                s.status <> b.status
                or s.settled <> (b.status = 'succeeded' and b.captured)
                or not b.in_month
                or b.customer_id <> coalesce(s.customer, '')
                or (
                    s.settled
                    and (
                        s.currency <> b.currency
                        or s.captured_minor <> b.amount_minor
                        or s.refunded_minor <> b.refunded_minor
                        or s.disputed_minor <> b.disputed_minor
                        or s.is_dispute_unknown
                    )
                )
            )
        )
    ), 1, $most) as match_ids
from stripe as s
full outer join books as b on s.id = b.match_id
