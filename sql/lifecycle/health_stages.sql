-- Grain: one rule that is broken, with how many users break it and one of them.
with due as (select max(decided_on) as day from lifecycle.users),

counting as (
    select n.user_number
    from activity.user_numbers as n
    where
        not exists (select 1 from activity.excluded_users as x where x.user_key = n.user_key)
        and not exists (select 1 from activity.merged_ids as m where m.merged_key = n.user_key)
        and not exists (select 1 from lifecycle.news as w where w.user_number = n.user_number)
),

found as (
    select
        'no stage' as what,
        c.user_number
    from counting as c
    left join lifecycle.users as u on c.user_number = u.user_number
    where u.user_number is null
    union all
    select
        'a stage without a user who counts',
        u.user_number
    from lifecycle.users as u
    left join counting as c on u.user_number = c.user_number
    where
        c.user_number is null
        and not exists (select 1 from lifecycle.news as w where w.user_number = u.user_number)
    union all
    select
        'another stage than the last transition',
        u.user_number
    from lifecycle.users as u
    left join lateral (
        select t.to_stage
        from lifecycle.transitions as t
        where t.user_number = u.user_number and t.superseded_at is null
        order by t.day desc
        limit 1
    ) as t on true
    where t.to_stage is distinct from u.stage
    union all
    select
        'a stage that should have been looked at again',
        u.user_number
    from lifecycle.users as u
    cross join due as d
    where u.next_due_on <= d.day
)

select
    what,
    count(*),
    min(user_number)
from found
group by what
order by what
