"""Query parameters, judged by the installed SDK: what its `*ListParams` do not know is refused.

So the sandbox cannot drift from Stripe by inventing a filter. Source: stripe-python, `params`.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import stripe.params
from stripe._request_options import RequestOptions

from growth_pipeline.sandbox.errors import ApiError

MAX_LIMIT = 100
MAX_TYPES = 20
_OPTIONS = frozenset(RequestOptions.__annotations__)


@cache
def known_params(name: str) -> Mapping[str, Any]:
    """Query parameters of one of the SDK's types, such as `ChargeListParams`.

    A dotted name is of a module of its own: `checkout.SessionListParams`.

    Shapes: name -> type hint; request options (api_key, ...) are no query parameters.
    """
    # Names that the SDK imports for type checkers only; request options use them, no query does.
    elsewhere = {"StripeContext": object, "Mapping": Mapping}
    kind = reduce(getattr, name.split("."), stripe.params)
    hints = get_type_hints(kind, localns=elsewhere)
    return {key: hint for key, hint in hints.items() if key not in _OPTIONS}


def parse(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A query string's pairs as nested values: `created[gte]=5`, `expand[]=a` or `expand[0]=a`."""
    query: dict[str, Any] = {}
    for key, value in pairs:
        name, _, rest = key.partition("[")
        inner = rest.removesuffix("]")
        if not rest:
            query[name] = value
        elif inner == "" or inner.isdigit():
            _put(query, name, [], key).append(value)
        else:
            _put(query, name, {}, key)[inner] = value
    return query


def _put(query: dict[str, Any], name: str, empty: Any, key: str) -> Any:
    held = query.setdefault(name, empty)
    if type(held) is not type(empty):
        raise ApiError(400, f"Invalid request: {key} is given in two forms", param=name)
    return held


def check(query: Mapping[str, Any], params: str) -> dict[str, Any]:
    """The parameters with their types, flattened: `{"created.gte": 5, "limit": 10}`.

    Raises: ApiError (400) for a parameter or a value that Stripe would refuse.
    """
    known = known_params(params)
    checked: dict[str, Any] = {}
    for name, value in query.items():
        if name not in known:
            raise _unknown(name)
        _check_value(checked, name, value, known[name])
    return checked


def _unknown(name: str) -> ApiError:
    message = f"Received unknown parameter: {name}"
    return ApiError(400, message, code="parameter_unknown", param=name)


def _check_value(checked: dict[str, Any], name: str, value: Any, hint: Any) -> None:
    choices = _alternatives(hint)
    nested = next((choice for choice in choices if hasattr(choice, "__required_keys__")), None)
    if isinstance(value, dict):
        inner = get_type_hints(nested) if nested else {}
        for key, part in value.items():
            if key not in inner:
                raise _unknown(f"{name}[{key}]")
            _check_value(checked, f"{name}.{key}", part, inner[key])
    elif isinstance(value, list):
        if not any(get_origin(choice) is list for choice in choices):
            raise ApiError(400, f"Invalid string: {name} takes one value", param=name)
        checked[name] = value
    else:
        checked[name] = _scalar(name, value, choices)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) in {Union, types.UnionType}:
        return tuple(part for arg in get_args(hint) for part in _alternatives(arg))
    return (hint,)


def _scalar(name: str, value: str, choices: tuple[Any, ...]) -> Any:
    if int in choices:
        if not value.lstrip("-").isdecimal():
            code = "parameter_invalid_integer"
            raise ApiError(400, f"Invalid integer: {value}", code=code, param=name)
        return int(value)
    if bool in choices:
        if value not in {"true", "false"}:
            raise ApiError(400, f"Invalid boolean: {value}", param=name)
        return value == "true"
    allowed = [
        arg for choice in choices if get_origin(choice) is Literal for arg in get_args(choice)
    ]
    if allowed and value not in allowed:
        raise ApiError(400, f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
    if not allowed and str not in choices:
        raise ApiError(400, f"Invalid {name}: {value}", param=name)
    return value


def limit_of(checked: Mapping[str, Any]) -> int:
    """The page's size, 1 to 100, 10 if not given."""
    limit = int(checked.get("limit", 10))
    if not 1 <= limit <= MAX_LIMIT:
        bound = f"less than or equal to {MAX_LIMIT}" if limit > MAX_LIMIT else "greater than 0"
        code = "parameter_invalid_integer"
        raise ApiError(400, f"This value must be {bound}.", code=code, param="limit")
    return limit
