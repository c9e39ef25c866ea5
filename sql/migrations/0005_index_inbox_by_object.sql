-- Billing: find the events of one object, and the payment a changed object belongs to.
-- Why: two events of one second can be ordered only by looking at all events of that second, and
-- since the version basil only the invoice payment knows which invoice a charge paid.
alter table billing.inbox add column object text;
alter table billing.inbox add column object_id text;
comment on column billing.inbox.object_id is 'Object the event speaks of, once it was read; null before and for bodies without one.';

create index inbox_by_object on billing.inbox (account_id, livemode, object, object_id, created_at)
where object_id is not null;
create index objects_charge_of_intent on billing.objects
(account_id, livemode, (payload ->> 'payment_intent')) where object = 'charge';
create index objects_invoice_payment_of_intent on billing.objects
(account_id, livemode, (payload #>> '{payment,payment_intent}')) where object = 'invoice_payment';
create index objects_charge_by_creation on billing.objects (created_at) where object = 'charge';
