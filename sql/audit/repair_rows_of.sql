-- Grain: one booked row that a repair changed, the last first.
select
    row_key,
    before,
    after
from audit.repair_rows
where
    repair_id = %(repair_id)s
    and table_name = 'billing.payments'
order by place desc
