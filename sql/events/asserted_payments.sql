-- Grain: one charge of an asked payment intent; one row without a charge for an intent that has
-- none. What is settled: docs/metrics.md, "Payments".
select
    asked.id,
    coalesce(charge.customer, intent.customer) as customer,
    intent.status,
    exists (
        select
        from unnest(%(accounts)s::text []) as account (id)
        inner join billing.inbox as inbox
            on
                inbox.account_id = account.id
                and inbox.livemode = %(livemode)s
                and inbox.object = 'payment_intent'
                and inbox.object_id = asked.id
        where inbox.type = 'payment_intent.payment_failed'
    ) as intent_has_failed,
    charge.id as charge_id,
    charge.status = 'succeeded' and charge.paid and charge.captured as is_settled,
    charge.status = 'failed' as has_failed,
    charge.amount_captured as amount_minor,
    charge.currency
from unnest(%(ids)s::text []) as asked (id)
left join stripe.payment_intents as intent
    on
        intent.account_id = any(%(accounts)s::text [])
        and intent.livemode = %(livemode)s
        and asked.id = intent.id
left join stripe.charges as charge
    on
        charge.account_id = any(%(accounts)s::text [])
        and charge.livemode = %(livemode)s
        and asked.id = charge.payment_intent
where intent.id is not null or charge.id is not null
order by asked.id, charge.created_at, charge.id
