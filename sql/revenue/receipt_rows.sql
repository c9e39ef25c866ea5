-- Fills growth_receipt_rows: the published spells of a policy that begin in or before a month, cut at its
-- end, so that what happens later changes nothing of them. In Postgres.
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
from revenue.mrr_spells
where policy = %(policy)s and from_on < %(next_start)s
