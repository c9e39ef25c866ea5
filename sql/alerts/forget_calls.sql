-- Grain: one delivery that no limit reaches back to, or one that sent nothing.
delete from alerts.calls
where
    channel = %(channel)s
    and (coalesce(ended_at, began_at) < %(before)s or (ended_at is not null and requests = 0))
