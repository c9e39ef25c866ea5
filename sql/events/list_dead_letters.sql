-- Grain: one rejected call, the newest first; those that a replay took only if they are asked for.
select
    letter.dead_letter_id,
    source.name as source,
    letter.reason,
    letter.is_typed,
    letter.received_at,
    letter.replayed_at,
    length(letter.body) as bytes
from events.dead_letters as letter
left join events.sources as source on letter.source_id = source.source_id
where
    (%(replayed)s or letter.replayed_at is null)
    and (%(reason)s::text is null or split_part(letter.reason, ':', 1) = %(reason)s)
order by letter.dead_letter_id desc
limit %(limit)s
