-- Stripe: one table per kind of object in its newest known state, and three of what lies nested.
-- Why: people join and index typed columns, which views over one table of JSON could not give.
-- The columns are written by our code through the adapters of the API versions, never by a JSON path
-- of one version. Which state is the newest is still decided in one place. Contract: docs/tables.md.
create schema stripe;
comment on schema stripe is 'The mirror: what Stripe says now, with Stripe''s names. Rebuilt from billing.inbox and billing.fetched_states; write nothing here by hand.';

-- Grain: one payment intent: the wish to collect an amount, over all its attempts.
create table stripe.payment_intents (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    customer text,
    currency text check (currency = lower(currency)),
    amount bigint,
    amount_received bigint,
    status text,
    latest_charge text,
    canceled_at timestamptz,
    cancellation_reason text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint payment_intents_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount, status
        ) = 0
    )
);
comment on table stripe.payment_intents is 'Grain: one payment intent: the wish to collect an amount, over all its attempts.';
comment on column stripe.payment_intents.amount is 'Asked for, minor units of currency.';
comment on column stripe.payment_intents.amount_received is 'Collected, minor units of currency.';
create index payment_intents_by_creation on stripe.payment_intents (account_id, livemode, created_at);
create index payment_intents_by_customer on stripe.payment_intents (account_id, livemode, customer);

-- Grain: one charge: one attempt to collect a payment intent. Money is in the captured ones.
create table stripe.charges (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    payment_intent text,
    invoice text,
    customer text,
    currency text check (currency = lower(currency)),
    amount bigint,
    amount_captured bigint,
    amount_refunded bigint,
    captured boolean,
    paid boolean,
    status text,
    refunded boolean,
    disputed boolean,
    balance_transaction text,
    failure_code text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint charges_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount, amount_captured, amount_refunded, captured, paid,
            status, refunded, disputed
        ) = 0
    )
);
comment on table stripe.charges is 'Grain: one charge: one attempt to collect a payment intent. Money is in the captured ones.';
comment on column stripe.charges.invoice is 'Told until version acacia; since basil join stripe.invoice_payments on payment_intent.';
comment on column stripe.charges.amount is 'Asked for, minor units of currency.';
comment on column stripe.charges.amount_captured is 'Collected, minor units of currency: the revenue of a succeeded charge.';
comment on column stripe.charges.amount_refunded is 'Given back, minor units of currency; without the uncaptured rest that versions before basil count in.';
comment on column stripe.charges.paid is 'Also true of a charge that is only authorised: look at captured.';
create index charges_by_creation on stripe.charges (account_id, livemode, created_at);
create index charges_by_payment_intent on stripe.charges (account_id, livemode, payment_intent);
create index charges_by_customer on stripe.charges (account_id, livemode, customer);
create index charges_by_balance_transaction on stripe.charges (account_id, livemode, balance_transaction);

-- Grain: one invoice. What pays it: stripe.invoice_payments; what it bills: stripe.invoice_line_items.
create table stripe.invoices (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    customer text,
    subscription text,
    payment_intent text,
    currency text check (currency = lower(currency)),
    total bigint,
    amount_due bigint,
    amount_paid bigint,
    amount_remaining bigint,
    status text,
    billing_reason text,
    number text,
    collection_method text,
    subtotal bigint,
    starting_balance bigint,
    ending_balance bigint,
    attempt_count bigint,
    next_payment_attempt timestamptz,
    due_date timestamptz,
    period_start timestamptz,
    period_end timestamptz,
    finalized_at timestamptz,
    paid_at timestamptz,
    voided_at timestamptz,
    marked_uncollectible_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint invoices_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, total, amount_due, amount_paid, amount_remaining
        ) = 0
    )
);
comment on table stripe.invoices is 'Grain: one invoice. What pays it: stripe.invoice_payments; what it bills: stripe.invoice_line_items.';
comment on column stripe.invoices.subscription is 'Subscription that made the invoice; null for one made by hand.';
comment on column stripe.invoices.payment_intent is 'Told until version acacia, later only where payments were expanded: join stripe.invoice_payments.';
comment on column stripe.invoices.total is 'Minor units of currency, after discounts and tax.';
comment on column stripe.invoices.amount_due is 'Minor units of currency.';
comment on column stripe.invoices.amount_paid is 'Minor units of currency.';
comment on column stripe.invoices.amount_remaining is 'Minor units of currency.';
comment on column stripe.invoices.subtotal is 'Minor units of currency, before discounts on the invoice and tax.';
comment on column stripe.invoices.starting_balance is 'Customer balance when it was finalized, minor units of currency; negative is the customer''s credit.';
comment on column stripe.invoices.ending_balance is 'Customer balance after it, minor units of currency.';
create index invoices_by_creation on stripe.invoices (account_id, livemode, created_at);
create index invoices_by_customer on stripe.invoices (account_id, livemode, customer);
create index invoices_by_subscription on stripe.invoices (account_id, livemode, subscription);

