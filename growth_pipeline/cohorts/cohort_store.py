"""Cohorts and published retention in Postgres: schema `cohorts`.

What cells mean is decided elsewhere; here they are written and read. Contract: docs/cohorts.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.cohorts.member_store import assign_members
from growth_pipeline.core.calendar import date_of, week_origin
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    copy_out,
    lock_partition,
    raw_json,
    stage,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition

_CELLS = "cohorts.retention_metrics"
_SIGNUP = "signup"
_QUESTION = ("entry", "grain", "segment_by")
_CELL_TYPES = {
    "cohort_start": "date",
    "cohort_size": "int8",
    "period_index": "int4",
    "users": "int8",
    "rate": "numeric",
    "events": "int8",
    "revenue_minor": "int8",
    "currency": "text",
    "state": "text",
    "segment": "text",
    "final": "bool",
    "rate_low": "float8",
    "rate_high": "float8",
    "revenue": "numeric",
    "revenue_per_customer_minor": "int8",
    "revenue_per_customer": "numeric",
    "cumulative_revenue_minor": "int8",
    "cumulative_revenue": "numeric",
    "cumulative_per_customer_minor": "int8",
    "cumulative_per_customer": "numeric",
    "logo_churn": "numeric",
    "revenue_churn": "numeric",
    "nrr": "numeric",
}


@dataclass(frozen=True)
class Answer:
    """Cells of one question to publish.

    `cells`: as `RetentionResult.frame()`. `cohorts`: first days of the cohorts that `cells` holds
    whole; None for all cohorts of the question, so that others are withdrawn. `members`
    (user_number, entry_day): everyone who entered, for an entry other than the sign-up; None leaves
    them as they are. Members of the sign-up are taken from activity.user_numbers.
    """

    definition: RetentionDefinition
    cells: pl.DataFrame
    cohorts: Collection[date] | None = None
    members: pl.DataFrame | None = None


@dataclass(frozen=True)
class Assigned:
    """Users put into cohorts: new there, moved to others, taken out because they do not count."""

    assigned: int = 0
    moved: int = 0
    removed: int = 0

    def __add__(self, other: Assigned) -> Assigned:
        return Assigned(
            self.assigned + other.assigned, self.moved + other.moved, self.removed + other.removed
        )


@dataclass(frozen=True)
class Publication:
    """What a publication changed. `written`, `withdrawn`: cells by (entry, grain, segment_by)."""

    users: Assigned
    written: dict[tuple[str, str, str], int]
    withdrawn: dict[tuple[str, str, str], int]

    def in_words(self) -> str:
        """`Postgres: 12 cells written, 0 withdrawn; users 3 new, 0 moved, 0 taken out`."""
        return (
            f"Postgres: {sum(self.written.values())} cells written, "
            f"{sum(self.withdrawn.values())} withdrawn; users {self.users.assigned} new, "
            f"{self.users.moved} moved, {self.users.removed} taken out"
        )


class CohortStore:
    """Cohorts in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, answers: Sequence[Answer], *, now: datetime) -> Publication:
        """Bring users' cohorts and these cells up to date, in one transaction.

        Only what differs is written, so publishing again changes nothing. All answers are cut by
        one zone and one start of weeks, which holds for users too. Of the grains that are answered
        those segments are withdrawn by which no answer splits.
        Raises: UsageError for answers of two calendars, or in brackets; RowsRefusedError for cells
        that cannot be true; RemoteUnavailableError.
        """
        calendars = {_calendar(answer.definition) for answer in answers}
        if len(calendars) != 1:
            raise UsageError(
                "published cohorts have one zone and one start of weeks",
                remedy="refresh all grains with the same --timezone and --week-start",
            )
        written: dict[tuple[str, str, str], int] = {}
        withdrawn: dict[tuple[str, str, str], int] = {}
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "cohorts", "retention_metrics")
            users = _assign(connection, *calendars.pop())
            for answer in answers:
                users += _assign_members(connection, answer)
                key = _question(answer.definition)
                written[key], withdrawn[key] = _publish(connection, answer, now)
            _withdraw_segments(connection, list(written))
        return Publication(users, written, withdrawn)

    def assign_users(self) -> Assigned:
        """Put every user of activity.user_numbers who counts into the cohort of the sign-up.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "cohorts", "retention_metrics")
            return _assign_users(connection)

    def read(self, definition: RetentionDefinition) -> pl.DataFrame:
        """Published cells of a question, with the columns and types of `RetentionResult.frame()`.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            return _published(connection, definition)


