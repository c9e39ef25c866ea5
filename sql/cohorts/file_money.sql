-- One row per user, local day and currency with payments before as_of, refunds included unless only
-- gross amounts count. All events: the list of returning events says nothing about money.
-- Units: minor units. The cast stops a sum beyond 64 bits, which Parquet would hold as a float.
with numbers as (
    select distinct
        user_id,
        user_number
    from entries
)

select
    user_number,
    day,
    currency,
    cast(sum(minor) as bigint) as minor
from records
inner join numbers using (user_id)
cross join options
where
    fault is null
    and at_microsecond < as_of
    and minor is not null
    and (not only_gross or minor > 0)
group by user_number, day, currency
