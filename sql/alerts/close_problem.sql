-- Grain: one problem that is over.
update alerts.problems
set closed_at = %(now)s, changed_at = %(now)s
where fingerprint = %(fingerprint)s and closed_at is null
