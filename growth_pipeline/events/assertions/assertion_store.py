"""Statements about billing events and the objects of Stripe that they name. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from growth_pipeline.core.ids import Scope
from growth_pipeline.events.assertions.compare import Known, Told
from growth_pipeline.events.assertions.facts import Charge, Facts, read_states
from growth_pipeline.events.catalogue.registry import ASSERTIONS
from growth_pipeline.storage.postgres import Connection, Database
from growth_pipeline.storage.sql import load_sql

Reference = tuple[str, str]
"""Kind and id of an object at Stripe."""

_PAGE: Final = 500


class AssertionStore:
    """Billing events, and what the mirror knows. Safe to share between threads.

    `scopes`: accounts whose objects an event may name, all of one mode.
    """

    def __init__(self, database: Database, scopes: Sequence[Scope]) -> None:
        self._database = database
        self._scope = {
            "accounts": [one.account_id for one in scopes],
            "livemode": scopes[0].livemode,
        }

    def known(self) -> Known:
        """How far the mirror can speak."""
        with self._database.connection() as connection:
            (row,) = self._rows(connection, "asserted_known")
        return Known(row["since"], row["as_of"])

    def told(self, since: datetime, until: datetime) -> Iterator[list[Told]]:
        """Billing events received in [since, until), in pages, in the order of receipt.

        One snapshot for all pages; never more than a page in memory.
        """
        span = {"events": list(ASSERTIONS), "since": since, "until": until}
        with (
            self._database.connection() as connection,
            connection.cursor(name="asserted_told") as cursor,
        ):
            cursor.execute(load_sql("events/asserted_told"), span)
            while rows := cursor.fetchmany(_PAGE):
                names = [column.name for column in cursor.description or ()]
                yield [_told(dict(zip(names, row, strict=True))) for row in rows]

    def facts(self, references: Iterable[Reference]) -> dict[Reference, Facts]:
        """What the mirror knows, by reference; objects that it does not have are left out.

        Everything is read from one snapshot.
        """
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for kind, id_ in set(references):
            ids[kind].append(id_)
        found: dict[Reference, Facts] = {}
        with self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            for kind, wanted in ids.items():
                read = _READERS[kind]
                facts = read(self, connection, wanted)
                found |= {(kind, id_): one for id_, one in facts.items()}
        return found

    def customers(self, user_ids: Iterable[str]) -> dict[str, frozenset[str]]:
        """Customers of users, as the application tells them; users without any are left out."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        with self._database.connection() as connection:
            for row in self._rows(connection, "asserted_customers", ids=sorted(set(user_ids))):
                found[row["user_id"]].add(row["customer_id"])
        return {user: frozenset(customers) for user, customers in found.items()}

    def subscriptions(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        """Subscriptions with every state that the ledger holds."""
        states: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._rows(connection, "asserted_states", ids=ids):
            states[row["id"]].append(row)
        return {
            row["id"]: Facts(row["customer"], row["status"], states=read_states(states[row["id"]]))
            for row in self._rows(connection, "asserted_subscriptions", ids=ids)
        }

    def payments(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        """Payment intents with their charges; one that is known by its charges only, too."""
        rows: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._rows(connection, "asserted_payments", ids=ids):
            rows[row["id"]].append(row)
        return {id_: _payment(found) for id_, found in rows.items()}

    def refunds(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        """Refunds with their amount."""
        return {
            row["id"]: Facts(row["customer"], row["status"], row["amount_minor"], row["currency"])
            for row in self._rows(connection, "asserted_refunds", ids=ids)
        }

    def checkout_sessions(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        """Checkout sessions."""
        rows = self._rows(connection, "asserted_checkout_sessions", ids=ids)
        return {row["id"]: Facts(row["customer"], row["status"]) for row in rows}

    def payment_methods(self, connection: Connection, ids: Sequence[str]) -> dict[str, Facts]:
        """Payment methods."""
        rows = self._rows(connection, "asserted_payment_methods", ids=ids)
        return {row["id"]: Facts(row["customer"]) for row in rows}

    def _rows(
        self, connection: Connection, statement: str, **parameters: Any
    ) -> list[dict[str, Any]]:
        cursor = connection.execute(load_sql(f"events/{statement}"), self._scope | parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


_READERS: Final = {
    "subscription": AssertionStore.subscriptions,
    "payment_intent": AssertionStore.payments,
    "refund": AssertionStore.refunds,
    "checkout.session": AssertionStore.checkout_sessions,
    "payment_method": AssertionStore.payment_methods,
}


def _payment(rows: Sequence[Mapping[str, Any]]) -> Facts:
    charges = tuple(
        Charge(row["is_settled"], row["has_failed"], row["amount_minor"], row["currency"])
        for row in rows
        if row["charge_id"] is not None
    )
    last = rows[-1]
    return Facts(
        last["customer"], last["status"], charges=charges, has_failed=last["intent_has_failed"]
    )


def _told(row: Mapping[str, Any]) -> Told:
    properties = row["properties"]
    return Told(
        message_id=row["message_id"],
        event=row["event"],
        user_id=row["user_id"],
        at=row["occurred_at"],
        properties=properties if isinstance(properties, dict) else {},
        has_time=row["has_time"],
    )
