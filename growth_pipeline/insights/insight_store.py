"""Digests, reports, questions to the model and predictions in Postgres: schema `insights`.

No rule lives here. Statements: sql/insights/. Contract: docs/insights.md, "What is kept".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import orjson

from growth_pipeline.insights.claims import Prediction
from growth_pipeline.insights.facts import Digest, Direction, plain
from growth_pipeline.insights.predictions import Made
from growth_pipeline.storage.postgres import Connection, Database, clear_errors
from growth_pipeline.storage.rows import read_rows
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.insights.report.result import WeeklyReport
    from growth_pipeline.insights.writer.memory import StoredCall
    from growth_pipeline.storage.lake import Lake


@dataclass(frozen=True, slots=True)
class KeptReport:
    """One report whose files lie in the lake. `artifacts`: format -> path."""

    report_id: str
    week_start: date
    made_at: datetime
    artifacts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UntoldReport:
    """One report that nobody was told of yet. `highlights`: plain text; `picture`: PNG."""

    report_id: str
    week_start: date
    title: str
    highlights: str
    picture: bytes | None


class InsightStore:
    """Rows of schema insights. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def digest_before(self, week_end: date) -> dict[str, Any] | None:
        """The newest digest of a week that ended before; None: there is none.

        Raises: RemoteUnavailableError.
        """
        rows = self._rows("digest_before", {"week_end": week_end})
        return rows[0]["document"] if rows else None

    def keep(
        self,
        report: WeeklyReport,
        *,
        highlights: str,
        artifacts: Mapping[str, str],
        to_tell: bool,
        run_id: str | None,
    ) -> None:
        """Keep a report with its digest, predictions and grades, in one transaction.

        The same report again changes only when it was made and where its files lie.
        Raises: RemoteUnavailableError.
        """
        digest = report.digest
        values = {
            "report_id": report.report_id,
            "digest_sha256": digest.sha256,
            "week_start": digest.week_start,
            "weeks": digest.weeks,
            "made_at": report.made_at,
            "written_by": report.written_by,
            "why_no_model": report.why_no_model,
            "highlights": highlights,
            "claims": _json(report.claims),
            "refused": _json(report.refused),
            "artifacts": _json(artifacts),
            "to_tell": to_tell,
            "run_id": run_id,
        }
        with clear_errors(), self._database.connection() as connection:
            _keep_digest(connection, digest)
            connection.execute(load_sql("insights/keep_report"), values)
            _keep_predictions(connection, report)

    def predictions_of(self, week_start: date) -> list[Made]:
        """What the newest reports said of a week before it began.

        Raises: RemoteUnavailableError.
        """
        rows = self._rows("predictions_of_week", {"week_start": week_start})
        return [
            Made(
                report_id=row["report_id"],
                prediction=Prediction(
                    fact_id=row["fact_id"],
                    direction=Direction(row["direction"]),
                    written_by=row["written_by"],
                ),
                value_then=row["value_then"],
            )
            for row in rows
        ]

    def find(self, cache_key: str) -> Mapping[str, Any] | None:
        """The answer to a question that was asked before. Raises: RemoteUnavailableError."""
        rows = self._rows("find_answer", {"cache_key": cache_key})
        return rows[0]["response"] if rows else None

    def store(self, call: StoredCall) -> None:
        """Keep one request and what came of it. Raises: RemoteUnavailableError."""
        values = {
            **{name: getattr(call, name) for name in call.__dataclass_fields__},
            "request": _json(call.request),
            "response": None if call.response is None else _json(call.response),
        }
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql("insights/keep_call"), values)

    def reports(self, *, limit: int = 20) -> list[dict[str, Any]]:
        """The newest reports. Raises: RemoteUnavailableError."""
        return self._rows("list_reports", {"limit": limit})

    def kept_reports(self) -> list[KeptReport]:
        """Reports whose files were not cleaned, newest first. Raises: RemoteUnavailableError."""
        return [KeptReport(**row) for row in self._rows("stored_files", {})]

    def forget_files(self, report_ids: Iterable[str]) -> None:
        """Note that the files of these reports lie nowhere any more."""
        self._write("forget_files", {"report_ids": sorted(report_ids)})

    def untold(self) -> list[dict[str, Any]]:
        """Reports for others that nobody was told of, the newest of each week."""
        return self._rows("untold_reports", {})

    def mark_told(self, report_ids: Sequence[str], now: datetime) -> None:
        """These reports, and older ones of their weeks, need not be told any more."""
        self._write("mark_told", {"report_ids": list(report_ids), "now": now})

    def _rows(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        with clear_errors():
            return read_rows(self._database, f"insights/{statement}", values)

    def _write(self, statement: str, values: Mapping[str, Any]) -> None:
        with clear_errors(), self._database.connection() as connection:
            connection.execute(load_sql(f"insights/{statement}"), values)


class ReportOutlet:
    """Reports on their way to issues and messages, with their pictures out of the lake."""

    def __init__(self, store: InsightStore, open_lake: Callable[[], Lake]) -> None:
        self._store = store
        self._open_lake = open_lake

    def has_untold(self) -> bool:
        """Whether a report waits to be told. Raises: RemoteUnavailableError."""
        return bool(self._store.untold())

    def untold_reports(self) -> list[UntoldReport]:
        """Reports that nobody was told of yet. A picture that is gone is left out.

        Raises: RemoteUnavailableError.
        """
        return [
            UntoldReport(
                report_id=row["report_id"],
                week_start=row["week_start"],
                title=row["highlights"].partition("\n")[0],
                highlights=row["highlights"],
                picture=self._picture(row["artifacts"].get("png")),
            )
            for row in self._store.untold()
        ]

    def mark_told(self, report_ids: Sequence[str], now: datetime) -> None:
        """They are in the outbox now. Raises: RemoteUnavailableError."""
        self._store.mark_told(report_ids, now)

    def _picture(self, path: str | None) -> bytes | None:
        """None where it cannot be read, whatever keeps it: the words are told without it."""
        try:
            return self._open_lake().find_artifact(path) if path else None
        except Exception:  # noqa: BLE001  object stores raise errors of their own
            return None


def _keep_digest(connection: Connection, digest: Digest) -> None:
    values = {
        "digest_sha256": digest.sha256,
        "week_start": digest.week_start,
        "week_end": digest.week_end,
        "weeks": digest.weeks,
        "made_at": digest.made_at,
        "document": digest.to_json().decode(),
    }
    connection.execute(load_sql("insights/keep_digest"), values)


def _keep_predictions(connection: Connection, report: WeeklyReport) -> None:
    for prediction in report.predictions:
        fact = report.digest.by_id.get(prediction.fact_id)
        values = {
            "report_id": report.report_id,
            "week_start": report.digest.week_end,
            **asdict(prediction),
            "direction": str(prediction.direction),
            "value_then": fact.value if fact else None,
        }
        connection.execute(load_sql("insights/keep_prediction"), values)
    for graded in report.graded:
        values = {
            "report_id": graded.report_id,
            "fact_id": graded.prediction.fact_id,
            "written_by": graded.prediction.written_by,
            "value_now": graded.value_now,
            "came": str(graded.came),
            "grade": graded.grade,
            "now": report.made_at,
        }
        connection.execute(load_sql("insights/grade_prediction"), values)


def _json(told: Any) -> str:
    return orjson.dumps(plain(told)).decode() if not isinstance(told, str) else json.dumps(told)