-- Grain: one payment of one invoice; the join of invoices and charges since version basil.
create table stripe.invoice_payments (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    invoice text,
    payment_type text,
    payment_intent text,
    charge text,
    payment_record text,
    currency text check (currency = lower(currency)),
    amount_requested bigint,
    amount_paid bigint,
    is_default boolean,
    status text,
    paid_at timestamptz,
    canceled_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint invoice_payments_are_told check (
        deleted_at is not null
        or num_nulls(
            invoice, currency, status
        ) = 0
    )
);
comment on table stripe.invoice_payments is 'Grain: one payment of one invoice; the join of invoices and charges since version basil.';
comment on column stripe.invoice_payments.payment_type is 'payment_intent, charge, or payment_record (paid outside Stripe).';
comment on column stripe.invoice_payments.amount_requested is 'Minor units of currency.';
comment on column stripe.invoice_payments.amount_paid is 'Minor units of currency; null until it is paid.';
create index invoice_payments_by_creation on stripe.invoice_payments (account_id, livemode, created_at);
create index invoice_payments_by_invoice on stripe.invoice_payments (account_id, livemode, invoice);
create index invoice_payments_by_payment_intent on stripe.invoice_payments (account_id, livemode, payment_intent);
create index invoice_payments_by_charge on stripe.invoice_payments (account_id, livemode, charge);

-- Grain: one subscription, cancelled ones too. What it bills: stripe.subscription_items.
create table stripe.subscriptions (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    customer text,
    status text,
    currency text check (currency = lower(currency)),
    start_date timestamptz,
    canceled_at timestamptz,
    ended_at timestamptz,
    cancel_at_period_end boolean,
    items_count bigint,
    cancel_at timestamptz,
    trial_start timestamptz,
    trial_end timestamptz,
    billing_cycle_anchor timestamptz,
    collection_method text,
    paused_reason text,
    pause_collection_behavior text,
    pause_collection_resumes_at timestamptz,
    cancellation_reason text,
    cancellation_feedback text,
    latest_invoice text,
    schedule text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint subscriptions_are_told check (
        deleted_at is not null
        or num_nulls(
            customer, status, currency, start_date, cancel_at_period_end
        ) = 0
    )
);
comment on table stripe.subscriptions is 'Grain: one subscription, cancelled ones too. What it bills: stripe.subscription_items.';
comment on column stripe.subscriptions.canceled_at is 'When it was asked to cancel; the end is ended_at.';
comment on column stripe.subscriptions.ended_at is 'When it really ended; null while it runs.';
comment on column stripe.subscriptions.items_count is 'Items its newest state lists.';
comment on column stripe.subscriptions.paused_reason is 'Why a paused subscription is so; null in other statuses.';
comment on column stripe.subscriptions.pause_collection_behavior is 'Set while collection is paused; the status stays as it was.';
create index subscriptions_by_creation on stripe.subscriptions (account_id, livemode, created_at);
create index subscriptions_by_customer on stripe.subscriptions (account_id, livemode, customer);

