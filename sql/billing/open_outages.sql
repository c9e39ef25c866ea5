-- Grain: one span of lost events whose objects were not yet all listed again, the earliest first.
select
    lost_from,
    lost_to
from billing.outages
where account_id = %(account_id)s and livemode = %(livemode)s and repaired_at is null
order by lost_from
