"""What Postgres's catalogs must say about who may do what; written by hand, no code of the product.

`problems_of_catalog` compares every table, view, sequence, function, policy and grant with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

OWNER = "growth_owner"
ROLES = ("anon", "authenticated", "growth_ro", "service_role")
READERS = ("growth_ro", "service_role")
OWN_ROWS = "cohorts.user_cohorts"
# Tables that readers read whole; who else is signed in reads only rows of its own, and of one table.
PUBLISHED = (
    *("cohorts.active_users", "cohorts.activity_definitions", "cohorts.calendar"),
    *("cohorts.definitions", "cohorts.funnels", "cohorts.lifecycle", "cohorts.retention_metrics"),
    *("lifecycle.backtests", "lifecycle.score_days", "lifecycle.stage_days"),
    *("marts.audit_findings", "marts.mrr_customer_months", "marts.payments_daily"),
    *("revenue.figures", "revenue.fx_rates", "revenue.mrr_changes", "revenue.mrr_daily"),
    *("revenue.mrr_movements", "revenue.mrr_spells", "revenue.policies", "revenue.receipts"),
    "revenue.restatements",
    OWN_ROWS,
)
VIEWS = (
    "cohorts.cohort_overview",
    *("marts.active_users", "marts.cohort_revenue", "marts.cohorts", "marts.figures"),
    *("marts.funnels", "marts.fx_rates", "marts.lifecycle", "marts.metrics_monthly"),
    *("marts.mrr_changes", "marts.mrr_customers_daily", "marts.mrr_daily", "marts.mrr_items_daily"),
    *("marts.mrr_movements", "marts.mrr_movements_by_cause", "marts.mrr_movements_by_segment"),
    *("marts.mrr_movements_reporting", "marts.mrr_subscriptions_daily", "marts.policies"),
    *("marts.receipts", "marts.restatements", "marts.retention"),
    *("marts.score_days", "marts.stage_days"),
)
READABLE = (*PUBLISHED, *VIEWS)
MEASURES = ("calculate_retention_rate", "get_cohort_size", "measure_cell")
CALLABLE = {"growth_ro": MEASURES, "service_role": (*MEASURES, "assign_user_to_cohort")}

# File names and hashes of migrations, written by the migrator before there is any policy.
WITHOUT_POLICY = frozenset({"growth.migrations", "growth.schema_version"})
# What these do is arithmetic on their arguments, or says something about who asks.
FOR_EVERYBODY = frozenset({"period_number", "period_start", "rate_of", "is_reader", "claimed_user"})
# Those that run with the rights of the owner. Triggers among them, and what readers may call.
DEFINERS = frozenset(
    {
        *CALLABLE["service_role"],
        *("assign_all_users", "note_customer", "note_exclusion", "note_merge", "note_user"),
        "note_users",
    }
)
SAFE_PATH = "search_path=pg_catalog, pg_temp"
READER = "( SELECT cohorts.is_reader() AS is_reader)"
ONESELF = "(user_id = ( SELECT cohorts.claimed_user() AS claimed_user))"
POLICIES = {
    **{(table, f"{table.split('.')[1]}_readers"): READER for table in PUBLISHED},
    (OWN_ROWS, "user_cohorts_of_oneself"): ONESELF,
}

_OURS = "nspname !~ '^pg_' and nspname not in ('information_schema', 'public', 'app')"
_RELATIONS = f"""
select n.nspname || '.' || c.relname, c.relkind::text, c.relrowsecurity, c.relforcerowsecurity,
    coalesce(c.reloptions, '{{}}'), pg_get_userbyid(c.relowner)
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where {_OURS} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') order by 1
"""
_POLICIES = f"""
select n.nspname || '.' || c.relname, p.polname, p.polcmd::text, p.polpermissive,
    (select array_agg(case when r = 0 then 'public' else pg_get_userbyid(r) end) from unnest(p.polroles) as r),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
from pg_policy as p inner join pg_class as c on c.oid = p.polrelid
inner join pg_namespace as n on n.oid = c.relnamespace where {_OURS} order by 1, 2
"""
_FUNCTIONS = f"""
select n.nspname || '.' || p.proname, p.prosecdef, coalesce(p.proconfig, '{{}}'), p.prosqlbody is not null,
    pg_get_userbyid(p.proowner)
from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace where {_OURS} order by 1
"""
_GRANTS = f"""
with ours as (select oid, nspname, nspowner, nspacl from pg_namespace where {_OURS}),
held as (
    select 'schema' as kind, nspname::text as name, nspowner as owner, coalesce(nspacl, acldefault('n', nspowner)) as acl from ours
    union all select 'relation', nspname || '.' || relname, relowner,
        coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
    from pg_class inner join ours on ours.oid = relnamespace where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all select 'column', nspname || '.' || relname || '.' || attname, relowner, attacl
    from pg_attribute inner join pg_class as c on c.oid = attrelid inner join ours on ours.oid = relnamespace
    where attacl is not null
    union all select 'function', nspname || '.' || proname, proowner, coalesce(proacl, acldefault('f', proowner))
    from pg_proc inner join ours on ours.oid = pronamespace
    union all select 'later', coalesce(defaclnamespace::regnamespace::text, 'anywhere'), defaclrole, defaclacl from pg_default_acl
)
select kind, name, case when g.grantee = 0 then 'public' else pg_get_userbyid(g.grantee) end,
    g.privilege_type || case when g.is_grantable then ' with grant option' else '' end
