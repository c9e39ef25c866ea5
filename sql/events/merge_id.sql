-- One id that is a user: what was merged into it follows, and a user who is merged himself stands
-- for the one he was merged into. The newest user counts.
with wanted as (
    select
        sha256(convert_to(%(anonymous_id)s, 'UTF8')) as merged_key,
        coalesce(
            (
                select m.user_key
                from activity.merged_ids as m
                where m.merged_key = sha256(convert_to(%(user_id)s, 'UTF8'))
            ),
            sha256(convert_to(%(user_id)s, 'UTF8'))
        ) as user_key
),

followers as (
    update activity.merged_ids as m set
        user_key = w.user_key,
        merged_at = coalesce(%(now)s::timestamptz, now())
    from wanted as w
    where m.user_key = w.merged_key and m.merged_key <> w.user_key and w.merged_key <> w.user_key
)

insert into activity.merged_ids as stored (merged_key, user_key, merged_at)
select
    merged_key,
    user_key,
    coalesce(%(now)s::timestamptz, now())
from wanted
where merged_key <> user_key
on conflict (merged_key) do update set
user_key = excluded.user_key,
merged_at = excluded.merged_at
where stored.user_key <> excluded.user_key
