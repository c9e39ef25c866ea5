"""The outbox and what belongs to it: problems, claims, calls, outcomes. No rule is in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from growth_pipeline.alerts.decide import Alert, Problem
from growth_pipeline.alerts.deliver import CLAIM_LEASE, Channel, Pause, WaitingAlert
from growth_pipeline.alerts.limits import Call, reach, wait_before
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.limits import Rates
from growth_pipeline.storage.postgres import lock_partition
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.postgres import Connection, Database

Decide = Callable[[Mapping[str, Problem]], Sequence[Alert]]

DAILY_AUDIT = "daily_audit"


class OutboxRow(NamedTuple):
    """One alert to one channel, as `growth alerts list` shows it."""

    alert_id: int
    channel: str
    state: str
    level: str
    title: str
    created_at: datetime
    due_at: datetime | None
    attempts: int
    last_error: str | None


class ChannelState(NamedTuple):
    """One channel that refused something since it last took anything."""

    channel: str
    blocked_until: datetime | None
    failures: int
    reason: str | None


class AlertStore:
    """Rows of schema alerts. Grain of the outbox: one alert to one channel."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        fingerprints: Sequence[str],
        decide: Decide,
        *,
        channels: Sequence[Channel],
        now: datetime,
    ) -> int:
        """Decide with what is known of these problems, and write intents and problems.

        One decision at a time: two runs that end together say the same thing once. An alert goes to
        the channels of its audience. Returns how many rows are new; the same again adds none.
        """
        with self._database.connection() as connection:
            lock_partition(connection, "alerts", "outbox")
            found = connection.execute(
                load_sql("alerts/known_problems"), {"fingerprints": list(fingerprints)}
            ).fetchall()
            known = {row[0]: Problem(*row) for row in found}
            return sum(_insert(connection, alert, channels, now) for alert in decide(known))

    def open_problems(self) -> list[Problem]:
        """Problems that last, the oldest first."""
        return [Problem(*row) for row in self._rows("alerts/open_problems", {})]

    def expire_claims(self, *, before: datetime) -> int:
        """Claims made before an instant and never settled become `unknown`; how many."""
        with self._database.connection() as connection:
            return connection.execute(load_sql("alerts/expire_claims"), {"before": before}).rowcount

    def claim(
        self, channel: Channel, *, now: datetime, without: Sequence[int] = ()
    ) -> list[WaitingAlert]:
        """Oldest waiting alerts of a channel, now `sending` and committed.

        A channel with threads gets the alerts of one problem, and none of a problem whose last call
        has an unknown outcome. One that cannot be read back gets those again after a while.
        """
        values = {
            "channel": channel.name,
            "limit": channel.batch,
            "threads": channel.threads,
            "now": now,
            "without": list(without),
            "repeat_before": None if channel.readable else now - CLAIM_LEASE,
        }
        return self._waiting("alerts/claim_alerts", values)

    def unknown(self, channel: str, *, claimed_by: datetime | None = None) -> list[WaitingAlert]:
        """Alerts of a channel that may have arrived, oldest first; those claimed by an instant."""
        values = {"channel": channel, "claimed_by": claimed_by}
        return self._waiting("alerts/unknown_alerts", values)

    def begin_call(self, channel: Channel, *, now: datetime) -> int | timedelta:
        """Number of a call that may begin now, with its requests reserved, or how long to wait."""
        with self._database.connection() as connection:
            lock_partition(connection, "alerts", "calls", channel.name)
            _forget_calls(connection, channel.name, channel.rates, now)
            rows = connection.execute(
                load_sql("alerts/calls_of_channel"), {"channel": channel.name}
            ).fetchall()
            calls = [Call(*row) for row in rows]
            wait = wait_before(calls, channel.rates, channel.requests, now)
            if wait is not None:
                return wait
            values = {"channel": channel.name, "requests": channel.requests, "now": now}
            row = connection.execute(load_sql("alerts/insert_call"), values).fetchone()
            if row is None:
                raise AssertionError("an insert that returns its key has a row")
            return int(row[0])

    def end_call(self, call_id: int, requests: int, *, now: datetime) -> None:
        """The call is over and took so many requests; the channel is free for the next."""
        self._execute("alerts/end_call", {"call_id": call_id, "requests": requests, "now": now})

    def blocked_until(self, channel: str) -> datetime | None:
        """Before when nothing is sent to a channel; None: it is not blocked."""
        rows = self._rows("alerts/blocked_until", {"channel": channel})
        return rows[0][0] if rows else None

    def block(self, channel: str, error: GrowthError, pause: Pause, *, now: datetime) -> None:
        """Leave a channel alone for what `pause` makes of its refusals in a row, this included."""
        with self._database.connection() as connection:
            lock_partition(connection, "alerts", "channels", channel)
            found = connection.execute(
                load_sql("alerts/failures_of_channel"), {"channel": channel}
            ).fetchone()
            failures = (found[0] if found else 0) + 1
            values = {
                "channel": channel,
                "failures": failures,
                "blocked_until": now + pause(failures),
                "reason": error.message,
            }
            connection.execute(load_sql("alerts/block_channel"), values)

    def unblock(self, channel: str) -> None:
        """The channel takes alerts again."""
        self._execute("alerts/unblock_channel", {"channel": channel})

    def mark_sent(self, ids: Sequence[int], external_id: str | None, *, now: datetime) -> None:
        """The channel took them."""
        self._finish(ids, "sent", external_id=external_id, sent_at=now)

    def mark_waiting(
        self, ids: Sequence[int], error: str, *, due_at: datetime | None = None
    ) -> None:
        """They were certainly not sent and wait for the next delivery, or until an instant."""
        self._finish(ids, "pending", error=error, due_at=due_at)

    def mark_unknown(self, ids: Sequence[int], error: str) -> None:
        """They may have been sent."""
        self._finish(ids, "unknown", error=error)

    def channels_with_work(self, *, now: datetime) -> set[str]:
        """Channels that have something due and are not blocked."""
        values = {"now": now, "lost_before": now - CLAIM_LEASE}
        return {str(row[0]) for row in self._rows("alerts/channels_with_work", values)}

    def unsent(self, limit: int) -> list[OutboxRow]:
        """Alerts that are not known to have arrived, the oldest first."""
        return [OutboxRow(*row) for row in self._rows("alerts/unsent_alerts", {"limit": limit})]

    def channels(self) -> list[ChannelState]:
        """Channels that refuse: until when they are left alone, how often they did, and why."""
        return [ChannelState(*row) for row in self._rows("alerts/list_channels", {})]

    def states_of(self, alert_key: str) -> dict[str, tuple[str, str | None]]:
        """Channel -> state of one alert, and why it is not sent."""
        rows = self._rows("alerts/states_of_alert", {"alert_key": alert_key})
        return {str(channel): (str(state), error) for channel, state, error in rows}

    def watched_since(self, name: str, *, now: datetime) -> datetime:
        """Since when a regular event is watched; the first question begins it."""
        with self._database.connection() as connection:
            values = {"name": name, "now": now}
            connection.execute(load_sql("alerts/begin_watch"), values)
            row = connection.execute(load_sql("alerts/watched_since"), {"name": name}).fetchone()
        if row is None:
            raise AssertionError("a watch that began has a row")
        since: datetime = row[0]
        return since

    def audited_at(self, months: Sequence[datetime]) -> datetime | None:
        """When an audit of one of these months, given by their first days, last finished."""
        values = {"months": [month.date() for month in months]}
        found: datetime | None = self._rows("alerts/last_audit", values)[0][0]
        return found

    def _waiting(self, statement: str, values: Mapping[str, object]) -> list[WaitingAlert]:
        return [WaitingAlert(*row) for row in self._rows(statement, values)]

    def _rows(self, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self._database.connection() as connection:
            return connection.execute(load_sql(statement), values).fetchall()

    def _execute(self, statement: str, values: Mapping[str, object]) -> None:
        with self._database.connection() as connection:
            connection.execute(load_sql(statement), values)

    def _finish(
        self,
        ids: Sequence[int],
        state: str,
        *,
        error: str | None = None,
        external_id: str | None = None,
        sent_at: datetime | None = None,
        due_at: datetime | None = None,
    ) -> None:
        values = {
            "ids": list(ids),
            "state": state,
            "error": error,
            "external_id": external_id,
            "sent_at": sent_at,
            "due_at": due_at,
        }
        self._execute("alerts/finish_alerts", values)


def _forget_calls(connection: Connection, channel: str, rates: Rates, now: datetime) -> None:
    values = {"channel": channel, "before": now - reach(rates)}
    connection.execute(load_sql("alerts/forget_calls"), values)


_PROBLEM_STATEMENTS: Mapping[str, str] = {
    "failed_check": "alerts/open_problem",
    "run_failure": "alerts/open_problem",
    "missed_audit": "alerts/open_problem",
    "recovery": "alerts/close_problem",
    "escalation": "alerts/escalate_problem",
}


def _insert(
    connection: Connection, alert: Alert, channels: Sequence[Channel], now: datetime
) -> int:
    told = [one for one in channels if alert.audience in one.audiences]
    values = {
        "alert_key": alert.key,
        "kind": alert.kind,
        "level": alert.level,
        "fingerprint": alert.fingerprint,
        "title": alert.title,
        "body": alert.body,
        "channels": [one.name for one in told],
        "picture": alert.picture,
        "pictured": [one.name for one in told if alert.picture and one.pictures],
        "now": now,
    }
    added = connection.execute(load_sql("alerts/insert_alert"), values).rowcount
    statement = _PROBLEM_STATEMENTS.get(alert.kind)
    if statement is not None:
        connection.execute(load_sql(statement), values)
    return added
