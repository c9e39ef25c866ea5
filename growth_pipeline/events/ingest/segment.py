"""The calls of the Segment protocol: what is accepted, and in which words it is refused. Pure.

Source: Segment docs, "HTTP Tracking API" and "Segment Spec: Common Fields"; limits in
docs/events.md. A reason names the field and never quotes a value, which may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

CALLS: Final = frozenset({"track", "identify", "page", "screen", "group", "alias"})
EVENT_LIMIT: Final = 32 * 1024
MESSAGE_ID_LIMIT: Final = 100
EVENTS_LIMIT: Final = 2500

# The routes below /v1 and the call that each one is for; None: a batch that names them itself.
ROUTES: Final[Mapping[str, str | None]] = {
    **dict.fromkeys(("batch", "b")),
    **dict.fromkeys(("track", "t"), "track"),
    **dict.fromkeys(("identify", "i"), "identify"),
    **dict.fromkeys(("page", "p"), "page"),
    **dict.fromkeys(("screen", "s"), "screen"),
    **dict.fromkeys(("group", "g"), "group"),
    **dict.fromkeys(("alias", "a"), "alias"),
}

_TEXTS: Final = ("userId", "anonymousId", "groupId", "previousId")
_OBJECTS: Final = ("properties", "traits", "context")
_LAST_INT: Final = 2**63


class Call(NamedTuple):
    """One accepted call. `message_id` is None where it has none; ids are text."""

    type: str
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    message_id: str | None
    properties: dict[str, Any] | None
    context: dict[str, Any] | None


class Refusal(NamedTuple):
    """Why a call is rejected: a code, and a sentence for who reads the answer."""

    code: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"


def read_call(value: object) -> Call | Refusal:
    """One call as it stands in a batch, its `type` filled in by the route where that knows it."""
    if not isinstance(value, dict):
        return Refusal("not_an_object", "a call must be a JSON object")
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in CALLS:
        return Refusal("unknown_type", f"type must be one of {', '.join(sorted(CALLS))}")
    message_id = value.get("messageId")
    if message_id is not None and (problem := _message_id_problem(message_id)):
        return problem
    for name in _OBJECTS:
        if value.get(name) is not None and not isinstance(value[name], dict):
            return Refusal(f"bad_{name}", f"{name} must be an object")
    return _read_ids(value, kind, message_id or None)


def _message_id_problem(value: object) -> Refusal | None:
    if not isinstance(value, str):
        return Refusal("bad_message_id", "messageId must be a string")
    if len(value) > MESSAGE_ID_LIMIT:
        return Refusal("bad_message_id", f"messageId is longer than {MESSAGE_ID_LIMIT} characters")
    if "\0" in value:
        return Refusal("bad_message_id", "messageId holds U+0000")
    return None


def _read_ids(value: dict[str, Any], kind: str, message_id: str | None) -> Call | Refusal:
    ids: dict[str, str | None] = {}
    for name in _TEXTS:
        given = value.get(name)
        if given is None or isinstance(given, str):
            ids[name] = given or None
        elif isinstance(given, int) and not isinstance(given, bool) and abs(given) < _LAST_INT:
            ids[name] = str(given)
        else:
            return Refusal(f"bad_{_snake(name)}", f"{name} must be a string or a whole number")
    if ids["userId"] is None and ids["anonymousId"] is None:
        return Refusal("no_user", "a call needs userId or anonymousId")
    if problem := _kind_problem(value, kind, ids):
        return problem
    described = "traits" if kind in ("identify", "group") else "properties"
    return Call(
        kind,
        value["event"] if kind == "track" else None,
        ids["userId"],
        ids["anonymousId"],
        message_id,
        value.get(described),
        value.get("context"),
    )


def _kind_problem(value: dict[str, Any], kind: str, ids: dict[str, str | None]) -> Refusal | None:
    if kind == "track":
        name = value.get("event")
        if not isinstance(name, str) or not name:
            return Refusal("no_event", "a track call needs event, a string")
    elif kind == "group" and ids["groupId"] is None:
        return Refusal("no_group_id", "a group call needs groupId")
    elif kind == "alias" and (ids["previousId"] is None or ids["userId"] is None):
        return Refusal("no_previous_id", "an alias call needs previousId and userId")
    return None


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
