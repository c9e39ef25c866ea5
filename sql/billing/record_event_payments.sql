-- Grain: one booked payment that one event inserted or changed when it was applied.
insert into billing.event_payments (account_id, livemode, event_id, charge_id, effect, applied_at)
select
    new.*,
    %(now)s as applied_at
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(event_ids)b::text [],
    %(charge_ids)b::text [],
    %(effects)b::text []
) as new (account_id, livemode, event_id, charge_id, effect)
on conflict (account_id, livemode, event_id, charge_id) do update set
effect = excluded.effect,
applied_at = excluded.applied_at
