-- Marts: stable views for BI tools over what is published, read by the role growth_ro.
-- Names and types here are a promise: a change is a decision. Contract: docs/marts.md.
create schema marts;

-- Grain: one policy under which figures are published.
create view marts.policies with (security_invoker = true) as
select
    p.policy,
    p.options,
    p.tz,
    p.as_of,
    p.known_at,
    p.inputs_sha256,
    p.code_version,
    p.published_at
from revenue.policies as p;
comment on view marts.policies is 'Grain: one policy under which figures are published.';
comment on column marts.policies.policy is 'Name and version, as growth@1.';
comment on column marts.policies.options is 'Every switch as it holds.';
comment on column marts.policies.tz is 'Zone (IANA) of local days and months.';
comment on column marts.policies.as_of is 'Exclusive: a fact at this instant or later is not in it.';
comment on column marts.policies.known_at is 'What the ledger had received by then is counted, nothing after it.';
comment on column marts.policies.inputs_sha256 is 'Hash of the subscription states that everything was computed from.';
comment on column marts.policies.code_version is 'Version of the program.';
comment on column marts.policies.published_at is 'When the row was written.';

-- Grain: one policy, local day and currency.
create view marts.mrr_daily with (security_invoker = true) as
select
    d.policy,
    d.day,
    d.currency,
    d.mrr_minor,
    12 * d.mrr_minor as arr_minor,
    d.contract_minor as contract_mrr_minor,
    d.scheduled_churn_minor,
    d.mrr_minor - d.scheduled_churn_minor as cmrr_minor,
    d.customers,
    d.subscriptions,
    d.unknown_items,
    d.state
from revenue.mrr_daily as d;
comment on view marts.mrr_daily is 'Grain: one policy, local day and currency. Days on which nothing is live in the currency have no row.';
comment on column marts.mrr_daily.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_daily.day is 'Local day in the zone of the policy.';
comment on column marts.mrr_daily.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_daily.mrr_minor is 'MRR at the end of the day: the rounded customers added up, minor units of currency. Null where a price is unknown.';
comment on column marts.mrr_daily.arr_minor is 'Twelve times mrr_minor.';
comment on column marts.mrr_daily.contract_mrr_minor is 'Before discounts, minor units of currency.';
comment on column marts.mrr_daily.scheduled_churn_minor is 'Part of mrr_minor that has a set date of cancellation.';
comment on column marts.mrr_daily.cmrr_minor is 'Committed MRR: mrr_minor less scheduled_churn_minor.';
comment on column marts.mrr_daily.customers is 'Customers with MRR above 0.';
comment on column marts.mrr_daily.subscriptions is 'Subscriptions that are live.';
comment on column marts.mrr_daily.unknown_items is 'Items whose price is unknown.';
comment on column marts.mrr_daily.state is 'closed or open at as_of.';

-- Grain: one policy, local day and subscription item that is live at the end of the day.
create view marts.mrr_items_daily with (security_invoker = true) as
select
    d.policy,
    d.day,
    s.account_id,
    s.customer_id,
    s.subscription_id,
    s.item_id,
    s.product_id,
    s.price_id,
    s.quantity,
    s.billing_interval,
    s.interval_count,
    d.currency,
    s.mrr_minor,
    12 * s.mrr_minor as arr_minor,
    s.contract_minor as contract_mrr_minor,
    s.cancels_at,
    s.is_assumed,
    s.told_by,
    d.state
from revenue.mrr_daily as d
inner join revenue.mrr_spells as s
    on
        d.policy = s.policy
        and d.currency = s.currency
        and s.from_on <= d.day
        and coalesce(s.until_on, 'infinity') > d.day;
comment on view marts.mrr_items_daily is 'Grain: one policy, local day and subscription item that is live at the end of the day. Ask for few days at a time.';
comment on column marts.mrr_items_daily.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_items_daily.day is 'Local day in the zone of the policy.';
comment on column marts.mrr_items_daily.account_id is 'Stripe account.';
comment on column marts.mrr_items_daily.customer_id is 'Stripe customer.';
comment on column marts.mrr_items_daily.subscription_id is 'Stripe subscription.';
comment on column marts.mrr_items_daily.item_id is 'Stripe subscription item.';
comment on column marts.mrr_items_daily.product_id is 'Stripe product of the price.';
comment on column marts.mrr_items_daily.price_id is 'Stripe price.';
comment on column marts.mrr_items_daily.quantity is 'Units; null where the price is metered.';
comment on column marts.mrr_items_daily.billing_interval is 'day, week, month or year.';
comment on column marts.mrr_items_daily.interval_count is 'Intervals of one bill.';
comment on column marts.mrr_items_daily.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_items_daily.mrr_minor is 'Share of the customer''s rounded MRR, minor units of currency; null where a price is unknown.';
comment on column marts.mrr_items_daily.arr_minor is 'Twelve times mrr_minor.';
comment on column marts.mrr_items_daily.contract_mrr_minor is 'Before discounts, minor units of currency.';
comment on column marts.mrr_items_daily.cancels_at is 'Cancellation that is set for then, as far as was known; null while none is.';
comment on column marts.mrr_items_daily.is_assumed is 'Nothing was told of this time; it follows from what was told first.';
comment on column marts.mrr_items_daily.told_by is 'Stripe event that brought the state, or fetch.';
comment on column marts.mrr_items_daily.state is 'closed or open at as_of.';

-- Grain: one policy, local day and subscription that is live at the end of the day.
create view marts.mrr_subscriptions_daily with (security_invoker = true) as
select
    i.policy,
    i.day,
    i.account_id,
    i.customer_id,
    i.subscription_id,
    i.currency,
    count(*) as items,
    case when count(*) = count(i.mrr_minor) then sum(i.mrr_minor) end::bigint as mrr_minor,
    case when count(*) = count(i.mrr_minor) then 12 * sum(i.mrr_minor) end::bigint as arr_minor,
    case when count(*) = count(i.contract_mrr_minor) then sum(i.contract_mrr_minor) end::bigint as contract_mrr_minor,
    case when count(*) = count(i.mrr_minor) then coalesce(sum(i.mrr_minor) filter (where i.cancels_at is not null), 0) end::bigint as scheduled_churn_minor,
    i.state
