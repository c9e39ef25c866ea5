-- Grain: the plan of repair of a month that was shown last, and whether it was carried out.
select
    plans.plan_id,
    plans.hash,
    plans.shown_at,
    plans.contents,
    repairs.repair_id is not null as carried_out
from audit.repair_plans as plans
left join audit.repairs on plans.plan_id = repairs.repair_id
where
    plans.account_id = %(account_id)s
    and plans.livemode = %(livemode)s
    and plans.month = %(month)s
    and plans.tz = %(tz)s
order by plans.shown_at desc, plans.plan_id desc
limit 1
