-- Grain: one row: the day of the first sign-up; null for none.
select min(c.entered_on) as first_day from cohorts.user_cohorts as c where c.entry = 'signup'
