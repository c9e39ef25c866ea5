"""Billing facts of users, from the ledger of the mirror into lifecycle.billing_spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.facts import DaySpan
from growth_pipeline.lifecycle.refresh.billing_facts import Dispute, spans_of
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.revenue.history_store import HistoryStore, news_since
from growth_pipeline.revenue.publish import facts_under, spells_under
from growth_pipeline.storage.postgres import Connection, Database, copy_in
from growth_pipeline.storage.sql import load_sql

Spans = Mapping[str, Sequence[DaySpan]]
_COLUMNS: Final = ("user_number", "kind", "from_on", "until_on", "why")
_TYPES: Final = ("int4", "text", "date", "date", "text")
_BATCH: Final = 2000


class BillingFacts:
    """What the customers of users were at Stripe, of all accounts that are read."""

    def __init__(self, database: Database, scopes: Sequence[Scope], rules: LifecycleRules) -> None:
        self._database = database
        self._scopes = scopes
        self._rules = rules
        self._invoices = facts_under(database, scopes, rules.policy)

    def users_with_news(self, since: datetime) -> list[int]:
        """Users of customers of whom something came to be known after an instant."""
        customers: dict[str, set[str]] = defaultdict(set)
        for account, customer in news_since(self._database, self._scopes, since):
            customers[account].add(customer)
        users: set[int] = set()
        for scope in self._scopes:
            with self._database.connection() as connection:
                values = {**scope._asdict(), "since": since}
                rows = connection.execute(load_sql("lifecycle/disputed_customers"), values)
                told = customers[scope.account_id] | {row[0] for row in rows.fetchall()}
                values = {**scope._asdict(), "customers": sorted(told)}
                found = connection.execute(load_sql("lifecycle/users_of_customers"), values)
                users |= {row[0] for row in found.fetchall()}
        return sorted(users)

    def write(self, connection: Connection, users: Sequence[int]) -> None:
        """Replace the spans of these users by what is known now."""
        found = self._spans(users)
        connection.execute(load_sql("lifecycle/forget_spans"), {"users": list(users)})
        rows = sorted(
            {
                (user, kind, span.from_on, span.until_on, span.why)
                for user, spans in found.items()
                for kind, of_kind in spans.items()
                for span in of_kind
            },
            key=lambda row: (row[0], row[1], row[2], row[4]),
        )
        copy_in(connection, "lifecycle.billing_spans", _COLUMNS, _TYPES, rows)

    def _spans(self, users: Sequence[int]) -> dict[int, dict[str, list[DaySpan]]]:
        found: dict[int, dict[str, list[DaySpan]]] = {}
        for scope in self._scopes:
            owners: dict[str, list[int]] = defaultdict(list)
            for user, customer in self._customers(scope, users):
                owners[customer].append(user)
            for customer, spans in self._spans_of_customers(scope, sorted(owners)):
                for user in owners[customer]:
                    into = found.setdefault(user, {})
                    for kind, of_kind in spans.items():
                        into.setdefault(kind, []).extend(of_kind)
        return found

    def _customers(self, scope: Scope, users: Sequence[int]) -> list[tuple[int, str]]:
        with self._database.connection() as connection:
            values = {**scope._asdict(), "users": list(users)}
            rows = connection.execute(load_sql("lifecycle/customers_of_users"), values)
            return [(row[0], row[1]) for row in rows.fetchall()]

    def _spans_of_customers(
        self, scope: Scope, customers: Sequence[str]
    ) -> Iterator[tuple[str, Spans]]:
        zone = zone_of(self._rules.tz)
        history = HistoryStore(self._database, scope)
        for part in _parts(customers):
            disputes = self._disputes(scope, part)
            states = history.read_states(customers=part)
            seen = set()
            for customer, held in groupby(states, key=lambda state: state.customer_id):
                of_customer = list(held)
                seen.add(customer)
                spells = spells_under(
                    [((scope.account_id, customer), of_customer)],
                    self._rules.policy,
                    self._invoices,
                )
                yield customer, spans_of(of_customer, spells, disputes.get(customer, ()), zone)
            for customer in disputes.keys() - seen:
                yield customer, spans_of([], [], disputes[customer], zone)

    def _disputes(self, scope: Scope, customers: Sequence[str]) -> dict[str, list[Dispute]]:
        found: dict[str, list[Dispute]] = defaultdict(list)
        with self._database.connection() as connection:
            values = {**scope._asdict(), "customers": list(customers)}
            rows = connection.execute(load_sql("lifecycle/disputes_of_customers"), values)
            for customer, dispute_id, created_at, closed_at in rows.fetchall():
                found[customer].append(Dispute(dispute_id, created_at, closed_at))
        return found


def _parts(customers: Collection[str]) -> Iterator[list[str]]:
    ordered: Iterable[str] = sorted(customers)
    part: list[str] = []
    for customer in ordered:
        part.append(customer)
        if len(part) == _BATCH:
            yield part
            part = []
    if part:
        yield part