-- Grain: one customer of Stripe; deleted ones stay, with deleted_at.
create table stripe.customers (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    email text,
    name text,
    currency text check (currency = lower(currency)),
    delinquent boolean,
    deleted boolean,
    balance bigint,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at)
);
comment on table stripe.customers is 'Grain: one customer of Stripe; deleted ones stay, with deleted_at.';
comment on column stripe.customers.deleted is 'What the state itself says; deleted_at counts.';
comment on column stripe.customers.balance is 'Minor units of the customer''s currency; negative is credit.';
create index customers_by_creation on stripe.customers (account_id, livemode, created_at);
create index customers_by_email on stripe.customers (account_id, livemode, lower(email));

-- Grain: one refund of a charge. A succeeded one may still fail.
create table stripe.refunds (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    charge text,
    payment_intent text,
    currency text check (currency = lower(currency)),
    amount bigint,
    status text,
    balance_transaction text,
    failure_balance_transaction text,
    reason text,
    failure_reason text,
    pending_reason text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint refunds_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount
        ) = 0
    )
);
comment on table stripe.refunds is 'Grain: one refund of a charge. A succeeded one may still fail.';
comment on column stripe.refunds.amount is 'Minor units of currency.';
create index refunds_by_creation on stripe.refunds (account_id, livemode, created_at);
create index refunds_by_charge on stripe.refunds (account_id, livemode, charge);
create index refunds_by_payment_intent on stripe.refunds (account_id, livemode, payment_intent);

-- Grain: one dispute of a charge; warning_* statuses are inquiries and move no money.
create table stripe.disputes (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    charge text,
    payment_intent text,
    currency text check (currency = lower(currency)),
    amount bigint,
    status text,
    withdrawn_minor bigint,
    reinstated_minor bigint,
    reason text,
    evidence_due_by timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint disputes_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount, status, withdrawn_minor, reinstated_minor
        ) = 0
    )
);
comment on table stripe.disputes is 'Grain: one dispute of a charge; warning_* statuses are inquiries and move no money.';
comment on column stripe.disputes.amount is 'Minor units of currency; may differ from the charge.';
comment on column stripe.disputes.withdrawn_minor is 'The disputed amount once its funds were withdrawn, else 0. Minor units of currency.';
comment on column stripe.disputes.reinstated_minor is 'The disputed amount once its funds came back, else 0. Minor units of currency.';
create index disputes_by_creation on stripe.disputes (account_id, livemode, created_at);
create index disputes_by_charge on stripe.disputes (account_id, livemode, charge);
create index disputes_by_payment_intent on stripe.disputes (account_id, livemode, payment_intent);

-- Grain: one movement of the Stripe balance, in the settlement currency.
create table stripe.balance_transactions (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    currency text check (currency = lower(currency)),
    amount bigint,
    fee bigint,
    net bigint,
    type text,
    reporting_category text,
    source text,
    status text,
    available_on timestamptz,
    exchange_rate double precision,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint balance_transactions_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount, fee, net, type, reporting_category, status,
            available_on
        ) = 0
    )
);
comment on table stripe.balance_transactions is 'Grain: one movement of the Stripe balance, in the settlement currency.';
comment on column stripe.balance_transactions.amount is 'Gross, minor units of currency (the settlement currency).';
comment on column stripe.balance_transactions.fee is 'Minor units of currency.';
comment on column stripe.balance_transactions.net is 'amount - fee, minor units of currency.';
comment on column stripe.balance_transactions.source is 'Charge, refund, dispute, payout or other object that moved the money.';
comment on column stripe.balance_transactions.exchange_rate is 'From the source''s currency to currency.';
create index balance_transactions_by_creation on stripe.balance_transactions (account_id, livemode, created_at);
create index balance_transactions_by_source on stripe.balance_transactions (account_id, livemode, source);

-- Grain: one payout to the bank. A paid one may still fail.
create table stripe.payouts (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    currency text check (currency = lower(currency)),
    amount bigint,
    status text,
    automatic boolean,
    arrival_date timestamptz,
    type text,
    method text,
    reconciliation_status text,
    balance_transaction text,
    failure_balance_transaction text,
    failure_code text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint payouts_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount, status, automatic, arrival_date
        ) = 0
    )
);
comment on table stripe.payouts is 'Grain: one payout to the bank. A paid one may still fail.';
comment on column stripe.payouts.amount is 'Minor units of currency; negative takes money from the bank.';
comment on column stripe.payouts.automatic is 'Only automatic payouts can be itemised by their balance transactions.';
create index payouts_by_creation on stripe.payouts (account_id, livemode, created_at);

