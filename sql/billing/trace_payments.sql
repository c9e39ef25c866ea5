-- Grain: one booked payment that an event inserted or changed when it was applied last.
select
    charge_id,
    effect
from billing.event_payments
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and event_id = %(event_id)s
order by charge_id
