-- Grain: one write key, revoked ones too, with what was counted since a day (UTC).
select
    key.key_id,
    source.name as source,
    key.shown,
    key.origins,
    key.created_at,
    key.revoked_at,
    coalesce(
        (
            select jsonb_object_agg(counted.outcome, counted.events)
            from (
                select
                    outcome,
                    sum(count)::bigint as events
                from events.key_counts
                where key_id = key.key_id and day >= %(since)s
                group by outcome
            ) as counted
        ),
        '{}'
    ) as counts
from events.write_keys as key
inner join events.sources as source on key.source_id = source.source_id
order by source.name, key.key_id