-- Grain: one credit note of an invoice.
create table stripe.credit_notes (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    invoice text,
    customer text,
    currency text check (currency = lower(currency)),
    amount bigint,
    total bigint,
    status text,
    type text,
    reason text,
    number text,
    out_of_band_amount bigint,
    customer_balance_transaction text,
    voided_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint credit_notes_are_told check (
        deleted_at is not null
        or num_nulls(
            invoice, currency, amount, total, status
        ) = 0
    )
);
comment on table stripe.credit_notes is 'Grain: one credit note of an invoice.';
comment on column stripe.credit_notes.amount is 'Minor units of currency.';
comment on column stripe.credit_notes.total is 'Minor units of currency.';
comment on column stripe.credit_notes.out_of_band_amount is 'Given back outside Stripe, minor units of currency.';
create index credit_notes_by_creation on stripe.credit_notes (account_id, livemode, created_at);
create index credit_notes_by_invoice on stripe.credit_notes (account_id, livemode, invoice);
create index credit_notes_by_customer on stripe.credit_notes (account_id, livemode, customer);

-- Grain: one checkout session: it joins a user (client_reference_id), customer and subscription.
create table stripe.checkout_sessions (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    mode text,
    status text,
    payment_status text,
    customer text,
    client_reference_id text,
    subscription text,
    payment_intent text,
    invoice text,
    currency text check (currency = lower(currency)),
    amount_subtotal bigint,
    amount_total bigint,
    expires_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint checkout_sessions_are_told check (
        deleted_at is not null
        or num_nulls(
            mode, payment_status
        ) = 0
    )
);
comment on table stripe.checkout_sessions is 'Grain: one checkout session: it joins a user (client_reference_id), customer and subscription.';
comment on column stripe.checkout_sessions.client_reference_id is 'The id of the user that our application gave.';
comment on column stripe.checkout_sessions.amount_subtotal is 'Minor units of currency.';
comment on column stripe.checkout_sessions.amount_total is 'Minor units of currency.';
create index checkout_sessions_by_creation on stripe.checkout_sessions (account_id, livemode, created_at);
create index checkout_sessions_by_customer on stripe.checkout_sessions (account_id, livemode, customer);
create index checkout_sessions_by_subscription on stripe.checkout_sessions (account_id, livemode, subscription);
create index checkout_sessions_by_client_reference_id on stripe.checkout_sessions (account_id, livemode, client_reference_id);

-- Grain: one product.
create table stripe.products (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    name text,
    active boolean,
    default_price text,
    description text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint products_are_told check (
        deleted_at is not null
        or num_nulls(
            name, active
        ) = 0
    )
);
comment on table stripe.products is 'Grain: one product.';

-- Grain: one price of a product.
create table stripe.prices (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    product text,
    active boolean,
    currency text check (currency = lower(currency)),
    type text,
    billing_scheme text,
    unit_amount bigint,
    unit_amount_decimal numeric,
    recurring_interval text,
    recurring_interval_count bigint,
    recurring_usage_type text,
    tiers_mode text,
    lookup_key text,
    nickname text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint prices_are_told check (
        deleted_at is not null
        or num_nulls(
            product, active, currency, type
        ) = 0
    )
);
comment on table stripe.prices is 'Grain: one price of a product.';
comment on column stripe.prices.unit_amount is 'Minor units of currency; null for tiers and for fractions of a minor unit.';
comment on column stripe.prices.unit_amount_decimal is 'Minor units of currency with up to 12 decimals; null for tiers.';
create index prices_by_product on stripe.prices (account_id, livemode, product);

