-- Revenue: MRR as spells under named policies, what moved it, every published figure with its receipt,
-- and each later change of what was published. Contract: docs/metrics.md, "Published revenue".
create schema revenue;

-- Grain: one policy under which figures are published.
create table revenue.policies (
    policy text primary key,
    options jsonb not null,
    tz text not null,
    as_of timestamptz not null,
    known_at timestamptz not null,
    inputs_sha256 text not null,
    code_version text not null,
    published_at timestamptz not null default now()
);
comment on table revenue.policies is 'Grain: one published policy, with every switch as it holds.';
comment on column revenue.policies.policy is 'Name and version, as growth@1.';
comment on column revenue.policies.as_of is 'Exclusive: a fact at this instant or later is not in any figure.';
comment on column revenue.policies.known_at is 'What the ledger had received by then is counted, nothing after it.';
comment on column revenue.policies.inputs_sha256 is 'Hash of the subscription states that everything was computed from.';

-- Grain: one item of a subscription while its customer's MRR in the currency stays the same.
-- Instants and local days are half-open; a spell is live at the end of the days [from_on, until_on).
create table revenue.mrr_spells (
    policy text not null,
    account_id text not null,
    customer_id text not null,
    currency text not null,
    subscription_id text not null,
    item_id text not null,
    price_id text,
    product_id text,
    quantity bigint,
    billing_interval text,
    interval_count integer,
    from_at timestamptz not null,
    until_at timestamptz,
    from_on date not null,
    until_on date,
    mrr_minor bigint check (mrr_minor >= 0),
    contract_minor bigint check (contract_minor >= 0),
    exact_numerator numeric,
    exact_denominator numeric check (exact_denominator > 0),
    ends_by text,
    cancels_at timestamptz,
    is_assumed boolean not null default false,
    told_by text not null,
    primary key (policy, account_id, subscription_id, item_id, from_at),
    check (until_at > from_at),
    check ((until_at is null) = (until_on is null))
);
comment on table revenue.mrr_spells is 'Grain: one item of a subscription while the MRR of its customer in this currency does not change. Computed ahead of time where the end is known (a discount, a grace).';
comment on column revenue.mrr_spells.mrr_minor is 'Share of the customer''s rounded MRR; null where a price is unknown.';
comment on column revenue.mrr_spells.contract_minor is 'Before discounts, rounded by itself.';
comment on column revenue.mrr_spells.exact_numerator is 'Exact MRR in minor units is exact_numerator / exact_denominator.';
comment on column revenue.mrr_spells.ends_by is 'Cause of the end of its subscription''s MRR at until_at: voluntary, delinquent, dispute, other, paused, unknown; null where the subscription goes on.';
comment on column revenue.mrr_spells.cancels_at is 'Cancellation that is set for then, as far as was known in this spell.';
comment on column revenue.mrr_spells.is_assumed is 'Nothing was told of this time; it follows from what was told first.';
comment on column revenue.mrr_spells.told_by is 'Stripe event that brought the state, or fetch.';
create index mrr_spells_by_customer on revenue.mrr_spells (policy, account_id, customer_id);
create index mrr_spells_by_day on revenue.mrr_spells (policy, from_on, until_on);

-- Grain: one local day and currency under a policy.
create table revenue.mrr_daily (
    policy text not null,
    day date not null,
    currency text not null,
    mrr_minor bigint,
    contract_minor bigint,
    scheduled_churn_minor bigint,
    customers bigint not null check (customers >= 0),
    subscriptions bigint not null check (subscriptions >= 0),
    unknown_items bigint not null check (unknown_items >= 0),
    state text not null check (state in ('closed', 'open')),
    primary key (policy, day, currency)
);
comment on table revenue.mrr_daily is 'Grain: one local day and currency. MRR at the end of the day; ARR is twelve times it. Days on which nothing is live in the currency have no row.';
comment on column revenue.mrr_daily.mrr_minor is 'Sum of the rounded customers; null where one of them has an item of unknown price.';
comment on column revenue.mrr_daily.scheduled_churn_minor is 'Part of it that has a set date of cancellation; CMRR is mrr_minor less this.';
comment on column revenue.mrr_daily.customers is 'Customers with MRR above 0.';

