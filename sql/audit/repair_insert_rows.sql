-- Grain: one row that a repair changed.
insert into audit.repair_rows (
    repair_id, place, table_name, row_key, change, before, after, fingerprints, codes
)
select
    %(plan_id)s as repair_id,
    step.place,
    step.table_name,
    step.row_key,
    step.change,
    step.before,
    step.after,
    step.fingerprints,
    step.codes
from jsonb_to_recordset(%(steps)s) as step (
    place integer,
    table_name text,
    row_key text,
    change text,
    before jsonb,
    after jsonb,
    fingerprints text [],
    codes text []
)
order by step.place
