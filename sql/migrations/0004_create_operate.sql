-- Operate: what a database is for, so that a demo's rows and real ones never meet in one.
create schema operate;

-- Grain: the one row of the database; written at its first use, never changed.
create table operate.mode (
    is_only_row boolean primary key default true check (is_only_row),
    mode text not null check (mode in ('demo', 'real')),
    set_at timestamptz not null
);
comment on table operate.mode is 'Grain: one row. Whether this database holds a demo''s rows or real ones.';

alter table operate.mode enable row level security;
alter table operate.mode force row level security;
create policy mode_owner on operate.mode to current_user using (true) with check (true);