-- Grain: one coupon. Ids are chosen by people and may be used again after a deletion.
create table stripe.coupons (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    name text,
    duration text,
    duration_in_months bigint,
    percent_off double precision,
    amount_off bigint,
    currency text check (currency = lower(currency)),
    valid boolean,
    max_redemptions bigint,
    times_redeemed bigint,
    redeem_by timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint coupons_are_told check (
        deleted_at is not null
        or num_nulls(
            duration
        ) = 0
    )
);
comment on table stripe.coupons is 'Grain: one coupon. Ids are chosen by people and may be used again after a deletion.';
comment on column stripe.coupons.percent_off is 'Percent, 0 to 100.';
comment on column stripe.coupons.amount_off is 'Minor units of currency.';

-- Grain: one code that customers type to get a coupon.
create table stripe.promotion_codes (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    code text,
    coupon text,
    active boolean,
    customer text,
    max_redemptions bigint,
    times_redeemed bigint,
    expires_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint promotion_codes_are_told check (
        deleted_at is not null
        or num_nulls(
            code, active
        ) = 0
    )
);
comment on table stripe.promotion_codes is 'Grain: one code that customers type to get a coupon.';
create index promotion_codes_by_coupon on stripe.promotion_codes (account_id, livemode, coupon);

-- Grain: one payment method, only facts that nobody can pay with; the payload is cut down too.
create table stripe.payment_methods (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    type text,
    customer text,
    card_brand text,
    card_funding text,
    card_country text,
    card_exp_month bigint,
    card_exp_year bigint,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint payment_methods_are_told check (
        deleted_at is not null
        or num_nulls(
            type
        ) = 0
    )
);
comment on table stripe.payment_methods is 'Grain: one payment method, only facts that nobody can pay with; the payload is cut down too.';
create index payment_methods_by_customer on stripe.payment_methods (account_id, livemode, customer);

-- Grain: one amount that waits for, or is on, an invoice (Stripe: invoiceitem).
create table stripe.invoice_items (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    customer text,
    invoice text,
    subscription text,
    subscription_item text,
    price text,
    currency text check (currency = lower(currency)),
    amount bigint,
    quantity bigint,
    is_proration boolean,
    date timestamptz,
    period_start timestamptz,
    period_end timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint invoice_items_are_told check (
        deleted_at is not null
        or num_nulls(
            currency, amount
        ) = 0
    )
);
comment on table stripe.invoice_items is 'Grain: one amount that waits for, or is on, an invoice (Stripe: invoiceitem).';
comment on column stripe.invoice_items.amount is 'Minor units of currency.';
comment on column stripe.invoice_items.is_proration is 'Null where it comes from something this version does not know.';
create index invoice_items_by_invoice on stripe.invoice_items (account_id, livemode, invoice);
create index invoice_items_by_customer on stripe.invoice_items (account_id, livemode, customer);

-- Grain: one plan of changes to a subscription.
create table stripe.subscription_schedules (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    customer text,
    subscription text,
    released_subscription text,
    status text,
    end_behavior text,
    current_phase_start timestamptz,
    current_phase_end timestamptz,
    canceled_at timestamptz,
    completed_at timestamptz,
    released_at timestamptz,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint subscription_schedules_are_told check (
        deleted_at is not null
        or num_nulls(
            status
        ) = 0
    )
);
comment on table stripe.subscription_schedules is 'Grain: one plan of changes to a subscription.';
create index subscription_schedules_by_subscription on stripe.subscription_schedules (account_id, livemode, subscription);

-- Grain: one plan, the older form of a price; its id is the price's.
create table stripe.plans (
    account_id text not null,
    livemode boolean not null,
    id text not null,
    product text,
    active boolean,
    currency text check (currency = lower(currency)),
    amount bigint,
    interval text,
    interval_count bigint,
    usage_type text,
    billing_scheme text,
    tiers_mode text,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    is_final boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, id),
    check (state_from <= state_at),
    constraint plans_are_told check (
        deleted_at is not null
        or num_nulls(
            active, currency, interval, interval_count
        ) = 0
    )
);
comment on table stripe.plans is 'Grain: one plan, the older form of a price; its id is the price''s.';
comment on column stripe.plans.amount is 'Minor units of currency; null for tiers.';

