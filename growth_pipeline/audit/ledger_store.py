"""Statements about how objects reached the database: the ledger, the mirror, what it would book.

Reads only, each answer in one transaction. No rule lives here; what it means is causes.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.billing import tables
from growth_pipeline.billing.inbox import Unreadable, parse_envelope
from growth_pipeline.billing.ledger import ODD, book
from growth_pipeline.billing.payments import Payment
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Database, copy_batches
from growth_pipeline.storage.rows import Row, read_rows, reading
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

Key = tuple[str, str]

_IDS_AT_ONCE: Final = 10_000
_ROWS_AT_ONCE: Final = 250_000


class LedgerStore:
    """Events, mirrored objects and payments as they would be booked. Safe to share by threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mirrored(self, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """Mirrored objects of these (object, id) pairs, in whatever scope.

        Shapes: account_id, livemode, object, id, event_id, state_at, and facts as text.
        """
        return [row for part in _parts(objects) for row in self._rows("mirrored_objects", part)]

    def events_of(self, scope: Scope, objects: Iterable[Key]) -> list[dict[str, Any]]:
        """The newest events, five at most, of each of these (object, id) pairs.

        Shapes: object, id, event_id, type, state, reason, created_at and received_at (ISO), source.
        """
        rows = [
            row
            for part in _parts(objects)
            for row in self._rows("events_of_objects", {**scope._asdict(), **part})
        ]
        instants = ("created_at", "received_at")
        return [{**row, **{name: row[name].isoformat() for name in instants}} for row in rows]

    def unapplied_events(self, scope: Scope, limit: int) -> list[dict[str, Any]]:
        """Events that wait or were set aside, the newest first, with the object they speak of.

        Shapes: as `events_of`; a body that names no object is left out.
        """
        rows = self._rows("unapplied_events", {**scope._asdict(), "limit": limit})
        found = []
        for row in rows:
            kind, object_id = _subject(row.pop("body"))
            if kind and object_id:
                instants = {name: row[name].isoformat() for name in ("created_at", "received_at")}
                found.append({**row, **instants, "object": kind, "id": object_id})
        return found

    def refused_states(self, scope: Scope, objects: Iterable[Key]) -> dict[Key, str]:
        """Why the mirror could not use what Stripe showed last of these objects; others absent."""
        return {
            (row["object"], row["id"]): row["refused"]
            for part in _parts(objects)
            for row in self._rows("refused_states", {**scope._asdict(), **part})
        }

    def last_webhook_at(self, scope: Scope, since: datetime) -> datetime | None:
        """When a webhook of any kind last came in after an instant; None if none did."""
        (row,) = self._rows("last_webhook", {**scope._asdict(), "since": since})
        found: datetime | None = row["received_at"]
        return found

    def would_book(self, charges: Iterable[tuple[Scope, str]]) -> dict[tuple[Scope, str], Payment]:
        """What the mirror would book of these charges now.

        A charge that the mirror lacks, or that no payment can be booked from, is absent.
        """
        keys = [ObjectKey(*scope, "charge", charge) for scope, charge in sorted(set(charges))]
        parts: dict[ObjectKey, list[tables.ChargePart]] = defaultdict(list)
        with reading(self._database) as connection:
            for at in range(0, len(keys), _IDS_AT_ONCE):
                for part in tables.load_charge_parts(connection, keys[at : at + _IDS_AT_ONCE]):
                    parts[part.charge].append(part)
        booked = {}
        for key, own in parts.items():
            try:
                for _, payment in book(own):
                    booked[Scope(key.account_id, key.livemode), key.id] = payment
            except ODD:
                continue  # nobody can say what it would be
        return booked

    # --- what the section of events asks --------------------------------------------------------

    def told_since(self, scope: Scope) -> datetime | None:
        """When the oldest event was made that anybody told us of; None before the first."""
        (row,) = self._rows("first_told", scope._asdict())
        found: datetime | None = row["told_since"]
        return found

    def unknown_events(self, scope: Scope, ids: Sequence[str]) -> set[str]:
        """Those event ids that the ledger lacks."""
        missing: set[str] = set()
        for at in range(0, len(ids), _IDS_AT_ONCE):
            part = {**scope._asdict(), "ids": list(ids[at : at + _IDS_AT_ONCE])}
            missing |= {row["id"] for row in self._rows("unknown_events", part)}
        return missing

    def unknown_versions(
        self, scope: Scope, start: datetime, end: datetime
    ) -> list[dict[str, Any]]:
        """Events made in `[start, end)` that wait in quarantine because of their API version.

        Shapes: as `events_of`, with api_version; object and id are None where the body names none.
        """
        span = {**scope._asdict(), "start": start, "end": end}
        found = []
        for row in self._rows("unknown_version_events", span):
            kind, object_id = _subject(row.pop("body"))
            instants = {name: row[name].isoformat() for name in ("created_at", "received_at")}
            found.append({**row, **instants, "object": kind, "id": object_id})
        return found

    def waiting_questions(self, scope: Scope, objects: Iterable[Key]) -> set[Key]:
        """Those (object, id) pairs that Stripe is about to be asked about again."""
        return {
            (row["object"], row["id"])
            for part in _parts(objects)
            for row in self._rows("waiting_questions", {**scope._asdict(), **part})
        }

    def mirrored_rows(
        self, resource: str, scope: Scope, start: datetime, end: datetime
    ) -> Iterator[pl.DataFrame]:
        """Living rows of the mirror made in `[start, end)`, some at a time; read it to its end.

        Grain: one object, with the fields that no class but stale_row names.
        """
        span = {**scope._asdict(), "start": start, "end": end}
        statement = load_sql(f"audit/living_{resource}")
        with reading(self._database) as connection:
            yield from copy_batches(connection, statement, span, batch_rows=_ROWS_AT_ONCE)

    def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        return read_rows(self._database, f"audit/{statement}", parameters)


def _subject(body: bytes) -> tuple[str | None, str | None]:
    """Kind and id of the object that a stored body speaks of; None for what it does not name."""
    try:
        envelope = parse_envelope(bytes(body))
    except Unreadable:
        return None, None
    if envelope.related is not None:
        return envelope.related.object, envelope.related.id
    named = envelope.payload or {}
    kind, object_id = named.get("object"), named.get("id")
    return (
        kind if isinstance(kind, str) else None,
        object_id if isinstance(object_id, str) else None,
    )


def _parts(objects: Iterable[Key]) -> Iterator[dict[str, Any]]:
    """Pairs as two arrays, so many at once as one statement takes well."""
    keys = sorted(set(objects))
    for at in range(0, len(keys), _IDS_AT_ONCE):
        some = keys[at : at + _IDS_AT_ONCE]
        yield {"objects": [kind for kind, _ in some], "ids": [one for _, one in some]}
