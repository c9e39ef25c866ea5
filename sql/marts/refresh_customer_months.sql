-- Marts: one month of one policy as the views show its last day. Rows that are right stay as they are.
-- Why a table: the view expands every spell into its days when a tool joins it with month ends.
with fresh as materialized (
    select
        account_id,
        customer_id,
        currency,
        subscriptions,
        mrr_minor,
        contract_mrr_minor,
        scheduled_churn_minor
    from marts.mrr_customers_daily
    where policy = %(policy)s and day = %(last_day)s
),

gone as (
    delete from marts.mrr_customer_months as kept
    where
        kept.policy = %(policy)s
        and kept.month_start = %(month_start)s
        and not exists (
            select from fresh as f
            where
                f.account_id = kept.account_id
                and f.customer_id = kept.customer_id
                and f.currency = kept.currency
        )
    returning 1
),

written as (
    insert into marts.mrr_customer_months as kept
    (
        policy, month_start, account_id, customer_id, currency, subscriptions, mrr_minor,
        contract_mrr_minor, scheduled_churn_minor
    )
    select
        %(policy)s,
        %(month_start)s,
        f.*
    from fresh as f
    where not exists (
        select from marts.mrr_customer_months as same
        where
            same.policy = %(policy)s
            and same.month_start = %(month_start)s
            and same.account_id = f.account_id
            and same.customer_id = f.customer_id
            and same.currency = f.currency
            and same.subscriptions = f.subscriptions
            and same.mrr_minor is not distinct from f.mrr_minor
            and same.contract_mrr_minor is not distinct from f.contract_mrr_minor
            and same.scheduled_churn_minor is not distinct from f.scheduled_churn_minor
    )
    on conflict (policy, month_start, account_id, customer_id, currency) do update set
    subscriptions = excluded.subscriptions,
    mrr_minor = excluded.mrr_minor,
    contract_mrr_minor = excluded.contract_mrr_minor,
    scheduled_churn_minor = excluded.scheduled_churn_minor,
    refreshed_at = excluded.refreshed_at
    returning 1
)

select
    (select count(*) from written) as written,
    (select count(*) from gone) as removed;
