"""Histories of subscriptions from the ledger of the mirror. Statements: sql/revenue/.

What held when is decided in `billing.subscription_history`; nothing here reads Stripe's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from growth_pipeline.billing.ledger import EVER, load_snapshots
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.subscription_history import HistoricState, history_of
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.history_catalogue import CatalogueStore
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

_BATCH = 500
_TICK: Final = timedelta(microseconds=1)
_LONGEST_APPLYING: Final = timedelta(hours=1)


class HistoryStore:
    """Subscription histories of one account and mode in Postgres."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    def read_states(
        self,
        *,
        customers: Sequence[str] | None = None,
        known_at: datetime | None = None,
        batch: int = _BATCH,
    ) -> Iterator[SubscriptionState]:
        """Every state of every subscription that the mirror knows, by customer, id and time.

        `customers`: only theirs. `known_at`: only what the pipeline had applied or fetched by then;
        the same instant gives the same states on any later day.
        Some hundred subscriptions are read at a time. Raises: RemoteUnavailableError when the
        database is away; UnknownValueError for an API version that is not known.
        """
        catalogue = CatalogueStore(self._database, self._scope).read(known_at)
        store = BillingStore(self._database)
        for ids in self._ids(customers, batch):
            keys = [ObjectKey(*self._scope, "subscription", one) for one in ids]
            with store.mirror_turn() as turn:
                known = load_snapshots(turn, dict.fromkeys(keys, EVER), known_at=known_at)
            for key in keys:
                for state in history_of(known.get(key, ()), catalogue):
                    yield self._state(key.id, state)

    def _state(self, subscription_id: str, state: HistoricState) -> SubscriptionState:
        return SubscriptionState(
            subscription_id=subscription_id,
            customer_id=state.customer,
            from_at=state.from_at,
            until_at=state.until_at,
            terms=state.terms,
            is_assumed=state.is_assumed,
            account_id=self._scope.account_id,
            told_by=state.told_by,
            reason=state.reason,
            canceled_at=state.canceled_at,
            cancels_at=state.cancels_at,
            ended_at=state.ended_at,
            period_end=state.period_end,
        )

    def _ids(self, customers: Sequence[str] | None, batch: int) -> Iterator[list[str]]:
        after = {"after_customer": "", "after": ""}
        told = None if customers is None else list(customers)
        while rows := self._rows("subscription_ids", **after, limit=batch, customers=told):
            yield [row["id"] for row in rows]
            after = {"after_customer": rows[-1]["customer"], "after": rows[-1]["id"]}

    def _rows(self, statement: str, **told: Any) -> list[dict[str, Any]]:
        values = {**self._scope._asdict(), **told}
        with self._database.connection() as connection:
            found = connection.execute(load_sql(f"revenue/{statement}"), values)
            names = [column.name for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def settled_until(database: Database, scopes: Sequence[Scope], now: datetime) -> datetime:
    """The latest instant up to which nothing will be applied any more: `now`, if nothing waits.

    What is known as of it stays what was known as of it. An event that waits is applied later than
    it was received; none is on its way for more than an hour. Raises: RemoteUnavailableError.
    """
    with clear_errors(), database.connection() as connection:
        found = [
            connection.execute(load_sql("revenue/waiting_since"), scope._asdict()).fetchone()
            for scope in scopes
        ]
    waiting = [row[0] - _TICK for row in found if row is not None and row[0] is not None]
    return min(now, max(min(waiting, default=now), now - _LONGEST_APPLYING))


def known_until(database: Database, scopes: Sequence[Scope]) -> datetime | None:
    """The instant up to which the mirror is complete for every account; None while it is not known.

    What sweeps read whole, else the newest event. Raises: RemoteUnavailableError.
    """
    with clear_errors(), database.connection() as connection:
        found = [
            connection.execute(load_sql("revenue/known_until"), scope._asdict()).fetchone()
            for scope in scopes
        ]
    known = [row[0] for row in found if row is not None and row[0] is not None]
    return min(known) if known and len(known) == len(found) else None


def news_since(
    database: Database, scopes: Sequence[Scope], since: datetime
) -> list[tuple[str, str]]:
    """Customers (account, id) whose states may differ by what came to be known after an instant.

    Also through discounts, coupons and prices. Raises: RemoteUnavailableError.
    """
    found: set[tuple[str, str]] = set()
    for scope in scopes:
        discounted = CatalogueStore(database, scope).customers_told_since(since)
        with clear_errors(), database.connection() as connection:
            rows = connection.execute(
                load_sql("revenue/news_of_customers"), {**scope._asdict(), "since": since}
            ).fetchall()
        found |= {(scope.account_id, one) for one in {*discounted, *(row[0] for row in rows)}}
    return sorted(found)


def mirrored_until(
    database: Database, scopes: Sequence[Scope], known_at: datetime
) -> list[tuple[str, str]]:
    """Subscriptions (account, id) that the mirror has known, as they are, since an instant.

    Raises: RemoteUnavailableError.
    """
    with clear_errors(), database.connection() as connection:
        return [
            (scope.account_id, subscription)
            for scope in scopes
            for (subscription,) in connection.execute(
                load_sql("revenue/mirrored_subscriptions"),
                {**scope._asdict(), "known_at": known_at},
            ).fetchall()
        ]