-- Grain: one item of one subscription: price and quantity.
create table stripe.subscription_items (
    account_id text not null,
    livemode boolean not null,
    subscription text not null,
    id text not null,
    price text not null,
    product text,
    currency text check (currency = lower(currency)),
    quantity bigint,
    unit_amount_decimal numeric,
    recurring_interval text,
    recurring_interval_count bigint,
    recurring_usage_type text,
    billing_scheme text,
    current_period_start timestamptz not null,
    current_period_end timestamptz not null,
    trial_start timestamptz,
    trial_end timestamptz,
    created timestamptz,
    api_version text not null,
    payload jsonb not null,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, subscription, id),
    foreign key (account_id, livemode, subscription) references stripe.subscriptions (account_id, livemode, id)
);
comment on table stripe.subscription_items is 'Grain: one item of one subscription: price and quantity.';
comment on column stripe.subscription_items.quantity is 'Null for metered prices.';
comment on column stripe.subscription_items.unit_amount_decimal is 'Minor units of currency with up to 12 decimals; null for tiers.';
comment on column stripe.subscription_items.trial_end is 'Planned end; a trial may be cut short.';
create index subscription_items_by_id on stripe.subscription_items (account_id, livemode, id);
create index subscription_items_by_price on stripe.subscription_items (account_id, livemode, price);

-- Grain: one line of one invoice.
create table stripe.invoice_line_items (
    account_id text not null,
    livemode boolean not null,
    invoice text not null,
    id text not null,
    currency text not null check (currency = lower(currency)),
    amount bigint not null,
    quantity bigint,
    price text,
    unit_amount_decimal numeric,
    subscription text,
    subscription_item text,
    invoice_item text,
    is_proration boolean,
    period_start timestamptz,
    period_end timestamptz,
    description text,
    api_version text not null,
    payload jsonb not null,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, invoice, id),
    foreign key (account_id, livemode, invoice) references stripe.invoices (account_id, livemode, id)
);
comment on table stripe.invoice_line_items is 'Grain: one line of one invoice.';
comment on column stripe.invoice_line_items.amount is 'Minor units of currency, for the whole quantity, before discounts.';
comment on column stripe.invoice_line_items.unit_amount_decimal is 'Minor units of currency with up to 12 decimals.';
comment on column stripe.invoice_line_items.is_proration is 'Null where it comes from something this version does not know.';
create index invoice_line_items_by_subscription on stripe.invoice_line_items (account_id, livemode, subscription);
create index invoice_line_items_by_subscription_item on stripe.invoice_line_items (account_id, livemode, subscription_item);
create index invoice_line_items_by_price on stripe.invoice_line_items (account_id, livemode, price);

-- Grain: one discount of what it lowers: a customer, a subscription, one of its items, or an invoice.
create table stripe.discounts (
    account_id text not null,
    livemode boolean not null,
    parent_object text not null check (parent_object in ('customer', 'subscription', 'invoice')),
    parent_id text not null,
    owner_id text not null,
    id text not null,
    coupon text,
    promotion_code text,
    customer text,
    checkout_session text,
    starts_at timestamptz,
    ends_at timestamptz,
    api_version text not null,
    payload jsonb,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, parent_object, parent_id, owner_id, id)
);
comment on table stripe.discounts is 'Grain: one discount of what it lowers: a customer, a subscription, one of its items, or an invoice.';
comment on column stripe.discounts.coupon is 'Null while only the id of the discount is known: events do not tell more.';
create index discounts_by_coupon on stripe.discounts (account_id, livemode, coupon);
create index discounts_by_owner on stripe.discounts (account_id, livemode, owner_id);

-- Row security as on every table of ours: only the role that owns them, until a policy lets another
-- in. Payloads up to 4 KB stay in their rows: compressing or moving them costs a third of the speed of
-- writing. And what the columns mean that all tables share.
do $$ declare one name; begin
    for one in
        select c.relname from pg_class as c
        where c.relnamespace = 'stripe'::regnamespace and c.relkind = 'r'
    loop
        execute concat_ws(
            '; ',
            format('alter table stripe.%I set (toast_tuple_target = 4096)', one),
            format('alter table stripe.%I enable row level security, force row level security', one),
            format('create policy %I on stripe.%I to current_user using (true) with check (true)', one || '_owner', one),
            format('comment on column stripe.%I.api_version is %L', one, 'API version that payload is written in; the columns mean the same in all.'),
            format('comment on column stripe.%I.payload is %L', one, 'The object as Stripe told it.'),
            format('comment on column stripe.%I.deleted_at is %L', one, 'Tombstone: when Stripe said it is gone, or no longer listed it in the object it lies in. Rows are never deleted.'),
            format('comment on column stripe.%I.applied_at is %L', one, 'When we wrote this row last.')
        ); end loop; end $$;

