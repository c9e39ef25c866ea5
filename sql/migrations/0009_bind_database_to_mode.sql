-- Billing: a step that is still being written.
select 1;
