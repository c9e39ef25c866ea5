"""What a change of the catalogue would refuse that was right before. Pure; works on JSON Schemas.

Such a change needs a new version of the event: applications that are out there go on as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_LOWEST: Final = ("minLength", "minimum")
_HIGHEST: Final = ("maxLength", "maximum")

Schema = Mapping[str, Any]


def breaking_changes(before: Schema, after: Schema) -> list[str]:
    """One sentence for each thing that the schema of track calls no longer allows.

    Shapes: both as `catalogue_schema` makes them; empty when everything that was right still is. A
    new property that may be missing is no such change. A property that lost its mark of personal
    data is one: what was kept out of reports would show in them.
    """
    found: list[str] = []
    for name, old in before["$defs"].items():
        if "x-event" not in old:
            continue
        label = f"{old['x-event']}@{old['x-version']}"
        new = after["$defs"].get(name)
        if new is None:
            found.append(f"{label} is gone")
        else:
            found += [f"{label}: {what}" for what in _in_event(old, new, before, after)]
    return found


def _in_event(old: Schema, new: Schema, before: Schema, after: Schema) -> Iterator[str]:
    for name in sorted(set(new["required"]) - set(old["required"])):
        yield f"{name} is required now"
    for name, one in old["properties"].items():
        other = new["properties"].get(name)
        if other is None:
            continue  # what is not listed is not looked at
        for what in _narrower(_options(one, before), _options(other, after)):
            yield f"{name} {what}"
        if _is_personal(one) and not _is_personal(other):
            yield f"{name} is no longer marked as personal"


def _options(schema: Schema, document: Schema) -> dict[str, Schema]:
    """What a property may be, by type of its values."""
    options: dict[str, Schema] = {}
    for one in schema.get("anyOf", (schema,)):
        whole = document["$defs"][one["$ref"].rsplit("/", 1)[-1]] if "$ref" in one else one
        options[whole["type"]] = whole
    return options


def _narrower(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> Iterator[str]:
    for kind in sorted(set(old) - set(new)):
        if not (kind == "integer" and "number" in new):
            yield f"may no longer be {kind}"
    for kind in sorted(set(old) & set(new)):
        yield from _limits(old[kind], new[kind])


def _limits(old: Schema, new: Schema) -> Iterator[str]:
    if "enum" in new and "enum" not in old:
        yield "may no longer be any text"
    for value in sorted(set(old.get("enum", ())) - set(new.get("enum", old.get("enum", ())))):
        yield f"may no longer be {value!r}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield "has another pattern"
    for limit in _LOWEST:
        if new.get(limit, 0) > old.get(limit, 0):
            yield f"has a greater {limit}"
    for limit in _HIGHEST:
        if limit in new and new[limit] < old.get(limit, float("inf")):
            yield f"has a smaller {limit}"


def _is_personal(schema: Schema) -> bool:
    return any("x-personal" in one for one in (schema, *schema.get("anyOf", ())))
