-- Fills growth_receipt_rows like receipt_rows, from staged spells. In Postgres.
insert into growth_receipt_rows
select
    account_id,
    customer_id,
    currency,
    subscription_id,
    item_id,
    coalesce(product_id, price_id),
    from_at,
    case when until_on < %(next_start)s then until_at end,
    from_on,
    case when until_on < %(next_start)s then until_on end,
    mrr_minor,
    contract_minor,
    exact_numerator,
    exact_denominator,
    case when until_on < %(next_start)s then ends_by end,
    cancels_at is not null,
    told_by
from growth_staging
where from_on < %(next_start)s
