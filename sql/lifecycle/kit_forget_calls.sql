-- Requests that are older than any limit reaches.
delete from lifecycle.kit_calls
where called_at < clock_timestamp() - make_interval(secs => %(seconds)s) - interval '1 hour'
