-- Grain: one finding, open or closed, whose fingerprint begins with the given digits.
select *
from audit.seen_findings
where starts_with(fingerprint, %(prefix)s)
order by month desc, fingerprint
