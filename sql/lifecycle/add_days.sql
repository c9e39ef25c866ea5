-- Adds staged days; what was known of a day stays. Notes the users of whom a day says more than before.
with written as (
    insert into lifecycle.user_days as stored (user_number, day, features, milestones)
    select
        user_number,
        day,
        features,
        milestones
    from growth_told_days
    order by user_number, day
    on conflict (user_number, day) do update set
    features = array(select distinct f from unnest(stored.features || excluded.features) as u (f) order by f),
    milestones = array(select distinct f from unnest(stored.milestones || excluded.milestones) as u (f) order by f)
    where not (stored.features @> excluded.features and stored.milestones @> excluded.milestones)
    returning user_number, day
)

insert into lifecycle.news (user_number, from_on)
select
    user_number,
    min(day)
from written
group by user_number
