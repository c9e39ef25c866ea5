-- One row per user, day and currency with MRR, in whole minor units of the currency.
select
    user_number,
    day,
    currency,
    cast(minor as bigint) as minor
from mrr
