"""What happened in one part of the company: objects as they are now, and an event for each change.

An event is encoded the moment it happens, so a later change of the object cannot reach it. Nested
values of an object are replaced, never changed in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from growth_pipeline.sandbox.names import Names

Json = dict[str, Any]

NESTED_LIMIT = 10


class Event(NamedTuple):
    """One event: when, its id and type, whose it is, and the exact bytes that are delivered."""

    created: int
    id: str
    type: str
    object_id: str
    body: bytes


@dataclass(frozen=True)
class Account:
    """The Stripe account that everything belongs to."""

    id: str
    livemode: bool
    api_version: str


@dataclass
class Journal:
    """Objects and events of one part of the company, in the order they came to be.

    `events_from`: events before this second are not written (Stripe itself keeps 30 days).
    """

    account: Account
    names: Names
    events_from: int = 0
    objects: dict[str, Json] = field(default_factory=dict)
    children: dict[str, list[Json]] = field(default_factory=dict)
    deleted: dict[str, Json | None] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def add(self, obj: Json, at: int, *types: str, asked: bool = False) -> Json:
        """A new object, with an event of each type. `asked`: by an API request, not automation."""
        self.objects[obj["id"]] = obj
        self.deleted.pop(obj["id"], None)  # an id that was chosen may be chosen again
        self.tell(obj, at, *types, asked=asked)
        return obj

    def change(self, obj: Json, at: int, changes: Json, *types: str, asked: bool = False) -> None:
        """New values of an object, with an event of each type.

        Events whose type ends in `.updated` carry the old values as `previous_attributes`.
        """
        previous = None
        if at >= self.events_from:
            previous = old_values(obj, changes)
        obj.update(changes)
        self.tell(obj, at, *types, previous=previous, asked=asked)

    def delete(self, obj: Json, at: int, event_type: str, *, answer: Json | None = None) -> None:
        """An object that is gone. `answer`: what its address gives from now on; None is a 404."""
        self.tell(obj, at, event_type, asked=True)
        self.deleted[obj["id"]] = answer

    def tell(
        self, obj: Json, at: int, *types: str, previous: Json | None = None, asked: bool = False
    ) -> None:
        """Events about an object as it is now."""
        if at < self.events_from or not types:
            return
        request: Json = {"id": None, "idempotency_key": None}
        if asked:
            request = {"id": self.names.new("req"), "idempotency_key": self.names.digits()}
        for event_type in types:
            data: Json = {"object": obj}
            if event_type.endswith(".updated"):
                data["previous_attributes"] = previous or {}
            event_id = self.names.new("evt")
            event = {
                "id": event_id,
                "object": "event",
                "api_version": self.account.api_version,
                "created": at,
                "data": data,
                "livemode": self.account.livemode,
                "pending_webhooks": 1,
                "request": request,
                "type": event_type,
            }
            self.events.append(Event(at, event_id, event_type, obj["id"], orjson.dumps(event)))

    def set_children(self, parent_id: str, url: str, children: list[Json]) -> Json:
        """The nested list of an object's children: the first ten; its own address has them all."""
        self.children[parent_id] = children
        return {
            "object": "list",
            "data": children[:NESTED_LIMIT],
            "has_more": len(children) > NESTED_LIMIT,
            "url": url,
        }


def old_values(before: Json, after: Json) -> Json:
    """Old values of what differs: of a changed hash its changed keys, a changed list whole."""
    old: Json = {}
    for key, value in after.items():
        earlier = before.get(key)
        if earlier == value:
            continue
        if isinstance(earlier, dict) and isinstance(value, dict):
            old[key] = old_values(earlier, value)
        else:
            old[key] = earlier
    return old
