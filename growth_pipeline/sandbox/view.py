"""One account's objects as a request sees them: in its API version, events in the account's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.lists import Resource
from growth_pipeline.sandbox.store import Condition, Page, Row, Store
from growth_pipeline.sandbox.versions import (
    BEFORE_BASIL,
    NEWEST,
    Past,
    family_of,
    is_told,
    render,
    render_event,
)


class View:
    """Reads a store in one API version."""

    def __init__(self, store: Store, version: str, account_version: str) -> None:
        self._store = store
        self._account_version = account_version
        self._family = NEWEST if (found := family_of(version)) is None else found

    def find(self, resource: Resource, object_id: str) -> Row | None:
        """An object by id; a deleted one comes with `hidden`."""
        row = self._store.find(resource, object_id)
        return row and row._replace(body=self._rendered(resource, row.body))

    def page(
        self,
        resource: Resource,
        conditions: Sequence[Condition],
        limit: int,
        *,
        after: Row | None = None,
        before: Row | None = None,
    ) -> Page:
        """One page in the list's order, exclusive of its cursor."""
        page = self._store.page(resource, conditions, limit, after=after, before=before)
        return page._replace(bodies=[self._rendered(resource, body) for body in page.bodies])

    def fact(self, name: str) -> Any:
        """A fact about the company; None if there is none."""
        return self._store.fact(name)

    def former(self, kind: str) -> Mapping[str, str]:
        """What this version lets one expand in an object, that newer ones do not."""
        return BEFORE_BASIL.get(kind, {}) if self._family == 0 else {}

    def has(self, resource: Resource) -> bool:
        """Whether this version knows a kind of object: invoice payments came with basil."""
        return self._family > 0 or resource.name != "invoice_payments"

    def untold(self) -> list[Condition]:
        """What leaves out events that the account's version does not have."""
        if is_told("invoice_payment.paid", self._account_version):
            return []
        return [Condition("type not like 'invoice_payment.%'")]

    def _rendered(self, resource: Resource, body: bytes) -> bytes:
        if resource.name == "events":
            return event_body(self._store, body, self._account_version)
        if self._family == NEWEST:
            return body
        return orjson.dumps(render(orjson.loads(body), self._family, Past(self._store)))


def event_body(store: Store, body: bytes, version: str) -> bytes:
    """An event's bytes as an account or endpoint of a version gets them."""
    if version == shapes.API_VERSION:
        return body
    return orjson.dumps(render_event(orjson.loads(body), version, store))
