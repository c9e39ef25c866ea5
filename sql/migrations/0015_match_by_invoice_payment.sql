-- Billing: a booked row may name the invoice payment that it stands for, and nothing else.
-- Why: since the version basil several payments may pay one invoice; a writer that books each of
-- them knows neither charge nor payment intent, and the invoice alone would match all of them.
alter table billing.payments add column invoice_payment_id text;
comment on column billing.payments.invoice_payment_id is 'Stripe invoice payment the row stands for, where its writer knows no charge or payment intent; null in rows of the mirror.';
alter table billing.payments drop constraint payments_check;
alter table billing.payments add constraint payments_names_an_object check (
    charge_id is not null
    or payment_intent_id is not null
    or invoice_payment_id is not null
    or invoice_id is not null
) not valid;
alter table billing.payments validate constraint payments_names_an_object;