-- Grain: one period, currency, segment, movement and cause under a policy.
create table revenue.mrr_movements (
    policy text not null,
    grain text not null check (grain in ('day', 'week', 'month', 'quarter', 'year')),
    period_start date not null,
    currency text not null,
    reporting_currency text not null default '',
    segment_by text not null default '',
    segment text,
    movement text not null,
    cause text not null default '',
    amount_minor bigint,
    customers bigint,
    changes bigint,
    currency_switches bigint,
    state text not null check (state in ('closed', 'open', 'not_begun'))
);
comment on table revenue.mrr_movements is 'Grain: one period, currency, segment and movement; churn also by cause (rows with cause add up to the one without).';
comment on column revenue.mrr_movements.reporting_currency is 'Empty: amounts are in currency. Else all of currency, converted at dated rates into this one.';
comment on column revenue.mrr_movements.amount_minor is 'Signed, minor units; null unless the period is closed.';
create unique index mrr_movements_key on revenue.mrr_movements
(policy, grain, period_start, currency, reporting_currency, segment_by, segment, movement, cause) nulls not distinct;

-- Grain: one customer and currency whose MRR differs between two month ends.
create table revenue.mrr_changes (
    policy text not null,
    account_id text not null,
    customer_id text not null,
    currency text not null,
    period_start date not null,
    before_minor bigint not null,
    now_minor bigint not null,
    movement text not null,
    cause text,
    change_number integer not null default 1,
    primary key (policy, period_start, account_id, customer_id, currency, change_number)
);
comment on table revenue.mrr_changes is 'Grain: one month, customer and currency with a movement: the rows behind mrr_movements of grain month.';
comment on column revenue.mrr_changes.change_number is 'Of the changes of the month, in time; above 1 only under a policy that counts every change (movements event).';
create index mrr_changes_by_customer on revenue.mrr_changes (account_id, customer_id);

-- Grain: one published figure.
create table revenue.figures (
    metric text not null,
    policy text not null default '',
    grain text not null check (grain in ('day', 'week', 'month', 'quarter', 'year')),
    period_start date not null,
    currency text not null default '',
    reporting_currency text not null default '',
    segment_by text not null default '',
    segment text,
    value numeric,
    unit text not null check (unit in ('minor', 'count', 'rate', 'ratio')),
    numerator numeric,
    denominator numeric,
    state text not null check (state in ('closed', 'open', 'not_begun')),
    reason text,
    sample_size bigint,
    rates jsonb,
    as_of timestamptz not null,
    receipt_id text,
    published_at timestamptz not null default now()
);
comment on table revenue.figures is 'Grain: one figure: metric, policy, period, currency and segment.';
comment on column revenue.figures.value is 'Null unless the period is closed, and where it cannot be known: reason says why.';
comment on column revenue.figures.unit is 'minor: minor units of currency (or of reporting_currency); rate: 0 to 1, 6 decimals half-even; ratio: may be above 1.';
comment on column revenue.figures.rates is 'Of a figure in the reporting currency: each rate that was used, with its date.';
comment on column revenue.figures.sample_size is 'Customers or users that the figure rests on.';
create unique index figures_key on revenue.figures
(metric, policy, grain, period_start, currency, reporting_currency, segment_by, segment) nulls not distinct;
create index figures_by_period on revenue.figures (grain, period_start, metric);

