-- Grain: one fingerprint, with what was last said about it. The log gets every alert, so it knows.
select distinct on (fingerprint)
    fingerprint,
    kind,
    title
from alerts.outbox
where channel = 'log' and fingerprint = any(%(fingerprints)s::text[])
order by fingerprint asc, alert_id desc
