-- Whether anybody's cohort of the sign-up is missing or wrong. Looked at first, as it is nearly always
-- answered with no: sums over both sides are read by several processes at once and need no join, which
-- takes many times as long. Who is misplaced is looked for only where they differ. Users who do not
-- count are few, so they are taken off the sums.
with everybody as (
    select
        count(*) as users,
        sum(hash_record_extended(row(user_number, user_id, signed_up_at), 0)) as told
    from activity.user_numbers
    where activity.can_be_sign_up(signed_up_at)
),

left_out as (
    select
        count(*) as users,
        coalesce(sum(hash_record_extended(row(user_number, user_id, signed_up_at), 0)), 0) as told
    from activity.user_numbers
    where
        activity.can_be_sign_up(signed_up_at)
        and user_key in (
            select user_key from activity.excluded_users
            union
            select merged_key from activity.merged_ids
        )
),

placed as (
    select
        count(*) as users,
        sum(hash_record_extended(row(user_number, user_id, entered_at), 0)) as told,
        coalesce(
            bool_or(
                entered_on is distinct from (entered_at at time zone (select tz from cohorts.calendar))::date
                or mod(week_start - (select week_anchor from cohorts.calendar), 7) <> 0
            ),
            false
        ) as is_off
    from cohorts.user_cohorts
    where entry = 'signup'
)

select
    placed.is_off
    or everybody.users - left_out.users <> placed.users
    or coalesce(everybody.told, 0) - left_out.told <> coalesce(placed.told, 0) as is_any_misplaced
from everybody
cross join left_out
cross join placed