from marts.mrr_items_daily as i
group by i.policy, i.day, i.account_id, i.customer_id, i.subscription_id, i.currency, i.state;
comment on view marts.mrr_subscriptions_daily is 'Grain: one policy, local day and subscription that is live at the end of the day. Ask for few days at a time.';
comment on column marts.mrr_subscriptions_daily.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_subscriptions_daily.day is 'Local day in the zone of the policy.';
comment on column marts.mrr_subscriptions_daily.account_id is 'Stripe account.';
comment on column marts.mrr_subscriptions_daily.customer_id is 'Stripe customer.';
comment on column marts.mrr_subscriptions_daily.subscription_id is 'Stripe subscription.';
comment on column marts.mrr_subscriptions_daily.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_subscriptions_daily.items is 'Items that are live.';
comment on column marts.mrr_subscriptions_daily.mrr_minor is 'MRR at the end of the day, minor units of currency; null where a price is unknown.';
comment on column marts.mrr_subscriptions_daily.arr_minor is 'Twelve times mrr_minor.';
comment on column marts.mrr_subscriptions_daily.contract_mrr_minor is 'Before discounts, minor units of currency.';
comment on column marts.mrr_subscriptions_daily.scheduled_churn_minor is 'Part of mrr_minor that has a set date of cancellation.';
comment on column marts.mrr_subscriptions_daily.state is 'closed or open at as_of.';

-- Grain: one policy, local day, customer and currency with something live at the end of the day.
create view marts.mrr_customers_daily with (security_invoker = true) as
select
    i.policy,
    i.day,
    i.account_id,
    i.customer_id,
    i.currency,
    count(distinct i.subscription_id) as subscriptions,
    count(*) as items,
    case when count(*) = count(i.mrr_minor) then sum(i.mrr_minor) end::bigint as mrr_minor,
    case when count(*) = count(i.mrr_minor) then 12 * sum(i.mrr_minor) end::bigint as arr_minor,
    case when count(*) = count(i.contract_mrr_minor) then sum(i.contract_mrr_minor) end::bigint as contract_mrr_minor,
    case when count(*) = count(i.mrr_minor) then coalesce(sum(i.mrr_minor) filter (where i.cancels_at is not null), 0) end::bigint as scheduled_churn_minor,
    i.state
from marts.mrr_items_daily as i
group by i.policy, i.day, i.account_id, i.customer_id, i.currency, i.state;
comment on view marts.mrr_customers_daily is 'Grain: one policy, local day, customer and currency with something live at the end of the day. Ask for few days at a time.';
comment on column marts.mrr_customers_daily.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_customers_daily.day is 'Local day in the zone of the policy.';
comment on column marts.mrr_customers_daily.account_id is 'Stripe account.';
comment on column marts.mrr_customers_daily.customer_id is 'Stripe customer.';
comment on column marts.mrr_customers_daily.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_customers_daily.subscriptions is 'Subscriptions that are live.';
comment on column marts.mrr_customers_daily.items is 'Items that are live.';
comment on column marts.mrr_customers_daily.mrr_minor is 'MRR at the end of the day, minor units of currency; null where a price is unknown.';
comment on column marts.mrr_customers_daily.arr_minor is 'Twelve times mrr_minor.';
comment on column marts.mrr_customers_daily.contract_mrr_minor is 'Before discounts, minor units of currency.';
comment on column marts.mrr_customers_daily.scheduled_churn_minor is 'Part of mrr_minor that has a set date of cancellation.';
comment on column marts.mrr_customers_daily.state is 'closed or open at as_of.';

-- Grain: one policy, grain, period, currency and movement.
create view marts.mrr_movements with (security_invoker = true) as
select
    m.policy,
    m.grain,
    m.period_start,
    m.currency,
    m.movement,
    m.amount_minor,
    m.customers,
    m.changes,
    m.currency_switches,
    m.state
from revenue.mrr_movements as m
where m.reporting_currency = '' and m.segment_by = '' and m.cause = '';
comment on view marts.mrr_movements is 'Grain: one policy, grain, period, currency and movement. The movements of a period add up to its change of MRR.';
comment on column marts.mrr_movements.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_movements.grain is 'day, week, month, quarter or year.';
comment on column marts.mrr_movements.period_start is 'First local day of the period.';
comment on column marts.mrr_movements.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_movements.movement is 'new, reactivation, resumed, expansion, contraction, paused or churn.';
comment on column marts.mrr_movements.amount_minor is 'Signed, minor units of currency; losses are negative. Null unless the period is closed.';
comment on column marts.mrr_movements.customers is 'Customers with this movement.';
comment on column marts.mrr_movements.changes is 'Changes of customers; more than customers where one counts several times.';
comment on column marts.mrr_movements.currency_switches is 'Customers among them who went from one currency to another.';
comment on column marts.mrr_movements.state is 'closed, open or not_begun at as_of; only closed ones have values.';

-- Grain: one policy, grain, period, currency, movement and cause: the losses of marts.mrr_movements that have one.
create view marts.mrr_movements_by_cause with (security_invoker = true) as
select
    m.policy,
    m.grain,
    m.period_start,
    m.currency,
    m.movement,
    m.cause,
    m.amount_minor,
    m.customers,
    m.changes,
    m.state
from revenue.mrr_movements as m
where m.reporting_currency = '' and m.segment_by = '' and m.cause <> '';
comment on view marts.mrr_movements_by_cause is 'Grain: one policy, grain, period, currency, movement and cause: the losses of marts.mrr_movements that have one.';
comment on column marts.mrr_movements_by_cause.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_movements_by_cause.grain is 'day, week, month, quarter or year.';
comment on column marts.mrr_movements_by_cause.period_start is 'First local day of the period.';
comment on column marts.mrr_movements_by_cause.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_movements_by_cause.movement is 'The movement whose causes these are.';
comment on column marts.mrr_movements_by_cause.cause is 'Why MRR ended: voluntary, delinquent, dispute, other, to_free, paused, unknown.';
comment on column marts.mrr_movements_by_cause.amount_minor is 'Signed, minor units of currency; losses are negative. Null unless the period is closed.';
comment on column marts.mrr_movements_by_cause.customers is 'Customers with this movement.';
comment on column marts.mrr_movements_by_cause.changes is 'Changes of customers; more than customers where one counts several times.';
comment on column marts.mrr_movements_by_cause.state is 'closed, open or not_begun at as_of; only closed ones have values.';

