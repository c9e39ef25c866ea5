"""Statements of the billing slice: inbox and booked payments. Mirrored objects: `tables.py`.

No rule lives here; what an event means is decided in `inbox.py`, `fold.py` and `payments.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import stamina

from growth_pipeline.billing import tables
from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.payments import Payment
from growth_pipeline.billing.schema_drift import WATCHED, FillRate, StatusCount
from growth_pipeline.billing.tables import ChargePart, ObjectKey, as_arrays
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import (
    AsyncDatabase,
    Connection,
    Database,
    OutcomeUnknownError,
    clear_errors,
    copy_out,
    lock_partition,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl


_FIRST_KEY: Final = ObjectKey("", False, "", "")
_KEY_COLUMNS: Final = ("account_ids", "livemodes", "objects", "ids")
_EVENT_COLUMNS: Final = (
    *("account_ids", "livemodes", "event_ids", "types", "api_versions"),
    *("created_ats", "received_ats", "sources", "bodies"),
)
_AGAIN: Final = stamina.AsyncRetryingCaller(attempts=2, wait_initial=0.05).on(OutcomeUnknownError)


class EventKey(NamedTuple):
    """Key of one event in the inbox."""

    account_id: str
    livemode: bool
    event_id: str


class WaitingEvent(NamedTuple):
    """One event to apply: its key, when Stripe made it, and its raw body."""

    account_id: str
    livemode: bool
    event_id: str
    created_at: datetime
    body: bytes

    @property
    def key(self) -> EventKey:
        """Its key in the inbox."""
        return EventKey(self.account_id, self.livemode, self.event_id)

    @property
    def position(self) -> tuple[datetime, str]:
        """Its place in the order of claiming."""
        return self.created_at, self.event_id


class EventFate(NamedTuple):
    """What became of one event: state, reason, and the object it speaks of."""

    key: EventKey
    state: str
    reason: str | None
    object: str | None = None
    object_id: str | None = None
    effect: str | None = None


class LedgerEntry(NamedTuple):
    """One state of an object as the ledger holds it: an event's body, or what a fetch showed.

    `event_id` is None for a fetch. `body` is None for a fetch that Stripe answered with "no such
    object"; `is_gone` then, and for an object that says itself that it is deleted.
    """

    body: bytes | None
    api_version: str | None
    state_from: datetime
    state_at: datetime
    event_id: str | None
    is_gone: bool


class FetchedRow(NamedTuple):
    """One row of billing.fetched_states."""

    account_id: str
    livemode: bool
    object: str
    id: str
    fingerprint: bytes
    body: bytes | None
    api_version: str
    state_from: datetime
    state_at: datetime
    is_gone: bool

    @property
    def key(self) -> ObjectKey:
        """The object it shows."""
        return ObjectKey(*self[:4])


class Question(NamedTuple):
    """One object that Stripe must be asked about: why, and from when on the answer settles it."""

    key: ObjectKey
    reason: str
    due_at: datetime


class WaitingQuestion(NamedTuple):
    """One question that was claimed."""

    key: ObjectKey
    reason: str


class TracedEvent(NamedTuple):
    """One stored event, and what applying it did to its object's row."""

    account_id: str
    livemode: bool
    event_id: str
    type: str
    api_version: str | None
    created_at: datetime
    received_at: datetime
    source: str
    state: str
    reason: str | None
    applied_at: datetime | None
    effect: str | None
    object: str | None
    object_id: str | None

    @property
    def key(self) -> EventKey:
        """Its key in the inbox."""
        return EventKey(self.account_id, self.livemode, self.event_id)


class QuarantinedEvent(NamedTuple):
    """One event that could not be applied, with the reason."""

    account_id: str
    livemode: bool
    event_id: str
    type: str
    api_version: str | None
    created_at: datetime
    received_at: datetime
    reason: str


class UnknownVersion(NamedTuple):
    """One API version that nothing is known of, with its quarantined events and one of their ids.

    `api_version` is empty for events that name none.
    """

    api_version: str
    events: int
    example: str
    last_received_at: datetime


