"""Statements of the tables of schema `stripe`, made from the registry of columns.

One form for all tables, instead of a file for each: they differ in the names of columns only. No
value is ever part of a statement. Who runs them: `tables.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, cached_property
from typing import Final

from psycopg import sql

from growth_pipeline.billing.children import DISCOUNTS, ITEMS, LINES
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.table_rows import Row, typed_columns
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.storage.postgres import Connection, copy_in, raw_json


class When(Enum):
    """When an upsert replaces the stored row.

    OTHER: rows of entries are written again only if they change, as an invoice lists the same lines
    often. OTHER_END: an entry of which only the id is told stays as it was, but for its end.
    """

    ALWAYS = auto()
    NEWER = auto()
    OTHER = auto()
    OTHER_END = auto()


@dataclass(frozen=True)
class Table:
    """One table and its statements, made from the registry of columns.

    `key` and `others` are columns with their types, in the order of its rows.
    """

    name: str
    key: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Names and types of all columns."""
        return self.key + self.others

    @cached_property
    def identifier(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier("stripe", self.name)

    @cached_property
    def staging(self) -> str:
        """Name of the temporary table that rows are copied into."""
        return f"growth_{self.name}"

    @cached_property
    def load(self) -> bytes:
        """Known rows of the asked keys; each key is one look-up, while statistics are young too."""
        statement = sql.SQL(
            "select stored.account_id, stored.livemode, stored.id, stored.payload::text,"
            " stored.api_version, stored.state_from, stored.state_at, stored.origin,"
            " stored.event_id, stored.undecided, stored.deleted_at from unnest("
            "%(account_ids)b::text[], %(livemodes)b::boolean[], %(ids)b::text[])"
            " as asked (account_id, livemode, id) cross join lateral (select * from {table} as t"
            " where t.account_id = asked.account_id and t.livemode = asked.livemode"
            " and t.id = asked.id offset 0) as stored"
        ).format(table=self.identifier)
        return statement.as_bytes()

    def write(self, connection: Connection, rows: Sequence[Row], when: When) -> None:
        """Insert or replace a few rows."""
        if rows:
            arrays = [list(column) for column in zip(*rows, strict=True)]
            connection.execute(_upsert(self, when, is_staged=False), arrays)

    def stage_and_write(self, connection: Connection, rows: Sequence[Row], when: When) -> list[Row]:
        """Insert or replace many rows by COPY; of the written: account, mode, id, if inserted."""
        if not rows:
            return []
        names, types = zip(*self.columns, strict=True)
        connection.execute(self._make_staging)
        copy_in(connection, f"pg_temp.{self.staging}", names, types, map(self._copied, rows))
        return connection.execute(_upsert(self, when, is_staged=True)).fetchall()

    @cached_property
    def _make_staging(self) -> bytes:
        statement = sql.SQL(
            "drop table if exists pg_temp.{staging}; create temporary table {staging}"
            " on commit drop as select {names} from {table} with no data"
        ).format(
            staging=sql.Identifier(self.staging),
            names=_names(name for name, _ in self.columns),
            table=self.identifier,
        )
        return statement.as_bytes()

    def _copied(self, row: Row) -> Row:
        at = self._payload_at
        payload = row[at]
        return row if payload is None else (*row[:at], raw_json(payload), *row[at + 1 :])

    @cached_property
    def _payload_at(self) -> int:
        return [name for name, _ in self.columns].index("payload")


@cache
def _upsert(table: Table, when: When, *, is_staged: bool) -> bytes:
    """Insert in the order of the key, so that two writers take their locks in one order."""
    names = [name for name, _ in table.columns]
    arrays = sql.SQL(", ").join(
        sql.SQL("%b::{}[]").format(sql.SQL(_ARRAY_TYPES.get(type, type)))
        for _, type in table.columns
    )
    source = (
        sql.Identifier("pg_temp", table.staging)
        if is_staged
        else sql.SQL("unnest({}) as new ({})").format(arrays, _names(names))
    )
    values = sql.SQL(", ").join(
        sql.SQL("{}::jsonb" if name == "payload" else "{}").format(sql.Identifier(name))
        for name in names
    )
    others = [name for name, _ in table.others]
    changed = others if when is not When.OTHER_END else ["deleted_at", "applied_at"]
    statement = sql.SQL(
        "insert into {table} as stored ({names}) select {values} from {source} order by {key}"
        " on conflict ({key}) do update set {changes} {where}{returning}"
    ).format(
        table=table.identifier,
        names=_names(names),
        values=values,
        source=source,
        key=_names(name for name, _ in table.key),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changed
        ),
        where=_where(when, changed),
        returning=sql.SQL(" returning account_id, livemode, id, xmax = 0" if is_staged else ""),
    )
    return statement.as_bytes()


def _where(when: When, changed: Sequence[str]) -> sql.Composable:
    if when is When.ALWAYS:
        return sql.SQL("")
    if when is When.NEWER:
        return sql.SQL(
            "where stored.state_at < excluded.state_from and stored.deleted_at is null"
            " and excluded.deleted_at is null and (not stored.is_final or excluded.is_final)"
        )
    compared = [name for name in changed if name != "applied_at"]
    return sql.SQL("where ({}) is distinct from ({})").format(
        sql.SQL(", ").join(sql.Identifier("stored", name) for name in compared),
        sql.SQL(", ").join(sql.Identifier("excluded", name) for name in compared),
    )


_ARRAY_TYPES: Final = {"jsonb": "text"}
_SCOPE: Final = (("account_id", "text"), ("livemode", "bool"))
_STATE: Final = (
    ("api_version", "text"),
    ("payload", "jsonb"),
    ("created_at", "timestamptz"),
    ("state_from", "timestamptz"),
    ("state_at", "timestamptz"),
    ("origin", "text"),
    ("event_id", "text"),
    ("undecided", "bool"),
    ("is_final", "bool"),
    ("deleted_at", "timestamptz"),
    ("applied_at", "timestamptz"),
)
_ENTRY_STATE: Final = (
    ("api_version", "text"),
    ("payload", "jsonb"),
    ("deleted_at", "timestamptz"),
    ("applied_at", "timestamptz"),
)


@cache
def table_of(object_name: str) -> Table:
    """The table of a kind of object. Raises: UnknownValueError for a kind without a table."""
    kind = BY_OBJECT.get(object_name)
    if kind is None or object_name == "event":
        raise UnknownValueError(f"there is no table of Stripe objects of kind {object_name!r}")
    resource = kind.resource
    return Table(resource, (*_SCOPE, ("id", "text")), typed_columns(resource) + _STATE)


def _entry_table(name: str, *parent: str) -> Table:
    key = (*_SCOPE, *((column, "text") for column in parent), ("id", "text"))
    return Table(name, key, typed_columns(name) + _ENTRY_STATE)


ENTRY_TABLES: Final = {
    ITEMS: _entry_table(ITEMS, "subscription"),
    LINES: _entry_table(LINES, "invoice"),
    DISCOUNTS: _entry_table(DISCOUNTS, "parent_object", "parent_id", "owner_id"),
}


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
