-- Grain: one repair that was carried out, held until the transaction ends.
select
    plans.account_id,
    plans.livemode,
    to_char(plans.month, 'YYYY-MM') as month,
    plans.tz,
    repairs.applied_at,
    repairs.applied_by,
    repairs.undone_at,
    repairs.undone_by
from audit.repairs
inner join audit.repair_plans as plans on repairs.repair_id = plans.plan_id
where repairs.repair_id = %(repair_id)s
for update of repairs
