-- One row per row of a file of subscription periods: live in [from_us, until_us), null without end.
-- What begins or ends at as_of or later does not exist yet. Units: minor units, or exact major units
-- where there is no currency. The text of an end is looked up among the ends that were read.
with told_ends as (
    select distinct
        event as said,
        at_microsecond,
        day
    from ends
    where fault is null and event is not null
),

placed as (
    select
        s.user_id as customer,
        coalesce(s.currency, '') as currency,
        coalesce(s.segment, '') as subscription,
        s.detail as reason,
        coalesce(s.minor, s.amount) as amount,
        s.at_microsecond as from_us,
        s.day as from_day,
        case when o.ends_in then d.start_second * 1000000 else e.at_microsecond end as until_us,
        case when o.ends_in then e.day + 1 else e.day end as until_day
    from starts as s
    cross join options as o
    left join told_ends as e on s.event = e.said
    left join day_starts as d on e.day + 1 = d.day
    where s.fault is null and s.user_id not in (select x.user_id from excluded as x)
),

-- Numbers join and sort faster than names.
numbers as (
    select
        customer,
        row_number() over () as number
    from (select distinct customer from placed) as c
)

select
    p.customer,
    n.number,
    p.currency,
    p.subscription,
    coalesce(c.cause, case when p.reason is null then 'unknown' end) as cause,
    p.reason,
    p.amount,
    p.from_us,
    p.from_day,
    case when p.until_us < o.as_of then p.until_us end as until_us,
    case when p.until_us < o.as_of then p.until_day end as until_day,
    p.until_us < p.from_us as is_reversed
from placed as p
cross join options as o
inner join numbers as n on p.customer = n.customer
left join causes as c on lower(p.reason) = c.reason
where p.from_us < o.as_of or p.until_us < p.from_us
