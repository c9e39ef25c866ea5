-- A request that was not made.
delete from lifecycle.kit_calls
where call_id = %(call_id)s
