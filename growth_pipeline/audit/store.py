"""Statements of the audit slice: the books as they stand, the ledger behind them, audits, findings.

No rule lives here. The only writes are audits and their findings; the books are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.findings import Finding, Verdict, sort_findings
from growth_pipeline.audit.totals import CurrencyTotals
from growth_pipeline.core.errors import RemoteUnavailableError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState
from growth_pipeline.storage.postgres import Connection, Database, copy_out, lock_partition
from growth_pipeline.storage.sql import load_sql

_IDS_AT_ONCE = 10_000
_FINDINGS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Published:
    """What became of an audit. `is_newest` is False when a later one was there already."""

    is_newest: bool
    open_findings: int
    closed_findings: int


class AuditStore:
    """Books, event ledger, audits and findings in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- the books and the ledger, read only ------------------------------------------------

    def booked_payments(self, scope: Scope, *, start: datetime, end: datetime) -> pl.DataFrame:
        """Booked rows created in `[start, end)`, and rows of other months that repeat one of them.

        Grain: one row of billing.payments of the scope. Both are read in one transaction.
        """
        parameters = {**scope._asdict(), "start": start, "end": end}
        with self._reading() as connection:
            frames = [
                copy_out(connection, load_sql(f"audit/{name}"), parameters)
                for name in ("booked_payments", "repeated_elsewhere")
            ]
        return pl.concat(frames, rechunk=False)

    def payments_of_ids(
        self,
        *,
        charges: Iterable[str] = (),
        payment_intents: Iterable[str] = (),
        invoices: Iterable[str] = (),
    ) -> pl.DataFrame:
        """Booked rows that are matched by one of the ids, in whatever scope and month.

        Grain: one row of billing.payments, with its account and mode.
        """
        given = {"charges": charges, "payment_intents": payment_intents, "invoices": invoices}
        names = list(given)
        columns = {name: sorted(set(ids)) for name, ids in given.items()}
        longest = max(len(ids) for ids in columns.values())
        statement = load_sql("audit/payments_of_ids")
        with self._reading() as connection:
            frames = [
                copy_out(
                    connection,
                    statement,
                    {name: columns[name][at : at + _IDS_AT_ONCE] for name in names},
                )
                for at in range(0, max(longest, 1), _IDS_AT_ONCE)
            ]
        return pl.concat(frames).unique("payment_id", maintain_order=True)

    def mirrored(self, objects: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """Mirrored objects of these (object, id) pairs, in whatever scope."""
        return [row for part in _parts(objects) for row in self._rows("mirrored_objects", part)]

    def mirrored_parts(self, scope: Scope, charges: Iterable[str]) -> list[dict[str, Any]]:
        """Refunds and disputes that the mirror knows of these charges: object, id, charge."""
        return self._rows("mirrored_parts", {**scope._asdict(), "charges": list(charges)})

    def invoice_intents(self, scope: Scope, invoices: Iterable[str]) -> dict[str, str]:
        """The one payment intent that paid each invoice, where the mirror knows it."""
        parameters = {**scope._asdict(), "invoices": list(invoices)}
        rows = self._rows("mirrored_invoice_intents", parameters)
        return {row["invoice"]: row["payment_intent"] for row in rows}

    def events_of(self, scope: Scope, objects: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """The newest events, five at most, of each of these (object, id) pairs.

        Shapes: object, id, event_id, type, state, reason, created_at (ISO text).
        """
        rows = [
            row
            for part in _parts(objects)
            for row in self._rows("events_of_objects", {**scope._asdict(), **part})
        ]
        return [{**row, "created_at": row["created_at"].isoformat()} for row in rows]

    # --- audits and findings ----------------------------------------------------------------

    def publish(self, audit: Audit) -> Published:
        """Store an audit and its findings in one transaction; findings that are gone close.

        Idempotent: the same audit again changes nothing. Two audits of one month take turns. An
        audit that finished before the stored one is kept, but leaves the findings alone.
        """
        key = _key(audit.scope, audit.month)
        with self._writing() as connection:
            lock_partition(connection, "audit", *_lock(audit.scope), audit.month.key)
            connection.execute(load_sql("audit/insert_audit"), _audit_row(audit))
            seen = {**key, "audit_id": audit.audit_id, "seen_at": audit.finished_at}
            newer = connection.execute(
                load_sql("audit/newer_audit"), {**seen, "finished_at": audit.finished_at}
            ).fetchone()
            if newer is not None:
                return Published(is_newest=False, open_findings=0, closed_findings=0)
            for rows in _batches([_finding_row(one) for one in audit.findings], _FINDINGS_AT_ONCE):
                connection.execute(
                    load_sql("audit/upsert_findings"),
                    {**seen, "findings": Jsonb(rows, dumps=_dump)},
                )
            closed = connection.execute(load_sql("audit/close_findings"), seen).rowcount
        return Published(True, open_findings=len(audit.findings), closed_findings=closed)

    def record_artifacts(self, audit: Audit, artifacts: Mapping[str, str]) -> None:
        """Note where an audit's reports lie: face -> path in the lake."""
        with self._writing() as connection:
            connection.execute(
                load_sql("audit/record_artifacts"),
                {"audit_id": audit.audit_id, "artifacts": Jsonb(dict(artifacts))},
            )

    def latest(self, scope: Scope, month: Month) -> Audit | None:
        """The audit of a month that finished last, with its findings; None if there is none."""
        found = self._rows("latest_audit", _key(scope, month))
        if not found:
            return None
        row = found[0]
        books = row["sources"][-1]
        return Audit(
            scope=scope,
            month=month,
            state=PeriodState(row["state"]),
            as_of=row["as_of"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            grace=timedelta(minutes=books["grace_minutes"]),
            verdict=Verdict(row["verdict"]),
            findings=tuple(self.findings(scope, month)),
            totals={
                currency: CurrencyTotals.from_dict(stored)
                for currency, stored in sorted(row["totals"].items())
            },
            sources=tuple(row["sources"]),
            run_id=row["run_id"],
            definition=row["definition"],
            artifacts=row["artifacts"],
            sections=tuple(row["sections"]),
        )

    def findings(self, scope: Scope, month: Month, *, with_closed: bool = False) -> list[Finding]:
        """Open findings of a month, the worst first; with those that closed themselves if asked."""
        parameters = {**_key(scope, month), "with_closed": with_closed}
        return sort_findings(_finding(row) for row in self._rows("findings_of_month", parameters))

    # --- inside -----------------------------------------------------------------------------

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._reading() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(load_sql(f"audit/{statement}"), parameters).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._translated(), self._database.connection() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise RemoteUnavailableError(
                "the database has not got the tables of this version yet",
                remedy="run growth migrate",
            ) from error


def _key(scope: Scope, month: Month) -> dict[str, Any]:
    return {**scope._asdict(), "month": month.first_day}


def _lock(scope: Scope) -> tuple[str, str]:
    return scope.account_id, scope.mode


def _parts(objects: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for some in _batches(sorted(set(objects)), _IDS_AT_ONCE):
        yield {"objects": [kind for kind, _ in some], "ids": [one for _, one in some]}


def _batches(rows: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(rows), size):
        yield list(rows[at : at + size])


def _dump(value: Any) -> str:
    """JSON for Postgres, which refuses the zero character that Stripe's texts may hold."""
    return json.dumps(value, default=str).replace("\\u0000", "\\ufffd")


def _audit_row(audit: Audit) -> dict[str, Any]:
    return {
        **_key(audit.scope, audit.month),
        "audit_id": audit.audit_id,
        "definition": audit.definition,
        "state": str(audit.state),
        "as_of": audit.as_of,
        "started_at": audit.started_at,
        "finished_at": audit.finished_at,
        "verdict": str(audit.verdict),
        "counts": Jsonb(audit.counts),
        "totals": Jsonb({currency: one.to_dict() for currency, one in audit.totals.items()}),
        "sources": Jsonb(list(audit.sources), dumps=_dump),
        "artifacts": Jsonb(dict(audit.artifacts)),
        "sections": Jsonb(list(audit.sections), dumps=_dump),
        "run_id": audit.run_id,
    }


def _finding_row(finding: Finding) -> dict[str, Any]:
    """The finding as the table has it; the impact in every currency lies in the evidence."""
    row = finding.to_dict()
    impacts = row.pop("impacts_minor")
    return {**row, "evidence": {**row["evidence"], "impacts_minor": impacts}}


def _finding(row: Mapping[str, Any]) -> Finding:
    evidence = dict(row["evidence"])
    impacts = evidence.pop("impacts_minor", None)
    return Finding(
        code=row["code"],
        severity=Severity(row["severity"]),
        object=row["object"],
        object_id=row["object_id"],
        currency=row["currency"],
        impacts=impacts,
        also=tuple(row["also"]),
        cause=Cause(row["cause"]),
        action=row["action"],
        command=row["command"],
        evidence=evidence,
        fingerprint=row["fingerprint"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
    )
