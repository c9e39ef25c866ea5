-- One row: what subscription periods hold. `overlapping`: rows of a subscription that begin while
-- another row of it is live; they are summed, and told.
with rows_of_subscriptions as (
    select
        from_us,
        until_us,
        from_day,
        subscription <> ''
        and from_us < max(coalesce(until_us, 9223372036854775807)) over (
            partition by number, currency, subscription
            order by from_us, until_us nulls last
            rows between unbounded preceding and 1 preceding
        ) as is_overlapping
    from periods
)

select
    count(*) as rows,
    min(from_day) as first_day,
    count(*) filter (where from_us = until_us) as never_live,
    count(*) filter (where is_overlapping and from_us is distinct from until_us) as overlapping
from rows_of_subscriptions
