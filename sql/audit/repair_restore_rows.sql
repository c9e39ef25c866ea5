-- Grain: one row of billing.payments put back as it was, under its own number.
insert into billing.payments overriding system value
select row_before.*
from unnest(%(rows)s::jsonb []) as told (row_image)
cross join lateral jsonb_populate_record(null::billing.payments, told.row_image) as row_before
