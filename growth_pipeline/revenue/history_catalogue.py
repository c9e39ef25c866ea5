"""What subscriptions refer to and do not tell themselves, as far as it was known at an instant.

Statements: sql/revenue/. How terms follow from it is `billing.subscription_terms`.
Contract: docs/metrics.md, "History of subscriptions".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from growth_pipeline.billing.children import DISCOUNTS, Entry, entries_of
from growth_pipeline.billing.fold import fold
from growth_pipeline.billing.inbox import parse_envelope
from growth_pipeline.billing.ledger import EVER, load_snapshots
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.subscription_terms import Catalogue, nested_coupon
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql
from growth_pipeline.stripe_api.versions import Object, adapter_for

Row = dict[str, Any]
_CUSTOMERS_AT_ONCE = 500


class CatalogueStore:
    """Discounts, coupons and tiered prices of one account and mode in Postgres."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    def read(self, known_at: datetime | None = None) -> Catalogue:
        """The catalogue of now; with `known_at`, discounts of customers as they were known then.

        Coupons and tiers are those of now: Stripe never changes what they take off or cost. What a
        discount is, is read wherever it was told; when it ends, from what was known.
        Raises: RemoteUnavailableError.
        """
        rows = self._rows("terms_catalogue")
        discounts = [row for row in rows if row["object"] == "discount"]
        if known_at is not None:
            late = self._customers_told_after(known_at)
            discounts = [row for row in discounts if not _is_of(row, late)]
            discounts += self._as_known(sorted(late), known_at)
        told = self._rows("discount_events", known_at=known_at, since=None)
        by_id = _with_events({row["id"]: row for row in discounts}, told)
        return Catalogue(
            discounts=by_id,
            coupons=_told_inside(by_id.values()) | _payloads(rows, "coupon"),
            prices=_payloads(rows, "price"),
            customer_discounts=_of_customers(by_id),
        )

    def customers_told_since(self, since: datetime) -> set[str]:
        """Customers of whose discounts an event came to be known after an instant.

        Raises: RemoteUnavailableError.
        """
        rows = self._rows("discount_events", known_at=None, since=since)
        told = [parse_envelope(row["body"]).payload or {} for row in rows]
        return {one["customer"] for one in told if isinstance(one.get("customer"), str)}

    def _customers_told_after(self, known_at: datetime) -> set[str]:
        return {row["id"] for row in self._rows("customers_told_after", known_at=known_at)}

    def _as_known(self, customers: Sequence[str], known_at: datetime) -> Iterator[Row]:
        store = BillingStore(self._database)
        for place in range(0, len(customers), _CUSTOMERS_AT_ONCE):
            some = customers[place : place + _CUSTOMERS_AT_ONCE]
            keys = [ObjectKey(*self._scope, "customer", one) for one in some]
            with store.mirror_turn() as turn:
                known = load_snapshots(turn, dict.fromkeys(keys, EVER), known_at=known_at)
            for key, snapshots in known.items():
                if snapshots:
                    newest = fold(snapshots)
                    for entry in entries_of(newest, snapshots):
                        if entry.key.table == DISCOUNTS:
                            yield _row_of(entry, key.id, newest.deleted_at)

    def _rows(self, statement: str, **told: Any) -> list[Row]:
        values = {**self._scope._asdict(), **told}
        with clear_errors(), self._database.connection() as connection:
            found = connection.execute(load_sql(f"revenue/{statement}"), values)
            names = [column.name for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _is_of(row: Row, customers: set[str]) -> bool:
    return row["parent_object"] == "customer" and row["parent_id"] in customers


def _row_of(entry: Entry, customer: str, customer_gone: datetime | None) -> Row:
    """A discount that went with its customer lowers what was paid for up to the end."""
    told: Object = entry.payload or {}
    coupon = adapter_for(entry.parent.api_version).coupon_of(told) if told else None
    is_taken = entry.deleted_at is not None and entry.deleted_at != customer_gone
    gone = int(entry.deleted_at.timestamp()) if entry.deleted_at and is_taken else None
    return {
        "id": entry.key.id,
        "parent_object": "customer",
        "parent_id": customer,
        "coupon": coupon,
        "starts_at": told.get("start"),
        "ends_at": _sooner(told.get("end"), gone),
        "payload": told,
    }


def _with_events(discounts: Mapping[str, Row], events: Iterable[Row]) -> dict[str, Row]:
    """The discounts with what events told of them: rows name some of them by their id only."""
    known = dict(discounts)
    for event in events:
        told = parse_envelope(event["body"])
        if told.payload is None or not isinstance(told.payload.get("id"), str):
            continue
        row = _told_by_event(told.payload, told.api_version or "", event)
        if row is not None:
            known[row["id"]] = _joined(known.get(row["id"]), row)
    return known


def _told_by_event(told: Object, api_version: str, event: Row) -> Row | None:
    try:
        coupon = adapter_for(api_version).coupon_of(told)
    except UnknownValueError:
        return None
    owner = told.get("subscription")
    if owner is None and told.get("invoice") is not None:
        return None
    ended = event["happened_at"] if event["is_end"] else None
    return {
        "id": told["id"],
        "parent_object": "subscription" if owner else "customer",
        "parent_id": owner or told.get("customer"),
        "coupon": coupon,
        "starts_at": told.get("start"),
        "ends_at": _sooner(told.get("end"), ended),
        "payload": told,
    }


def _joined(known: Row | None, told: Row) -> Row:
    if known is None:
        return told
    return {
        **known,
        "coupon": known["coupon"] or told["coupon"],
        "starts_at": told["starts_at"] if known["starts_at"] is None else known["starts_at"],
        "ends_at": _sooner(known["ends_at"], told["ends_at"]),
        "payload": known["payload"] or told["payload"],
    }


def _sooner(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _of_customers(discounts: Mapping[str, Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(discounts):
        row = discounts[key]
        if row["parent_object"] == "customer":
            found.setdefault(row["parent_id"], []).append(key)
    return found


def _told_inside(discounts: Iterable[Row]) -> dict[str, Any]:
    """Coupons that discounts tell whole: one that was deleted is told nowhere else."""
    found = [coupon for row in discounts if (coupon := nested_coupon(row["payload"] or {}))]
    return {coupon["id"]: coupon for coupon in found}


def _payloads(rows: Sequence[Row], kind: str) -> dict[str, Any]:
    return {row["id"]: row["payload"] for row in rows if row["object"] == kind}
