-- Grain: one object of a re-list whose row in the mirror says what Stripe says again.
update billing.drift
set repaired_at = %(now)s
from unnest(
    %(account_ids)s::text [], %(livemodes)s::boolean [], %(objects)s::text [], %(ids)s::text []
) as repaired (account_id, livemode, object, id)
where
    drift.account_id = repaired.account_id
    and drift.livemode = repaired.livemode
    and drift.object = repaired.object
    and drift.id = repaired.id
    and drift.found_at = %(found_at)s