-- Grain: one receipt: all that is needed to compute the figures of a period again.
create table revenue.receipts (
    receipt_id text primary key,
    policy text not null,
    grain text not null,
    period_start date not null,
    options jsonb not null,
    code_version text not null,
    as_of timestamptz not null,
    known_at timestamptz not null,
    inputs jsonb not null,
    figures jsonb not null,
    rows_artifact text not null,
    made_at timestamptz not null default now()
);
comment on table revenue.receipts is 'Grain: one receipt of a period''s figures: hashes of the inputs, policy and code version, and where the ids of all rows lie.';
comment on column revenue.receipts.inputs is 'List of {table, rows, sha256}: what was read.';
comment on column revenue.receipts.rows_artifact is 'Path in the lake of the ids of the rows that the figures are made of.';
create index receipts_by_period on revenue.receipts (policy, grain, period_start, made_at);

-- Grain: one later change of what was published of a customer's month.
create table revenue.restatements (
    policy text not null,
    account_id text not null,
    customer_id text not null,
    currency text not null,
    period_start date not null,
    before_minor bigint,
    now_minor bigint,
    told_by text [] not null,
    known_before timestamptz not null,
    known_at timestamptz not null,
    noted_at timestamptz not null default now(),
    primary key (policy, account_id, customer_id, currency, period_start, known_at)
);
comment on table revenue.restatements is 'Grain: one closed month of a customer whose MRR another run published differently.';
comment on column revenue.restatements.before_minor is 'MRR at the end of the month as published before; null: unknown then.';
comment on column revenue.restatements.told_by is 'Stripe events, or fetch, that became known in between.';

-- Grain: one currency and day: what one unit of it was worth in the reporting currency.
create table revenue.fx_rates (
    currency text not null check (currency = lower(currency)),
    reporting_currency text not null check (reporting_currency = lower(reporting_currency)),
    rate_on date not null,
    rate numeric not null check (rate > 0),
    source text not null,
    stored_at timestamptz not null default now(),
    primary key (reporting_currency, currency, rate_on)
);
comment on table revenue.fx_rates is 'Grain: one currency and day. Rates are supplied by you: growth fx import.';
comment on column revenue.fx_rates.rate is 'Major units of reporting_currency for one major unit of currency.';

alter table revenue.policies enable row level security;
alter table revenue.policies force row level security;
create policy policies_owner on revenue.policies to current_user using (true) with check (true);
create policy policies_readers on revenue.policies for select using ((select cohorts.is_reader()));
alter table revenue.mrr_spells enable row level security;
alter table revenue.mrr_spells force row level security;
create policy mrr_spells_owner on revenue.mrr_spells to current_user using (true) with check (true);
create policy mrr_spells_readers on revenue.mrr_spells for select using ((select cohorts.is_reader()));
alter table revenue.mrr_daily enable row level security;
alter table revenue.mrr_daily force row level security;
create policy mrr_daily_owner on revenue.mrr_daily to current_user using (true) with check (true);
create policy mrr_daily_readers on revenue.mrr_daily for select using ((select cohorts.is_reader()));
alter table revenue.mrr_movements enable row level security;
alter table revenue.mrr_movements force row level security;
create policy mrr_movements_owner on revenue.mrr_movements to current_user using (true) with check (true);
create policy mrr_movements_readers on revenue.mrr_movements for select using ((select cohorts.is_reader()));
alter table revenue.mrr_changes enable row level security;
alter table revenue.mrr_changes force row level security;
create policy mrr_changes_owner on revenue.mrr_changes to current_user using (true) with check (true);
create policy mrr_changes_readers on revenue.mrr_changes for select using ((select cohorts.is_reader()));
alter table revenue.figures enable row level security;
alter table revenue.figures force row level security;
create policy figures_owner on revenue.figures to current_user using (true) with check (true);
create policy figures_readers on revenue.figures for select using ((select cohorts.is_reader()));
alter table revenue.receipts enable row level security;
alter table revenue.receipts force row level security;
create policy receipts_owner on revenue.receipts to current_user using (true) with check (true);
create policy receipts_readers on revenue.receipts for select using ((select cohorts.is_reader()));
alter table revenue.restatements enable row level security;
alter table revenue.restatements force row level security;
create policy restatements_owner on revenue.restatements to current_user using (true) with check (true);
create policy restatements_readers on revenue.restatements for select using ((select cohorts.is_reader()));
alter table revenue.fx_rates enable row level security;
alter table revenue.fx_rates force row level security;
create policy fx_rates_owner on revenue.fx_rates to current_user using (true) with check (true);
create policy fx_rates_readers on revenue.fx_rates for select using ((select cohorts.is_reader()));

