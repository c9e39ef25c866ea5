-- Grain: one user, local day and currency in which the user paid: payments of the books that are
-- settled, each charge once, net of what of it was refunded or disputed (whenever), in the day of the
-- payment. `user_number` null: nobody knows whose it is. Units: minor units of the currency.
-- Why a table: days are compared first, and only those that differ are read.
create temporary table growth_paid on commit drop as
-- Of several users of one customer the first who signed up has its payments; an anonymous id is the
-- user it turned out to be, and whoever does not count has none. A deleted user keeps them.
with owners as (
    select
        u.account_id,
        u.customer_id,
        min(n.user_number) as user_number
    from billing.user_customers as u
    left join activity.merged_ids as m on m.merged_key = sha256(convert_to(u.user_id, 'UTF8'))
    inner join activity.user_numbers as n
        on n.user_key = coalesce(m.user_key, sha256(convert_to(u.user_id, 'UTF8')))
    where
        u.account_id = any(%(accounts)s::text [])
        and u.livemode = %(livemode)s
        and u.customer_id is not null
        and not exists (select from activity.excluded_users as e where e.user_key = n.user_key)
    group by u.account_id, u.customer_id
),

-- What rows with a charge name, so that a row without one may repeat them.
intents as (
    select distinct
        account_id,
        payment_intent_id as id
    from billing.payments
    where
        account_id = any(%(accounts)s::text [])
        and livemode = %(livemode)s
        and charge_id is not null
        and payment_intent_id is not null
),

invoices as (
    select distinct
        account_id,
        invoice_id as id
    from billing.payments
    where
        account_id = any(%(accounts)s::text [])
        and livemode = %(livemode)s
        and charge_id is not null
        and invoice_id is not null
),

-- Rows that were imported or written by hand may repeat a charge: the pipeline's own row counts.
booked as (
    select distinct on (p.account_id, coalesce(p.charge_id, p.payment_intent_id, p.invoice_payment_id, p.invoice_id))
        p.account_id,
        p.customer_id,
        p.status,
        p.captured,
        p.currency,
        p.amount_minor,
        p.refunded_minor,
        p.disputed_minor,
        p.created_at
    from billing.payments as p
    left join intents on p.account_id = intents.account_id and p.payment_intent_id = intents.id
    left join invoices on p.account_id = invoices.account_id and p.invoice_id = invoices.id
    where
        p.account_id = any(%(accounts)s::text [])
        and p.livemode = %(livemode)s
        and p.created_at < %(as_of)s
        and (
            p.charge_id is not null
            or (
                intents.id is null
                and (invoices.id is null or p.payment_intent_id is not null or p.invoice_payment_id is not null)
            )
        )
    order by
        p.account_id,
        coalesce(p.charge_id, p.payment_intent_id, p.invoice_payment_id, p.invoice_id),
        (p.written_by = 'mirror') desc,
        p.written_at desc,
        p.payment_id desc
)

select
    o.user_number,
    ((b.created_at at time zone %(tz)s)::date - date '1970-01-01')::int4 as day,
    b.currency,
    sum(b.amount_minor - b.refunded_minor - b.disputed_minor)::int8 as minor,
    sum(b.amount_minor)::int8 as gross_minor,
    count(*)::int8 as payments
from booked as b
left join owners as o on o.account_id = b.account_id and o.customer_id = b.customer_id
where b.status = 'succeeded' and b.captured
group by 1, 2, 3
