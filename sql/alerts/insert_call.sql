-- Grain: one delivery to a channel, with the requests that it may take reserved.
insert into alerts.calls (channel, requests, began_at)
values (%(channel)s, %(requests)s, %(now)s)
returning call_id