-- Active users, lifecycle and funnels as they are published. Contract: docs/metrics.md, "Published
-- active users" and "Published funnels".

-- Grain: one published question about activity.
create table cohorts.activity_definitions (
    question text not null check (question in ('active_users', 'lifecycle', 'funnel')),
    name text not null default '',
    segment_by text not null default '',
    as_of timestamptz not null,
    options jsonb not null,
    published_at timestamptz not null default now(),
    primary key (question, name, segment_by)
);
comment on table cohorts.activity_definitions is 'Grain: one published question about activity, and how far it is known.';
comment on column cohorts.activity_definitions.name is 'Name of the funnel; empty for others.';
comment on column cohorts.activity_definitions.as_of is 'Exclusive: a fact at this instant or later is not in the answer.';
comment on column cohorts.activity_definitions.options is 'Every option of the question as it holds, with metric and version.';

-- Grain: one metric, period and segment.
create table cohorts.active_users (
    metric text not null
    check (metric in ('dau', 'wau', 'mau', 'wau_calendar', 'mau_calendar', 'stickiness', 'stickiness_rolling')),
    grain text not null check (grain in ('day', 'week', 'month')),
    period_start date not null,
    segment_by text not null default '',
    segment text,
    users bigint check (users >= 0),
    user_days bigint check (user_days >= 0),
    days integer,
    average_dau numeric,
    rate numeric check (rate between 0 and 1),
    truncated boolean not null,
    state text not null check (state in ('closed', 'open', 'not_begun')),
    published_at timestamptz not null default now(),
    check ((state = 'closed') = (users is not null))
);
comment on table cohorts.active_users is 'Grain: one metric, period and segment: users active on a day (dau), in the 7 or 30 days that end with it (wau, mau), in a calendar week or month.';
comment on column cohorts.active_users.grain is 'Of the period: day for dau, wau, mau and stickiness_rolling, week for wau_calendar, month for mau_calendar and stickiness.';
comment on column cohorts.active_users.period_start is 'First local day of the period; the last day of a rolling window.';
comment on column cohorts.active_users.segment is 'Value of segment_by; null where a user has none, or users are not split.';
comment on column cohorts.active_users.users is 'Distinct users; null unless the period is closed. Of stickiness: those of its month or 30 days.';
comment on column cohorts.active_users.user_days is 'Of stickiness: pairs of user and active day.';
comment on column cohorts.active_users.days is 'Of stickiness: days that user_days are divided by for average_dau, empty ones too.';
comment on column cohorts.active_users.rate is 'Of stickiness: average_dau / users, 6 decimals half-even; null without users.';
comment on column cohorts.active_users.truncated is 'The window begins before the first day of data.';
create unique index active_users_key on cohorts.active_users
(metric, period_start, segment_by, segment) nulls not distinct;

-- Grain: one period and segment. new + returning + resurrecting = active.
create table cohorts.lifecycle (
    grain text not null check (grain in ('day', 'week', 'month')),
    period_start date not null,
    segment_by text not null default '',
    segment text,
    active_users bigint check (active_users >= 0),
    new_users bigint check (new_users >= 0),
    returning_users bigint check (returning_users >= 0),
    resurrecting_users bigint check (resurrecting_users >= 0),
    dormant_users bigint check (dormant_users >= 0),
    state text not null check (state in ('closed', 'open', 'not_begun')),
    published_at timestamptz not null default now(),
    check (active_users = new_users + returning_users + resurrecting_users),
    check ((state = 'closed') = (active_users is not null))
);
comment on table cohorts.lifecycle is 'Grain: one calendar day, week or month and segment. Null unless the period is closed.';
comment on column cohorts.lifecycle.new_users is 'Active for the first time ever.';
comment on column cohorts.lifecycle.returning_users is 'Active in the period before too.';
comment on column cohorts.lifecycle.resurrecting_users is 'Active earlier, not in the period before.';
comment on column cohorts.lifecycle.dormant_users is 'Active in the period before, not in this one.';
create unique index lifecycle_key on cohorts.lifecycle
(grain, period_start, segment_by, segment) nulls not distinct;

