-- Billing: which of Stripe's two modes this database is for.
-- Why: a test-mode key or a test event must never write beside live rows, whatever is configured.

-- Grain: the one row of the database; written when a key is first used here, never changed.
create table billing.stripe_mode (
    is_only_row boolean primary key default true check (is_only_row),
    livemode boolean not null,
    bound_by text not null,
    bound_at timestamptz not null
);
comment on table billing.stripe_mode is 'Grain: one row. Whether this database holds live or test-mode rows of Stripe; the other mode is refused.';
comment on column billing.stripe_mode.bound_by is 'Account whose key was the first one used here.';

alter table billing.stripe_mode enable row level security;
alter table billing.stripe_mode force row level security;
create policy stripe_mode_owner on billing.stripe_mode to current_user using (true) with check (true);
