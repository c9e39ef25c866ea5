-- Grain: one problem that lasted too long, one step further.
update alerts.problems
set step = step + 1, level = %(level)s, changed_at = %(now)s
where fingerprint = %(fingerprint)s and closed_at is null
