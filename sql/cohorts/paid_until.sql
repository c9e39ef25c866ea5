-- Grain: one row: whether the application tells whose customers are whose, and the instant up to which
-- every account's payments are in the books (what sweeps read whole, else the newest event or payment).
select
    exists (
        select from billing.user_customers
        where account_id = any(%(accounts)s::text []) and livemode = %(livemode)s and customer_id is not null
    ) as is_told,
    coalesce(
        (select min(swept_to) from billing.sweeps where account_id = any(%(accounts)s::text []) and livemode = %(livemode)s),
        (select max(created_at) from billing.inbox where account_id = any(%(accounts)s::text []) and livemode = %(livemode)s),
        (select max(created_at) from billing.payments where account_id = any(%(accounts)s::text []) and livemode = %(livemode)s)
    ) as until
