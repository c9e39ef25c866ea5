-- Grain: one payment of the month on one side: a charge of Stripe's list, or a booked row of the
-- month. Runs in the engine. Why: what a closed month was frozen as, and what it is compared with.
-- `judged`: payments that were asked about again, as they were judged; they replace the list's.
-- When a closed month is compared, also what else it was frozen with, looked up by its id.
-- Money counts only where it is settled. `reference`: the Stripe id that a line is about.
with listed as (
    select
        c.id,
        c.currency,
        c.status,
        c.status = 'succeeded' and coalesce(c.paid, true) and coalesce(c.captured, true) as settled,
        coalesce(c.amount_captured, c.amount) as captured_minor,
        case
            when not f.refunds_complete or c.amount_captured < c.amount then c.amount_refunded
            else coalesce(r.refunded_minor, 0)
        end as refunded_minor,
        coalesce(r.withdrawn_minor - r.reinstated_minor, 0) as disputed_minor
    from charges as c
    cross join facts as f
    left join returned as r on c.id = r.charge
    anti join judged as j on c.id = j.id
),

lines as (
    select
        'stripe' as side,
        'charge' as object,
        id as object_id,
        id as reference,
        currency,
        status,
        settled,
        captured_minor,
        refunded_minor,
        disputed_minor
    from listed
    union all
    select
        'stripe' as side,
        object,
        id as object_id,
        id as reference,
        currency,
        status,
        settled,
        captured_minor,
        refunded_minor,
        disputed_minor
    from judged
    union all
    select
        'books' as side,
        'payment' as object,
        payment_id::varchar as object_id,
        match_id as reference,
        currency,
        status,
        status = 'succeeded' and captured as settled,
        amount_minor as captured_minor,
        refunded_minor,
        disputed_minor
    from books
    where in_month
)

select
    side,
    object,
    object_id,
    reference,
    currency,
    status,
    settled::bigint as count,
    case when settled then captured_minor else 0 end as gross_minor,
    case when settled then refunded_minor else 0 end as refunded_minor,
    case when settled then disputed_minor else 0 end as disputed_minor
from lines
