"""What facts are read from: published tables, the books, events; all bound to the weeks asked for.

No rule lives here. Statements: sql/insights/digest_*.sql. Contract: docs/insights.md, "The digest".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.rows import Row, read_rows


class DigestStore:
    """Rows that facts are made of. Safe to share between threads. Nothing is written.

    Every method raises RemoteUnavailableError when the database is away.
    """

    def __init__(self, database: Database, scopes: Sequence[Scope]) -> None:
        self._database = database
        self._scope = {
            "accounts": [account for account, _ in scopes],
            "livemode": all(livemode for _, livemode in scopes),
        }

    def policy(self, name: str) -> Row | None:
        """The published policy of a name: policy, tz, as_of, inputs_sha256."""
        return self._first("digest_policy", {"policy": name})

    def mrr_begins(self, policy: str) -> dict[str, date]:
        """Currency -> first day on which anything was live in it."""
        rows = self._rows("digest_mrr_begins", {"policy": policy})
        return {row["currency"]: row["first_day"] for row in rows}

    def payments(self, tz: str, start_at: datetime, end_at: datetime) -> list[Row]:
        """Grain: one local day and currency: payments, gross_minor."""
        values = {"tz": tz, "start_at": start_at, "end_at": end_at, **self._scope}
        return self._rows("digest_payments", values)

    def mrr_at(self, policy: str, days: Sequence[date]) -> dict[tuple[str, date], int | None]:
        """(currency, day) -> MRR at its end, None where unknown; nothing live: no entry."""
        rows = self._rows("digest_mrr", {"policy": policy, "days": list(days)})
        return {(row["currency"], row["day"]): row["mrr_minor"] for row in rows}

    def payments_known(self) -> tuple[datetime | None, datetime | None]:
        """When the first settled payment was made, and up to when sweeps have read Stripe."""
        row = self._first("digest_payments_begin", self._scope) or {}
        return row.get("first_at"), row.get("swept_to")

    def questions(self) -> list[Row]:
        """Grain: one published question about activity: question, name, as_of, options."""
        return self._rows("digest_questions", {})

    def active(self, first_day: date, end_day: date) -> list[Row]:
        """Grain: one metric (dau, wau, mau) and day: users, truncated."""
        return self._rows("digest_active", {"first_day": first_day, "end_day": end_day})

    def first_active_day(self) -> date | None:
        """The first day of which active users are published."""
        row = self._first("digest_first_activity", {})
        return row["first_day"] if row else None

    def lifecycle(self, first_day: date, end_day: date) -> list[Row]:
        """Grain: one closed calendar week, the newest last."""
        return self._rows("digest_lifecycle", {"first_day": first_day, "end_day": end_day})

    def funnels(self, first_day: date, end_day: date) -> list[Row]:
        """Grain: one funnel, closed week and stage, in their order."""
        return self._rows("digest_funnels", {"first_day": first_day, "end_day": end_day})

    def cohorts_known(self, entry: str) -> Row | None:
        """How far cohorts by day are published: as_of, options, first_day."""
        return self._first("digest_retention_known", {"entry": entry})

    def retention(
        self, entry: str, days: Sequence[int], first_day: date, end_day: date
    ) -> list[Row]:
        """Grain: one cohort by day and Day N: period_index, cohort_start, cohort_size, users."""
        values = {"entry": entry, "days": list(days), "first_day": first_day, "end_day": end_day}
        return self._rows("digest_retention", values)

    def signups(self, first_day: date, end_day: date) -> list[Row]:
        """Grain: one local day with sign-ups: users."""
        return self._rows("digest_signups", {"first_day": first_day, "end_day": end_day})

    def first_signup(self) -> date | None:
        """The day of the first sign-up."""
        row = self._first("digest_signups_begin", {})
        return row["first_day"] if row else None

    def events(self, tz: str, start_at: datetime, end_at: datetime, *, excludes: bool) -> list[Row]:
        """Grain: one local day and event name: events. `excludes`: leave out who does not count."""
        values = {"tz": tz, "start_at": start_at, "end_at": end_at, "excludes": excludes}
        return self._rows("digest_events", values)

    def events_known(self, start_at: datetime) -> tuple[bool, bool]:
        """Whether anything counts that happened before an instant; whether some users do not."""
        row = self._first("digest_events_begin", {"start_at": start_at}) or {}
        return bool(row.get("is_older")), bool(row.get("has_excluded"))

    def audits(self, months: Sequence[date]) -> list[Row]:
        """Grain: one account and audited month of those asked: verdict, as_of, open_findings."""
        return self._rows("digest_audits", {"months": list(months), **self._scope})

    def restated_mrr(self, policy: str, since: datetime) -> list[Row]:
        """Grain: one currency and month that became known otherwise: customers."""
        return self._rows("digest_restated", {"policy": policy, "since": since})

    def _rows(self, statement: str, values: Mapping[str, Any]) -> list[Row]:
        with clear_errors():
            return read_rows(self._database, f"insights/{statement}", values)

    def _first(self, statement: str, values: Mapping[str, Any]) -> Row | None:
        rows = self._rows(statement, values)
        return rows[0] if rows else None
