-- Notes every user there is, billing too: what a killed run does not come to, the next one reads.
insert into lifecycle.news (user_number, rebills)
select
    user_number,
    true
from activity.user_numbers
