-- Stores staged days of users of whom none is stored.
insert into lifecycle.user_days (user_number, day, features, milestones)
select
    user_number,
    day,
    features,
    milestones
from growth_told_days
