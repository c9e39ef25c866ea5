"""Changes booked rows by hand, as the planting says: plain SQL in the product's database.

Values are absolute and inserts look first, so that running it twice is running it once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import psycopg
from psycopg import sql

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
            apply = _update if step["action"] == "update" else _copy
            if not apply(connection, step):
                absent.append(step["charge_id"])
            count += 1
        if absent:
            connection.rollback()
            raise MissingRowsError(
                f"{len(absent)} of {count} rows are not in billing.payments yet, the first is "
                f"{absent[0]}; deliver and apply the events first"
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
