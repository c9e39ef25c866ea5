"""A subscription's state, read from the mirror's rows or from Stripe's JSON of any API version.

What a state means is subscription_sides.py's; nothing here judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from growth_pipeline.audit.parts.subscription_sides import BilledItem, State
from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.billing.subscription_terms import Catalogue, Row, terms_of
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Subscription
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, adapter_for


def state_of_object(
    raw: Object, api_version: str, catalogue: Catalogue, *, seen_from: int
) -> State:
    """The state that Stripe's JSON tells.

    Raises: UnknownValueError when it lacks a field that its API version promises.
    """
    version = adapter_for(api_version)
    columns = _typed("subscriptions", version, raw)
    found = raw["items"]
    items = [(_typed("subscription_items", version, one, raw), one) for one in found["data"]]
    row = {**columns, "id": raw["id"], "created": raw["created"], "seen_from": seen_from}
    is_whole = found.get("has_more") is not True
    told = {**row, "is_whole": is_whole}
    return _state(told, items, terms_of(told, items, version, raw, catalogue))


def state_of_row(row: Row, catalogue: Catalogue) -> State:
    """The state that the mirror's tables hold: their columns, not the payloads they came from.

    A payload that lacks what its API version promises leaves the MRR unknown.
    Raises: UnknownValueError for an API version that is not known.
    """
    version = adapter_for(row["api_version"])
    items = [(one, one["payload"] or {}) for one in row["items"]]
    told_at = row["seen_from"] if row["origin"] == "event" else None
    told = {**row, "told_at": told_at}
    try:
        terms = terms_of(told, items, version, row["payload"], catalogue)
    except UnknownValueError:
        terms = None
    return _state(told, items, terms)


def _state(row: Row, items: Sequence[tuple[Row, Object]], terms: Subscription | None) -> State:
    billed = tuple(
        BilledItem(
            id=payload.get("id") or columns["id"],
            price_id=columns["price"],
            product=columns["product"],
            quantity=columns["quantity"],
            period_start=columns["current_period_start"],
            period_end=columns["current_period_end"],
        )
        for columns, payload in items
    )
    starts = [one.period_start for one in billed]
    ends_with_period = row["cancel_at_period_end"] and row["cancel_at"] is None
    period_end = max((one.period_end for one in billed), default=None)
    named = ("start_date", "canceled_at", "ended_at", "trial_start", "trial_end")
    instants = [row[name] for name in named if row[name] is not None]
    return State(
        id=row["id"],
        customer=row["customer"],
        created=row["created"],
        status=row["status"],
        currency=row["currency"],
        items=billed,
        terms=terms,
        seen_from=row["seen_from"],
        instants=(*instants, *starts),
        cancel_at=period_end if ends_with_period else row["cancel_at"],
        ended_at=row["ended_at"],
        cancellation_reason=row["cancellation_reason"],
        is_collection_paused=row["pause_collection_behavior"] is not None,
        latest_invoice=row["latest_invoice"],
        told_at=row.get("told_at"),
        is_whole=row.get("is_whole", True),
    )


def _typed(
    resource: str, version: VersionAdapter, found: Object, parent: Object | None = None
) -> dict[str, Any]:
    return dict(zip(COLUMNS[resource], typed_values(resource, version, found, parent), strict=True))
