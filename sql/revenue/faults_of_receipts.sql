-- Grain: one closed month and figure without a receipt, or whose receipt tells another value; nothing where
-- all is right. In Postgres.
select f.metric || ' ' || f.currency || ' ' || f.period_start as fault
from revenue.figures as f
left join revenue.receipts as r on f.receipt_id = r.receipt_id
where
    f.policy = any(%(policies)s::text []) and f.grain = 'month' and f.state = 'closed' and f.reporting_currency = ''
    and (
        r.receipt_id is null
        or not exists (
            select from jsonb_array_elements(r.figures) as told (figure)
            where
                told.figure ->> 0 = f.metric
                and told.figure ->> 1 = f.currency
                and told.figure ->> 2 = f.segment_by
                and told.figure ->> 3 is not distinct from f.segment
                and (told.figure ->> 4)::numeric is not distinct from f.value
        )
    )
limit %(limit)s