from held cross join lateral aclexplode(held.acl) as g where g.grantee <> held.owner
"""
_MEMBERS = """
select pg_get_userbyid(roleid), pg_get_userbyid(member) from pg_auth_members
where pg_get_userbyid(roleid) = any (%(roles)s) or pg_get_userbyid(member) = any (%(roles)s)
"""
_STRONG_ROLES = """
select rolname, right_of from pg_roles cross join lateral (
    values ('superuser', rolsuper), ('bypassrls', rolbypassrls), ('createrole', rolcreaterole),
    ('replication', rolreplication)
) as rights (right_of, has_it)
where has_it and rolname = any (%(roles)s) order by 1, 2
"""
# Seen by everybody and by no rule above: nothing of ours is there.
_IN_PUBLIC = """
select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
union all select proname from pg_proc where pronamespace = 'public'::regnamespace order by 1
"""
_REWRITTEN = f"""
select n.nspname || '.' || c.relname || ': ' || r.rulename from pg_rewrite as r
inner join pg_class as c on c.oid = r.ev_class inner join pg_namespace as n on n.oid = c.relnamespace
where {_OURS} and r.rulename <> '_RETURN' order by 1
"""


def relations_of(connection: Connection) -> list[tuple[str, str]]:
    """Every table, partition, view, materialized view, foreign table and sequence, with its kind."""
    return [(name, kind) for name, kind, *_ in connection.execute(_RELATIONS)]


def policies_of(connection: Connection) -> list[tuple[str, str]]:
    """Every policy: its table and its name."""
    return [(table, name) for table, name, *_ in connection.execute(_POLICIES)]


def grants_of(connection: Connection) -> set[tuple[str, ...]]:
    """Every right of somebody else than the owner: kind of object, object, role, right."""
    return {tuple(row) for row in connection.execute(_GRANTS)}


def problems_of_catalog(connection: Connection, present: Iterable[str] = ROLES) -> list[str]:
    """All that differs from the rules above; `present`: the roles that have their grants."""
    return [
        *_problems_of_relations(connection),
        *_problems_of_policies(connection),
        *_problems_of_functions(connection),
        *_problems_of_grants(connection, set(present)),
        *_problems_of_roles(connection),
    ]


def _problems_of_relations(connection: Connection) -> Iterator[str]:
    for name, kind, enabled, forced, options, owner in connection.execute(_RELATIONS).fetchall():
        if owner != OWNER:
            yield f"{name} belongs to {owner}"
        if kind in "rp" and name not in WITHOUT_POLICY and not (enabled and forced):
            yield f"{name}: row security enabled {enabled}, forced {forced}"
        if kind == "v" and "security_invoker=true" not in options:
            yield f"{name} shows what its owner sees"
        if kind in "mf":
            yield f"{name} has no row security by nature: nobody decided where it may be"
    for (name,) in connection.execute(_IN_PUBLIC).fetchall():
        yield f"public.{name} stands where everybody looks"
    for (name,) in connection.execute(_REWRITTEN).fetchall():
        yield f"a rule rewrites what is asked of {name}"


def _problems_of_policies(connection: Connection) -> Iterator[str]:
    found = {(table, name): rest for table, name, *rest in connection.execute(_POLICIES).fetchall()}
    expected = {key: ["r", True, ["public"], qual, None] for key, qual in POLICIES.items()}
    for table, kind in relations_of(connection):
        if kind in "rp" and table not in WITHOUT_POLICY:
            owner = (table, table.split(".")[1] + "_owner")
            expected[owner] = ["*", True, [OWNER], "true", "true"]
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            yield f"policy {key}: {found.get(key)} instead of {expected.get(key)}"


def _problems_of_functions(connection: Connection) -> Iterator[str]:
    for name, definer, config, is_bound, owner in connection.execute(_FUNCTIONS).fetchall():
        bare = name.split(".")[1]
        if owner != OWNER:
            yield f"{name} belongs to {owner}"
        if definer != (bare in DEFINERS):
            yield f"{name} runs with the rights of {'its owner' if definer else 'who calls it'}"
        if SAFE_PATH not in config and not (is_bound and not definer):
            yield f"{name} finds names by the search_path of who calls it"


def _problems_of_grants(connection: Connection, present: set[str]) -> Iterator[str]:
    found, expected = grants_of(connection), set(_expected_grants(connection, present))
    yield from (f"granted: {' '.join(one)}" for one in sorted(found - expected))
    yield from (f"not granted: {' '.join(one)}" for one in sorted(expected - found))


def _problems_of_roles(connection: Connection) -> Iterator[str]:
    roles = {"roles": [*ROLES, OWNER]}
    for role, member in connection.execute(_MEMBERS, roles).fetchall():
        if role == OWNER or member != "authenticator":
            yield f"{member} is a member of {role}"
    for role, right in connection.execute(_STRONG_ROLES, roles).fetchall():
        if (role, right) != ("service_role", "bypassrls"):  # as Supabase makes it
            yield f"{role} is {right}"


def _expected_grants(connection: Connection, present: set[str]) -> Iterator[tuple[str, ...]]:
    names = {row[0].split(".")[1]: row[0] for row in connection.execute(_FUNCTIONS).fetchall()}
    yield from (
        ("function", names.get(one, one), "public", "EXECUTE") for one in sorted(FOR_EVERYBODY)
    )
    if "authenticated" in present:
        yield "schema", "cohorts", "authenticated", "USAGE"
        yield "relation", OWN_ROWS, "authenticated", "SELECT"
    for role in present & set(READERS):
        yield from (
            ("schema", one, role, "USAGE") for one in ("cohorts", "lifecycle", "marts", "revenue")
        )
        yield from (("relation", one, role, "SELECT") for one in READABLE)
        yield from (("function", names.get(one, one), role, "EXECUTE") for one in CALLABLE[role])