-- Grain: one policy, grain, period, currency, segment and movement.
create view marts.mrr_movements_by_segment with (security_invoker = true) as
select
    m.policy,
    m.grain,
    m.period_start,
    m.currency,
    m.segment_by,
    m.segment,
    m.movement,
    m.amount_minor,
    m.customers,
    m.changes,
    m.currency_switches,
    m.state
from revenue.mrr_movements as m
where m.reporting_currency = '' and m.segment_by <> '' and m.cause = '';
comment on view marts.mrr_movements_by_segment is 'Grain: one policy, grain, period, currency, segment and movement. The segments of one segment_by add up to marts.mrr_movements.';
comment on column marts.mrr_movements_by_segment.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_movements_by_segment.grain is 'day, week, month, quarter or year.';
comment on column marts.mrr_movements_by_segment.period_start is 'First local day of the period.';
comment on column marts.mrr_movements_by_segment.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_movements_by_segment.segment_by is 'plan, interval, country or metadata.<key>.';
comment on column marts.mrr_movements_by_segment.segment is 'Value of segment_by; null where there is none.';
comment on column marts.mrr_movements_by_segment.movement is 'new, reactivation, resumed, expansion, contraction, paused or churn.';
comment on column marts.mrr_movements_by_segment.amount_minor is 'Signed, minor units of currency; losses are negative. Null unless the period is closed.';
comment on column marts.mrr_movements_by_segment.customers is 'Customers with this movement.';
comment on column marts.mrr_movements_by_segment.changes is 'Changes of customers; more than customers where one counts several times.';
comment on column marts.mrr_movements_by_segment.currency_switches is 'Customers among them who went from one currency to another.';
comment on column marts.mrr_movements_by_segment.state is 'closed, open or not_begun at as_of; only closed ones have values.';

-- Grain: one policy, grain, period, currency and movement, converted into one reporting currency at dated rates.
create view marts.mrr_movements_reporting with (security_invoker = true) as
select
    m.policy,
    m.grain,
    m.period_start,
    m.reporting_currency,
    m.currency,
    m.movement,
    m.amount_minor,
    m.customers,
    m.changes,
    m.state
from revenue.mrr_movements as m
where m.reporting_currency <> '' and m.segment_by = '' and m.cause = '';
comment on view marts.mrr_movements_reporting is 'Grain: one policy, grain, period, currency and movement, converted into one reporting currency at dated rates. Adds up over currencies.';
comment on column marts.mrr_movements_reporting.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_movements_reporting.grain is 'day, week, month, quarter or year.';
comment on column marts.mrr_movements_reporting.period_start is 'First local day of the period.';
comment on column marts.mrr_movements_reporting.reporting_currency is 'Currency of amount_minor.';
comment on column marts.mrr_movements_reporting.currency is 'Currency that was converted.';
comment on column marts.mrr_movements_reporting.movement is 'new, reactivation, resumed, expansion, contraction, paused, churn or fx.';
comment on column marts.mrr_movements_reporting.amount_minor is 'Signed, minor units of reporting_currency; null unless the period is closed and each rate is known.';
comment on column marts.mrr_movements_reporting.customers is 'Customers with this movement.';
comment on column marts.mrr_movements_reporting.changes is 'Changes of customers; more than customers where one counts several times.';
comment on column marts.mrr_movements_reporting.state is 'closed, open or not_begun at as_of; only closed ones have values.';

-- Grain: one policy, month, customer and currency with a movement (under a policy that counts every change: one change): the rows behind marts.mrr_movements of grain month.
create view marts.mrr_changes with (security_invoker = true) as
select
    c.policy,
    c.period_start as month_start,
    c.account_id,
    c.customer_id,
    c.currency,
    c.before_minor,
    c.now_minor,
    c.now_minor - c.before_minor as amount_minor,
    c.movement,
    c.cause,
    c.change_number
from revenue.mrr_changes as c;
comment on view marts.mrr_changes is 'Grain: one policy, month, customer and currency with a movement (under a policy that counts every change: one change): the rows behind marts.mrr_movements of grain month.';
comment on column marts.mrr_changes.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_changes.month_start is 'First local day of the month.';
comment on column marts.mrr_changes.account_id is 'Stripe account.';
comment on column marts.mrr_changes.customer_id is 'Stripe customer.';
comment on column marts.mrr_changes.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_changes.before_minor is 'MRR at the end of the month before, minor units of currency.';
comment on column marts.mrr_changes.now_minor is 'MRR at the end of the month.';
comment on column marts.mrr_changes.amount_minor is 'now_minor less before_minor.';
comment on column marts.mrr_changes.movement is 'new, reactivation, resumed, expansion, contraction, paused or churn.';
comment on column marts.mrr_changes.cause is 'Why MRR ended; null for other movements.';
comment on column marts.mrr_changes.change_number is 'Of the changes of the month, in time; above 1 only under a policy that counts every change.';

-- Grain: one published figure: metric, policy, period, currency and segment.
create view marts.figures with (security_invoker = true) as
select
    f.metric,
    nullif(f.policy, '') as policy,
    f.grain,
    f.period_start,
    nullif(f.currency, '') as currency,
    nullif(f.reporting_currency, '') as reporting_currency,
    nullif(f.segment_by, '') as segment_by,
    f.segment,
    f.value,
    f.unit,
    f.numerator,
    f.denominator,
    f.state,
    f.reason,
    f.sample_size,
    f.rates,
    f.as_of,
    f.receipt_id,
    f.published_at
from revenue.figures as f;
comment on view marts.figures is 'Grain: one published figure: metric, policy, period, currency and segment.';
comment on column marts.figures.metric is 'Word of docs/metrics.md.';
comment on column marts.figures.policy is 'As growth@1; null of figures that need none.';
comment on column marts.figures.grain is 'day, week, month, quarter or year.';
comment on column marts.figures.period_start is 'First local day of the period.';
comment on column marts.figures.currency is 'Lower case; null of figures without money, and of those over all currencies in reporting_currency.';
comment on column marts.figures.reporting_currency is 'Currency into which all of currency was converted at dated rates; null: not converted.';
comment on column marts.figures.segment_by is 'What it is split by: plan, interval, country or metadata.<key>; null: not split.';
comment on column marts.figures.segment is 'Value of segment_by; null where there is none.';
comment on column marts.figures.value is 'Null unless the period is closed, and where it cannot be known: reason says why.';
comment on column marts.figures.unit is 'minor: minor units of currency, or of reporting_currency; count; rate: 0 to 1; ratio: may be above 1.';
comment on column marts.figures.numerator is 'Of a rate or ratio; pool these, never average rates.';
comment on column marts.figures.denominator is 'Of a rate or ratio.';
comment on column marts.figures.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.figures.reason is 'Why there is no value.';
comment on column marts.figures.sample_size is 'Customers or users that the figure rests on.';
comment on column marts.figures.rates is 'Each exchange rate that was used, with its date.';
comment on column marts.figures.as_of is 'Exclusive: a fact at this instant or later is not in it.';
comment on column marts.figures.receipt_id is 'Receipt in marts.receipts; growth verify recomputes it.';
comment on column marts.figures.published_at is 'When the row was written.';

