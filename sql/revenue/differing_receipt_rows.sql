-- Grain: one spell that is in one of growth_receipt_rows and growth_other_rows only. In Postgres.
(
    select 'published' as side, account_id, customer_id, currency, subscription_id, item_id, from_at, mrr_minor
    from (select * from growth_receipt_rows except all select * from growth_other_rows) as a
    union all
    select 'ledger', account_id, customer_id, currency, subscription_id, item_id, from_at, mrr_minor
    from (select * from growth_other_rows except all select * from growth_receipt_rows) as b
)
order by 2, 3, 4, 5, 6, 7, 1
limit %(limit)s
