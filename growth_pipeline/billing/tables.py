"""The tables of schema `stripe`: what is known of each object, and what payments are made of.

No rule lives here; which state is the newest is decided in `fold.py`, what a row holds in
`table_rows.py`, what lies nested in `children.py`. Inbox and booked payments: `store.py`. Every
function works inside the caller's transaction. Contract: docs/tables.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson
from psycopg import sql

from growth_pipeline.billing.children import (
    DISCOUNTS,
    ITEMS,
    LINES,
    Entry,
    EntryKey,
    Shown,
    entries_of,
    has_lists,
    lists_of,
)
from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.table_rows import Row, entry_row, object_row, read_state
from growth_pipeline.billing.table_statements import ENTRY_TABLES, When, table_of
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Connection
from growth_pipeline.storage.sql import load_sql


class ObjectKey(NamedTuple):
    """Key of one Stripe object: the same id may exist in another account or mode."""

    account_id: str
    livemode: bool
    object: str
    id: str


class ChargePart(NamedTuple):
    """One object of a payment: the charge, its balance transaction, a refund, a dispute or more.

    `object` is Stripe's name of it; the last kind is an invoice payment.
    """

    charge: ObjectKey
    object: str
    api_version: str
    payload: dict[str, Any]


class Taken(StrEnum):
    """What became of a state that was taken in bulk."""

    INSERTED = "inserted"
    UPDATED = "updated"


# --- the objects ---------------------------------------------------------------------------------


def load_states(connection: Connection, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
    """Known states of these objects; unknown ones are absent."""
    known: dict[ObjectKey, State] = {}
    for object_name, group in _by_object(keys).items():
        table = table_of(object_name)
        names = ("account_ids", "livemodes", "ids")
        asked = as_arrays(names, [(key.account_id, key.livemode, key.id) for key in group])
        for account, livemode, *row in connection.execute(table.load, asked):
            known[ObjectKey(account, livemode, object_name, row[0])] = read_state(object_name, row)
    return known


def save_states(
    connection: Connection, states: Mapping[ObjectKey, State], *, now: datetime
) -> list[ObjectKey]:
    """Replace the known states; the objects whose nested lists or discounts are not all told.

    Entries of a nested list are replaced with the state; one that a whole list lacks is ended.
    Only events come back as incomplete: what Stripe told when asked is all that it tells.
    Raises: UnknownValueError naming object and field if a promised field is missing.
    """
    for object_name, keys in _by_object(states).items():
        table = table_of(object_name)
        rows = [object_row(key, states[key], now) for key in keys]
        table.write(connection, rows, When.ALWAYS)
    return _save_lists(connection, states, None, now=now)


def take_newer(
    connection: Connection, states: Mapping[ObjectKey, State], *, now: datetime
) -> dict[ObjectKey, Taken]:
    """Write those of many states that are new or newer for certain; what became of each of them.

    A state is newer for certain if it began after the stored one ended, nothing is deleted, and a
    final status is not left. Keys of other states are absent: they need `fold.py`.
    Raises: UnknownValueError naming object and field if a promised field is missing.
    """
    taken: dict[ObjectKey, Taken] = {}
    for object_name, keys in _by_object(states).items():
        table = table_of(object_name)
        rows = [object_row(key, states[key], now) for key in keys]
        for account, livemode, id_, is_new in table.stage_and_write(connection, rows, When.NEWER):
            key = ObjectKey(account, livemode, object_name, id_)
            taken[key] = Taken.INSERTED if is_new else Taken.UPDATED
    _save_lists(connection, {key: states[key] for key in taken}, taken, now=now)
    return taken


def save_entries(
    connection: Connection,
    known: Mapping[ObjectKey, tuple[State, Iterable[Snapshot]]],
    *,
    now: datetime,
) -> None:
    """Write all entries that these objects ever showed, from their newest and all known states.

    For objects whose newest state alone does not tell (`children.follows_from_newest`), and for a
    rebuild. Rows that are right already stay untouched.
    """
    rows: dict[tuple[str, When], list[Row]] = defaultdict(list)
    for key, (newest, snapshots) in known.items():
        if has_lists(key.object):
            for entry in entries_of(newest, snapshots):
                when = When.OTHER_END if entry.payload is None else When.OTHER
                rows[entry.key.table, when].append(entry_row(key, entry, now))
    for (name, when), group in rows.items():
        ENTRY_TABLES[name].write(connection, group, when)


# --- what payments are made of -------------------------------------------------------------------


def charges_of_intents(
    connection: Connection, intents: Iterable[tuple[str, bool, str]]
) -> set[ObjectKey]:
    """Charges of payment intents, each given as account, mode and intent id."""
    asked = list(intents)
    if not asked:
        return set()
    rows = connection.execute(
        load_sql("stripe/load_charges_of_intents"),
        as_arrays(("account_ids", "livemodes", "intents"), asked),
    ).fetchall()
    return {ObjectKey(account, livemode, "charge", id_) for account, livemode, id_ in rows}


def charges_created(
    connection: Connection, scope: Scope, start: datetime, end: datetime, *, after: str, limit: int
) -> list[ObjectKey]:
    """Charges of a scope created in `[start, end)`, by id, after a given id."""
    parameters = {**scope._asdict(), "start": start, "end": end}
    rows = connection.execute(
        load_sql("stripe/list_charges_of_period"),
        {**parameters, "after": after, "limit": limit},
    ).fetchall()
    return [ObjectKey(*scope, "charge", row[0]) for row in rows]


def load_charge_parts(connection: Connection, charges: Iterable[ObjectKey]) -> list[ChargePart]:
    """Everything the mirror knows that makes up the payments of these charges."""
    asked = [(key.account_id, key.livemode, key.id) for key in charges]
    rows = connection.execute(
        load_sql("stripe/load_charge_parts"), as_arrays(("account_ids", "livemodes", "ids"), asked)
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


def as_arrays(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Rows turned into one array a column, as `unnest` takes them."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: list(values) for name, values in zip(names, columns, strict=True)}


def _by_object(keys: Iterable[ObjectKey]) -> dict[str, list[ObjectKey]]:
    """Keys by kind, kinds in a fixed order: two writers meet the tables in the same one."""
    groups: dict[str, list[ObjectKey]] = defaultdict(list)
    for key in keys:
        groups[key.object].append(key)
    return dict(sorted(groups.items()))


# --- nested lists --------------------------------------------------------------------------------


class _Told(NamedTuple):
    """What the newest state of one object tells of one of its lists."""

    key: ObjectKey
    state: State
    shown: Shown

    def entries(self) -> Iterator[Entry]:
        for key, payload in self.shown.entries.items():
            yield Entry(key, payload, self.state.snapshot, self.state.deleted_at)


def _save_lists(
    connection: Connection,
    states: Mapping[ObjectKey, State],
    taken: Mapping[ObjectKey, Taken] | None,
    *,
    now: datetime,
) -> list[ObjectKey]:
    """Write what the newest states tell of their lists; the objects of which it is not all.

    `taken` is what became of states taken in bulk: a new object has nothing that could end.
    """
    told = [
        _Told(key, state, shown)
        for key, state in states.items()
        if has_lists(key.object)
        for shown in lists_of(state.snapshot)
    ]
    incomplete = {one.key for one in told if not one.shown.is_whole}
    for name in ENTRY_TABLES:
        group = [one for one in told if one.shown.table == name]
        incomplete |= _save_entries_of(connection, name, group, now=now, is_bulk=taken is not None)
    known = [one for one in told if taken is None or taken[one.key] is Taken.UPDATED]
    _end_missing(connection, known, now=now)
    _end_of_deleted(connection, states, now=now)
    return [key for key in states if key in incomplete and _is_event(states[key])]


def _is_event(state: State) -> bool:
    return state.snapshot.origin == "event" and state.deleted_at is None


def _save_entries_of(
    connection: Connection, name: str, told: Sequence[_Told], *, now: datetime, is_bulk: bool
) -> set[ObjectKey]:
    """Write the entries of one table; the objects with one of which only the id is known."""
    table = ENTRY_TABLES[name]
    whole: list[Row] = []
    named: dict[Row, ObjectKey] = {}
    for one in told:
        for entry in one.entries():
            row = entry_row(one.key, entry, now)
            if entry.payload is None:
                named[row] = one.key
            else:
                whole.append(row)
    if is_bulk:
        table.stage_and_write(connection, whole, When.OTHER)
    else:
        table.write(connection, whole, When.OTHER)
    if not named:
        return set()
    table.write(connection, list(named), When.OTHER_END)
    unknown = connection.execute(
        load_sql("stripe/unknown_discounts"),
        as_arrays(
            ("account_ids", "livemodes", "parent_objects", "parent_ids", "owner_ids", "ids"),
            [row[: len(table.key)] for row in named],
        ),
    ).fetchall()
    return {ObjectKey(*row) for row in unknown}


def _end_missing(connection: Connection, told: Sequence[_Told], *, now: datetime) -> None:
    """End the entries that a whole list of the newest state no longer shows."""
    for name, statement in _ENDINGS.items():
        lists = [one for one in told if one.shown.table == name and one.shown.is_whole]
        if lists:
            parents = [
                (
                    one.key.account_id,
                    one.key.livemode,
                    one.key.object,
                    one.key.id,
                    one.state.snapshot.state_at,
                    orjson.dumps([_name_in(key) for key in one.shown.entries]).decode(),
                )
                for one in lists
            ]
            names = ("account_ids", "livemodes", "objects", "ids", "state_ats", "shown")
            connection.execute(load_sql(statement), {**as_arrays(names, parents), "now": now})


def _name_in(key: EntryKey) -> str:
    return f"{key.owner_id} {key.id}" if key.table == DISCOUNTS else key.id


_ENDINGS: Final = {
    ITEMS: "stripe/end_missing_subscription_items",
    LINES: "stripe/end_missing_invoice_line_items",
    DISCOUNTS: "stripe/end_missing_discounts",
}


def _end_of_deleted(
    connection: Connection, states: Mapping[ObjectKey, State], *, now: datetime
) -> None:
    """End what lies in objects that are gone."""
    gone = [
        (*key, state.deleted_at)
        for key, state in states.items()
        if state.deleted_at is not None and has_lists(key.object)
    ]
    if gone:
        names = ("account_ids", "livemodes", "objects", "ids", "deleted_ats")
        for name in ENTRY_TABLES:
            connection.execute(
                load_sql(f"stripe/end_{name}_of_deleted"), {**as_arrays(names, gone), "now": now}
            )


# --- rebuilding ----------------------------------------------------------------------------------


def dump_objects(
    connection: Connection, keys: Iterable[ObjectKey]
) -> dict[ObjectKey, tuple[str, ...]]:
    """All rows of these objects and of what lies in them as text, but without `applied_at`."""
    found: dict[ObjectKey, list[str]] = defaultdict(list)
    for object_name, group in _by_object(keys).items():
        for name, parents in _tables_of(object_name):
            statement = sql.SQL(
                "select stored.account_id, stored.livemode, asked.id,"
                " {name} || ' ' || (to_jsonb(stored) - 'applied_at')::text"
                " from {table} as stored join {asked} on {match} order by 4"
            ).format(
                name=name,
                table=sql.Identifier("stripe", name),
                asked=_ASKED,
                match=_match(parents),
            )
            rows = connection.execute(statement, _asked(group))
            for account, livemode, id_, text in rows:
                found[ObjectKey(account, livemode, object_name, id_)].append(text)
    return {key: tuple(texts) for key, texts in found.items()}


def forget_objects(connection: Connection, keys: Iterable[ObjectKey]) -> None:
    """Delete all rows of these objects and of what lies in them, to be built again."""
    for object_name, group in _by_object(keys).items():
        for name, parents in reversed(_tables_of(object_name)):
            statement = sql.SQL("delete from {table} as stored using {asked} where {match}").format(
                table=sql.Identifier("stripe", name), asked=_ASKED, match=_match(parents)
            )
            connection.execute(statement, _asked(group))


def list_unfounded(connection: Connection) -> list[ObjectKey]:
    """Objects of which neither an event nor a fetched state is known: not ours."""
    found: list[ObjectKey] = []
    for object_name, kind in sorted(BY_OBJECT.items()):
        if object_name != "event":
            statement = sql.SQL(
                "select account_id, livemode, id from {table} as stored where not exists ("
                "select 1 from billing.inbox as told where told.account_id = stored.account_id"
                " and told.livemode = stored.livemode and told.object = %(object)s"
                " and told.object_id = stored.id and told.state = 'applied') and not exists ("
                "select 1 from billing.fetched_states as told"
                " where told.account_id = stored.account_id and told.livemode = stored.livemode"
                " and told.object = %(object)s and told.id = stored.id and told.refused is null)"
                " order by 1, 2, 3"
            ).format(table=sql.Identifier("stripe", kind.resource))
            for account, livemode, id_ in connection.execute(statement, {"object": object_name}):
                found.append(ObjectKey(account, livemode, object_name, id_))
    return found


_ASKED: Final = sql.SQL(
    "unnest(%(account_ids)b::text[], %(livemodes)b::boolean[], %(objects)b::text[],"
    " %(ids)b::text[]) as asked (account_id, livemode, object, id)"
)


def _asked(keys: Iterable[ObjectKey]) -> dict[str, list[Any]]:
    return as_arrays(("account_ids", "livemodes", "objects", "ids"), list(keys))


def _match(parents: Mapping[str, str]) -> sql.Composable:
    """That a row belongs to an asked object, by the columns that name it."""
    pairs = {"account_id": "account_id", "livemode": "livemode", **parents}
    return sql.SQL(" and ").join(
        sql.SQL("stored.{} = asked.{}").format(sql.Identifier(mine), sql.Identifier(theirs))
        for mine, theirs in pairs.items()
    )


def _tables_of(object_name: str) -> list[tuple[str, Mapping[str, str]]]:
    """The table of a kind and those of what may lie in it, with how their rows name the object."""
    tables: list[tuple[str, Mapping[str, str]]] = [(BY_OBJECT[object_name].resource, {"id": "id"})]
    if object_name == "subscription":
        tables.append((ITEMS, {"subscription": "id"}))
    if object_name == "invoice":
        tables.append((LINES, {"invoice": "id"}))
    if has_lists(object_name):
        tables.append((DISCOUNTS, {"parent_object": "object", "parent_id": "id"}))
    return tables
