-- Grain: one change since a month was closed, the oldest first.
select
    side,
    object,
    object_id,
    currency,
    before,
    after,
    reason,
    evidence,
    first_seen_at
from audit.restatements
where
    account_id = %(account_id)s and livemode = %(livemode)s and month = %(month)s and tz = %(tz)s
order by first_seen_at, side, object, object_id, currency
