"""Statements about a month over time: its close, what changed since, what reached us meanwhile.

No rule lives here. What an audit leaves is written inside the transaction that publishes it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.months.changes import content_of
from growth_pipeline.audit.months.closing import (
    Close,
    LineKey,
    LineState,
    Past,
    Reason,
    Restatement,
)
from growth_pipeline.audit.months.judged import NOT_JUDGED
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline.storage.postgres import Connection, Database, raw_json
from growth_pipeline.storage.rows import Row, read_rows, rows_of
from growth_pipeline.storage.sql import load_sql

_AT_ONCE: Final = 5_000


class HistoryStore:
    """Closed months and their restatements in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close_of(self, scope: Scope, period: ZonedMonth) -> Close | None:
        """How a month was frozen; None while it is not closed."""
        found = self._rows("close_of_month", month_key(scope, period))
        if not found:
            return None
        (row,) = found
        return Close(**{**row, "audit_id": str(row["audit_id"])})

    def restatements(self, scope: Scope, period: ZonedMonth) -> list[Restatement]:
        """What changed since the month was closed, the oldest first."""
        rows = self._rows("restatements_of_month", month_key(scope, period))
        return [
            Restatement(
                key=LineKey(*(row[name] for name in LineKey._fields)),
                before=LineState.from_dict(row["before"]),
                after=LineState.from_dict(row["after"]),
                reason=Reason(row["reason"]),
                evidence=tuple(row["evidence"]),
                first_seen_at=row["first_seen_at"],
            )
            for row in rows
        ]

    def news_of_charges(
        self, scope: Scope, since: Mapping[str, datetime]
    ) -> dict[str, dict[str, Any]]:
        """What reached the database about charges and other parts of payments since an instant.

        Shapes: by id: events, late_events (made before that instant), fetched.
        """
        news = {}
        for some in _parts(sorted(since)):
            asked = {"charges": some, "since": [since[one] for one in some]}
            for row in self._rows("news_of_charges", {**scope._asdict(), **asked}):
                news[row["charge"]] = {
                    "events": tuple(row["events"]),
                    "late_events": tuple(row["late_events"]),
                    "fetched": row["fetched"],
                }
        return news

    def news_of_rows(self, since: Mapping[int, datetime]) -> dict[int, dict[str, Any]]:
        """Who wrote booked rows last, and which repairs changed them since an instant of each.

        Shapes: by payment id: written_by (None: the row is gone), is_rewritten, repairs.
        """
        news = {}
        for some in _parts(sorted(since)):
            asked = {"payment_ids": some, "since": [since[one] for one in some]}
            for row in self._rows("news_of_rows", asked):
                news[row["payment_id"]] = {
                    "written_by": row["written_by"],
                    "is_rewritten": row["is_rewritten"],
                    "repairs": tuple(row["repairs"]),
                }
        return news

    def booked_between(self, scope: Scope, since: datetime, until: datetime) -> list[Row]:
        """Sums of the books' settled rows created in `[since, until)`, by currency."""
        parameters = {**scope._asdict(), "since": since, "until": until}
        return self._rows("booked_between", parameters)

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return read_rows(self._database, f"audit/{statement}", parameters)


def month_key(scope: Scope, period: ZonedMonth) -> dict[str, Any]:
    """The first columns of every key of a month."""
    return {**scope._asdict(), "month": period.month.first_day, "tz": period.tz}


def write_findings(
    connection: Connection,
    findings: Sequence[Finding],
    seen: Mapping[str, Any],
    unjudged: Collection[str] = (),
) -> int:
    """Write the findings that say something new, close those that are gone; how many closed.

    Those of a class in `unjudged` stay open: nobody looked whether they are gone.
    `seen`: the month's key, audit_id, seen_at. A finding that is as it was is not written again.
    """
    rows = rows_of(connection, "audit/open_findings", seen)
    known = {row["fingerprint"]: row["content"] for row in rows}
    contents = {one.fingerprint: _written(one) for one in findings}
    fresh = [one for one in findings if known.get(one.fingerprint) != contents[one.fingerprint]]
    for some in _parts(fresh):
        values = [_finding_row(one, contents[one.fingerprint]) for one in some]
        connection.execute(
            load_sql("audit/upsert_findings"), {**seen, "findings": raw_json(dump(values))}
        )
    judged = {row["fingerprint"] for row in rows if row["code"] not in unjudged}
    gone = sorted(judged - contents.keys())
    return connection.execute(load_sql("audit/close_findings"), {**seen, "gone": gone}).rowcount


def write_past(connection: Connection, past: Past, key: Mapping[str, Any], audit_id: UUID) -> None:
    """Store a new close, or the new entries of the log, if nobody else added any meanwhile."""
    close = past.close
    if close is None:
        return
    if past.is_new:
        connection.execute(
            load_sql("audit/insert_close"),
            {**key, **close.__dict__, "totals": raw_json(dump(close.totals))},
        )
    for some in _parts(past.fresh):
        connection.execute(
            load_sql("audit/insert_restatements"),
            {
                **key,
                "audit_id": audit_id,
                "known": len(past.log),
                "file_sha256": close.file_sha256,
                "entries": raw_json(dump([entry.to_dict() for entry in some])),
            },
        )


def dump(value: Any) -> str:
    """JSON for Postgres, which refuses the zero character that Stripe's texts may hold."""
    return json.dumps(value, default=str).replace("\\u0000", "\\ufffd")


def _written(finding: Finding) -> str:
    """Name of what the table would hold of a finding."""
    suppressed = finding.suppression
    mark = str(finding.evidence.get(NOT_JUDGED, ""))
    return content_of(finding) + mark + ("" if suppressed is None else f" {dump(dict(suppressed))}")


def _finding_row(finding: Finding, content: str) -> Row:
    """The finding as the table has it; the impact in every currency lies in the evidence."""
    row = finding.to_dict()
    impacts = row.pop("impacts_minor")
    evidence = {**row["evidence"], "impacts_minor": impacts}
    return {**row, "evidence": evidence, "content": content}


def _parts(rows: Sequence[Any]) -> list[list[Any]]:
    return [list(rows[at : at + _AT_ONCE]) for at in range(0, len(rows), _AT_ONCE)]