do $$ declare one name; begin
    for one in
        select c.relname from pg_class as c
        inner join pg_attribute as a on c.oid = a.attrelid and a.attname = 'state_at'
        where c.relnamespace = 'stripe'::regnamespace and c.relkind = 'r'
    loop
        execute concat_ws(
            '; ',
            format('comment on column stripe.%I.created_at is %L', one, 'When the object was made, as it says itself.'),
            format('comment on column stripe.%I.state_from is %L', one, 'First instant at which Stripe may have said so: the second of an event, the begin of a request.'),
            format('comment on column stripe.%I.state_at is %L', one, 'Last instant at which Stripe may have said so.'),
            format('comment on column stripe.%I.origin is %L', one, 'Whether an event or an answer of the API told this state.'),
            format('comment on column stripe.%I.event_id is %L', one, 'The event that told this state; null for a fetched one.'),
            format('comment on column stripe.%I.undecided is %L', one, 'Two states of one second could not be ordered without asking Stripe.'),
            format('comment on column stripe.%I.is_final is %L', one, 'Whether its status is one that nothing leaves.')
        ); end loop; end $$;

-- Grain: one object of any kind, with what all tables share. For questions across kinds; ask the
-- table of a kind for everything else.
create view stripe.objects with (security_invoker = true) as
select
    account_id,
    livemode,
    'payment_intent'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.payment_intents
union all
select
    account_id,
    livemode,
    'charge'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.charges
union all
select
    account_id,
    livemode,
    'invoice'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.invoices
union all
select
    account_id,
    livemode,
    'invoice_payment'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.invoice_payments
union all
select
    account_id,
    livemode,
    'subscription'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.subscriptions
union all
select
    account_id,
    livemode,
    'customer'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.customers
union all
select
    account_id,
    livemode,
    'refund'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.refunds
union all
select
    account_id,
    livemode,
    'dispute'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.disputes
union all
select
    account_id,
    livemode,
    'balance_transaction'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.balance_transactions
union all
select
    account_id,
    livemode,
    'payout'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.payouts
union all
select
    account_id,
    livemode,
    'credit_note'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.credit_notes
union all
select
    account_id,
    livemode,
    'checkout.session'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.checkout_sessions
union all
select
    account_id,
    livemode,
    'product'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.products
union all
select
    account_id,
    livemode,
    'price'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.prices
union all
select
    account_id,
    livemode,
    'coupon'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.coupons
union all
select
    account_id,
    livemode,
    'promotion_code'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.promotion_codes
union all
select
    account_id,
    livemode,
    'payment_method'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.payment_methods
union all
select
    account_id,
    livemode,
    'invoiceitem'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.invoice_items
union all
select
    account_id,
    livemode,
    'subscription_schedule'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.subscription_schedules
union all
select
    account_id,
    livemode,
    'plan'::text as object,
    id,
    api_version,
    payload,
    created_at,
    state_from,
    state_at,
    origin,
    event_id,
    undecided,
    is_final,
    deleted_at,
    applied_at
from stripe.plans;
comment on view stripe.objects is 'Grain: one object of any kind, newest known state, with the columns that all tables share.';

-- The one table of JSON and its views are gone; the events it was made of are applied again.
drop view billing.charges;
drop view billing.payment_intents;
drop view billing.invoices;
drop view billing.subscriptions;
drop view billing.customers;
drop view billing.refunds;
drop view billing.disputes;
drop table billing.objects;
-- As long as it takes: the inbox may be large, and only one row version each is written.
set local statement_timeout = 0;
update billing.inbox set state = 'received', reason = null, applied_at = null where state = 'applied';
