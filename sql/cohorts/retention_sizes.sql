-- One row per cohort and segment: users who entered.
select
    calendar.period as cohort,
    users.segment,
    count(distinct users.user_number) as users
from users
inner join calendar on users.entry_day = calendar.day
group by calendar.period, users.segment
