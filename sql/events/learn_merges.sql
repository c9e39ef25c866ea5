-- Grain: one anonymous id that an identify or alias call says is a user; who said it first counts.
-- An id that is a user itself is never merged by a call: whoever holds a public write key could take
-- a user out of the numbers. `growth events merge` may.
insert into activity.merged_ids (merged_key, user_key, merged_at)
select distinct on (told.merged_key)
    told.merged_key,
    coalesce(root.user_key, told.user_key),
    %(now)s
from (
    select
        sha256(convert_to(e.anonymous_id, 'UTF8')) as merged_key,
        sha256(convert_to(e.user_id, 'UTF8')) as user_key,
        e.received_at,
        e.source_id,
        e.message_id
    from events.events as e
    where e.received_at >= %(since)s and e.type = 'identify' and e.anonymous_id is not null and e.user_id is not null
    union all
    select
        sha256(convert_to(convert_from(e.body, 'UTF8')::json ->> 'previousId', 'UTF8')),
        sha256(convert_to(e.user_id, 'UTF8')),
        e.received_at,
        e.source_id,
        e.message_id
    from events.events as e
    where
        e.received_at >= %(since)s
        and e.type = 'alias'
        and e.user_id is not null
        and position('\u0000' in convert_from(e.body, 'UTF8')) = 0
) as told
left join activity.merged_ids as root on root.merged_key = told.user_key
where
    told.merged_key is not null
    and told.merged_key <> coalesce(root.user_key, told.user_key)
    and not exists (select 1 from activity.told_users as t where t.user_key = told.merged_key)
    and not exists (select 1 from activity.user_numbers as n where n.user_key = told.merged_key)
order by told.merged_key, told.received_at, told.source_id, told.message_id
on conflict (merged_key) do nothing