def _publish(connection: Connection, answer: Answer, now: datetime) -> tuple[int, int]:
    """Cells written, cells withdrawn."""
    definition = answer.definition
    if definition.retention == "bracket":
        raise UsageError("brackets are not published", remedy="publish on or on_or_after")
    key = _question(definition)
    values: dict[str, Any] = dict(zip(_QUESTION, key, strict=True))
    connection.execute(
        load_sql("cohorts/publish_definition"),
        {
            **values,
            "as_of": definition.as_of,
            "options": raw_json(json.dumps(definition.resolved())),
            "now": now,
        },
    )
    differing = _differing(answer, _published(connection, definition))
    if not differing:
        return 0, 0
    cells = answer.cells.filter(answer.cells["cohort_start"].is_in(differing))
    rows = ((*key, *row) for row in cells.select(list(_CELL_TYPES)).iter_rows())
    columns = (*_QUESTION, *_CELL_TYPES)
    stage(connection, _CELLS, columns, ("text",) * len(key) + tuple(_CELL_TYPES.values()), rows)
    connection.execute("analyze growth_staging")
    values["cohorts"] = differing
    gone = connection.execute(load_sql("cohorts/withdraw_cells"), values)
    done = connection.execute(load_sql("cohorts/publish_cells"), {**values, "now": now})
    return done.rowcount, gone.rowcount


def _withdraw_segments(connection: Connection, questions: Sequence[tuple[str, str, str]]) -> None:
    for entry, grain in dict.fromkeys((entry, grain) for entry, grain, _ in questions):
        kept = [name for one, other, name in questions if (one, other) == (entry, grain)]
        values = {"entry": entry, "grain": grain, "kept": kept}
        connection.execute(load_sql("cohorts/withdraw_segments"), values)


def _published(connection: Connection, definition: RetentionDefinition) -> pl.DataFrame:
    import polars as pl

    from growth_pipeline.cohorts.retention.result import RetentionResult

    empty = RetentionResult(definition.resolved(), definition.as_of, [], [], {}, ()).frame()
    values = dict(zip(_QUESTION, _question(definition), strict=True))
    rows = copy_out(connection, load_sql("cohorts/published_cells"), values)
    return rows.select(pl.col(name).cast(kind) for name, kind in empty.schema.items())


def _differing(answer: Answer, published: pl.DataFrame) -> list[date]:
    """First days of the cohorts whose rows are not those that are published, in order.

    Reading tens of thousands of rows takes a fifth of handing them over to be compared there.
    """
    import polars as pl

    if answer.cohorts is not None:
        published = published.filter(pl.col("cohort_start").is_in(list(answer.cohorts)))
    sides = (answer.cells.select(published.columns), published)
    odd = [
        one.join(other, on=published.columns, how="anti", nulls_equal=True)["cohort_start"]
        for one, other in (sides, sides[::-1])
    ]
    return sorted(set(pl.concat(odd)))


def _assign(connection: Connection, tz: str, week_anchor: date) -> Assigned:
    changed = connection.execute(
        load_sql("cohorts/set_calendar"), {"tz": tz, "week_anchor": week_anchor}
    )
    moved = 0
    if changed.rowcount:
        moved = connection.execute(load_sql("cohorts/recut_cohorts")).rowcount
    return Assigned(moved=moved) + _assign_users(connection)


def _assign_users(connection: Connection) -> Assigned:
    found = connection.execute(load_sql("cohorts/any_misplaced_user")).fetchone()
    if found == (False,):
        return Assigned()
    return _assigned(connection, "cohorts/assign_users", {})


def _assign_members(connection: Connection, answer: Answer) -> Assigned:
    if answer.members is None or answer.definition.entry == _SIGNUP:
        return Assigned()
    return Assigned(*assign_members(connection, answer.definition.entry, answer.members))


def _assigned(connection: Connection, statement: str, values: dict[str, Any]) -> Assigned:
    counts = connection.execute(load_sql(statement), values).fetchone()
    assert counts is not None  # noqa: S101  # one row of counts, always
    return Assigned(*counts)


def _calendar(definition: RetentionDefinition) -> tuple[str, date]:
    return definition.tz, date_of(week_origin(definition))


def _question(definition: RetentionDefinition) -> tuple[str, str, str]:
    return definition.entry, definition.grain, definition.segment or ""
