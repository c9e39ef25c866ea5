-- Grain: the user of an id; an id that turned out to be a user is that user.
select n.user_number
from activity.user_numbers as n
where
    n.user_key = coalesce(
        (select m.user_key from activity.merged_ids as m where m.merged_key = sha256(convert_to(%(user_id)s::text, 'UTF8'))),
        sha256(convert_to(%(user_id)s::text, 'UTF8'))
    )
