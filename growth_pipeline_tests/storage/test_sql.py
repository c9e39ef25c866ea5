"""Statement files are found by name, in a checkout."""

from __future__ import annotations

import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.sql import load_sql, migrations_dir, sql_dir


def test_a_statement_is_read_by_its_path_below_sql():
    assert load_sql("migrations/0001_create_billing").startswith("-- Billing:")
    assert migrations_dir() == sql_dir() / "migrations"


def test_a_misspelt_statement_is_named():
    with pytest.raises(GrowthError, match=r"no statement sql/billing/nonsense\.sql"):
        load_sql("billing/nonsense")


def test_every_statement_file_opens_with_its_grain_or_its_reason():
    without = [
        str(path) for path in sql_dir().rglob("*.sql") if not path.read_text().startswith("--")
    ]
    assert without == []
