-- Grain: one mirrored subscription of the asked ids, with its living items. Runs in Postgres.
-- Why the columns and not the payload: the tables are what people and reports read.
select
    s.id,
    extract(epoch from s.created_at)::bigint as created,
    s.customer,
    s.status,
    s.currency,
    extract(epoch from s.start_date)::bigint as start_date,
    extract(epoch from s.canceled_at)::bigint as canceled_at,
    extract(epoch from s.ended_at)::bigint as ended_at,
    extract(epoch from s.cancel_at)::bigint as cancel_at,
    extract(epoch from s.trial_start)::bigint as trial_start,
    extract(epoch from s.trial_end)::bigint as trial_end,
    s.cancel_at_period_end,
    s.cancellation_reason,
    s.pause_collection_behavior,
    s.latest_invoice,
    s.api_version,
    s.origin,
    extract(epoch from s.state_from)::bigint as seen_from,
    s.payload,
    coalesce(n.items, '[]'::jsonb) as items
from stripe.subscriptions as s
left join lateral (
    select
        jsonb_agg(
            jsonb_build_object(
                'id', i.id,
                'price', i.price,
                'product', i.product,
                'currency', i.currency,
                'quantity', i.quantity,
                'unit_amount_decimal', i.unit_amount_decimal::text,
                'recurring_interval', i.recurring_interval,
                'recurring_interval_count', i.recurring_interval_count,
                'recurring_usage_type', i.recurring_usage_type,
                'billing_scheme', i.billing_scheme,
                'current_period_start', extract(epoch from i.current_period_start)::bigint,
                'current_period_end', extract(epoch from i.current_period_end)::bigint,
                'payload', i.payload
            )
            order by i.id
        ) as items
    from stripe.subscription_items as i
    where
        i.account_id = s.account_id
        and i.livemode = s.livemode
        and i.subscription = s.id
        and i.deleted_at is null
) as n on true
where
    s.account_id = %(account_id)s
    and s.livemode = %(livemode)s
    and s.id = any(%(ids)s::text [])
    and s.deleted_at is null
