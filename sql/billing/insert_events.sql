-- Grain of the result: one row per event that was not known yet. Known ones are left as they are.
-- Why ordered: two receivers that insert the same events take their locks in one order.
insert into billing.inbox
(account_id, livemode, event_id, type, api_version, created_at, received_at, source, body)
select *
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(event_ids)b::text [],
    %(types)b::text [],
    %(api_versions)b::text [],
    %(created_ats)b::timestamptz [],
    %(received_ats)b::timestamptz [],
    %(sources)b::text [],
    %(bodies)b::bytea []
)
    as event (
        account_id, livemode, event_id, type, api_version, created_at, received_at, source, body
    )
order by account_id, livemode, event_id
on conflict (account_id, livemode, event_id) do nothing
returning account_id, livemode, event_id
