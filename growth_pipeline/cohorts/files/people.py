"""Who is counted: known users, anonymous ids that became users, and those who are left out.

Contract: docs/metrics.md, "Files".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.files.faults import contradicted_user_error
from growth_pipeline.storage.files.rows import Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import open_source
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Engine, Spool, Table


@dataclass(frozen=True)
class People:
    """Who is who. `aliases`: a file with anonymous_id and user_id. `excluded`: ids left out."""

    aliases: ReadRows | None = None
    excluded: tuple[str, ...] = ()

    @property
    def tables(self) -> dict[str, Table]:
        """Table `excluded`: ids of users who do not count."""
        return {"excluded": _ids(self.excluded)}

    def merged(self, engine: Engine, spool: Spool, rows: ReadRows, name: str) -> ReadRows:
        """The rows, with what anonymous ids did as done by their users."""
        if self.aliases is None:
            return rows
        tables: dict[str, Table] = {"records": [rows.path], "aliases": [self.aliases.path]}
        merged = engine.query_to_file(load_sql("cohorts/file_merged"), tables, spool, name)
        return replace(rows, path=merged.path)

    def known(
        self, engine: Engine, spool: Spool, done: list[ReadRows], users: ReadRows | None
    ) -> tuple[list[str], str]:
        """Notes, and a file of the users whose activity counts.

        Raises: UsageError for a user named twice with different values.
        """
        notes: list[str] = []
        statement = "cohorts/file_users_of_activity"
        records = [read.path for read in done]
        if users is not None:
            notes = _repeated(engine, users, "users")
            statement, records = "cohorts/file_users", [users.path]
        merged: Table = _ids(()) if self.aliases is None else [self.aliases.path]
        tables: dict[str, Table] = {"records": records, "aliases": merged, **self.tables}
        return notes, engine.query_to_file(load_sql(statement), tables, spool, "known").path


def read_people(
    engine: Engine, spool: Spool, aliases: Path | None, excluded: tuple[str, ...]
) -> tuple[People, list[str]]:
    """Who is who, and what a reader should know about it.

    Raises: UsageError for a file that cannot be read, or merges one id into two, or a chain of ids.
    """
    if aliases is None:
        return People(excluded=excluded), []
    source = open_source(aliases, ["anonymous_id", "user_id"], spool)
    columns = {
        "user_id": source.need("anonymous_id"),
        "occurred_at": None,
        "event": None,
        "segment": source.need("user_id"),
        "revenue": None,
        "currency": None,
    }
    rows = read_rows(engine, spool, source, columns, Reading(), name="alias_rows", needs_time=False)
    chained = engine.query(load_sql("cohorts/chained_aliases"), {"records": [rows.path]}).item()
    if chained is not None:
        raise UsageError(
            f"{source.name}: {chained!r} is merged into nobody, or into an id merged itself",
            remedy="write the last user_id on every line",
        )
    return People(rows, excluded), [*rows.notes(), *_repeated(engine, rows, "ids")]


def _repeated(engine: Engine, rows: ReadRows, what: str) -> list[str]:
    """A note about lines that say the same twice.

    Raises: UsageError for lines that contradict each other.
    """
    sql = load_sql("cohorts/repeated_users")
    repeated, contradicted = engine.query(sql, {"records": [rows.path]}).row(0)
    if contradicted is not None:
        raise contradicted_user_error(rows.source, rows.columns, contradicted)
    return [f"{rows.source.name}: {repeated} {what} repeated word for word"] if repeated else []


def _ids(ids: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"user_id": list(ids)}, schema={"user_id": pl.String})
