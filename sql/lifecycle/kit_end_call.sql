-- A request that is over.
update lifecycle.kit_calls
set ended_at = clock_timestamp()
where call_id = %(call_id)s