-- Grain: one policy, month and currency, every figure in a column.
create view marts.metrics_monthly with (security_invoker = true) as
select
    f.policy,
    f.period_start as month_start,
    nullif(f.currency, '') as currency,
    nullif(f.reporting_currency, '') as reporting_currency,
    (max(f.value) filter (where f.metric = 'mrr'))::bigint as mrr_minor,
    (max(f.value) filter (where f.metric = 'arr'))::bigint as arr_minor,
    (max(f.value) filter (where f.metric = 'mrr_start'))::bigint as mrr_start_minor,
    (max(f.value) filter (where f.metric = 'new_mrr'))::bigint as new_mrr_minor,
    (max(f.value) filter (where f.metric = 'reactivation_mrr'))::bigint as reactivation_mrr_minor,
    (max(f.value) filter (where f.metric = 'resumed_mrr'))::bigint as resumed_mrr_minor,
    (max(f.value) filter (where f.metric = 'expansion_mrr'))::bigint as expansion_mrr_minor,
    (max(f.value) filter (where f.metric = 'contraction_mrr'))::bigint as contraction_mrr_minor,
    (max(f.value) filter (where f.metric = 'paused_mrr'))::bigint as paused_mrr_minor,
    (max(f.value) filter (where f.metric = 'churn_mrr'))::bigint as churn_mrr_minor,
    (max(f.value) filter (where f.metric = 'fx_mrr'))::bigint as fx_mrr_minor,
    (max(f.value) filter (where f.metric = 'net_new_mrr'))::bigint as net_new_mrr_minor,
    (max(f.value) filter (where f.metric = 'contract_mrr'))::bigint as contract_mrr_minor,
    (max(f.value) filter (where f.metric = 'scheduled_churn'))::bigint as scheduled_churn_minor,
    (max(f.value) filter (where f.metric = 'cmrr'))::bigint as cmrr_minor,
    (max(f.value) filter (where f.metric = 'customers'))::bigint as customers,
    (max(f.value) filter (where f.metric = 'customers_start'))::bigint as customers_start,
    (max(f.value) filter (where f.metric = 'new_customers'))::bigint as new_customers,
    (max(f.value) filter (where f.metric = 'reactivated_customers'))::bigint as reactivated_customers,
    (max(f.value) filter (where f.metric = 'resumed_customers'))::bigint as resumed_customers,
    (max(f.value) filter (where f.metric = 'expanded_customers'))::bigint as expanded_customers,
    (max(f.value) filter (where f.metric = 'contracted_customers'))::bigint as contracted_customers,
    (max(f.value) filter (where f.metric = 'paused_customers'))::bigint as paused_customers,
    (max(f.value) filter (where f.metric = 'churned_customers'))::bigint as churned_customers,
    (max(f.value) filter (where f.metric = 'subscriptions_active'))::bigint as subscriptions_active,
    (max(f.value) filter (where f.metric = 'subscriptions_started'))::bigint as subscriptions_started,
    (max(f.value) filter (where f.metric = 'subscriptions_canceled'))::bigint as subscriptions_canceled,
    (max(f.value) filter (where f.metric = 'growth'))::numeric as growth_rate,
    (max(f.value) filter (where f.metric = 'arpa'))::numeric as arpa_minor,
    (max(f.value) filter (where f.metric = 'nrr'))::numeric as nrr,
    (max(f.value) filter (where f.metric = 'nrr_3'))::numeric as nrr_3,
    (max(f.value) filter (where f.metric = 'nrr_12'))::numeric as nrr_12,
    (max(f.value) filter (where f.metric = 'grr'))::numeric as grr,
    (max(f.value) filter (where f.metric = 'grr_3'))::numeric as grr_3,
    (max(f.value) filter (where f.metric = 'grr_12'))::numeric as grr_12,
    (max(f.value) filter (where f.metric = 'logo_churn'))::numeric as logo_churn_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn'))::numeric as mrr_churn_rate,
    (max(f.value) filter (where f.metric = 'gross_mrr_churn'))::numeric as gross_mrr_churn_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_voluntary'))::numeric as mrr_churn_voluntary_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_delinquent'))::numeric as mrr_churn_delinquent_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_dispute'))::numeric as mrr_churn_dispute_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_other'))::numeric as mrr_churn_other_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_to_free'))::numeric as mrr_churn_to_free_rate,
    (max(f.value) filter (where f.metric = 'mrr_churn_unknown'))::numeric as mrr_churn_unknown_rate,
    (max(f.value) filter (where f.metric = 'quick_ratio'))::numeric as quick_ratio,
    (max(f.value) filter (where f.metric = 'ltv'))::numeric as ltv_minor,
    max(f.state) as state,
    max(f.as_of) as as_of,
    max(f.receipt_id) as receipt_id,
    max(f.published_at) as published_at
