-- Grain: one alert to each channel. Why "do nothing": the same decision made twice is one alert.
insert into alerts.outbox (alert_key, channel, kind, level, fingerprint, title, body, picture, created_at)
select
    %(alert_key)s,
    channel,
    %(kind)s,
    %(level)s,
    %(fingerprint)s,
    %(title)s,
    %(body)s,
    case when channel = any(%(pictured)s::text[]) then %(picture)s::bytea end,
    %(now)s
from unnest(%(channels)s::text[]) as channel
on conflict (alert_key, channel) do nothing
