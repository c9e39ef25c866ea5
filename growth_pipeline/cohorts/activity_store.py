"""Published active users, lifecycle and funnels in Postgres: schema `cohorts`.

What rows mean is decided elsewhere; here they are written and read. Contract: docs/metrics.md,
"Published active users" and "Published funnels".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    lock_partition,
    raw_json,
    stage,
)
from growth_pipeline.storage.sql import load_sql

Row = dict[str, Any]
_TABLES = {"active_users": "active_users", "lifecycle": "lifecycle", "funnel": "funnels"}


@dataclass(frozen=True)
class ActivityAnswer:
    """All rows of one question. `question`: active_users, lifecycle or funnel.

    `name`: of the funnel; `segment_by`: empty for users that are not split. `columns`: name ->
    Postgres type, of the rows, which are whole: what they do not have is withdrawn.
    """

    question: str
    as_of: datetime
    options: Mapping[str, Any]
    columns: Mapping[str, str]
    rows: Sequence[Row]
    name: str = ""
    segment_by: str = ""

    @property
    def table(self) -> str:
        """The table's name within the schema."""
        return _TABLES[self.question]


@dataclass(frozen=True)
class ActivityPublication:
    """Rows that a publication wrote, and that it withdrew."""

    written: int = 0
    withdrawn: int = 0

    def __add__(self, other: ActivityPublication) -> ActivityPublication:
        return ActivityPublication(self.written + other.written, self.withdrawn + other.withdrawn)

    def in_words(self) -> str:
        """`Postgres: 12 rows written, 0 withdrawn`."""
        return f"Postgres: {self.written} rows written, {self.withdrawn} withdrawn"


@dataclass(frozen=True)
class PublishedQuestion:
    """How a published question was asked: every option as it holds. `as_of`: exclusive."""

    question: str
    name: str
    segment_by: str
    as_of: datetime
    options: Mapping[str, Any]


class PublishedActivity:
    """Published rows about activity. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(
        self, answers: Sequence[ActivityAnswer], *, kinds: Sequence[str], now: datetime
    ) -> ActivityPublication:
        """Bring these questions up to date, in one transaction; only what differs is written.

        `kinds`: of questions that are answered whole; others of these kinds are withdrawn.
        Raises: RowsRefusedError for rows that cannot be true; RemoteUnavailableError.
        """
        done = ActivityPublication()
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "cohorts", "published_activity")
            for answer in answers:
                done += _publish(connection, answer, now)
            for kind in kinds:
                told = [answer for answer in answers if answer.question == kind]
                kept = {(answer.name, answer.segment_by) for answer in told}
                done += _withdraw(connection, kind, kept)
        return done

    def questions(self, question: str) -> list[PublishedQuestion]:
        """What is published of a kind, in the order of names.

        Raises: RemoteUnavailableError.
        """
        with clear_errors(), self._database.connection() as connection:
            return _questions(connection, question)

    def rows(
        self, question: str, columns: Iterable[str], *, name: str = "", segment_by: str = ""
    ) -> list[Row]:
        """Published rows of one question, in order; quotients are exact decimals.

        Raises: RemoteUnavailableError.
        """
        statement = load_sql(f"cohorts/published_{_TABLES[question]}")
        values = {"name": name, "segment_by": segment_by}
        with clear_errors(), self._database.connection() as connection:
            found = connection.execute(statement, values).fetchall()
        return [dict(zip(columns, row, strict=True)) for row in found]


def _publish(connection: Connection, answer: ActivityAnswer, now: datetime) -> ActivityPublication:
    values = {
        "question": answer.question,
        "name": answer.name,
        "segment_by": answer.segment_by,
        "as_of": answer.as_of,
        "options": raw_json(json.dumps(answer.options)),
        "now": now,
    }
    connection.execute(load_sql("cohorts/publish_activity_definition"), values)
    names = list(answer.columns)
    rows = ([row[name] for name in names] for row in answer.rows)
    stage(connection, f"cohorts.{answer.table}", names, list(answer.columns.values()), rows)
    connection.execute("analyze growth_staging")
    gone = connection.execute(load_sql(f"cohorts/withdraw_{answer.table}"), values)
    done = connection.execute(load_sql(f"cohorts/publish_{answer.table}"), values)
    return ActivityPublication(done.rowcount, gone.rowcount)


def _withdraw(
    connection: Connection, question: str, kept: set[tuple[str, str]]
) -> ActivityPublication:
    """Remove the questions of a kind that are not among these names and properties."""
    removed = 0
    for gone in _questions(connection, question):
        if (gone.name, gone.segment_by) not in kept:
            values = {"question": question, "name": gone.name, "segment_by": gone.segment_by}
            forget = load_sql(f"cohorts/forget_{_TABLES[question]}")
            removed += connection.execute(forget, values).rowcount
            connection.execute(load_sql("cohorts/forget_activity_definition"), values)
    return ActivityPublication(withdrawn=removed)


def _questions(connection: Connection, question: str) -> list[PublishedQuestion]:
    rows = connection.execute(
        load_sql("cohorts/published_activity_definitions"), {"question": question}
    ).fetchall()
    return [PublishedQuestion(*row) for row in rows]
