-- One row per record, with what an anonymous id did as done by its user.
select
    records.* exclude (user_id),
    coalesce(aliases.segment, records.user_id) as user_id
from records
left join (
    select
        user_id,
        any_value(segment) as segment
    from aliases
    where fault is null
    group by user_id
) as aliases on records.user_id = aliases.user_id
