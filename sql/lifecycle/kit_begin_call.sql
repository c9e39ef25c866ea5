-- A request that is about to be made.
insert into lifecycle.kit_calls default values
returning call_id