class BillingStore:
    """Inbox, mirror and payments in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def dry_run(self) -> bool:
        """Whether every transaction is rolled back at its end."""
        return self._database.dry_run

    def insert_event(self, event: ReceivedEvent) -> bool:
        """Store one received event durably; False when it was known already.

        Raises: RemoteUnavailableError when the database is away or not migrated.
        """
        return bool(self.insert_events([event]))

    def insert_events(self, events: Sequence[ReceivedEvent]) -> set[EventKey]:
        """Store received events in one transaction; the keys of those that were new.

        Idempotent by key, also for repeats among `events`. When it returns, they are on disk.
        Raises: RemoteUnavailableError when the database is away or not migrated, RowsRefusedError
        when Postgres refuses a value.
        """
        rows = self._rows("insert_events", as_arrays(_EVENT_COLUMNS, events))
        return {EventKey(*row) for row in rows}

    @contextmanager
    def mirror_turn(self) -> Iterator[MirrorTurn]:
        """One transaction in which nobody else changes the mirror; committed when the block ends.

        A turn is short (one batch). Two writers take turns, so that a refund applied by one and
        its charge applied by the other never miss each other.
        """
        with clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "billing", "mirror")
            yield MirrorTurn(connection)

    def bind_mode(self, scope: Scope, *, now: datetime) -> None:
        """Say that this database is for the mode of a scope, for ever, or see that it is.

        Idempotent; whoever has a key calls it before anything is written with that key.
        Raises: ConfigurationError when rows of the other mode are here, or may be.
        """
        with clear_errors(), self._database.connection() as connection:
            bound = _read_mode(connection)
            if bound is None:
                lock_partition(connection, "billing", "mirror")  # nobody applies events meanwhile
                connection.execute(load_sql("billing/bind_mode"), {**scope._asdict(), "now": now})
                bound = _read_mode(connection)
            applied = [] if bound is not None else _read_applied_modes(connection)
        if bound is not scope.livemode:
            raise _other_mode(scope, holds_both=len(applied) > 1)

    def bound_livemode(self) -> bool | None:
        """Whether this database is for live rows, or (False) test rows; None before any key."""
        with clear_errors(), self._database.connection() as connection:
            return _read_mode(connection)

    def inbox_counts(self) -> dict[str, int]:
        """Number of events in each state of the inbox; states without events are absent."""
        return {state: events for state, events in self._rows("count_inbox")}

    def unknown_versions(self) -> list[UnknownVersion]:
        """API versions of quarantined events that no adapter knows, by name."""
        return [UnknownVersion(*row) for row in self._rows("unknown_versions")]

    def fill_rates(self, now: datetime) -> list[FillRate]:
        """How full watched columns of the mirror are, by API version and day. All accounts."""
        parameters = {"since": now - WATCHED, "now": now}
        return [FillRate(*row) for row in self._rows("fill_rates", parameters)]

    def recent_statuses(self, since: datetime) -> list[StatusCount]:
        """Statuses of the objects whose state is not older than an instant. All accounts."""
        return [StatusCount(*row) for row in self._rows("recent_statuses", {"since": since})]

    def quarantined(self, limit: int = 100) -> list[QuarantinedEvent]:
        """Events that could not be applied, the latest received first."""
        return [QuarantinedEvent(*row) for row in self._rows("list_quarantined", {"limit": limit})]

    def find_events(self, event_id: str) -> list[TracedEvent]:
        """Stored events of this id, of any account and mode."""
        return [TracedEvent(*row) for row in self._rows("trace_event", {"event_id": event_id})]

    def replay(self, event_id: str | None = None) -> int:
        """Let one event that was set aside, or all quarantined ones, wait again; how many.

        Their bytes stay as received.
        """
        with clear_errors(), self._database.connection() as connection:
            return connection.execute(
                load_sql("billing/replay_events"), {"event_id": event_id}
            ).rowcount

    def known_states(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
        """Committed states of these objects; what an open turn has written is not among them."""
        with clear_errors(), self._database.connection() as connection:
            return tables.load_states(connection, keys)

    def load_payments(self, charges: Iterable[ObjectKey]) -> dict[ObjectKey, Payment]:
        """Committed payments of the mirror; what an open turn has written is not among them."""
        with clear_errors(), self._database.connection() as connection:
            return _load_payments(connection, charges)

    def find_witnesses(self, scope: Scope) -> list[ObjectKey]:
        """Living objects that Stripe never deletes, one of a kind; only their account has them."""
        statement = load_sql("billing/find_witnesses")
        with self._database.connection() as connection:
            rows = connection.execute(statement, scope._asdict()).fetchall()
        return [ObjectKey(*scope, *row) for row in rows]

    def claim_refetches(
        self, scope: Scope, *, claim: UUID, now: datetime, until: datetime, limit: int
    ) -> list[WaitingQuestion]:
        """Take questions of a scope that are due; this asker's own until the claim runs out."""
        parameters = {**scope._asdict(), "claim": claim, "now": now, "until": until, "limit": limit}
        rows = self._rows("claim_refetches", parameters)
        return [WaitingQuestion(ObjectKey(*row[:4]), row[4]) for row in rows]

    def has_due_refetches(self, scope: Scope, *, now: datetime) -> bool:
        """Whether Stripe is to be asked about an object of a scope by now."""
        with clear_errors(), self._database.connection() as connection:
            parameters = {**scope._asdict(), "now": now}
            row = connection.execute(load_sql("billing/find_due_refetch"), parameters).fetchone()
        return row is not None

    def count_refetches(self, queued_before: datetime) -> dict[str, int]:
        """Objects that have waited for Stripe's answer since before an instant, by the reason."""
        return dict(self._rows("count_refetches", {"queued_before": queued_before}))

    def count_refused_states(self) -> dict[str, int]:
        """Objects whose newest state, as Stripe showed it, the mirror cannot use; by their kind."""
        return dict(self._rows("count_refused_states"))

    def export_payments(self, scope: Scope, start: datetime, end: datetime) -> pl.DataFrame:
        """Booked payments created in `[start, end)`, by every writer.

        Grain: one row of billing.payments. Shapes: ordered by created_at, charge_id, payment_id.
        """
        parameters = {**scope._asdict(), "start": start, "end": end}
        with clear_errors(), self._database.connection() as connection:
            return copy_out(connection, load_sql("billing/export_payments"), parameters)

    def _rows(
        self, statement: str, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        with clear_errors(), self._database.connection() as connection:
            found = connection.execute(load_sql(f"billing/{statement}"), parameters or {})
            return found.fetchall()


class AsyncInbox:
    """The inbox as an event loop fills it: one statement and one round trip for many events."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database

    async def insert_events(self, events: Sequence[ReceivedEvent]) -> None:
        """Store received events in one transaction. Idempotent by key; then they are on disk.

        A commit whose outcome is unknown is repeated at once: each row carries its key.
        Raises: RemoteUnavailableError when the database is away or not migrated, RowsRefusedError
        when Postgres refuses a value.
        """
        rows = as_arrays(_EVENT_COLUMNS, events)
        statement = load_sql("billing/insert_events")
        with clear_errors():
            try:
                await self._database.execute(statement, rows)
            except OutcomeUnknownError:
                await _AGAIN(self._database.execute, statement, rows)


class MirrorTurn:
    """What the holder of the mirror's turn may read and write; one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def bound_livemode(self) -> bool | None:
        """Mode this database is for; events of the other one are not applied. None: either."""
        return _read_mode(self._connection)

    def _refuse_other_mode(self, livemodes: set[bool]) -> None:
        if self.bound_livemode is not None and livemodes - {self.bound_livemode}:
            held = Scope("", self.bound_livemode).mode
            raise ConfigurationError(
                f"this database holds {held}-mode rows of Stripe, what was read is not of it",
                remedy=f"use a {held} mode key, or another database",
            )

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Statements that may be refused; if they are, nothing of them stays."""
        with clear_errors(), self._connection.transaction():
            yield

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Statements of which nothing stays, whatever they do."""
        with clear_errors(), self._connection.transaction(force_rollback=True):
            yield

    def claim(self, limit: int, after: tuple[datetime, str] | None) -> list[WaitingEvent]:
        """Waiting events, oldest first, after a position."""
        created_at, event_id = after or (None, None)
        rows = self._connection.execute(
            load_sql("billing/claim_events"),
            {"limit": limit, "after_created_at": created_at, "after_event_id": event_id},
            binary=True,
        ).fetchall()
        return [WaitingEvent(*row) for row in rows]

    def insert_events(self, events: Sequence[ReceivedEvent]) -> set[EventKey]:
        """Store events inside this turn; the keys of those that were new."""
        rows = self._connection.execute(
            load_sql("billing/insert_events"), as_arrays(_EVENT_COLUMNS, events)
        ).fetchall()
        return {EventKey(*row) for row in rows}

    def load_states(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
        """Known states of these objects; unknown ones are absent."""
        return tables.load_states(self._connection, keys)

    def take_newer(
        self, states: Mapping[ObjectKey, State], *, now: datetime
    ) -> dict[ObjectKey, tables.Taken]:
        """Write many states that are new or newer for certain; what became of each of them."""
        return tables.take_newer(self._connection, states, now=now)

    def save_entries(
        self, known: Mapping[ObjectKey, tuple[State, Sequence[Snapshot]]], *, now: datetime
    ) -> None:
        """Write what lies nested in these objects, from their newest and all known states."""
        tables.save_entries(self._connection, known, now=now)

    def load_history(
        self, since: Mapping[ObjectKey, datetime], *, known_at: datetime | None = None
    ) -> dict[ObjectKey, list[LedgerEntry]]:
        """What the ledger holds of these objects: states that lasted to their instant or beyond.

        `known_at`: only what had been applied or fetched by then.
        """
        if not since:
            return {}
        rows = self._connection.execute(
            load_sql("billing/load_history"),
            {
                **as_arrays(
                    (*_KEY_COLUMNS, "since"), [(*key, instant) for key, instant in since.items()]
                ),
                "known": known_at,
            },
            binary=True,
        ).fetchall()
        history: dict[ObjectKey, list[LedgerEntry]] = {}
        for row in rows:
            history.setdefault(ObjectKey(*row[:4]), []).append(LedgerEntry(*row[4:]))
        return history

    def list_ledger(self, after: ObjectKey | None, *, limit: int) -> list[ObjectKey]:
        """Objects of which the ledger holds a state, by key, after a given one."""
        place = after or _FIRST_KEY
        rows = self._connection.execute(
            load_sql("billing/list_ledger"), {**place._asdict(), "limit": limit}
        ).fetchall()
        return [ObjectKey(*row) for row in rows]

    def list_charges(self, after: ObjectKey | None, *, limit: int) -> list[ObjectKey]:
        """Charges of the mirror, by key, after a given one."""
        place = after or _FIRST_KEY
        rows = self._connection.execute(
            load_sql("billing/list_charges"), {**place._asdict(), "limit": limit}
        ).fetchall()
        return [ObjectKey(account, livemode, "charge", id_) for account, livemode, id_ in rows]

    def list_unfounded(self) -> list[ObjectKey]:
        """Objects of the mirror of which the ledger holds no state."""
        return tables.list_unfounded(self._connection)

    def dump_objects(self, keys: Sequence[ObjectKey]) -> dict[ObjectKey, tuple[str, ...]]:
        """All that the mirror holds of these objects as text, but for when it was written."""
        return tables.dump_objects(self._connection, keys)

    def forget_objects(self, keys: Sequence[ObjectKey]) -> None:
        """Remove all that the mirror holds of these objects, to build it again."""
        tables.forget_objects(self._connection, keys)

    def list_gone(self, keys: Iterable[ObjectKey]) -> set[ObjectKey]:
        """Those of these objects that a fetch once found to be gone."""
        asked = list(keys)
        if not asked:
            return set()
        rows = self._connection.execute(
            load_sql("billing/list_gone"), as_arrays(_KEY_COLUMNS, asked)
        ).fetchall()
        return {ObjectKey(*row) for row in rows}

    def store_fetched(self, rows: Sequence[FetchedRow], *, source: str, now: datetime) -> None:
        """Put fetched states into the ledger; known ones move on in time. Each row once.

        Raises: ConfigurationError for a state of the mode that this database is not for.
        """
        self._refuse_other_mode({row.livemode for row in rows})
        names = (
            *(*_KEY_COLUMNS, "fingerprints", "bodies", "api_versions"),
            *("state_froms", "state_ats", "gones"),
        )
        if rows:
            self._connection.execute(
                load_sql("billing/store_fetched"),
                {**as_arrays(names, rows), "source": source, "now": now},
            )

    def refuse_fetched(self, refused: Sequence[tuple[FetchedRow, str]]) -> None:
        """Record why fetched states are no part of the mirror."""
        if refused:
            rows = [(*row.key, row.fingerprint, reason) for row, reason in refused]
            self._connection.execute(
                load_sql("billing/refuse_fetched"),
                as_arrays((*_KEY_COLUMNS, "fingerprints", "reasons"), rows),
            )

    def queue_refetches(self, questions: Sequence[Question], *, now: datetime) -> None:
        """Let these objects be asked about; one that waits already waits once."""
        if questions:
            rows = [(*question.key, *question[1:]) for question in _joined(questions)]
            names = (*_KEY_COLUMNS, "reasons", "due_ats")
            self._connection.execute(
                load_sql("billing/queue_refetches"), {**as_arrays(names, rows), "now": now}
            )

    def drop_refetches(self, keys: Sequence[ObjectKey]) -> None:
        """Nobody needs to ask about these any more, unless a thin event spoke of them."""
        # Nearly always nobody waits at all.
        if keys and self._connection.execute(load_sql("billing/find_refetch")).fetchone():
            self._connection.execute(
                load_sql("billing/drop_refetches"), as_arrays(_KEY_COLUMNS, keys)
            )

    def finish_refetches(self, keys: Sequence[ObjectKey], *, claim: UUID) -> None:
        """Take answered questions from the queue, as far as this claim still holds."""
        self._connection.execute(
            load_sql("billing/finish_refetches"),
            {**as_arrays(_KEY_COLUMNS, keys), "claim": claim},
        )

    def delay_refetches(
        self,
        reasons: Mapping[ObjectKey, str | None],
        *,
        claim: UUID,
        now: datetime,
        wait: timedelta,
        was_asked: bool,
    ) -> None:
        """Let questions without an answer wait again, with the reason.

        The wait doubles with each attempt, up to an hour, unless nobody `was_asked`.
        """
        rows = [(*key, reason) for key, reason in reasons.items()]
        parameters = as_arrays((*_KEY_COLUMNS, "reasons"), rows) | {
            "claim": claim,
            "now": now,
            "seconds": wait.total_seconds(),
            "was_asked": was_asked,
        }
        self._connection.execute(load_sql("billing/delay_refetches"), parameters)

    def save_states(self, states: Mapping[ObjectKey, State], *, now: datetime) -> list[ObjectKey]:
        """Replace the known states; the objects whose nested lists are incomplete."""
        return tables.save_states(self._connection, states, now=now)

    def charges_of_intents(self, intents: Iterable[tuple[str, bool, str]]) -> set[ObjectKey]:
        """Charges of payment intents, each given as account, mode and intent id."""
        return tables.charges_of_intents(self._connection, intents)

    def charges_created(
        self, scope: Scope, start: datetime, end: datetime, *, after: str, limit: int
    ) -> list[ObjectKey]:
        """Charges of a scope created in `[start, end)`, by id, after a given id."""
        return tables.charges_created(self._connection, scope, start, end, after=after, limit=limit)

    def load_charge_parts(self, charges: Iterable[ObjectKey]) -> list[ChargePart]:
        """Everything the mirror knows that makes up the payments of these charges."""
        return tables.load_charge_parts(self._connection, charges)

    def upsert_payments(
        self, payments: Iterable[tuple[ObjectKey, Payment]], *, now: datetime
    ) -> dict[ObjectKey, str]:
        """Write the mirror's payment rows; the charges whose row was inserted or updated."""
        names = (
            *("account_ids", "livemodes", "charge_ids", "payment_intent_ids", "invoice_ids"),
            *("customer_ids", "statuses", "captureds", "currencies", "amounts", "refundeds"),
            *("disputeds", "fees", "nets", "settlement_currencies", "created_ats"),
        )
        rows = [_payment_row(key, payment) for key, payment in payments]
        if not rows:
            return {}
        written = self._connection.execute(
            load_sql("billing/upsert_payments"), {**as_arrays(names, rows), "now": now}
        ).fetchall()
        return {
            ObjectKey(account, livemode, "charge", charge): "inserted" if is_new else "updated"
            for account, livemode, charge, is_new in written
        }

    def load_payments(self, charges: Iterable[ObjectKey]) -> dict[ObjectKey, Payment]:
        """Payments that the mirror booked of these charges, as this turn sees them."""
        return _load_payments(self._connection, charges)

    def payments_of_event(self, event: EventKey) -> tuple[tuple[str, str], ...]:
        """Charges whose booked payment an event wrote, with the effect."""
        rows = self._connection.execute(
            load_sql("billing/trace_payments"), event._asdict()
        ).fetchall()
        return tuple((charge, effect) for charge, effect in rows)

    def find_refetch(self, key: ObjectKey) -> str | None:
        """Why an object waits to be asked about, in words; None if it does not."""
        row = self._connection.execute(load_sql("billing/trace_refetch"), key._asdict()).fetchone()
        if row is None:
            return None
        reason, due_at, attempts, last_error = row
        failure = f", last: {last_error}" if last_error else ""
        return f"{reason}, due {due_at:%Y-%m-%d %H:%M:%S} UTC, asked {attempts} times{failure}"

    def mark_thin_events(self, fetched: Sequence[ObjectKey]) -> None:
        """Say of the thin events of these objects that the fetch they asked for was made."""
        if fetched:
            self._connection.execute(
                load_sql("billing/mark_thin_events"), as_arrays(_KEY_COLUMNS, fetched)
            )

    def record_payments(
        self, effects: Sequence[tuple[EventKey, ObjectKey, str]], *, now: datetime
    ) -> None:
        """Record which booked payments events inserted or updated."""
        if effects:
            rows = [(*event, charge.id, effect) for event, charge, effect in effects]
            names = ("account_ids", "livemodes", "event_ids", "charge_ids", "effects")
            self._connection.execute(
                load_sql("billing/record_event_payments"), {**as_arrays(names, rows), "now": now}
            )

    def mark(self, fates: Iterable[EventFate], *, now: datetime) -> None:
        """Record what became of events."""
        names = (
            *("account_ids", "livemodes", "event_ids", "states", "reasons"),
            *("objects", "object_ids", "effects"),
        )
        rows = [(*fate.key, *fate[1:]) for fate in fates]
        self._connection.execute(
            load_sql("billing/mark_events"), {**as_arrays(names, rows), "now": now}
        )


def _joined(questions: Iterable[Question]) -> list[Question]:
    """One question about each object: not before the latest, and for a thin event if one is."""
    joined: dict[ObjectKey, Question] = {}
    for one in questions:
        other = joined.get(one.key, one)
        reason = other.reason if other.reason == "thin_event" else one.reason
        joined[one.key] = Question(one.key, reason, max(one.due_at, other.due_at))
    return list(joined.values())


def _read_mode(connection: Connection) -> bool | None:
    row = connection.execute(load_sql("billing/read_mode")).fetchone()
    return None if row is None else bool(row[0])


def _read_applied_modes(connection: Connection) -> list[bool]:
    rows = connection.execute(load_sql("billing/read_applied_modes")).fetchall()
    return [livemode for (livemode,) in rows]


def _other_mode(scope: Scope, *, holds_both: bool) -> ConfigurationError:
    """Why the key of a scope may not be used with a database."""
    elsewhere = "set GROWTH_DATABASE_URL (embedded Postgres: GROWTH_STATE_DIR) to another place"
    if holds_both:
        return ConfigurationError(
            "this database holds rows of both of Stripe's modes, from events that came before any "
            "key was set: no key can be used with it",
            remedy=f"{elsewhere}, set the key there before events arrive, and bring the history "
            "with growth backfill",
        )
    other = Scope(scope.account_id, not scope.livemode).mode
    return ConfigurationError(
        f"this database holds {other}-mode rows of Stripe, and the key is a {scope.mode} "
        "mode key: the two never go into one database",
        remedy=f"use a {other} mode key, or {elsewhere}",
    )


def _load_payments(
    connection: Connection, charges: Iterable[ObjectKey]
) -> dict[ObjectKey, Payment]:
    asked = [(key.account_id, key.livemode, key.id) for key in charges]
    if not asked:
        return {}
    rows = connection.execute(
        load_sql("billing/load_payments"),
        as_arrays(("account_ids", "livemodes", "charge_ids"), asked),
    ).fetchall()
    return {
        ObjectKey(account, livemode, "charge", charge): Payment(charge, *rest)
        for account, livemode, charge, *rest in rows
    }


def _payment_row(key: ObjectKey, payment: Payment) -> tuple[Any, ...]:
    return (
        key.account_id,
        key.livemode,
        payment.charge_id,
        payment.payment_intent_id,
        payment.invoice_id,
        payment.customer_id,
        payment.status,
        payment.captured,
        payment.currency,
        payment.amount_minor,
        payment.refunded_minor,
        payment.disputed_minor,
        payment.fee_minor,
        payment.net_minor,
        payment.settlement_currency,
        payment.created_at,
    )