from revenue.figures as f
where f.grain = 'month' and f.segment_by = '' and f.policy <> ''
group by f.policy, f.period_start, f.currency, f.reporting_currency;
comment on view marts.metrics_monthly is 'Grain: one policy, month and currency, every figure in a column. Null unless the month is closed.';
comment on column marts.metrics_monthly.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.metrics_monthly.month_start is 'First local day of the month.';
comment on column marts.metrics_monthly.currency is 'Lower case; the currency of all amounts. Null: all currencies together, in reporting_currency.';
comment on column marts.metrics_monthly.reporting_currency is 'Currency of all amounts of the row over all currencies, converted at dated rates; null: not converted.';
comment on column marts.metrics_monthly.mrr_minor is 'MRR at the end of the month, minor units.';
comment on column marts.metrics_monthly.arr_minor is 'Twelve times mrr_minor.';
comment on column marts.metrics_monthly.mrr_start_minor is 'MRR at the end of the month before.';
comment on column marts.metrics_monthly.new_mrr_minor is 'Movement new, signed, minor units.';
comment on column marts.metrics_monthly.reactivation_mrr_minor is 'Movement reactivation, signed, minor units.';
comment on column marts.metrics_monthly.resumed_mrr_minor is 'Movement resumed, signed, minor units.';
comment on column marts.metrics_monthly.expansion_mrr_minor is 'Movement expansion, signed, minor units.';
comment on column marts.metrics_monthly.contraction_mrr_minor is 'Movement contraction, signed, minor units.';
comment on column marts.metrics_monthly.paused_mrr_minor is 'Movement paused, signed, minor units.';
comment on column marts.metrics_monthly.churn_mrr_minor is 'Movement churn, signed, minor units.';
comment on column marts.metrics_monthly.fx_mrr_minor is 'What changed exchange rates made of mrr_start_minor; only in a reporting currency.';
comment on column marts.metrics_monthly.net_new_mrr_minor is 'Sum of the movements, with fx: mrr_minor less mrr_start_minor.';
comment on column marts.metrics_monthly.contract_mrr_minor is 'MRR before discounts, minor units.';
comment on column marts.metrics_monthly.scheduled_churn_minor is 'MRR with a set date of cancellation, minor units.';
comment on column marts.metrics_monthly.cmrr_minor is 'mrr_minor less scheduled_churn_minor.';
comment on column marts.metrics_monthly.customers is 'Customers with MRR above 0 at the end of the month.';
comment on column marts.metrics_monthly.customers_start is 'Customers with MRR above 0 at the end of the month before.';
comment on column marts.metrics_monthly.new_customers is 'Customers with MRR for the first time.';
comment on column marts.metrics_monthly.reactivated_customers is 'Customers who had MRR earlier and came back.';
comment on column marts.metrics_monthly.resumed_customers is 'Customers whose pause ended.';
comment on column marts.metrics_monthly.expanded_customers is 'Customers whose MRR grew.';
comment on column marts.metrics_monthly.contracted_customers is 'Customers whose MRR shrank and did not end.';
comment on column marts.metrics_monthly.paused_customers is 'Customers whose collection was paused.';
comment on column marts.metrics_monthly.churned_customers is 'Customers whose MRR ended.';
comment on column marts.metrics_monthly.subscriptions_active is 'Subscriptions that are live at the end of the month.';
comment on column marts.metrics_monthly.subscriptions_started is 'Subscriptions whose MRR began in the month.';
comment on column marts.metrics_monthly.subscriptions_canceled is 'Subscriptions cancelled in the month.';
comment on column marts.metrics_monthly.growth_rate is 'mrr_minor / mrr_start_minor - 1.';
comment on column marts.metrics_monthly.arpa_minor is 'mrr_minor / customers.';
comment on column marts.metrics_monthly.nrr is 'Net revenue retention over one month; may be above 1.';
comment on column marts.metrics_monthly.nrr_3 is 'Over three months.';
comment on column marts.metrics_monthly.nrr_12 is 'Over twelve months.';
comment on column marts.metrics_monthly.grr is 'Gross revenue retention over one month, 0 to 1.';
comment on column marts.metrics_monthly.grr_3 is 'Over three months.';
comment on column marts.metrics_monthly.grr_12 is 'Over twelve months.';
comment on column marts.metrics_monthly.logo_churn_rate is 'Churned customers / base of the policy.';
comment on column marts.metrics_monthly.mrr_churn_rate is 'Churn / mrr_start_minor.';
comment on column marts.metrics_monthly.gross_mrr_churn_rate is 'Churn and contraction / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_voluntary_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_delinquent_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_dispute_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_other_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_to_free_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.mrr_churn_unknown_rate is 'Churn of this cause / mrr_start_minor.';
comment on column marts.metrics_monthly.quick_ratio is 'Gains / losses of MRR.';
comment on column marts.metrics_monthly.ltv_minor is 'arpa_minor / logo_churn_rate; null where it is 0.';
comment on column marts.metrics_monthly.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.metrics_monthly.as_of is 'Exclusive: a fact at this instant or later is not in it.';
comment on column marts.metrics_monthly.receipt_id is 'Receipt in marts.receipts.';
comment on column marts.metrics_monthly.published_at is 'When the newest of its figures was written.';

-- Grain: one receipt: what the figures of a period were computed from.
create view marts.receipts with (security_invoker = true) as
select
    r.receipt_id,
    r.policy,
    r.grain,
    r.period_start,
    r.options,
    r.code_version,
    r.as_of,
    r.known_at,
    r.inputs,
    r.figures,
    r.rows_artifact,
    r.made_at
from revenue.receipts as r;
comment on view marts.receipts is 'Grain: one receipt: what the figures of a period were computed from.';
comment on column marts.receipts.receipt_id is 'Named by figures.';
comment on column marts.receipts.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.receipts.grain is 'day, week, month, quarter or year.';
comment on column marts.receipts.period_start is 'First local day of the period.';
comment on column marts.receipts.options is 'Every switch of the policy as it held.';
comment on column marts.receipts.code_version is 'Version of the program.';
comment on column marts.receipts.as_of is 'Exclusive: a fact at this instant or later is not in it.';
comment on column marts.receipts.known_at is 'What the ledger had received by then is counted, nothing after it.';
comment on column marts.receipts.inputs is 'List of {table, rows, sha256}: what was read.';
comment on column marts.receipts.figures is 'The figures as they were published.';
comment on column marts.receipts.rows_artifact is 'Path in the lake of the ids of all rows behind the figures.';
comment on column marts.receipts.made_at is 'When it was written.';

-- Grain: one closed month of a customer whose MRR another run published differently.
create view marts.restatements with (security_invoker = true) as
select
    r.policy,
    r.period_start as month_start,
    r.account_id,
    r.customer_id,
    r.currency,
    r.before_minor,
    r.now_minor,
    r.told_by,
    r.known_before,
    r.known_at,
    r.noted_at
