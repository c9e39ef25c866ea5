-- How many users were put into the cohort of their sign-up, moved to another, taken out.
select
    assigned,
    moved,
    removed
from cohorts.assign_all_users()
