"""`expand[]`: ids replaced by the objects they name, up to four levels deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from growth_pipeline.sandbox.errors import ApiError
from growth_pipeline.sandbox.journal import NESTED_LIMIT, Json
from growth_pipeline.sandbox.lists import BY_OBJECT, RESOURCES
from growth_pipeline.sandbox.store import Condition
from growth_pipeline.sandbox.view import View

MAX_LEVELS = 4
_ANY = "*"
# Object -> dotted path -> object that the id there names.
_EXPANDABLE: dict[str, dict[str, str]] = {
    "balance_transaction": {"source": _ANY},
    "checkout.session": {
        "customer": "customer",
        "invoice": "invoice",
        "payment_intent": "payment_intent",
        "subscription": "subscription",
    },
    "credit_note": {
        "customer": "customer",
        "invoice": "invoice",
        "refunds.refund": "refund",
    },
    "customer": {"invoice_settings.default_payment_method": "payment_method"},
    "charge": {
        "customer": "customer",
        "payment_intent": "payment_intent",
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "discount": {
        "customer": "customer",
        "promotion_code": "promotion_code",
        "source.coupon": "coupon",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "invoice": {
        "customer": "customer",
        "discounts": "discount",
        "lines.data.discounts": "discount",
        "parent.subscription_details.subscription": "subscription",
        "total_discount_amounts.discount": "discount",
    },
    "invoice_payment": {"invoice": "invoice", "payment.payment_intent": "payment_intent"},
    "invoiceitem": {"customer": "customer", "invoice": "invoice"},
    "line_item": {"discounts": "discount", "pricing.price_details.price": "price"},
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "payment_method": {"customer": "customer"},
    "payout": {
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "plan": {"product": "product"},
    "price": {"product": "product"},
    "product": {"default_price": "price"},
    "promotion_code": {"customer": "customer", "promotion.coupon": "coupon"},
    "refund": {
        "charge": "charge",
        "payment_intent": "payment_intent",
        "balance_transaction": "balance_transaction",
        "failure_balance_transaction": "balance_transaction",
    },
    "subscription": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "latest_invoice": "invoice",
        "schedule": "subscription_schedule",
        "discounts": "discount",
        "items.data.price.product": "product",
        "items.data.discounts": "discount",
    },
    "subscription_item": {"price.product": "product", "discounts": "discount"},
    "subscription_schedule": {
        "customer": "customer",
        "phases.items.price": "price",
        "subscription": "subscription",
    },
}
# Lists that appear only when asked for: object -> key -> (list, column that names the owner).
_INCLUDABLE = {
    "charge": {"refunds": ("refunds", "charge")},
    "customer": {"subscriptions": ("subscriptions", "customer")},
    "invoice": {"payments": ("invoice_payments", "invoice")},
}
_BY_PREFIX = {"ch": "charge", "re": "refund", "dp": "dispute", "po": "payout"}


def split_paths(view: View, kind: str, paths: Sequence[str], *, in_list: bool) -> list[list[str]]:
    """The paths' steps below each object of a kind.

    Raises: ApiError (400) for a path too deep, or one that leads to nothing expandable.
    """
    split = []
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_LEVELS:
            message = f"You cannot expand more than {MAX_LEVELS} levels of a property: {path}"
            raise ApiError(400, message, code="property_expansion_max_depth", param="expand")
        if in_list and steps[0] == "data":
            steps = steps[1:]
        elif in_list:
            raise _not_expandable(
                path, hint=f" You may want to try expanding 'data.{path}' instead."
            )
        if not _leads_somewhere(view, kind, steps):
            raise _not_expandable(path)
        split.append(steps)
    return split


def _not_expandable(path: str, hint: str = "") -> ApiError:
    return ApiError(400, f"This property cannot be expanded ({path}).{hint}", param="expand")


# Values, not objects, that are told only when asked for.
_TOLD_ON_REQUEST = frozenset({("price", "tiers"), ("coupon", "applies_to")})


def _expandable(view: View, kind: str) -> Mapping[str, str]:
    return {**_EXPANDABLE.get(kind, {}), **view.former(kind)}


def _leads_somewhere(view: View, kind: str, steps: Sequence[str]) -> bool:
    if kind == _ANY:
        return True
    known = _expandable(view, kind)
    for count in range(1, len(steps) + 1):
        path, rest = ".".join(steps[:count]), steps[count:]
        if path in known:
            return not rest or _leads_somewhere(view, known[path], rest)
        if path in _INCLUDABLE.get(kind, {}):
            inner = RESOURCES[_INCLUDABLE[kind][path][0]].object
            return not rest or (rest[0] == "data" and _leads_somewhere(view, inner, rest[1:]))
        if (kind, path) in _TOLD_ON_REQUEST:
            return not rest
    return False


def expand(view: View, obj: Json, steps: Sequence[str]) -> None:
    """Expands one path in an object, in place."""
    _walk(view, obj, obj, [], list(steps))


def _walk(view: View, owner: Json, node: Any, trail: list[str], steps: list[str]) -> None:
    if isinstance(node, list):
        for element in node:
            _walk(view, owner, element, trail, steps)
    elif isinstance(node, dict) and steps:
        _step(view, owner, node, [*trail, steps[0]], steps[1:])


def _step(view: View, owner: Json, node: Json, trail: list[str], rest: list[str]) -> None:
    key, path = trail[-1], ".".join(trail)
    if key not in node:
        node[key] = _included(view, owner, key)
        _go_on(view, node[key]["data"] if rest else [], rest[1:])
    elif path in (known := _expandable(view, owner["object"])):
        node[key] = _resolve(view, known[path], node[key])
        _go_on(view, node[key] if isinstance(node[key], list) else [node[key]], rest)
    else:
        _walk(view, owner, node[key], trail, rest)


def _go_on(view: View, objects: Sequence[Any], steps: list[str]) -> None:
    """Expands the rest of a path in objects that are there now; ids of none stay as they are."""
    for obj in objects:
        if isinstance(obj, dict):
            _walk(view, obj, obj, [], steps)


def _resolve(view: View, target: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_resolve(view, target, one) for one in value]
    if not isinstance(value, str):
        return value
    kind = _BY_PREFIX[value.split("_")[0]] if target == _ANY else target
    row = view.find(BY_OBJECT[kind], value)
    return orjson.loads(row.body) if row else value


def _included(view: View, owner: Json, key: str) -> Any:
    if (owner["object"], key) == ("price", "tiers"):
        return view.fact(f"tiers/{owner['id']}")
    if (owner["object"], key) in _TOLD_ON_REQUEST:
        return None  # a coupon for all products; one for some has them
    name, column = _INCLUDABLE[owner["object"]][key]
    page = view.page(RESOURCES[name], [Condition(f"{column} = ?", (owner["id"],))], NESTED_LIMIT)
    url = f"/v1/{name}?{column}={owner['id']}"
    if name == "refunds":
        url = f"/v1/charges/{owner['id']}/refunds"
    data = [orjson.loads(body) for body in page.bodies]
    return {"object": "list", "data": data, "has_more": page.has_more, "url": url}
