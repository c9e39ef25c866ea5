-- Grain: one repair whose booked rows were put back.
update audit.repairs
set
    undone_at = %(now)s,
    undone_by = %(by)s
where repair_id = %(repair_id)s
