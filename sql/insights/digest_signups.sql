-- Grain: one local day with sign-ups of users who count.
select c.entered_on as day, count(*) as users
from cohorts.user_cohorts as c
where c.entry = 'signup' and c.entered_on >= %(first_day)s and c.entered_on < %(end_day)s
group by c.entered_on
