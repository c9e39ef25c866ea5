-- Grain: one metered item that is live at the end of a closed month under a policy, with the last bill
-- of its usage by then; null amount where none did. In Postgres.
-- Why lines of one invoice are summed: usage in tiers is billed by a line for each tier.
-- Units: minor units after discounts, for one interval; without tax that is inside the price.
with ends as (
    select
        m.first_day::date as period_start,
        (m.first_day + interval '1 month')::date as next_start
    from generate_series(
        date_trunc('month', (select min(from_on) from revenue.mrr_spells where policy = %(policy)s)::timestamp),
        date_trunc('month', %(as_of)s::timestamptz at time zone %(tz)s) - interval '1 month',
        interval '1 month'
    ) as m (first_day)
)

select
    e.period_start,
    s.currency,
    s.billing_interval,
    s.interval_count,
    b.amount_minor
from ends as e
inner join revenue.mrr_spells as s
    on s.policy = %(policy)s and s.from_on < e.next_start and (s.until_on is null or s.until_on >= e.next_start)
inner join stripe.subscription_items as i
    on
        s.account_id = i.account_id
        and i.livemode = %(livemode)s
        and s.subscription_id = i.subscription
        and s.item_id = i.id
        and i.recurring_usage_type = 'metered'
left join lateral (
    select
        sum(
            l.amount
            - coalesce((
                select sum((a.part ->> 'amount')::bigint)
                from jsonb_array_elements(coalesce(nullif(l.payload -> 'discount_amounts', 'null'), '[]')) as a (part)
            ), 0)
            - coalesce((
                select sum((a.part ->> 'amount')::bigint)
                from jsonb_array_elements(
                    coalesce(nullif(l.payload -> 'taxes', 'null'), nullif(l.payload -> 'tax_amounts', 'null'), '[]')
                ) as a (part)
                where a.part ->> 'tax_behavior' = 'inclusive' or a.part ->> 'inclusive' = 'true'
            ), 0)
        )::bigint as amount_minor
    from stripe.invoice_line_items as l
    inner join stripe.invoices as v
        on l.account_id = v.account_id and l.livemode = v.livemode and l.invoice = v.id
    where
        l.account_id = s.account_id
        and l.livemode = %(livemode)s
        and l.subscription_item = s.item_id
        and l.deleted_at is null
        and v.status not in ('draft', 'void')
        and l.is_proration is not true
        and l.period_end <= e.next_start::timestamp at time zone %(tz)s
    group by l.period_end, l.invoice
    order by l.period_end desc, l.invoice desc
    limit 1
) as b on true
