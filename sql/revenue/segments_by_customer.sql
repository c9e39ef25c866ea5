-- One row per customer and currency, as segments_by_item: a property that does not change with time.
select
    p.number,
    p.currency,
    -9223372036854775807 as at_us,
    v.value as segment
from (
    select distinct
        number,
        currency,
        account_id,
        customer_id
    from periods
) as p
left join "values" as v on p.account_id = v.account_id and p.customer_id = v.customer_id
