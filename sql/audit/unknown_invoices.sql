-- Audit: booked rows of the month whose invoice is not among the extracted ones. Grain: one row.
-- Only candidates: the mirror and Stripe are asked next. Runs in the engine.
select b.match_id, b.invoice_id
from books as b
anti join invoices as i on b.invoice_id = i.id
where b.invoice_id is not null and b.in_month
