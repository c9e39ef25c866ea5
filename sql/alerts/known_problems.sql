-- Grain: one problem that was told before, with what was last said about it.
select fingerprint, kind, level, title, opened_at, closed_at, step
from alerts.problems
where fingerprint = any(%(fingerprints)s::text[])
