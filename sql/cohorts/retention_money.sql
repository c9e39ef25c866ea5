-- One row per cohort, segment, currency and period index: what members paid in the period, and what
-- of it and by how many came from those who paid in period 0 (the opening members of churn).
-- Units: minor units of the currency, or exact major units where there is no currency.
with members as (
    select
        users.user_number,
        calendar.period as cohort,
        users.segment,
        min(calendar.origin) as origin
    from users
    inner join calendar on users.entry_day = calendar.day
    group by users.user_number, calendar.period, users.segment
),

paid as (
    select
        members.user_number,
        members.cohort,
        members.segment,
        money.currency,
        case
            when calendar.position >= members.origin
                then (calendar.position - members.origin) // options.span
            else -1
        end as period_index,
        sum(money.minor) as minor
    from money
    inner join members on money.user_number = members.user_number
    inner join calendar on money.day = calendar.day
    cross join options
    group by
        members.user_number,
        members.cohort,
        members.segment,
        money.currency,
        case
            when calendar.position >= members.origin
                then (calendar.position - members.origin) // options.span
            else -1
        end
),

opening as (
    select
        user_number,
        cohort,
        coalesce(currency, '') as currency,
        minor
    from paid
    where period_index = 0 and minor > 0
)

select
    paid.cohort,
    paid.segment,
    paid.currency,
    paid.period_index,
    sum(paid.minor) as minor,
    count(case when opening.minor > 0 and paid.minor > 0 then 1 end) as kept_payers,
    sum(case when opening.minor > 0 then paid.minor else 0 end) as kept_minor,
    sum(case when opening.minor > 0 then least(paid.minor, opening.minor) else 0 end) as held_minor
from paid
left join opening
    on
        paid.user_number = opening.user_number
        and paid.cohort = opening.cohort
        and coalesce(paid.currency, '') = opening.currency
where paid.period_index >= 0
group by paid.cohort, paid.segment, paid.currency, paid.period_index
