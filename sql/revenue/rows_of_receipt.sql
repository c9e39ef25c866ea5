-- Grain: one spell that is live at the end of a month or of the month before: the rows that its figures
-- are read off. In Postgres.
select
    account_id,
    customer_id,
    currency,
    subscription_id,
    item_id,
    from_at,
    until_at,
    mrr_minor,
    told_by
from growth_receipt_rows
where until_on is null or until_on >= %(period_start)s
order by account_id, customer_id, currency, subscription_id, item_id, from_at
