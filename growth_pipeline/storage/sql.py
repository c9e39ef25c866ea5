"""Finds the SQL files: `sql/` at the root of a checkout, `_sql` inside an installed package.

Statements live in files with values bound by the caller; nothing here fills templates.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from growth_pipeline.core.errors import GrowthError

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def sql_dir() -> Path:
    """The folder with all SQL files.

    Raises: GrowthError when neither a checkout nor a wheel has it.
    """
    for folder in (_PACKAGE / "_sql", _PACKAGE.parent / "sql"):
        if (folder / "migrations").is_dir():
            return folder
    raise GrowthError(
        "the SQL files of growth_pipeline are missing",
        remedy="install the package again; it brings them in growth_pipeline/_sql",
    )


def migrations_dir() -> Path:
    """The folder of the migrations, `NNNN_verb_object.sql`."""
    return sql_dir() / "migrations"


@cache
def load_sql(name: str) -> str:
    """Text of one statement file, by its path below `sql/` without the ending.

    Shapes: `load_sql("billing/insert_event")` reads `sql/billing/insert_event.sql`; read once.
    Raises: GrowthError when there is no such file.
    """
    path = sql_dir() / f"{name}.sql"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GrowthError(f"there is no statement sql/{name}.sql") from None
