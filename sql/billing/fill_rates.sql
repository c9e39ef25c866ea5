-- Grain: one watched field of one table, in one API version, of objects made on one day before now.
-- Why: a field that Stripe moved in a version leaves its column empty without any error. Only fields
-- are watched that a business fills at a steady rate; columns that must not be null need no watch.
select
    'payment_intents' as resource,
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer as days_ago,
    count(*) as objects,
    count(told.value) as filled
from stripe.payment_intents as found
cross join lateral (values ('customer', found.customer), ('latest_charge', found.latest_charge)) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'charges',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.charges as found
cross join lateral (
    values ('customer', found.customer), ('payment_intent', found.payment_intent)
) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'invoices',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.invoices as found
cross join lateral (
    values
    ('customer', found.customer),
    ('subscription', found.subscription),
    ('billing_reason', found.billing_reason),
    ('period_start', found.period_start::text)
) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'invoice_line_items',
    told.field,
    line.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.invoices as found
inner join stripe.invoice_line_items as line
    on
        found.account_id = line.account_id
        and found.livemode = line.livemode
        and found.id = line.invoice
cross join lateral (
    values
    ('price', line.price),
    ('subscription', line.subscription),
    ('subscription_item', line.subscription_item),
    ('period_start', line.period_start::text)
) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'invoice_payments',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.invoice_payments as found
cross join lateral (values ('payment_intent', found.payment_intent)) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'subscriptions',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.subscriptions as found
cross join lateral (
    values
    ('latest_invoice', found.latest_invoice),
    ('billing_cycle_anchor', found.billing_cycle_anchor::text)
) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'subscription_items',
    told.field,
    item.api_version,
    floor(extract(epoch from %(now)s - item.created) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.subscription_items as item
cross join lateral (
    values
    ('quantity', item.quantity::text),
    ('unit_amount_decimal', item.unit_amount_decimal::text),
    ('recurring_interval', item.recurring_interval)
) as told (field, value)
where item.created >= %(since)s and item.created < %(now)s
group by 1, 2, 3, 4
union all
select
    'refunds',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.refunds as found
cross join lateral (values ('charge', found.charge), ('status', found.status)) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'balance_transactions',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.balance_transactions as found
cross join lateral (values ('source', found.source)) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
union all
select
    'discounts',
    told.field,
    discount.api_version,
    floor(extract(epoch from %(now)s - discount.starts_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.discounts as discount
cross join lateral (values ('coupon', discount.coupon)) as told (field, value)
where discount.starts_at >= %(since)s and discount.starts_at < %(now)s
group by 1, 2, 3, 4
union all
select
    'checkout_sessions',
    told.field,
    found.api_version,
    floor(extract(epoch from %(now)s - found.created_at) / 86400)::integer,
    count(*),
    count(told.value)
from stripe.checkout_sessions as found
cross join lateral (
    values ('customer', found.customer), ('amount_total', found.amount_total::text)
) as told (field, value)
where found.created_at >= %(since)s and found.created_at < %(now)s and found.deleted_at is null
group by 1, 2, 3, 4