-- Grain: one funnel, period of the first stage, segment and stage.
create table cohorts.funnels (
    funnel text not null,
    grain text not null check (grain in ('week', 'month')),
    period_start date not null,
    segment_by text not null default '',
    segment text,
    stage integer not null check (stage >= 1),
    step text not null,
    users bigint check (users >= 0),
    from_first numeric check (from_first between 0 and 1),
    from_previous numeric check (from_previous between 0 and 1),
    dropoff bigint check (dropoff >= 0),
    median_seconds numeric check (median_seconds >= 0),
    state text not null check (state in ('closed', 'open', 'not_begun')),
    published_at timestamptz not null default now(),
    check ((state = 'closed') = (users is not null))
);
comment on table cohorts.funnels is 'Grain: one funnel, period in which users began it, segment and stage. Closed once each attempt of the period had its whole window.';
comment on column cohorts.funnels.stage is 'From 1; stage 1 is who entered.';
comment on column cohorts.funnels.step is 'The stage as the settings name it.';
comment on column cohorts.funnels.users is 'Users whose best attempt of the period reached the stage.';
comment on column cohorts.funnels.from_first is 'users / users of stage 1; null without any.';
comment on column cohorts.funnels.from_previous is 'users / users of the stage before; null at stage 1.';
comment on column cohorts.funnels.dropoff is 'Users of the stage before less users; 0 at stage 1.';
comment on column cohorts.funnels.median_seconds is 'Median time since the stage before; null at stage 1 and without users.';
create unique index funnels_key on cohorts.funnels
(funnel, grain, period_start, segment_by, segment, stage) nulls not distinct;

alter table cohorts.activity_definitions enable row level security;
alter table cohorts.activity_definitions force row level security;
create policy activity_definitions_owner on cohorts.activity_definitions to current_user using (true) with check (true);
create policy activity_definitions_readers on cohorts.activity_definitions for select using ((select cohorts.is_reader()));
alter table cohorts.active_users enable row level security;
alter table cohorts.active_users force row level security;
create policy active_users_owner on cohorts.active_users to current_user using (true) with check (true);
create policy active_users_readers on cohorts.active_users for select using ((select cohorts.is_reader()));
alter table cohorts.lifecycle enable row level security;
alter table cohorts.lifecycle force row level security;
create policy lifecycle_owner on cohorts.lifecycle to current_user using (true) with check (true);
create policy lifecycle_readers on cohorts.lifecycle for select using ((select cohorts.is_reader()));
alter table cohorts.funnels enable row level security;
alter table cohorts.funnels force row level security;
create policy funnels_owner on cohorts.funnels to current_user using (true) with check (true);
create policy funnels_readers on cohorts.funnels for select using ((select cohorts.is_reader()));

-- Whose subscriptions something was told about lately: what a refresh of MRR asks first.
create index inbox_terms_by_application on billing.inbox (applied_at)
where object in ('subscription', 'discount', 'coupon', 'price', 'customer');

-- What a discount takes off, and until when, where a subscription names it by its id only.
create index inbox_of_discounts on billing.inbox (account_id, livemode, applied_at)
where type like 'customer.discount.%';
create index fetched_terms_by_storing on billing.fetched_states (stored_at)
where object in ('subscription', 'coupon', 'price', 'customer');
