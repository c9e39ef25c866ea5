-- Grain of the result: one write key, with how many of its events were not known yet. Known ones are left as they are.
-- Why ordered: two receivers that insert the same events take their locks in one order, and of two
-- with one id the first stays. Rejected calls are set aside in the same transaction, after the events.
with stored as (
    insert into events.events
    (
        source_id, message_id, key_id, type, event, user_id, anonymous_id,
        occurred_at, received_at, sent_at, flags, properties, body
    )
    select
        source_id, message_id, key_id, type, event, user_id, anonymous_id,
        occurred_at, received_at, sent_at, string_to_array(flags, ','), properties::jsonb, body
    from unnest(
        %(source_ids)b::integer [],
        %(message_ids)b::text [],
        %(key_ids)b::integer [],
        %(types)b::text [],
        %(events)b::text [],
        %(user_ids)b::text [],
        %(anonymous_ids)b::text [],
        %(occurred_ats)b::timestamptz [],
        %(received_ats)b::timestamptz [],
        %(sent_ats)b::timestamptz [],
        %(flags)b::text [],
        %(properties)b::text [],
        %(bodies)b::bytea []
    ) with ordinality
        as event (
            source_id, message_id, key_id, type, event, user_id, anonymous_id,
            occurred_at, received_at, sent_at, flags, properties, body, place
        )
    order by source_id, message_id, place
    on conflict (source_id, message_id) do nothing
    returning key_id
),

set_aside as (
    insert into events.dead_letters
    (source_id, body_hash, key_id, reason, is_typed, received_at, sent_at, body)
    select *
    from unnest(
        %(dead_source_ids)b::integer [],
        %(dead_body_hashes)b::bytea [],
        %(dead_key_ids)b::integer [],
        %(dead_reasons)b::text [],
        %(dead_is_typeds)b::boolean [],
        %(dead_received_ats)b::timestamptz [],
        %(dead_sent_ats)b::text [],
        %(dead_bodies)b::bytea []
    )
        as letter (source_id, body_hash, key_id, reason, is_typed, received_at, sent_at, body)
    order by source_id, body_hash
    on conflict (source_id, body_hash) do nothing
)

select
    key_id,
    count(*) as events
from stored
group by key_id
