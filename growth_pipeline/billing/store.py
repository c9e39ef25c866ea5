"""Statements of the billing slice: inbox, mirrored objects, booked payments.

No rule lives here; what an event means is decided in `inbox.py`, `fold.py` and `payments.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import psycopg

from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.errors import GrowthError, RemoteUnavailableError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Connection, Database, copy_out, lock_partition
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl


class RowsRefusedError(GrowthError):
    """Postgres refuses a value of these rows, whatever the time: not retryable."""


class ObjectKey(NamedTuple):
    """Key of one Stripe object: the same id may exist in another account or mode."""

    account_id: str
    livemode: bool
    object: str
    id: str


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


class ChargePart(NamedTuple):
    """One object of a payment: the charge, a refund, a dispute or an invoice payment."""

    charge: ObjectKey
    object: str
    api_version: str
    payload: dict[str, Any]


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
        names = (
            *("account_ids", "livemodes", "event_ids", "types", "api_versions"),
            *("created_ats", "received_ats", "sources", "bodies"),
        )
        with _clear_errors(), self._database.connection() as connection:
            rows = connection.execute(
                load_sql("billing/insert_events"), _columns(names, events)
            ).fetchall()
        return {EventKey(*row) for row in rows}

    @contextmanager
    def mirror_turn(self) -> Iterator[MirrorTurn]:
        """One transaction in which nobody else changes the mirror; committed when the block ends.

        A turn is short (one batch). Two writers take turns, so that a refund applied by one and
        its charge applied by the other never miss each other.
        """
        with _clear_errors(), self._database.connection() as connection:
            lock_partition(connection, "billing", "mirror")
            yield MirrorTurn(connection)

    def inbox_counts(self) -> dict[str, int]:
        """Number of events in each state of the inbox; states without events are absent."""
        with _clear_errors(), self._database.connection() as connection:
            rows = connection.execute(load_sql("billing/count_inbox")).fetchall()
        return {state: events for state, events in rows}

    def quarantined(self, limit: int = 100) -> list[QuarantinedEvent]:
        """Events that could not be applied, the latest received first."""
        with _clear_errors(), self._database.connection() as connection:
            rows = connection.execute(
                load_sql("billing/list_quarantined"), {"limit": limit}
            ).fetchall()
        return [QuarantinedEvent(*row) for row in rows]

    def replay(self, event_id: str | None = None) -> int:
        """Let one quarantined event, or all, wait again; how many. Their bytes stay as received."""
        with _clear_errors(), self._database.connection() as connection:
            return connection.execute(
                load_sql("billing/replay_events"), {"event_id": event_id}
            ).rowcount

    def export_payments(self, scope: Scope, start: datetime, end: datetime) -> pl.DataFrame:
        """Booked payments created in `[start, end)`, by every writer.

        Grain: one row of billing.payments. Shapes: ordered by created_at, charge_id, payment_id.
        """
        parameters = {**scope._asdict(), "start": start, "end": end}
        with _clear_errors(), self._database.connection() as connection:
            return copy_out(connection, load_sql("billing/export_payments"), parameters)


class MirrorTurn:
    """What the holder of the mirror's turn may read and write; one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def claim(self, limit: int, after: tuple[datetime, str] | None) -> list[WaitingEvent]:
        """Waiting events, oldest first, after a position."""
        created_at, event_id = after or (None, None)
        rows = self._connection.execute(
            load_sql("billing/claim_events"),
            {"limit": limit, "after_created_at": created_at, "after_event_id": event_id},
            binary=True,
        ).fetchall()
        return [WaitingEvent(*row) for row in rows]

    def load_states(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
        """Known states of these objects; unknown ones are absent."""
        rows = self._connection.execute(
            load_sql("billing/load_objects"),
            _columns(("account_ids", "livemodes", "objects", "ids"), list(keys)),
        ).fetchall()
        return {ObjectKey(*row[:4]): _state(row) for row in rows}

    def load_rivals(self, since: dict[ObjectKey, datetime]) -> dict[ObjectKey, list[bytes]]:
        """Raw bodies of the applied events of these objects from the given instants on."""
        if not since:
            return {}
        rows = self._connection.execute(
            load_sql("billing/load_rivals"),
            _columns(
                ("account_ids", "livemodes", "objects", "ids", "since"),
                [(*key, instant) for key, instant in since.items()],
            ),
            binary=True,
        ).fetchall()
        bodies: dict[ObjectKey, list[bytes]] = {}
        for *key, body in rows:
            bodies.setdefault(ObjectKey(*key), []).append(body)
        return bodies

    def save_states(self, states: dict[ObjectKey, State], *, now: datetime) -> None:
        """Replace the known states of these objects."""
        names = (
            *("account_ids", "livemodes", "objects", "ids", "api_versions", "payloads"),
            *("created_ats", "state_froms", "state_ats", "origins", "event_ids"),
            *("undecideds", "deleted_ats"),
        )
        rows = [_object_row(key, state) for key, state in states.items()]
        self._connection.execute(
            load_sql("billing/upsert_objects"), {**_columns(names, rows), "now": now}
        )

    def charges_of_intents(self, intents: Iterable[tuple[str, bool, str]]) -> set[ObjectKey]:
        """Charges of payment intents, each given as account, mode and intent id."""
        asked = list(intents)
        if not asked:
            return set()
        rows = self._connection.execute(
            load_sql("billing/load_charges_of_intents"),
            _columns(("account_ids", "livemodes", "intents"), asked),
        ).fetchall()
        return {ObjectKey(account, livemode, "charge", id_) for account, livemode, id_ in rows}

    def charges_created(
        self, scope: Scope, start: datetime, end: datetime, *, after: str, limit: int
    ) -> list[ObjectKey]:
        """Charges of a scope created in `[start, end)`, by id, after a given id."""
        parameters = {**scope._asdict(), "start": start, "end": end}
        rows = self._connection.execute(
            load_sql("billing/list_charges_of_period"),
            {**parameters, "after": after, "limit": limit},
        ).fetchall()
        return [ObjectKey(*scope, "charge", row[0]) for row in rows]

    def load_charge_parts(self, charges: Iterable[ObjectKey]) -> list[ChargePart]:
        """Everything the mirror knows that makes up the payments of these charges."""
        rows = self._connection.execute(
            load_sql("billing/load_charge_parts"),
            _columns(("account_ids", "livemodes", "objects", "ids"), list(charges)),
        ).fetchall()
        return [
            ChargePart(
                ObjectKey(account, livemode, "charge", charge),
                object_name,
                version,
                orjson.loads(payload),
            )
            for account, livemode, charge, object_name, version, payload in rows
        ]

    def upsert_payments(
        self, payments: Iterable[tuple[ObjectKey, Payment]], *, now: datetime
    ) -> int:
        """Write the mirror's payment rows; how many were new or changed. Equal rows stay."""
        names = (
            *("account_ids", "livemodes", "charge_ids", "payment_intent_ids", "invoice_ids"),
            *("customer_ids", "statuses", "captureds", "currencies", "amounts", "refundeds"),
            *("disputeds", "fees", "nets", "settlement_currencies", "created_ats"),
        )
        rows = [_payment_row(key, payment) for key, payment in payments]
        if not rows:
            return 0
        return self._connection.execute(
            load_sql("billing/upsert_payments"), {**_columns(names, rows), "now": now}
        ).rowcount

    def mark(self, fates: Iterable[EventFate], *, now: datetime) -> None:
        """Record what became of events."""
        names = (
            *("account_ids", "livemodes", "event_ids", "states", "reasons"),
            *("objects", "object_ids"),
        )
        rows = [(*fate.key, *fate[1:]) for fate in fates]
        self._connection.execute(
            load_sql("billing/mark_events"), {**_columns(names, rows), "now": now}
        )


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows turned into one array a column, as `unnest` takes them."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(values) for name, values in zip(names, columns, strict=True)}


def _state(row: Sequence[Any]) -> State:
    _, _, object_name, object_id, payload, version, state_from, state_at, *rest = row
    origin, event_id, undecided, deleted_at = rest
    snapshot = Snapshot(
        object=object_name,
        object_id=object_id,
        payload=orjson.loads(payload),
        api_version=version,
        state_from=state_from,
        state_at=state_at,
        origin=origin,
        event_id=event_id,
        is_tombstone=deleted_at is not None,
    )
    return State(snapshot, undecided=undecided, deleted_at=deleted_at)


def _object_row(key: ObjectKey, state: State) -> tuple[Any, ...]:
    snapshot = state.snapshot
    return (
        *key,
        snapshot.api_version,
        orjson.dumps(snapshot.payload).decode(),
        snapshot.created_at,
        snapshot.state_from,
        snapshot.state_at,
        snapshot.origin,
        snapshot.event_id,
        state.undecided,
        state.deleted_at,
    )


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


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Translate what psycopg says about our own tables and values; the rest passes."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise RemoteUnavailableError(
            "the database has not got the tables of this version yet", remedy="run growth migrate"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise _refused(error) from error
    except psycopg.OperationalError as error:
        if isinstance(error, psycopg.errors.ProgramLimitExceeded):
            raise _refused(error) from error
        raise


def _refused(error: psycopg.Error) -> RowsRefusedError:
    """Without the server's detail line: it quotes the row, and rows hold customer data."""
    said = error.diag.message_primary or type(error).__name__
    return RowsRefusedError(f"Postgres refuses a value: {error.sqlstate or 'client'} {said}")
