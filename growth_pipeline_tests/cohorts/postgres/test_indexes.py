"""Each index serves the query that docs/cohorts.md names, on tables of a real size."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parents[3]
USERS = """
insert into activity.user_numbers (user_key, user_id, signed_up_at)
select sha256(convert_to('u' || n, 'UTF8')), 'u' || n, timestamptz '2030-01-01' + n * interval '40 minutes'
from generate_series(1, 20000) as n;
update cohorts.user_cohorts set assigned_at = entered_at;
"""
CELLS = """
insert into cohorts.definitions
select 'signup', g, s, '2031-07-01', '{}', '2031-07-01'
from unnest(array['day', 'week']) as g cross join unnest(array['', 'plan']) as s;
insert into cohorts.retention_metrics
(entry, grain, segment_by, cohort_start, segment, period_index, cohort_size, users, rate, state, final, published_at)
select
    'signup', 'day', s, date '2030-01-01' + c,
    case s when 'plan' then 'plan ' || (c % 10) end,
    p, 36, 12, 0.333333,
    case when c + p < 545 then 'closed' else 'open' end, true,
    timestamptz '2030-01-01' + (c + p) * interval '1 day'
from generate_series(0, 545) as c
cross join generate_series(0, 30) as p
cross join unnest(array['', 'plan']) as s;
analyze cohorts.user_cohorts, cohorts.retention_metrics;
"""


def documented() -> list[tuple[str, str]]:
    """Index and query of each row of the table in docs/cohorts.md."""
    text = (ROOT / "docs" / "cohorts.md").read_text(encoding="utf-8")
    section = text.split("## Indexes", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|[^|]*\| `([^`]+)` \|$", section, re.MULTILINE)


@pytest.fixture(scope="module")
def filled(postgres_server, migrated_template):
    name = f"growth_indexes_{migrated_template.rpartition('_')[2]}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {migrated_template}")
        with psycopg.connect(postgres_server.url(name), autocommit=True) as connection:
            connection.execute(USERS)
            connection.execute(CELLS)
            connection.execute("vacuum analyze cohorts.user_cohorts, cohorts.retention_metrics")
            yield connection
        admin.execute(f"drop database {name} with (force)")


def test_every_index_has_its_query_in_the_docs_and_there_are_seven_at_least(filled):
    indexes = filled.execute(
        "select indexname from pg_indexes where schemaname = 'cohorts'"
        " and tablename in ('user_cohorts', 'retention_metrics')"
    ).fetchall()
    assert {name for name, _ in documented()} == {name for (name,) in indexes}
    assert len(indexes) >= 7


@pytest.mark.parametrize(("index", "query"), documented(), ids=[name for name, _ in documented()])
def test_an_index_is_what_its_query_uses(filled, index, query):
    plan = filled.execute(f"explain (analyze, costs off, timing off, summary off) {query}")
    shown = "\n".join(line for (line,) in plan.fetchall())
    assert re.search(rf"Index (Only )?Scan (Backward )?(using|on) {index}\b", shown), shown
    assert "Seq Scan" not in shown, shown