from revenue.restatements as r;
comment on view marts.restatements is 'Grain: one closed month of a customer whose MRR another run published differently.';
comment on column marts.restatements.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.restatements.month_start is 'First local day of the month.';
comment on column marts.restatements.account_id is 'Stripe account.';
comment on column marts.restatements.customer_id is 'Stripe customer.';
comment on column marts.restatements.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.restatements.before_minor is 'MRR at the end of the month as published before, minor units of currency; null: unknown then.';
comment on column marts.restatements.now_minor is 'MRR at the end of the month as published now; null: unknown.';
comment on column marts.restatements.told_by is 'Stripe events, or fetch, that became known in between.';
comment on column marts.restatements.known_before is 'Instant up to which the ledger was known before.';
comment on column marts.restatements.known_at is 'What the ledger had received by then is counted, nothing after it.';
comment on column marts.restatements.noted_at is 'When the change was published.';

-- Grain: one currency and day: what one unit of it was worth in the reporting currency.
create view marts.fx_rates with (security_invoker = true) as
select
    x.currency,
    x.reporting_currency,
    x.rate_on,
    x.rate,
    x.source,
    x.stored_at
from revenue.fx_rates as x;
comment on view marts.fx_rates is 'Grain: one currency and day: what one unit of it was worth in the reporting currency.';
comment on column marts.fx_rates.currency is 'Lower case, three letters.';
comment on column marts.fx_rates.reporting_currency is 'Currency in which the rate is told.';
comment on column marts.fx_rates.rate_on is 'Day of the rate.';
comment on column marts.fx_rates.rate is 'Major units of reporting_currency for one major unit of currency.';
comment on column marts.fx_rates.source is 'Where it came from.';
comment on column marts.fx_rates.stored_at is 'When it was imported.';

-- Grain: one metric, period and segment: users active on a day (dau), in the 7 or 30 days that end with it (wau, mau), in a calendar week or month.
create view marts.active_users with (security_invoker = true) as
select
    a.metric,
    a.grain,
    a.period_start,
    nullif(a.segment_by, '') as segment_by,
    a.segment,
    a.users,
    a.user_days,
    a.days,
    a.average_dau,
    a.rate,
    a.truncated,
    a.state,
    a.published_at
from cohorts.active_users as a;
comment on view marts.active_users is 'Grain: one metric, period and segment: users active on a day (dau), in the 7 or 30 days that end with it (wau, mau), in a calendar week or month.';
comment on column marts.active_users.metric is 'dau, wau, mau, wau_calendar, mau_calendar, stickiness or stickiness_rolling.';
comment on column marts.active_users.grain is 'day, week or month.';
comment on column marts.active_users.period_start is 'First local day of the period; the last day of a rolling window.';
comment on column marts.active_users.segment_by is 'Property by which it is split; null: not split.';
comment on column marts.active_users.segment is 'Value of segment_by; null where there is none.';
comment on column marts.active_users.users is 'Distinct users.';
comment on column marts.active_users.user_days is 'Of stickiness: pairs of user and active day.';
comment on column marts.active_users.days is 'Of stickiness: days that user_days are divided by.';
comment on column marts.active_users.average_dau is 'Of stickiness: user_days / days.';
comment on column marts.active_users.rate is 'Of stickiness: average_dau / users, 6 decimals.';
comment on column marts.active_users.truncated is 'The window begins before the first day of data.';
comment on column marts.active_users.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.active_users.published_at is 'When the row was written.';

-- Grain: one calendar day, week or month and segment.
create view marts.lifecycle with (security_invoker = true) as
select
    l.grain,
    l.period_start,
    nullif(l.segment_by, '') as segment_by,
    l.segment,
    l.active_users,
    l.new_users,
    l.returning_users,
    l.resurrecting_users,
    l.dormant_users,
    l.state,
    l.published_at
from cohorts.lifecycle as l;
comment on view marts.lifecycle is 'Grain: one calendar day, week or month and segment. New, returning and resurrecting users add up to the active ones.';
comment on column marts.lifecycle.grain is 'day, week or month.';
comment on column marts.lifecycle.period_start is 'First local day of the period.';
comment on column marts.lifecycle.segment_by is 'Property by which it is split; null: not split.';
comment on column marts.lifecycle.segment is 'Value of segment_by; null where there is none.';
comment on column marts.lifecycle.active_users is 'Active in the period.';
comment on column marts.lifecycle.new_users is 'Active for the first time ever.';
comment on column marts.lifecycle.returning_users is 'Active in the period before too.';
comment on column marts.lifecycle.resurrecting_users is 'Active earlier, not in the period before.';
comment on column marts.lifecycle.dormant_users is 'Active in the period before, not in this one.';
comment on column marts.lifecycle.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.lifecycle.published_at is 'When the row was written.';

-- Grain: one funnel, period in which users began it, segment and stage.
create view marts.funnels with (security_invoker = true) as
select
    f.funnel,
    f.grain,
    f.period_start,
    nullif(f.segment_by, '') as segment_by,
    f.segment,
    f.stage,
    f.step,
    f.users,
    f.from_first,
    f.from_previous,
    f.dropoff,
    f.median_seconds,
    f.state,
    f.published_at
from cohorts.funnels as f;
comment on view marts.funnels is 'Grain: one funnel, period in which users began it, segment and stage.';
comment on column marts.funnels.funnel is 'Name in the settings.';
comment on column marts.funnels.grain is 'week or month.';
comment on column marts.funnels.period_start is 'First local day of the period.';
comment on column marts.funnels.segment_by is 'Property by which it is split; null: not split.';
comment on column marts.funnels.segment is 'Value of segment_by; null where there is none.';
comment on column marts.funnels.stage is 'From 1; stage 1 is who entered.';
comment on column marts.funnels.step is 'The stage as the settings name it.';
comment on column marts.funnels.users is 'Users whose best attempt of the period reached the stage.';
comment on column marts.funnels.from_first is 'users / users of stage 1.';
comment on column marts.funnels.from_previous is 'users / users of the stage before; null at stage 1.';
comment on column marts.funnels.dropoff is 'Users of the stage before less users.';
comment on column marts.funnels.median_seconds is 'Median time since the stage before.';
comment on column marts.funnels.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.funnels.published_at is 'When the row was written.';

-- Grain: one published cell of retention.
create view marts.retention with (security_invoker = true) as
select distinct
    c.entry,
    c.grain,
    c.cohort_start,
    nullif(c.segment_by, '') as segment_by,
    c.segment,
    c.period_index,
    c.cohort_size,
    c.users,
    c.rate,
    c.rate_low,
    c.rate_high,
    c.events,
    c.state,
    c.final as is_final
