-- Grain: one rejected call.
select
    letter.dead_letter_id,
    source.name as source,
    letter.reason,
    letter.is_typed,
    letter.received_at,
    letter.replayed_at,
    letter.sent_at,
    letter.body
from events.dead_letters as letter
left join events.sources as source on letter.source_id = source.source_id
where letter.dead_letter_id = %(dead_letter_id)s
