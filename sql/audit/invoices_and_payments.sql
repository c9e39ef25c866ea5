-- Audit: the month's invoices with what their paid invoice payments add up to, on both sides.
-- Grain: one currency of invoices created before $cutoff. `wrong`: payments that do not add up to what
-- was paid; one without any paid payment is another class: `uncharged`, the $most largest of them.
-- What was paid after $cutoff is left alone. Runs in the engine.
with paid_of as (
    select
        invoice,
        sum(amount_paid) as paid_minor,
        max(paid_at) as paid_at,
        bool_or(payment_intent is not null or charge is not null) as is_charged,
        bool_or(payment_record is not null) as is_recorded
    from invoice_payments
    where status = 'paid'
    group by invoice
),

-- A mirror that heard of no invoice payment at all is not told of them: that is no wrong sum.
known as (select bool_or(paid_minor is not null) as is_told from mirrored),

paired as (
    select
        i.*,
        p.paid_minor,
        m.id as mirrored_id,
        m.amount_paid as mirrored_amount,
        coalesce(m.paid_minor, case when m.is_paid and k.is_told then 0 end) as mirrored_minor,
        coalesce(p.is_charged, false) as is_charged,
        coalesce(p.is_recorded, false) as is_recorded,
        coalesce(i.paid_at, 0) < $cutoff and coalesce(p.paid_at, 0) < $cutoff as is_judged
    from invoices as i
    left join paid_of as p on i.id = p.invoice
    left join mirrored as m on i.id = m.id
    cross join known as k
    where i.created < $cutoff
),

told as (
    select
        *,
        is_judged
        and paid_minor is not null
        and (
            paid_minor <> amount_paid
            or (mirrored_amount = amount_paid and mirrored_minor <> amount_paid)
        ) as is_wrong,
        is_judged and status = 'paid' and payment_intent is null and not is_charged as is_uncharged
    from paired
)

select
    currency,
    count(*) as invoices,
    sum(amount_paid) as paid_minor,
    sum(paid_minor) as payments_minor,
    count(mirrored_id) as mirrored,
    sum(mirrored_amount) as mirrored_minor,
    sum(mirrored_minor) as mirrored_payments_minor,
    count(*) filter (where is_uncharged) as uncharged_count,
    list(
        struct_pack(
            id := id,
            currency := currency,
            amount_paid := amount_paid,
            status := status,
            customer := customer,
            paid_minor := paid_minor,
            mirrored_minor := mirrored_minor
        ) order by id
    ) filter (where is_wrong) as wrong,
    max(
        struct_pack(
            amount_paid := amount_paid,
            total := total,
            id := id,
            currency := currency,
            customer := customer,
            starting_balance := starting_balance,
            ending_balance := ending_balance,
            is_recorded := is_recorded,
            status := status,
            paid_at := paid_at,
            api_version := api_version,
            is_mirrored := mirrored_id is not null,
            raw := raw
        ),
        $most
    ) filter (where is_uncharged) as uncharged
from told
group by currency
order by currency
