-- One row per user, currency and spell of days [from_day, until_day) with the same MRR, null without
-- end; spells without MRR follow those with. `is_rise`: the user had none in the currency before.
-- What begins or ends at as_of or later does not exist yet. Units: minor units, or exact major units where there is
-- no currency.
with changes as (
    select
        user_id,
        currency,
        day,
        coalesce(minor, amount) as change
    from starts
    cross join options
    where fault is null and at_microsecond < as_of and coalesce(minor, amount) is not null
    union all
    select
        ends.user_id,
        ends.currency,
        ends.day + case when end_dates.ends_in then 1 else 0 end as day,
        -coalesce(ends.minor, ends.amount) as change
    from ends
    cross join options
    cross join end_dates
    where
        ends.fault is null
        and ends.at_microsecond < options.as_of
        and coalesce(ends.minor, ends.amount) is not null
),

days as (
    select
        user_id,
        currency,
        day,
        sum(change) as change
    from changes
    group by user_id, currency, day
),

levels as (
    select
        user_id,
        currency,
        day as from_day,
        sum(change) over (partition by user_id, currency order by day) as minor,
        lead(day) over (partition by user_id, currency order by day) as until_day
    from days
)

select
    user_id,
    currency,
    from_day,
    until_day,
    minor,
    minor > 0
    and coalesce(lag(minor) over (partition by user_id, currency order by from_day), 0) <= 0 as is_rise
from levels
