-- Grain: one open span of lost events that lies inside what was listed again.
update billing.outages
set repaired_at = %(now)s
where
    account_id = %(account_id)s and livemode = %(livemode)s and repaired_at is null
    and lost_from >= %(lost_from)s and lost_to <= %(lost_to)s
