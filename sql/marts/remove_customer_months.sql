-- Marts: months that are not published as closed any more, because their policy or their days went.
with gone as (
    delete from marts.mrr_customer_months as kept
    where
        not exists (
            select from unnest(%(policies)s::text [], %(months)s::date []) as m (policy, month_start)
            where m.policy = kept.policy and m.month_start = kept.month_start
        )
    returning 1
)

select
    0 as written,
    count(*) as removed
from gone;
