"""The outbox table: intents written before a call, claims, outcomes. No decision belongs here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from growth_pipeline.alerts.decide import Alert, LastAlert
from growth_pipeline.alerts.deliver import WaitingAlert
from growth_pipeline.storage.postgres import lock_partition
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.postgres import Connection, Database

Decide = Callable[[Mapping[str, LastAlert]], Sequence[Alert]]


class AlertStore:
    """Rows of alerts.outbox. Grain: one alert to one channel."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        fingerprints: Sequence[str],
        decide: Decide,
        *,
        channels: Sequence[str],
        now: datetime,
    ) -> int:
        """Decide with what was last said about these fingerprints, and write the intents.

        One decision at a time: two runs that end together say the same thing once. Returns how
        many rows are new; the same decision again adds none.
        """
        with self._database.connection() as connection:
            lock_partition(connection, "alerts", "outbox")
            found = connection.execute(
                load_sql("alerts/last_alerts"), {"fingerprints": list(fingerprints)}
            ).fetchall()
            last = {name: LastAlert(kind, title) for name, kind, title in found}
            return sum(_insert(connection, alert, channels, now) for alert in decide(last))

    def expire_claims(self, *, before: datetime) -> int:
        """Claims made before an instant and never settled become `unknown`; how many."""
        with self._database.connection() as connection:
            return connection.execute(load_sql("alerts/expire_claims"), {"before": before}).rowcount

    def claim(
        self, channel: str, limit: int, *, now: datetime, without: Sequence[int] = ()
    ) -> list[WaitingAlert]:
        """Oldest waiting alerts of a channel, now `sending` and committed."""
        values = {"channel": channel, "limit": limit, "now": now, "without": list(without)}
        return self._waiting("alerts/claim_alerts", values)

    def unknown(self, channel: str) -> list[WaitingAlert]:
        """Alerts of a channel that may have arrived, oldest first."""
        return self._waiting("alerts/unknown_alerts", {"channel": channel})

    def mark_sent(self, ids: Sequence[int], external_id: str | None, *, now: datetime) -> None:
        """The channel took them."""
        self._finish(ids, "sent", external_id=external_id, sent_at=now)

    def mark_waiting(self, ids: Sequence[int], error: str) -> None:
        """They were certainly not sent and wait for the next delivery."""
        self._finish(ids, "pending", error=error)

    def mark_unknown(self, ids: Sequence[int], error: str) -> None:
        """They may have been sent; nothing sends them again by itself."""
        self._finish(ids, "unknown", error=error)

    def _waiting(self, statement: str, values: Mapping[str, object]) -> list[WaitingAlert]:
        with self._database.connection() as connection:
            rows = connection.execute(load_sql(statement), values).fetchall()
        return [WaitingAlert(*row) for row in rows]

    def _finish(
        self,
        ids: Sequence[int],
        state: str,
        *,
        error: str | None = None,
        external_id: str | None = None,
        sent_at: datetime | None = None,
    ) -> None:
        values = {
            "ids": list(ids),
            "state": state,
            "error": error,
            "external_id": external_id,
            "sent_at": sent_at,
        }
        with self._database.connection() as connection:
            connection.execute(load_sql("alerts/finish_alerts"), values)


def _insert(connection: Connection, alert: Alert, channels: Sequence[str], now: datetime) -> int:
    values = {
        "alert_key": alert.key,
        "kind": alert.kind,
        "fingerprint": alert.fingerprint,
        "title": alert.title,
        "body": alert.body,
        "channels": list(channels),
        "created_at": now,
    }
    return connection.execute(load_sql("alerts/insert_alert"), values).rowcount
