-- One row per user and local day with payments before as_of, refunds included unless only
-- gross amounts count. All events: the list of returning events says nothing about money.
-- Units: exact decimals of major units, for a file without any currency.
with numbers as (
    select distinct
        user_id,
        user_number
    from entries
)

select
    user_number,
    day,
    cast(null as varchar) as currency,
    sum(amount) as minor
from records
inner join numbers using (user_id)
cross join options
where
    fault is null
    and at_microsecond < as_of
    and amount is not null
    and (not only_gross or amount > 0)
group by user_number, day
