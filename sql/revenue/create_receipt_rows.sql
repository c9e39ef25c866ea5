-- Rows behind the figures of a month, for the rest of the transaction. In Postgres.
create temporary table growth_receipt_rows (
    account_id text not null,
    customer_id text not null,
    currency text not null,
    subscription_id text not null,
    item_id text not null,
    product text,
    from_at timestamptz not null,
    until_at timestamptz,
    from_on date not null,
    until_on date,
    mrr_minor bigint,
    contract_minor bigint,
    exact_numerator numeric,
    exact_denominator numeric,
    ends_by text,
    is_leaving boolean not null,
    told_by text not null
) on commit drop
