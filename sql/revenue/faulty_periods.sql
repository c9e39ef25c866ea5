-- The first row of subscription periods that cannot be used, and why; none for a usable file.
select
    customer,
    case
        when is_reversed then 'reversed'
        when amount is null then 'no_amount'
        when amount < 0 then 'negative'
        else 'reason'
    end as fault,
    reason
from periods
where is_reversed or amount is null or amount < 0 or cause is null
order by customer, from_us, fault
limit 1
