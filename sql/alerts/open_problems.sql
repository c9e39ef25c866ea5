-- Grain: one problem that lasts, the oldest first.
select fingerprint, kind, level, title, opened_at, closed_at, step
from alerts.problems
where closed_at is null
order by opened_at, fingerprint
