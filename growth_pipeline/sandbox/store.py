"""The company on disk: one SQLite file, so that a million payments need no more memory than ten.

Bodies are packed with zlib and a dictionary (the first body of their kind): Stripe's objects are
mostly the same text. Source: Python documentation, `zlib.compressobj`, `zdict`.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.contracts import CONTRACT_COLUMNS
from growth_pipeline.sandbox.journal import Event, Journal, Json
from growth_pipeline.sandbox.lists import (
    BY_OBJECT,
    CHILDREN,
    RESOURCES,
    Resource,
    column_values,
)

_LEVEL, _WINDOW, _MEMORY = 1, -13, 5
_BATCH = 4000
_PENDING, _SETTLED = b'"pending_webhooks":1', b'"pending_webhooks":0'
# A fact: the first second of the events that Stripe still tries to deliver.
TRIED_SINCE = "tried_since"
LEDGER_COLUMNS = (
    "charge_id",
    "payment_intent_id",
    "invoice_id",
    "customer_id",
    "status",
    "captured",
    "currency",
    "amount_minor",
    "refunded_minor",
    "disputed_minor",
    "fee_minor",
    "net_minor",
    "settlement_currency",
    "created_at",
    "month",
    "refund_count",
    "dispute_count",
    "attempt_count",
)


class Condition(NamedTuple):
    """A piece of a WHERE clause with its values."""

    sql: str
    values: tuple[Any, ...] = ()


class Page(NamedTuple):
    """One page of a list: bodies newest first, and whether there are more beyond it."""

    bodies: list[bytes]
    has_more: bool


class Row(NamedTuple):
    """Where an object stands in its list, and its body."""

    pos: int
    created: int
    hidden: bool
    body: bytes


class Store:
    """Reads and writes the company's file. Writing ends with `finish`; then it is only read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode = off")
        self._db.execute("pragma synchronous = off")
        self._db.execute("pragma cache_size = -16000")
        self._kinds: dict[str, bytes] = {}
        self._packers: dict[str, Any] = {}
        self._waiting: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._next_pos = 1
        self._create_tables()

    def _create_tables(self) -> None:
        run = self._db.execute
        run("create table if not exists kinds (kind text primary key, sample blob not null)")
        run("create table if not exists facts (name text primary key, value text not null)")
        for resource in RESOURCES.values():
            columns = "".join(f", {column}" for column in resource.columns)
            if resource.name == "events":
                columns += ", object_id, lost integer default 0, delivered integer default 0"
            run(
                f"create table if not exists {resource.name} (pos integer primary key,"
                " id text not null, created integer, hidden integer not null,"
                f" body blob not null{columns})"
            )
        run(f"create table if not exists ledger ({', '.join(LEDGER_COLUMNS)})")
        run(f"create table if not exists contracts ({', '.join(CONTRACT_COLUMNS)})")
        run("create table if not exists application (name text not null, body text not null)")
        self._kinds = dict(self._db.execute("select kind, sample from kinds"))

    # --- writing -------------------------------------------------------------------------------

    def write(self, journal: Journal) -> None:
        """Keeps a journal's objects as they are now, and its events."""
        for object_id, obj in journal.objects.items():
            hidden = object_id in journal.deleted
            answer = journal.deleted[object_id] if hidden else obj
            if answer is None:
                continue
            self._keep(BY_OBJECT[obj["object"]], obj, answer, hidden=hidden)
            if obj["object"] in CHILDREN:
                for child in journal.children[object_id]:
                    kind = RESOURCES[CHILDREN[obj["object"]]]
                    self._keep(kind, child, child, parent=object_id)
            if obj["object"] == "price" and obj["recurring"]:
                self._keep(RESOURCES["plans"], obj, shapes.plan(obj))
        for event in journal.events:
            body = self._pack(event.type, event.body)
            row = (self._take_pos(), event.id, event.created, 0, body, event.type, event.object_id)
            self._waiting["events"].append((*row, 0, 0))
        if sum(map(len, self._waiting.values())) >= _BATCH:
            self.flush()

    def _keep(
        self,
        resource: Resource,
        obj: Json,
        answer: Json,
        *,
        hidden: bool = False,
        parent: str | None = None,
    ) -> None:
        body = self._pack(resource.object, orjson.dumps(answer))
        created = obj.get("created", obj.get("date"))
        row = (self._take_pos(), obj["id"], created, int(hidden), body)
        self._waiting[resource.name].append((*row, *column_values(resource, obj, parent)))

    def put(self, resource: Resource, obj: Json) -> None:
        """One object more in a company that is finished, in place of one with its id."""
        table = resource.name
        self._db.execute(f"delete from {table} where id = ?", (obj["id"],))  # noqa: S608 own names
        (last,) = self._db.execute(f"select max(pos) from {table}").fetchone()  # noqa: S608 own names
        self._next_pos = max(self._next_pos, last or 0)
        self._keep(resource, obj, obj)
        self.flush()

    def _take_pos(self) -> int:
        self._next_pos += 1
        return self._next_pos

    def write_ledger(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keeps rows of the expected ledger; columns as in `LEDGER_COLUMNS`."""
        self._waiting["ledger"].extend(rows)

    def write_contracts(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Keeps what happened to contracts; columns as in `CONTRACT_COLUMNS`."""
        self._waiting["contracts"].extend(rows)

    def write_application(self, rows: Iterable[tuple[str, Json]]) -> None:
        """Keeps rows of the application's tables, each with its table's name."""
        kept = [(name, orjson.dumps(row).decode()) for name, row in rows]
        self._waiting["application"].extend(kept)

    def flush(self) -> None:
        """Puts what waits in memory into the file."""
        self._db.execute("begin")
        for table, rows in self._waiting.items():
            marks = ", ".join("?" * len(rows[0])) if rows else ""
            if rows:
                self._db.executemany(f"insert into {table} values ({marks})", rows)  # noqa: S608 own names
        self._db.execute("commit")
        self._waiting.clear()

    def finish(self) -> None:
        """Builds the indexes; after this the company does not change any more."""
        run = self._db.execute
        for table in RESOURCES:
            run(f"create unique index if not exists {table}_id on {table} (id)")
            run(f"create index if not exists {table}_created on {table} (created, pos)")
        for resource in RESOURCES.values():
            for column in resource.indexed:
                run(
                    f"create index if not exists {resource.name}_{column}"
                    f" on {resource.name} ({column}, created, pos)"
                )
        run("create index if not exists events_object on events (object_id)")
        run("create index if not exists ledger_month on ledger (month)")

    def set_fact(self, name: str, value: object) -> None:
        """Keeps one fact about the company as a whole, as JSON."""
        text = orjson.dumps(value).decode()
        self._db.execute("insert or replace into facts values (?, ?)", (name, text))

    def fact(self, name: str) -> Any:
        """A fact kept before; None if it never was."""
        row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement of the payout and planting passes, values bound."""
        return self._db.execute(sql, values)

    # --- reading -------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Rows by list, deleted objects included."""
        found = {}
        for table in RESOURCES:
            (count,) = self._db.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 own names
            found[table] = int(count)
        return found

    def find(self, resource: Resource, object_id: str) -> Row | None:
        """An object by id; a deleted one comes with `hidden`."""
        row = self._db.execute(
            f"select pos, created, hidden, {_columns(resource)}"  # noqa: S608 own names
            f" from {resource.name} where id = ?",
            (object_id,),
        ).fetchone()
        if row is None:
            return None
        return Row(row[0], row[1], bool(row[2]), self._shown(*row[3:]))

    def page(
        self,
        resource: Resource,
        conditions: Sequence[Condition],
        limit: int,
        *,
        after: Row | None = None,
        before: Row | None = None,
    ) -> Page:
        """One page in the list's order, exclusive of its cursor (`after` or `before`)."""
        cursor, backwards = before or after, before is not None
        rising = resource.oldest_first != backwards
        columns = ("pos",) if resource.oldest_first else ("created", "pos")
        parts = [*conditions, Condition("hidden = 0")]
        if cursor:
            values = (cursor.created, cursor.pos)[-len(columns) :]
            marks = ", ".join("?" * len(values))
            key = f"({', '.join(columns)}) {'>' if rising else '<'} ({marks})"
            parts.append(Condition(key, values))
        order = ", ".join(f"{column} {'asc' if rising else 'desc'}" for column in columns)
        rows = self._db.execute(
            f"select {_columns(resource)} from {resource.name}"  # noqa: S608 own names
            f" where {' and '.join(part.sql for part in parts)} order by {order} limit ?",
            (*(value for part in parts for value in part.values), limit + 1),
        ).fetchall()
        bodies = [self._shown(*row) for row in rows[:limit]]
        return Page(bodies[::-1] if backwards else bodies, len(rows) > limit)

    def events(self, *, with_lost: bool = True, bodies: bool = True) -> Iterator[Event]:
        """All events in order of time; those planted as lost only if asked for.

        `bodies` False leaves them empty, which is faster. Read in chunks, so that other work on
        the file may go on between them.
        """
        last = (0, 0)
        body = "body" if bodies else "null"
        while True:
            rows = self._db.execute(
                f"select pos, created, id, type, object_id, {body} from events"  # noqa: S608 own names
                " where lost <= ? and (created, pos) > (?, ?) order by created, pos limit 500",
                (int(with_lost), *last),
            ).fetchall()
            if not rows:
                return
            for pos, created, event_id, event_type, object_id, packed in rows:
                last = (created, pos)
                unpacked = self._unpack(event_type, packed) if packed else b""
                yield Event(created, event_id, event_type, object_id, unpacked)

    def events_of(self, object_id: str) -> list[Event]:
        """The events about one object, oldest first."""
        rows = self._db.execute(
            "select created, id, type, object_id, body from events where object_id = ?"
            " order by created, pos",
            (object_id,),
        ).fetchall()
        return [
            Event(created, event_id, event_type, about, self._unpack(event_type, body))
            for created, event_id, event_type, about, body in rows
        ]

    def told_before(self, event_id: str) -> int | None:
        """When the event before this one, about the same object, happened; None for the first."""
        row = self._db.execute(
            "select max(earlier.created) from events as this join events as earlier"
            " on earlier.object_id = this.object_id"
            " and (earlier.created, earlier.pos) < (this.created, this.pos) where this.id = ?",
            (event_id,),
        ).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def lose(self, event_ids: Iterable[str]) -> None:
        """Marks events that are never sent: the endpoint does not ask for them, so none waits."""
        marked = [(event_id,) for event_id in event_ids]
        self._db.executemany("update events set lost = 1 where id = ?", marked)

    def mark_delivered(self, event_id: str) -> None:
        """An endpoint has acknowledged an event."""
        self._db.execute("update events set delivered = 1 where id = ?", (event_id,))

    def ledger(self, month: str | None = None) -> Iterator[Json]:
        """Rows of the expected ledger, oldest first, of one month or of all."""
        where = "" if month is None else "where month = ?"
        rows = self._db.execute(
            f"select {', '.join(LEDGER_COLUMNS)} from ledger {where}"  # noqa: S608 own names
            " order by created_at, charge_id",
            () if month is None else (month,),
        )
        for row in rows:
            entry = dict(zip(LEDGER_COLUMNS, row, strict=True))
            yield {**entry, "captured": bool(entry["captured"])}

    def contracts(self) -> Iterator[Json]:
        """What happened to contracts, customer by customer, each in order of time."""
        rows = self._db.execute("select * from contracts order by rowid")
        for *known, details in rows:
            yield {**dict(zip(CONTRACT_COLUMNS, known, strict=False)), **orjson.loads(details)}

    def application(self) -> Iterator[tuple[str, Json]]:
        """Rows of the application's tables, in the order in which customers came."""
        for name, body in self._db.execute("select name, body from application order by rowid"):
            yield name, orjson.loads(body)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    # --- packing -------------------------------------------------------------------------------

    def _pack(self, kind: str, body: bytes) -> bytes:
        sample = self._kinds.get(kind)
        if sample is None:
            sample = self._kinds[kind] = body
            self._db.execute("insert into kinds values (?, ?)", (kind, body))
        if kind not in self._packers:
            self._packers[kind] = zlib.compressobj(
                _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=sample
            )
        packer = self._packers[kind].copy()
        packed: bytes = packer.compress(body) + packer.flush()
        return packed

    def _shown(self, kind: str, packed: bytes, delivered: int, created: int | None) -> bytes:
        """A body as the API shows it: an event is done with (or not sent), given up, or tried."""
        body = self._unpack(kind, packed)
        if created is None or (not delivered and created >= self._tried_since):
            return body
        head, _, tail = body.rpartition(_PENDING)
        return head + _SETTLED + tail

    @cached_property
    def _tried_since(self) -> int:
        return int(self.fact(TRIED_SINCE) or 0)

    def _unpack(self, kind: str, packed: bytes) -> bytes:
        return zlib.decompressobj(_WINDOW, zdict=self._kinds[kind]).decompress(packed)


def _columns(resource: Resource) -> str:
    """SQL for a kind and its packed body, and for events whether and when they are delivered."""
    about = "max(delivered, lost), created" if resource.name == "events" else "0, null"
    return f"{_kind(resource)}, body, {about}"


def _kind(resource: Resource) -> str:
    """SQL for the kind that a body was packed as: for events the type, else the object."""
    return "type" if resource.name == "events" else f"'{resource.object}'"
