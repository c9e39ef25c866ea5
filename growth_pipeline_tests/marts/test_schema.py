"""Names and types of the marts are a promise: whoever changes one decides to, here and in the docs.

Renaming or retyping a column breaks somebody's dashboard. A new column may be added at any time.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

PROMISED = Path(__file__).with_name("promised_columns.txt")
DOCS = (Path(__file__).parents[2] / "docs/marts.md").read_text(encoding="utf-8")
_COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class')
from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid
where c.relnamespace = 'marts'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
    and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""


@pytest.fixture(scope="module")
def columns(module_database_url: str) -> list[tuple[str, str, str, str | None, str | None]]:
    """Relation, column, type, comment of the column, comment of the relation."""
    with psycopg.connect(module_database_url) as connection:
        return connection.execute(_COLUMNS).fetchall()


def test_columns_are_the_promised_ones(columns):
    found = [f"{relation}.{column} {kind}" for relation, column, kind, *_ in columns]
    promised = PROMISED.read_text(encoding="utf-8").splitlines()
    assert found == promised, "a change is a decision: docs/decisions, docs/marts.md, this list"


def test_every_column_and_relation_says_what_it_is(columns):
    silent = [f"{relation}.{name}" for relation, name, _, said, _ in columns if not said]
    assert silent == []
    grains = {relation: about for relation, *_, about in columns}
    assert [name for name, about in grains.items() if not (about or "").startswith("Grain: ")] == []


def test_the_page_says_of_every_column_what_the_catalogue_says(columns):
    for relation, name, kind, said, about in columns:
        section = DOCS.partition(f"\n### marts.{relation}\n")[2].partition("\n### ")[0]
        assert section.startswith(f"\n{about}\n"), relation
        assert f"\n| `{name}` | {kind} | {said} |\n" in section, f"{relation}.{name}"


def test_the_page_names_nothing_that_is_not_there(columns):
    sections = {line.removeprefix("### marts.") for line in DOCS.splitlines() if line[:4] == "### "}
    assert sections == {relation for relation, *_ in columns}
    rows = sum(line.startswith("| `") and line.count(" | ") == 2 for line in _tables(DOCS))
    assert rows == len(columns)


def _tables(page: str) -> list[str]:
    return page.partition("\n## Views and tables\n")[2].splitlines()


def test_amounts_are_whole_minor_units_and_say_so(columns):
    kinds = {
        f"{relation}.{name}": kind
        for relation, name, kind, *_ in columns
        if name.endswith("_minor")
    }
    inexact = {"metrics_monthly.arpa_minor", "metrics_monthly.ltv_minor"}
    others = {name for name, kind in kinds.items() if kind != "bigint"}
    assert others == inexact | {"cohorts.revenue_minor"}  # that one is by currency
    assert not any(kind in ("double precision", "real") for kind in kinds.values())


def test_the_questions_of_the_page_can_be_asked(module_database_url):
    blocks = [block.partition("```")[0] for block in DOCS.split("```sql\n")[2:]]
    assert len(blocks) >= 6
    with psycopg.connect(module_database_url) as connection:
        for block in blocks:
            connection.execute(block)
