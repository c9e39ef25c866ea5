"""Statements of the audit slice: the books as they stand, the ledger behind them, audits, findings.

No rule lives here. The only writes are audits and their findings; the books are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import polars as pl
import psycopg
from psycopg.types.json import Jsonb

from growth_pipeline.audit.application_store import ApplicationStore
from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.audit_rows import audit_of, audit_row, finding_of
from growth_pipeline.audit.decision_store import DecisionStore
from growth_pipeline.audit.findings import Finding, sort_findings
from growth_pipeline.audit.ledger_store import LedgerStore
from growth_pipeline.audit.months.changes import Previous
from growth_pipeline.audit.months.closing import Past
from growth_pipeline.audit.months.history_store import (
    HistoryStore,
    month_key,
    write_findings,
    write_past,
)
from growth_pipeline.audit.payments.books import BookedPayments, spool_books
from growth_pipeline.core.errors import RemoteUnavailableError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import UTC_NAME, Month, ZonedMonth
from growth_pipeline.storage.engine import Spool, SpoolFile
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    copy_batches,
    copy_out,
    lock_partition,
)
from growth_pipeline.storage.rows import reading, rows_of
from growth_pipeline.storage.sql import load_sql

_IDS_AT_ONCE = 10_000


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

    def booked_payments(
        self, scope: Scope, *, start: datetime, end: datetime, spool: Spool
    ) -> BookedPayments:
        """Booked rows created in `[start, end)`, and rows of other months that repeat one of them.

        Grain: one row of billing.payments of the scope. Both are read in one transaction, into
        files of the spool.
        """
        parameters = {**scope._asdict(), "start": start, "end": end}
        with self._reading() as connection:
            frames = (
                copy_batches(connection, load_sql(f"audit/{name}"), parameters)
                for name in ("booked_payments", "repeated_elsewhere")
            )
            return spool_books(chain.from_iterable(frames), spool)

    def payments_of_ids(
        self,
        *,
        charges: Iterable[str] = (),
        payment_intents: Iterable[str] = (),
        invoice_payments: Iterable[str] = (),
        invoices: Iterable[str] = (),
    ) -> pl.DataFrame:
        """Booked rows that are matched by one of the ids, in whatever scope and month.

        Grain: one row of billing.payments, with its account and mode.
        """
        given = {
            "charges": charges,
            "payment_intents": payment_intents,
            "invoice_payments": invoice_payments,
            "invoices": invoices,
        }
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

    def spooled(self, statement: str, parameters: Mapping[str, Any], spool: Spool) -> SpoolFile:
        """Result of a statement of sql/audit/ as a file of the spool, a batch at a time."""
        with self._reading() as connection:
            frames = copy_batches(connection, load_sql(f"audit/{statement}"), parameters)
            return spool.write(statement, frames)

    def is_mirrored(self, scope: Scope) -> bool:
        """Whether the mirror holds anything of an account and mode."""
        return bool(self._rows("mirror_is_used", scope._asdict())[0]["is_used"])

    def itemised_payouts(self, scope: Scope, month: Month) -> set[str]:
        """Payouts whose lines added up in the month's newest audit; they do not change any more."""
        rows = self._rows("itemised_payouts", _key(scope, month))
        return {row["payout_id"] for row in rows}

    def tried_payouts(self, scope: Scope, month: Month) -> dict[str, int]:
        """Payouts with more lines than the month's newest audit read, with the pages it tried."""
        rows = self._rows("tried_payouts", _key(scope, month))
        return {row["payout_id"]: row["pages"] for row in rows}

    def balance_totals(
        self, scope: Scope, *, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """Sums of the mirror's balance transactions created in `[start, end)`, by currency."""
        return self._rows(
            "balance_totals_of_mirror", {**scope._asdict(), "start": start, "end": end}
        )

    def payout_totals(
        self, scope: Scope, *, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """Sums of the mirror's payouts created in `[start, end)`, by currency."""
        return self._rows(
            "payout_totals_of_mirror", {**scope._asdict(), "start": start, "end": end}
        )

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

    @property
    def application(self) -> ApplicationStore:
        """What the mirror has of subscriptions and customers, and what the application tells."""
        return ApplicationStore(self._database)

    @property
    def ledger(self) -> LedgerStore:
        """Answers about how objects reached the database."""
        return LedgerStore(self._database)

    @property
    def decisions(self) -> DecisionStore:
        """Suppressions and owners of findings."""
        return DecisionStore(self._database)

    # --- audits and findings ----------------------------------------------------------------

    def publish(self, audit: Audit) -> Published:
        """Store an audit and its findings in one transaction; findings that are gone close.

        Idempotent: the same audit again changes nothing. Two audits of one month take turns. An
        audit of an earlier as-of instant, or of the same that finished before, is kept, but leaves
        the findings alone. Findings of classes that the audit did not judge stay open.
        """
        key = month_key(audit.scope, ZonedMonth(audit.month, audit.tz))
        with self._writing() as connection:
            lock_partition(connection, "audit", *_lock(audit.scope), audit.month.key)
            connection.execute(load_sql("audit/insert_audit"), audit_row(audit))
            seen = {**key, "audit_id": audit.audit_id, "seen_at": audit.finished_at}
            newer = connection.execute(
                load_sql("audit/newer_audit"),
                {**seen, "as_of": audit.as_of, "finished_at": audit.finished_at},
            ).fetchone()
            if newer is not None:
                return Published(is_newest=False, open_findings=0, closed_findings=0)
            closed = write_findings(connection, audit.findings, seen, audit.unjudged)
            write_past(connection, audit.past, key, audit.audit_id)
        return Published(True, open_findings=len(audit.findings), closed_findings=closed)

    def record_artifacts(self, audit: Audit, artifacts: Mapping[str, str]) -> None:
        """Note where an audit's reports lie: face -> path in the lake."""
        with self._writing() as connection:
            connection.execute(
                load_sql("audit/record_artifacts"),
                {"audit_id": audit.audit_id, "artifacts": Jsonb(dict(artifacts))},
            )

    def latest(self, scope: Scope, month: Month, *, tz: str = UTC_NAME) -> Audit | None:
        """The audit of a zone's month that knows most, with its findings; None if none is there.

        It has the latest as-of instant; of several of one instant, it finished last.

        Close and log are those of now: a later audit may have added to them.
        """
        period = ZonedMonth(month, tz)
        found = self._rows("latest_audit", month_key(scope, period))
        if not found:
            return None
        past = Past(
            close=self.history.close_of(scope, period),
            log=tuple(self.history.restatements(scope, period)),
        )
        findings = self.findings(scope, month, tz=tz)
        return audit_of(found[0], scope=scope, period=period, findings=findings, past=past)

    def previous(self, scope: Scope, month: Month, *, tz: str = UTC_NAME) -> Previous | None:
        """What the newest audit of a month leaves to the next one; None before the first."""
        latest = self.latest(scope, month, tz=tz)
        if latest is None:
            return None
        return Previous(
            audit_id=str(latest.audit_id),
            definition=latest.definition,
            as_of=latest.as_of,
            started_at=latest.started_at,
            findings=latest.findings,
            sources=latest.sources,
            verdict=str(latest.verdict),
        )

    def findings(
        self, scope: Scope, month: Month, *, tz: str = UTC_NAME, with_closed: bool = False
    ) -> list[Finding]:
        """Open findings of a month, the worst first; with those that closed themselves if asked."""
        key = month_key(scope, ZonedMonth(month, tz))
        rows = self._rows("findings_of_month", {**key, "with_closed": with_closed})
        return sort_findings(map(finding_of, rows))

    @property
    def history(self) -> HistoryStore:
        """Closed months, what changed since, and what reached the database meanwhile."""
        return HistoryStore(self._database)

    # --- inside -----------------------------------------------------------------------------

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._reading() as connection:
            return rows_of(connection, f"audit/{statement}", parameters)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._translated(), reading(self._database) as connection:
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
