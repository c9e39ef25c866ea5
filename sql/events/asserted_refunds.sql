-- Grain: one refund of the asked ids that the mirror knows, with the customer of its charge.
select
    refund.id,
    charge.customer,
    refund.status,
    refund.amount as amount_minor,
    refund.currency
from stripe.refunds as refund
left join stripe.charges as charge
    on
        refund.account_id = charge.account_id
        and refund.livemode = charge.livemode
        and refund.charge = charge.id
where
    refund.account_id = any(%(accounts)s::text [])
    and refund.livemode = %(livemode)s
    and refund.id = any(%(ids)s::text [])
