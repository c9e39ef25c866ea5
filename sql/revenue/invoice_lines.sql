-- Grain: one recurring line of an invoice that is not void, with what was taken off it. In Postgres.
-- Prorations are corrections of other lines and no service of their own. A draft counts: Stripe makes
-- the next invoice an hour before it finalises it, and the service has begun by then.
select
    i.customer,
    l.subscription,
    coalesce(l.subscription_item, l.id) as item_id,
    l.invoice,
    l.currency,
    coalesce(l.price, s.price) as price,
    coalesce(p.product, s.product) as product,
    coalesce(p.recurring_interval, l.payload #>> '{price,recurring,interval}', s.recurring_interval)
    as recurring_interval,
    coalesce(
        p.recurring_interval_count,
        (l.payload #>> '{price,recurring,interval_count}')::bigint,
        s.recurring_interval_count,
        1
    ) as interval_count,
    coalesce(
        p.recurring_usage_type, l.payload #>> '{price,recurring,usage_type}', s.recurring_usage_type
    ) = 'metered' as is_metered,
    l.quantity,
    (l.amount - coalesce(t.inclusive_minor, 0))::bigint as amount_minor,
    extract(epoch from l.period_start)::bigint as from_at,
    extract(epoch from l.period_end)::bigint as until_at,
    coalesce(d.taken_off, '[]') as taken_off
from stripe.invoice_line_items as l
inner join stripe.invoices as i
    on l.account_id = i.account_id and l.livemode = i.livemode and l.invoice = i.id
left join stripe.prices as p
    on l.account_id = p.account_id and l.livemode = p.livemode and l.price = p.id
left join stripe.subscription_items as s
    on
        l.account_id = s.account_id
        and l.livemode = s.livemode
        and l.subscription = s.subscription
        and l.subscription_item = s.id
left join lateral (
    select jsonb_agg(jsonb_build_array(c.duration, (a.part ->> 'amount')::bigint) order by a.place) as taken_off
    from jsonb_array_elements(l.payload -> 'discount_amounts') with ordinality as a (part, place)
    left join lateral (
        select min(k.duration) as duration
        from stripe.discounts as g
        inner join stripe.coupons as k
            on g.account_id = k.account_id and g.livemode = k.livemode and g.coupon = k.id
        where
            g.account_id = l.account_id
            and g.livemode = l.livemode
            and g.id = coalesce(a.part #>> '{discount,id}', a.part ->> 'discount')
    ) as c on true
    where jsonb_typeof(l.payload -> 'discount_amounts') = 'array'
) as d on true
left join lateral (
    select sum((a.part ->> 'amount')::bigint) as inclusive_minor
    from jsonb_array_elements(
        coalesce(nullif(l.payload -> 'taxes', 'null'), nullif(l.payload -> 'tax_amounts', 'null'), '[]')
    ) as a (part)
    where a.part ->> 'tax_behavior' = 'inclusive' or a.part ->> 'inclusive' = 'true'
) as t on true
where
    l.account_id = %(account_id)s
    and l.livemode = %(livemode)s
    and l.deleted_at is null
    and i.deleted_at is null
    and i.customer is not null
    and i.status <> 'void'
    and l.subscription is not null
    and l.is_proration is not true
    and l.period_end > l.period_start
    and coalesce(p.type, l.payload #>> '{price,type}', 'recurring') <> 'one_time'
order by l.subscription, 3, l.period_start, i.created_at, l.invoice, l.id
