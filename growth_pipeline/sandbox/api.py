"""What one account's objects look like at an address: lists, single objects, nested lists."""

from __future__ import annotations

from typing import Any

import orjson

from growth_pipeline.sandbox.company import EVENT_DAYS, Company
from growth_pipeline.sandbox.errors import ApiError, missing
from growth_pipeline.sandbox.expand import expand, split_paths
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.list_params import MAX_TYPES, check, limit_of
from growth_pipeline.sandbox.lists import Nested, Place, Resource, locate
from growth_pipeline.sandbox.names import DAY
from growth_pipeline.sandbox.store import Condition, Page, Row, Store
from growth_pipeline.sandbox.view import View

_PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})
_BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_ENDED = "status in ('canceled', 'incomplete_expired')"


class Api:
    """Answers addresses below `/v1/` from one company's store, in one API version."""

    def __init__(self, store: Store, company: Company, version: str) -> None:
        self._view = View(store, version, company.api_version)
        self._company = company

    def answer(self, path: str, query: Json) -> bytes:
        """The body of a GET of `/v1/<path>`.

        Raises: ApiError as Stripe would answer it.
        """
        if path.strip("/") == "account":
            return orjson.dumps(self._company.shown)
        place = locate(path)
        if place is None or not self._view.has(place.resource):
            raise ApiError(404, f"Unrecognized request URL (GET: /v1/{path}).")
        if place.nested:
            return self._nested(place, place.nested, path, query)
        if place.object_id:
            return self._one(place.resource, place.object_id, query)
        return self._list(place.resource, query)

    # --- one object ----------------------------------------------------------------------------

    def _one(self, resource: Resource, object_id: str, query: Json) -> bytes:
        checked = check(query, f"{resource.sdk}RetrieveParams")
        row = self._view.find(resource, object_id)
        if row is None or (resource.name == "events" and row.created < self._oldest_event):
            raise missing(resource.object, object_id)
        return self._expanded([row.body], resource.object, checked, in_list=False)[0]

    def _expanded(
        self, bodies: list[bytes], kind: str, checked: Json, *, in_list: bool
    ) -> list[bytes]:
        paths = split_paths(self._view, kind, checked.get("expand", []), in_list=in_list)
        if not paths:
            return bodies
        objects = [orjson.loads(body) for body in bodies]
        for obj in objects:
            for steps in paths:
                expand(self._view, obj, steps)
        return [orjson.dumps(obj) for obj in objects]

    @property
    def _oldest_event(self) -> int:
        return self._company.as_of - EVENT_DAYS * DAY

    # --- lists ---------------------------------------------------------------------------------

    def _list(self, resource: Resource, query: Json) -> bytes:
        checked = check(query, f"{resource.sdk}ListParams")
        conditions = _conditions(resource, checked)
        if resource.name == "subscription_items" and "subscription" not in checked:
            message = "Missing required param: subscription."
            raise ApiError(400, message, code="parameter_missing", param="subscription")
        if resource.name == "events":
            conditions.append(Condition("created >= ?", (self._oldest_event,)))
            conditions += self._view.untold()
        return self._page(resource, resource.path, checked, conditions)

    def _nested(self, place: Place, below: Nested, path: str, query: Json) -> bytes:
        checked = check(query, below.params)
        if self._view.find(place.resource, place.object_id) is None:
            raise missing(place.resource.object, place.object_id)
        of_owner = Condition(f"{below.owner} = ?", (place.object_id,))
        conditions = [of_owner, *_conditions(below.resource, checked)]
        return self._page(below.resource, path.strip("/"), checked, conditions)

    def _page(
        self, resource: Resource, path: str, checked: Json, conditions: list[Condition]
    ) -> bytes:
        limit = limit_of(checked)
        if "starting_after" in checked and "ending_before" in checked:
            raise ApiError(400, "You may only specify one of these: ending_before, starting_after.")
        page: Page = self._view.page(
            resource,
            conditions,
            limit,
            after=self._cursor(resource, checked, "starting_after"),
            before=self._cursor(resource, checked, "ending_before"),
        )
        bodies = self._expanded(page.bodies, resource.object, checked, in_list=True)
        head = orjson.dumps({"object": "list", "url": f"/v1/{path}"})[:-1]
        more = b"true" if page.has_more else b"false"
        return b'%s,"data":[%s],"has_more":%s}' % (head, b",".join(bodies), more)

    def _cursor(self, resource: Resource, checked: Json, name: str) -> Row | None:
        if name not in checked:
            return None
        row = self._view.find(resource, checked[name])
        if row is None or row.hidden:
            raise missing(resource.object, checked[name], param=name, status=400)
        return row


def _conditions(resource: Resource, checked: Json) -> list[Condition]:
    conditions = []
    for param, value in checked.items():
        name, _, bound = param.partition(".")
        if name in _PAGING:
            continue
        if resource.name == "subscriptions" and name in {"status", "price", "plan"}:
            conditions += _subscription_condition(name, value)
        elif name in resource.ranges:
            sign = _BOUNDS.get(bound, "=")
            conditions.append(Condition(f"{resource.ranges[name]} {sign} ?", (value,)))
        else:
            conditions.append(_equality(resource, param, value))
    if resource.name == "subscriptions" and "status" not in checked:
        conditions.append(Condition("status <> 'canceled'"))
    return conditions


def _equality(resource: Resource, param: str, value: Any) -> Condition:
    if param in resource.among:
        return _among(param, resource.among[param], value)
    if param in resource.flags:
        return Condition(f"({resource.flags[param]}) = ?", (value,))
    return Condition(f"{resource.same[param]} = ?", (value,))


def _among(name: str, column: str, values: list[Any]) -> Condition:
    if name == "types" and len(values) > MAX_TYPES:
        raise ApiError(400, f"You may list at most {MAX_TYPES} types.", param="types")
    return Condition(f"{column} in ({', '.join('?' * len(values))})", tuple(values))


def _subscription_condition(name: str, value: str) -> list[Condition]:
    if name in {"price", "plan"}:
        held = "select 1 from subscription_items i where i.subscription = subscriptions.id"
        return [Condition(f"exists ({held} and i.price = ?)", (value,))]
    if value == "all":
        return []
    if value == "ended":
        return [Condition(_ENDED)]
    return [Condition("status = ?", (value,))]
