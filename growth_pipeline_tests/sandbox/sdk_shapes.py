"""Judges a JSON object by the installed SDK's class annotations: keys, types, allowed words."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe
from stripe._stripe_object import StripeObject, UntypedStripeObject

# What the SDK calls a class by in its own files, where that is not its public name.
_ALIASES = {"DisputeResource": "Dispute", "CardResource": "Card"}


def problems(value: Any, hint: Any, where: str) -> Iterator[str]:
    """One sentence for each place where a value is not what an annotation says."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        yield from _of_union(value, get_args(hint), where)
    elif origin is Literal:
        if value not in get_args(hint):
            yield f"{where}: {value!r} is none of {get_args(hint)}"
    elif isinstance(hint, (ForwardRef, str)):
        name = hint if isinstance(hint, str) else hint.__forward_arg__
        yield from problems(value, getattr(stripe, _ALIASES.get(name, name)), where)
    elif origin in {list, typing.List}:  # noqa: UP006 - the SDK's own spelling
        yield from _of_list(value, get_args(hint)[0], where)
    elif isinstance(origin or hint, type) and issubclass(origin or hint, StripeObject):
        yield from _of_object(value, hint, where)
    elif not _is_plain(value, hint):
        yield f"{where}: {value!r} is no {hint}"


def _of_union(value: Any, choices: tuple[Any, ...], where: str) -> Iterator[str]:
    words = [choice for choice in choices if get_origin(choice) is Literal]
    if words and isinstance(value, str):
        # "Literal[...] or str" says that Stripe may add words; the sandbox uses known ones only.
        choices = tuple(words)
    if value is None and type(None) in choices:
        return
    found = []
    for choice in sorted(choices, key=lambda choice: choice is not str):
        found.append(list(problems(value, choice, where)))
        if not found[-1]:
            return
    yield from max(found, key=len)


def _of_list(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
        return
    for number, element in enumerate(value):
        yield from problems(element, hint, f"{where}[{number}]")


def _of_object(value: Any, hint: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
        return
    kind = get_origin(hint) or hint
    if kind is stripe.ListObject:
        yield from _of_list(value["data"], get_args(hint)[0], f"{where}.data")
        return
    if kind is UntypedStripeObject:
        return
    known = {
        key: annotation
        for base in reversed(kind.__mro__)
        if issubclass(base, StripeObject) and base is not StripeObject
        for key, annotation in vars(base).get("__annotations__", {}).items()
        if get_origin(annotation) is not typing.ClassVar and not key.startswith("_")
    }
    for key, part in value.items():
        if key not in known:
            yield f"{where}.{key}: not a key of {kind.__name__}"
        else:
            yield from problems(part, known[key], f"{where}.{key}")
    for key, annotation in known.items():
        if key not in value and type(None) not in get_args(annotation):
            yield f"{where}.{key}: missing"


def _is_plain(value: Any, hint: Any) -> bool:
    if hint is type(None):
        return value is None
    if hint is Any:
        return True
    if hint is Decimal:
        return isinstance(value, str)  # decimal strings in JSON, Decimal in the SDK
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is hint
