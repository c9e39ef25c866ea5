-- Audit: what repairs would do, what they did, and every row they changed.
-- Why plans are kept: a repair is carried out only if it is exactly what somebody was shown.

-- Grain: one plan of repair that was shown, of one month, account and mode. The newest counts.
create table audit.repair_plans (
    plan_id text primary key,
    account_id text not null,
    livemode boolean not null,
    month date not null check (month = date_trunc('month', month)),
    tz text not null,
    hash text not null,
    audit_id uuid not null references audit.audits,
    only_codes text [] not null,
    contents jsonb not null,
    shown_at timestamptz not null
);
comment on table audit.repair_plans is 'Grain: one plan of repair that was shown, of one month, account and mode; the newest by shown_at may be carried out.';
comment on column audit.repair_plans.hash is 'Name of what it does: equal rows, values, findings and choice of classes give an equal name.';
comment on column audit.repair_plans.audit_id is 'The audit whose open findings it is made of.';
comment on column audit.repair_plans.only_codes is 'Classes of findings that were asked for; empty for all.';
comment on column audit.repair_plans.contents is 'Short name of each change by table and key: what two plans are compared with.';
create index repair_plans_newest on audit.repair_plans (account_id, livemode, month, tz, shown_at desc);

-- Grain: one repair that was carried out: one plan, once.
create table audit.repairs (
    repair_id text primary key references audit.repair_plans (plan_id),
    plan jsonb not null,
    applied_at timestamptz not null,
    applied_by text not null,
    undone_at timestamptz,
    undone_by text,
    check ((undone_at is null) = (undone_by is null))
);
comment on table audit.repairs is 'Grain: one repair that was carried out, named by its plan. In one transaction with the rows it changed.';
comment on column audit.repairs.plan is 'What was done: money by currency in minor units, classes, what a person had to do. The rows are in audit.repair_rows.';
comment on column audit.repairs.applied_by is 'Who gave the command: user of the operating system @ machine.';
comment on column audit.repairs.undone_at is 'When the booked rows were put back as they were; null while the repair stands.';

-- Grain: one row of one table that a repair inserted, changed or deleted.
create table audit.repair_rows (
    repair_id text not null references audit.repairs,
    place integer not null,
    table_name text not null,
    row_key text not null,
    change text not null check (change in ('insert', 'update', 'delete')),
    before jsonb,
    after jsonb,
    fingerprints text [] not null,
    codes text [] not null,
    primary key (repair_id, place),
    check ((before is null) = (change = 'insert')),
    check ((after is null) = (change = 'delete'))
);
comment on table audit.repair_rows is 'Grain: one row that a repair inserted, changed or deleted, with its state before and after.';
comment on column audit.repair_rows.place is 'Its place in the plan, from 1.';
comment on column audit.repair_rows.row_key is 'billing.payments: payment_id, of an inserted row its charge; else the Stripe id.';
comment on column audit.repair_rows.before is 'billing.payments: the whole row, money in minor units; mirrored objects: the fields that differ. Null for an insert.';
comment on column audit.repair_rows.after is 'As before; null for a delete.';
comment on column audit.repair_rows.fingerprints is 'Findings it was done for; empty for a row that followed from another.';
comment on column audit.repair_rows.codes is 'Classes of these findings, in the order of the contract.';
create index repair_rows_of_row on audit.repair_rows (table_name, row_key);

alter table audit.repair_plans enable row level security;
alter table audit.repair_plans force row level security;
create policy repair_plans_owner on audit.repair_plans to current_user using (true) with check (true);
alter table audit.repairs enable row level security;
alter table audit.repairs force row level security;
create policy repairs_owner on audit.repairs to current_user using (true) with check (true);
alter table audit.repair_rows enable row level security;
alter table audit.repair_rows force row level security;
create policy repair_rows_owner on audit.repair_rows to current_user using (true) with check (true);