from cohorts.retention_metrics as c;
comment on view marts.retention is 'Grain: one cohort, segment and period. Money is in marts.cohort_revenue.';
comment on column marts.retention.entry is 'What put users in: signup, first_activity, first_event, first_payment or first_mrr.';
comment on column marts.retention.grain is 'day, week or month.';
comment on column marts.retention.cohort_start is 'First local day of the cohort.';
comment on column marts.retention.segment_by is 'Property by which cohorts are split; null: not split.';
comment on column marts.retention.segment is 'Value of segment_by; null where there is none.';
comment on column marts.retention.period_index is 'Periods since entry, 0 is its own.';
comment on column marts.retention.cohort_size is 'Users who entered.';
comment on column marts.retention.users is 'Users active in the period.';
comment on column marts.retention.rate is 'users / cohort_size, 6 decimals; pool numerators and denominators, never average it.';
comment on column marts.retention.rate_low is 'Wilson 95 % interval, lower end.';
comment on column marts.retention.rate_high is 'Wilson 95 % interval, upper end.';
comment on column marts.retention.events is 'Returning events.';
comment on column marts.retention.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.retention.is_final is 'Activity after as_of cannot change the cell any more.';

-- Grain: one cohort, segment, period and currency of what its members paid.
create view marts.cohort_revenue with (security_invoker = true) as
select
    c.entry,
    c.grain,
    c.cohort_start,
    nullif(c.segment_by, '') as segment_by,
    c.segment,
    c.period_index,
    c.currency,
    c.cohort_size,
    c.revenue_minor,
    c.revenue_per_customer_minor,
    c.cumulative_revenue_minor,
    c.cumulative_per_customer_minor,
    c.logo_churn as logo_churn_rate,
    c.revenue_churn as revenue_churn_rate,
    c.nrr,
    c.state,
    c.published_at
from cohorts.retention_metrics as c
where c.currency is not null;
comment on view marts.cohort_revenue is 'Grain: one cohort, segment, period and currency of what its members paid.';
comment on column marts.cohort_revenue.entry is 'What put users in: signup, first_activity, first_event, first_payment or first_mrr.';
comment on column marts.cohort_revenue.grain is 'day, week or month.';
comment on column marts.cohort_revenue.cohort_start is 'First local day of the cohort.';
comment on column marts.cohort_revenue.segment_by is 'Property by which cohorts are split; null: not split.';
comment on column marts.cohort_revenue.segment is 'Value of segment_by; null where there is none.';
comment on column marts.cohort_revenue.period_index is 'Periods since entry, 0 is its own.';
comment on column marts.cohort_revenue.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.cohort_revenue.cohort_size is 'Users who entered.';
comment on column marts.cohort_revenue.revenue_minor is 'Paid in the period, minor units of currency.';
comment on column marts.cohort_revenue.revenue_per_customer_minor is 'Divided by cohort_size.';
comment on column marts.cohort_revenue.cumulative_revenue_minor is 'Paid from entry to the end of the period.';
comment on column marts.cohort_revenue.cumulative_per_customer_minor is 'Divided by cohort_size.';
comment on column marts.cohort_revenue.logo_churn_rate is 'Members who stopped paying / members.';
comment on column marts.cohort_revenue.revenue_churn_rate is 'Lost of what members paid in period 0.';
comment on column marts.cohort_revenue.nrr is 'Paid in the period / paid in period 0.';
comment on column marts.cohort_revenue.state is 'closed, open or not_begun at as_of; only closed ones have values.';
comment on column marts.cohort_revenue.published_at is 'When the row was written.';

-- Grain: one published cohort and segment.
create view marts.cohorts with (security_invoker = true) as
select
    c.entry,
    c.grain,
    c.cohort_start,
    c.segment_by,
    c.segment,
    c.cohort_size,
    c.closed_periods,
    c.latest_period,
    c.latest_users,
    c.latest_rate,
    c.rates,
    c.revenue_minor,
    c.as_of
from cohorts.cohort_overview as c;
comment on view marts.cohorts is 'Grain: one published cohort and segment.';
comment on column marts.cohorts.entry is 'What put users in: signup, first_activity, first_event, first_payment or first_mrr.';
comment on column marts.cohorts.grain is 'day, week or month.';
comment on column marts.cohorts.cohort_start is 'First local day of the cohort.';
comment on column marts.cohorts.segment_by is 'Property by which cohorts are split; null: not split.';
comment on column marts.cohorts.segment is 'Value of segment_by; null where there is none.';
comment on column marts.cohorts.cohort_size is 'Users who entered.';
comment on column marts.cohorts.closed_periods is 'Periods that are over for the whole cohort.';
comment on column marts.cohorts.latest_period is 'Newest of them.';
comment on column marts.cohorts.latest_users is 'Users active in it.';
comment on column marts.cohorts.latest_rate is 'latest_users / cohort_size.';
comment on column marts.cohorts.rates is 'By period from 0, null where not closed.';
comment on column marts.cohorts.revenue_minor is 'Currency -> paid in closed periods, minor units.';
comment on column marts.cohorts.as_of is 'Exclusive: a fact at this instant or later is not in it.';

-- Grain: one policy, closed month, customer and currency with something live at its end.
create table marts.mrr_customer_months (
    policy text not null,
    month_start date not null,
    account_id text not null,
    customer_id text not null,
    currency text not null,
    subscriptions bigint not null,
    mrr_minor bigint,
    contract_mrr_minor bigint,
    scheduled_churn_minor bigint,
    refreshed_at timestamptz not null default now(),
    primary key (policy, month_start, account_id, customer_id, currency)
);
comment on table marts.mrr_customer_months is 'Grain: one policy, closed month, customer and currency with something live at its end. Kept because a customer''s year asks for twelve days of marts.mrr_customers_daily; the asset marts/kept_tables refreshes it.';
comment on column marts.mrr_customer_months.policy is 'Name and version of the policy, as growth@1; its switches are in marts.policies.';
comment on column marts.mrr_customer_months.month_start is 'First local day of the month.';
comment on column marts.mrr_customer_months.account_id is 'Stripe account.';
comment on column marts.mrr_customer_months.customer_id is 'Stripe customer.';
comment on column marts.mrr_customer_months.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.mrr_customer_months.subscriptions is 'Subscriptions that are live.';
comment on column marts.mrr_customer_months.mrr_minor is 'MRR at the end of the month, minor units of currency; null where a price is unknown.';
comment on column marts.mrr_customer_months.contract_mrr_minor is 'Before discounts, minor units of currency.';
comment on column marts.mrr_customer_months.scheduled_churn_minor is 'Part of mrr_minor that has a set date of cancellation.';
comment on column marts.mrr_customer_months.refreshed_at is 'When the row was computed.';
create index mrr_customer_months_by_customer on marts.mrr_customer_months (account_id, customer_id);

