"""Changes booked rows and the application's by hand, as the planting says: plain SQL.

Values are absolute and inserts look first, so that running it twice is running it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from growth_pipeline.sandbox.application import TABLES, as_values
from growth_pipeline.sandbox.journal import Json

_COPIED = (
    "account_id", "livemode", "charge_id", "payment_intent_id", "invoice_id", "customer_id",
    "status", "captured", "currency", "amount_minor", "refunded_minor", "disputed_minor",
    "fee_minor", "net_minor", "settlement_currency", "created_at",
)  # fmt: skip


class MissingRowsError(Exception):
    """Rows that should be changed are not booked yet."""


def tamper(database_url: str, tampering: Iterable[Json]) -> int:
    """Applies all changes in one transaction; how many there were.

    Raises: MissingRowsError if a row to change is not booked; then nothing is changed.
    """
    count, absent = 0, []
    with psycopg.connect(database_url, application_name="sandbox") as connection:
        for step in tampering:
            if not _ACTIONS[step["action"]](connection, step):
                absent.append(step.get("charge_id") or str(step.get("key")))
            count += 1
        if absent:
            connection.rollback()
            raise MissingRowsError(
                f"{len(absent)} of {count} rows are not there yet, the first is {absent[0]}; "
                "deliver and apply the events first, and let the application write its rows"
            )
    return count


def _update(connection: psycopg.Connection, step: Json) -> bool:
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column))
        for column in step["set"]
    )
    statement = sql.SQL(
        "update billing.payments set {} where charge_id = %(_charge)s and written_by = 'mirror'"
    ).format(assignments)
    done = connection.execute(statement, {**step["set"], "_charge": step["charge_id"]})
    return done.rowcount == 1


def _copy(connection: psycopg.Connection, step: Json) -> bool:
    """A second row like a charge's own, with some other values, written by hand; only once."""
    values = dict(step["set"])
    if "created_at" in values:
        values["created_at"] = datetime.fromtimestamp(values["created_at"], UTC)
    columns = sql.SQL(", ").join(map(sql.Identifier, _COPIED))
    chosen = sql.SQL(", ").join(
        sql.Placeholder(column) if column in values else sql.Identifier("like_this", column)
        for column in _COPIED
    )
    statement = sql.SQL(
        "insert into billing.payments ({}, written_by, written_at)"
        " select {}, 'hand', now() from billing.payments like_this"
        " where like_this.charge_id = %(_charge)s and like_this.written_by = 'mirror'"
        " and not exists (select 1 from billing.payments present"
        " where present.charge_id = %(_new)s and present.written_by = 'hand')"
    ).format(columns, chosen)
    names = {"_charge": step["charge_id"], "_new": values.get("charge_id", step["charge_id"])}
    if connection.execute(statement, {**values, **names}).rowcount == 1:
        return True
    found = connection.execute(
        "select 1 from billing.payments where charge_id = %(_new)s and written_by = 'hand'", names
    )
    return found.fetchone() is not None


# --- the application's tables --------------------------------------------------------------------


def _set(connection: psycopg.Connection, step: Json) -> bool:
    statement = sql.SQL("update billing.{} set {} where {}").format(
        sql.Identifier(TABLES[step["table"]].name),
        sql.SQL(", ").join(_equal(column, "new_") for column in step["set"]),
        _is(step["key"]),
    )
    new = {f"new_{column}": value for column, value in as_values(step["set"]).items()}
    return connection.execute(statement, {**new, **step["key"]}).rowcount == 1


def _add(connection: psycopg.Connection, step: Json) -> bool:
    values = as_values(step["row"])
    statement = sql.SQL("insert into billing.{} ({}) values ({}) on conflict do nothing").format(
        sql.Identifier(TABLES[step["table"]].name),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )
    connection.execute(statement, values)
    return True


def _remove(connection: psycopg.Connection, step: Json) -> bool:
    statement = sql.SQL("delete from billing.{} where {}").format(
        sql.Identifier(TABLES[step["table"]].name), _is(step["key"])
    )
    connection.execute(statement, step["key"])
    return True


def _equal(column: str, prefix: str = "") -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(prefix + column))


def _is(key: Json) -> sql.Composed:
    return sql.SQL(" and ").join(map(_equal, key))


_ACTIONS: dict[str, Callable[[psycopg.Connection, Json], bool]] = {
    "update": _update, "copy": _copy, "set": _set, "add": _add, "remove": _remove,
}  # fmt: skip
