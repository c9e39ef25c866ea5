-- Grain: one row: how many rows, and a hash that does not depend on their order. In Postgres.
-- Why by customer first: one text of all rows could be too long.
select
    coalesce(sum(c.rows), 0)::bigint as rows,
    encode(sha256(convert_to(coalesce(string_agg(c.hash, '' order by c.account_id collate "C", c.customer_id collate "C"), ''), 'UTF8')), 'hex')
    as sha256
from (
    select
        account_id,
        customer_id,
        count(*) as rows,
        encode(
            sha256(
                convert_to(
                    string_agg(r::text, E'\n' order by subscription_id collate "C", item_id collate "C", from_at), 'UTF8'
                )
            ),
            'hex'
        ) as hash
    from growth_receipt_rows as r
    group by account_id, customer_id
) as c
