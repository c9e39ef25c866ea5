-- Grain: one repair that is carried out, in the transaction of the rows that it changes.
insert into audit.repairs (repair_id, plan, applied_at, applied_by)
values (%(plan_id)s, %(plan)s, %(now)s, %(by)s)
