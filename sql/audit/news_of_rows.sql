-- Grain: one asked booked row: who wrote it last and whether since its instant, and which repairs
-- changed it since; nulls for a row that is gone. Runs in Postgres.
select
    asked.payment_id,
    p.written_by,
    coalesce(p.written_at >= asked.since, false) as is_rewritten,
    coalesce(
        (
            select array_agg(r.repair_id order by q.applied_at, r.place)
            from audit.repair_rows as r
            inner join audit.repairs as q on r.repair_id = q.repair_id
            where
                r.table_name = 'billing.payments'
                and r.row_key in (asked.payment_id::text, p.charge_id)
                and greatest(q.applied_at, q.undone_at) >= asked.since
        ), '{}'
    ) as repairs
from unnest(%(payment_ids)s::bigint [], %(since)s::timestamptz []) as asked (payment_id, since)
left join billing.payments as p on asked.payment_id = p.payment_id