-- Grain: one account, mode, local day and currency with a settled payment in the books.
create table marts.payments_daily (
    account_id text not null,
    livemode boolean not null,
    day date not null,
    currency text not null,
    tz text not null,
    payments bigint not null,
    gross_minor bigint not null,
    refunded_minor bigint not null,
    disputed_minor bigint not null,
    net_minor bigint not null,
    refreshed_at timestamptz not null default now(),
    primary key (account_id, livemode, day, currency)
);
comment on table marts.payments_daily is 'Grain: one account, mode, local day and currency with a settled payment in the books. The asset marts/kept_tables refreshes it.';
comment on column marts.payments_daily.account_id is 'Stripe account.';
comment on column marts.payments_daily.livemode is 'Whether it is Stripe''s live mode.';
comment on column marts.payments_daily.day is 'Local day of the payment in the zone tz.';
comment on column marts.payments_daily.currency is 'Lower case, three letters. Never add two currencies.';
comment on column marts.payments_daily.tz is 'Zone (IANA) of the day.';
comment on column marts.payments_daily.payments is 'Settled payments: succeeded and captured.';
comment on column marts.payments_daily.gross_minor is 'Captured, minor units of currency.';
comment on column marts.payments_daily.refunded_minor is 'Refunded of these payments, whenever that was.';
comment on column marts.payments_daily.disputed_minor is 'Dispute funds withdrawn less reinstated of these payments.';
comment on column marts.payments_daily.net_minor is 'gross_minor less refunded_minor less disputed_minor.';
comment on column marts.payments_daily.refreshed_at is 'When the row was computed.';

-- Grain: one account, mode, month, finding code, currency and state, with how many.
create table marts.audit_findings (
    account_id text not null,
    livemode boolean not null,
    month_start date not null,
    tz text not null,
    code text not null,
    severity text not null,
    currency text,
    state text not null check (state in ('open', 'suppressed', 'closed')),
    findings bigint not null,
    impact_minor bigint not null,
    unknown_impacts bigint not null,
    refreshed_at timestamptz not null default now()
);
comment on table marts.audit_findings is 'Grain: one account, mode, month, finding code, currency and state, with how many. The findings themselves stay in schema audit. The asset marts/kept_tables refreshes it.';
comment on column marts.audit_findings.account_id is 'Stripe account.';
comment on column marts.audit_findings.livemode is 'Whether it is Stripe''s live mode.';
comment on column marts.audit_findings.month_start is 'First day of the audited month.';
comment on column marts.audit_findings.tz is 'Zone (IANA) of the month.';
comment on column marts.audit_findings.code is 'Class of docs/metrics.md.';
comment on column marts.audit_findings.severity is 'HIGH, MEDIUM or LOW.';
comment on column marts.audit_findings.currency is 'Of the impact; null where a finding has none.';
comment on column marts.audit_findings.state is 'open, suppressed (open, and somebody decided not to count it) or closed.';
comment on column marts.audit_findings.findings is 'How many.';
comment on column marts.audit_findings.impact_minor is 'Booked less Stripe of those whose impact is known, minor units of currency.';
comment on column marts.audit_findings.unknown_impacts is 'Those whose impact is unknown.';
comment on column marts.audit_findings.refreshed_at is 'When the row was computed.';
create unique index audit_findings_key on marts.audit_findings
(account_id, livemode, month_start, tz, code, severity, currency, state) nulls not distinct;

-- Row security of the tables under a view binds whoever reads it: security_invoker everywhere.
alter table marts.mrr_customer_months enable row level security;
alter table marts.mrr_customer_months force row level security;
create policy mrr_customer_months_owner on marts.mrr_customer_months to current_user using (true) with check (true);
create policy mrr_customer_months_readers on marts.mrr_customer_months for select using ((select cohorts.is_reader()));
alter table marts.payments_daily enable row level security;
alter table marts.payments_daily force row level security;
create policy payments_daily_owner on marts.payments_daily to current_user using (true) with check (true);
create policy payments_daily_readers on marts.payments_daily for select using ((select cohorts.is_reader()));
alter table marts.audit_findings enable row level security;
alter table marts.audit_findings force row level security;
create policy audit_findings_owner on marts.audit_findings to current_user using (true) with check (true);
create policy audit_findings_readers on marts.audit_findings for select using ((select cohorts.is_reader()));

-- One place for all schemas that readers may see; run again after making a role.
create or replace function cohorts.grant_readers() returns text []
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    reader text;
    shown text;
    granted text [] := '{}';
begin
    for reader in
        select r.rolname from pg_roles as r
        where r.rolname in ('anon', 'authenticated', 'growth_ro', 'service_role') order by 1
    loop
        execute format('revoke all on all tables in schema cohorts, revenue, marts from %I', reader);
        execute format('revoke all on all functions in schema cohorts from %I', reader);
        continue when reader = 'anon';
        execute format('grant usage on schema cohorts to %I', reader);
        execute format('grant select on cohorts.user_cohorts to %I', reader);
        granted := granted || reader;
        continue when reader = 'authenticated';
        execute format('grant usage on schema revenue, marts to %I', reader);
        execute format('grant select on cohorts.cohort_overview to %I', reader);
        execute format('grant select on all tables in schema marts to %I', reader);
        for shown in
            select format('%I.%I', p.schemaname, p.tablename) from pg_policies as p
            where p.schemaname in ('cohorts', 'revenue') and p.policyname = p.tablename || '_readers'
        loop
            execute format('grant select on %s to %I', shown, reader);
        end loop;
        execute format(
            'grant execute on function cohorts.get_cohort_size, cohorts.calculate_retention_rate, cohorts.measure_cell to %I',
            reader
        );
        continue when reader = 'growth_ro';
        execute format('grant execute on function cohorts.assign_user_to_cohort to %I', reader);
    end loop;
    return granted;
end
$$;
comment on function cohorts.grant_readers() is 'Grants what the policies of cohorts, revenue and marts allow to those of growth_ro, authenticated and service_role that are there; returns them.';
select cohorts.grant_readers();
