"""Statements of sweep and re-list: how far events were read, what was lost, what differed.

No rule lives here; which span is read is decided in `sweep.py`, what differs in `relist.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from growth_pipeline.billing.fold import State
from growth_pipeline.billing.sweep import LostSpan, SweepState
from growth_pipeline.billing.tables import ObjectKey, as_arrays, load_states
from growth_pipeline.billing.watch import Unseen
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.billing.watch import Sight


class Drift(NamedTuple):
    """One object that differed from Stripe: `missing`, `changed` in these fields, or `gone`."""

    key: ObjectKey
    difference: str
    fields: tuple[str, ...] = ()


class SweepStore:
    """Cursors, outages and drift in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, scope: Scope) -> SweepState:
        """How far this account's events were read; all None before its first sweep."""
        with self._database.connection() as connection:
            row = connection.execute(load_sql("billing/load_sweep"), scope._asdict()).fetchone()
        return SweepState(*row) if row else SweepState()

    def save_page(self, scope: Scope, *, unread_to: datetime, reading_to: datetime) -> None:
        """Note that a sweep under way has stored every event in `[unread_to, reading_to)`.

        Events of the second `unread_to` itself may still be unread.
        """
        values = {**scope._asdict(), "unread_to": unread_to, "reading_to": reading_to}
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/save_sweep_page"), values)

    def finish(self, scope: Scope, swept_to: datetime, *, now: datetime) -> None:
        """Note that every event before `swept_to` is stored. It never moves back."""
        values = {**scope._asdict(), "swept_to": swept_to, "now": now}
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/finish_sweep"), values)
            connection.execute(load_sql("billing/note_told_since"), values)

    def told_since(self, scope: Scope) -> datetime | None:
        """When the oldest event of this account was created; None if none was ever received."""
        with self._database.connection() as connection:
            row = connection.execute(load_sql("billing/told_since"), scope._asdict()).fetchone()
        return row[0] if row else None

    def insert_outage(self, scope: Scope, lost: LostSpan, *, now: datetime) -> None:
        """Note that the events of a span are lost; it stays open until it was listed again."""
        values = {
            **scope._asdict(),
            "lost_from": lost.start,
            "lost_to": lost.end,
            "now": now,
        }
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/insert_outage"), values)

    def open_outages(self, scope: Scope) -> list[LostSpan]:
        """Lost spans whose objects were not all listed again, the earliest first."""
        with self._database.connection() as connection:
            rows = connection.execute(load_sql("billing/open_outages"), scope._asdict()).fetchall()
        return [LostSpan(*row) for row in rows]

    def close_outages(self, scope: Scope, lost: LostSpan, *, now: datetime) -> None:
        """Note that everything which may have changed in a span was listed again."""
        values = {
            **scope._asdict(),
            "lost_from": lost.start,
            "lost_to": lost.end,
            "now": now,
        }
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/close_outages"), values)

    def known_ids(self, scope: Scope, sight: Sight) -> set[str]:
        """Ids of what the mirror knows alive of a kind, and what may have changed unheard."""
        values = {
            **scope._asdict(),
            "object": sight.object,
            "since": sight.since,
            "until": sight.until,
            "closed": sorted(sight.closed),
        }
        with self._database.connection() as connection:
            rows = connection.execute(load_sql("billing/known_ids"), values).fetchall()
        return {row[0] for row in rows}

    def rank_unseen(
        self, scope: Scope, object_name: str, ids: Iterable[str], *, until: datetime
    ) -> list[Unseen]:
        """Those of these objects made before `until`, newest first, and how far back each lies."""
        values = {**scope._asdict(), "object": object_name, "ids": list(ids), "until": until}
        with self._database.connection() as connection:
            rows = connection.execute(load_sql("billing/rank_unseen"), values).fetchall()
        return [Unseen(*row) for row in rows]

    def load_states(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
        """States of these objects in the mirror, read beside its writers; unknown: absent."""
        with self._database.connection() as connection:
            return load_states(connection, keys)

    def insert_drift(self, drifts: Sequence[Drift], *, reason: str, found_at: datetime) -> None:
        """Note what differed; durable when it returns, and before anything is repaired."""
        if not drifts:
            return
        names = (*("account_ids", "livemodes", "objects", "ids"), "differences", "fields")
        rows = [(*drift.key, drift.difference, " ".join(drift.fields)) for drift in drifts]
        values = {**as_arrays(names, rows), "reason": reason, "found_at": found_at}
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/insert_drift"), values)

    def mark_repaired(
        self, keys: Sequence[ObjectKey], *, found_at: datetime, now: datetime
    ) -> None:
        """Note which of the differences found at an instant are gone."""
        if not keys:
            return
        names = ("account_ids", "livemodes", "objects", "ids")
        values = {**as_arrays(names, keys), "found_at": found_at, "now": now}
        with self._database.connection() as connection:
            connection.execute(load_sql("billing/mark_drift_repaired"), values)
