"""Thin events: notifications that name an object and hold nothing of it.

Source: Stripe documentation, "Thin events", and the SDK's `v2.core.event`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.lists import BY_OBJECT

_PREFIX = "evt_65"
_LENGTH = len(_PREFIX) + 24


def thin_id(snapshot_id: str) -> str:
    """Id of the thin event that goes with a snapshot event."""
    return _PREFIX + snapshot_id.removeprefix("evt_")


def snapshot_id(event_id: str) -> str | None:
    """Id of the snapshot event that goes with a thin one; None for any other id."""
    if len(event_id) == _LENGTH and event_id.startswith(_PREFIX):
        return f"evt_{event_id.removeprefix(_PREFIX)}"
    return None


def notification(body: bytes, context: str | None) -> bytes:
    """What a destination of thin events gets for an event. `context`: the connected account."""
    return orjson.dumps(_thin(orjson.loads(body), context))


def full(body: bytes, context: str | None) -> bytes:
    """What the address of a thin event gives."""
    event = orjson.loads(body)
    return orjson.dumps({**_thin(event, context), "changes": None, "snapshot_event": event["id"]})


def _thin(event: Json, context: str | None) -> Json:
    created = datetime.fromtimestamp(event["created"], UTC)
    asked = event["request"]["id"] is not None
    return {
        "id": thin_id(event["id"]),
        "object": "v2.core.event",
        "context": context,
        "created": f"{created:%Y-%m-%dT%H:%M:%S}.000Z",
        "livemode": event["livemode"],
        "reason": {"type": "request", "request": event["request"]} if asked else None,
        "related_object": _related(event["data"]["object"]),
        "type": f"v1.{event['type']}",
    }


def _related(obj: Json) -> Json:
    if obj["object"] == "discount":
        url = f"/v1/customers/{obj['customer']}/discount"
        return {"id": obj["id"], "type": "discount", "url": url}
    path = BY_OBJECT[obj["object"]].path
    return {"id": obj["id"], "type": obj["object"], "url": f"/v1/{path}/{obj['id']}"}
