-- Grain: one repair of a month that was carried out, the newest first.
select
    repairs.repair_id,
    repairs.applied_at,
    repairs.applied_by,
    repairs.undone_at,
    repairs.undone_by
from audit.repairs
inner join audit.repair_plans as plans on repairs.repair_id = plans.plan_id
where
    plans.account_id = %(account_id)s
    and plans.livemode = %(livemode)s
    and plans.month = %(month)s
    and plans.tz = %(tz)s
order by repairs.applied_at desc, repairs.repair_id
