"""How people use the company's product, as its application tells an event ingest.

Written in the words of the Segment protocol: what an official SDK of it would send. The same
company tells the same calls, with the same message ids.
"""

from __future__ import annotations

import base64
import itertools
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import httpx

from growth_pipeline.sandbox.application import user_of
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY, HOUR, Names

PEOPLE = "people"
# The first customers tell of themselves; a larger company would only be more of the same.
MOST_PEOPLE = 300
_BATCH = 250
_FEATURES = ("search", "bulk_edit", "timeline", "export", "mentions")
_FORMATS = ("csv", "pdf", "png")
# A working day of somebody new, of somebody who stayed, and how fast one becomes the other.
_NEW, _STAYED, _HALF_LIFE = 0.55, 0.10, 12.0
_WEEKEND, _WEEKEND_DAYS = 0.35, (5, 6)
_AFTER_END = 0.03


def person_of(life: Life) -> Json | None:
    """What decides how a customer uses the product; None for one who never became a customer."""
    if not life.customer:
        return None
    subscription = life.subscription or {}
    return {
        "user_id": user_of(life.customer["id"]),
        "signed_up_at": life.signed_up_at,
        "country": life.country,
        "ended_at": subscription.get("ended_at"),
        "left_at": life.left_at,
    }


def calls_of(person: Json, as_of: int) -> Iterator[Json]:
    """What one person does from the first visit to the as-of instant, in order of time."""
    user_id, born = person["user_id"], person["signed_up_at"]
    rng, names = random.Random(user_id), Names("usage", user_id)
    device = names.new("device")
    visits = sorted(born - rng.randrange(60, 3 * HOUR) for _ in range(rng.choice((1, 1, 2))))
    for at in visits:
        yield _call(names, at, "page", anonymousId=device, name="Pricing")
    traits = {"createdAt": _text(born), "country": person["country"]}
    yield _call(names, born, "identify", userId=user_id, anonymousId=device, traits=traits)
    for gap, event, properties in (
        (0, "User Signed Up", {"method": "google", "country": person["country"]}),
        (90, "Workspace Created", {"workspace_id": names.new("ws"), "is_first": True}),
        (400, "Project Created", {"project_id": names.new("proj")}),
    ):
        at = born + gap
        if at < as_of:
            yield _track(names, at, user_id, event, properties)
    for at in _sessions(person, rng, as_of):
        for step in range(rng.choice((1, 1, 2))):
            yield _track(names, at + 60 * step, user_id, *_deed(rng, names))


def tell(url: str, write_key: str, calls: Iterable[Json]) -> int:
    """Sends calls to an ingest, in batches; how many.

    Raises: httpx.HTTPError when it is away or refuses; RuntimeError when it rejects a call.
    """
    token = base64.b64encode(f"{write_key}:".encode()).decode()
    waiting, count = iter(calls), 0
    with httpx.Client(
        base_url=url, trust_env=False, timeout=60, headers={"Authorization": f"Basic {token}"}
    ) as client:
        while batch := list(itertools.islice(waiting, _BATCH)):
            sent_at = datetime.now(UTC).isoformat()
            answer = client.post("/v1/batch", json={"batch": batch, "sentAt": sent_at})
            rejected = answer.raise_for_status().json().get("rejected")
            if rejected:
                raise RuntimeError(f"the ingest rejected {rejected}")
            count += len(batch)
    return count


def _sessions(person: Json, rng: random.Random, as_of: int) -> Iterator[int]:
    """Seconds at which somebody begins to work: often at first, then by habit, rarely at last."""
    born, left = person["signed_up_at"], person["left_at"] or as_of
    ended = person["ended_at"] or as_of
    for age in range(1, (min(as_of, left) - born) // DAY + 1):
        midnight = (born // DAY + age) * DAY
        at = midnight + rng.randrange(7 * HOUR, 20 * HOUR)
        chance = _STAYED + (_NEW - _STAYED) * 0.5 ** (age / _HALF_LIFE)
        if datetime.fromtimestamp(midnight, UTC).weekday() in _WEEKEND_DAYS:
            chance *= _WEEKEND
        if at > ended:
            chance = _AFTER_END
        if rng.random() < chance and at + HOUR < min(as_of, left):
            yield at


def _deed(rng: random.Random, names: Names) -> tuple[str, Json]:
    return rng.choice(
        (
            ("Feature Used", {"feature": rng.choice(_FEATURES)}),
            ("Report Viewed", {"report_id": names.new("report")}),
            ("Comment Added", {"comment_id": names.new("comment")}),
            (
                "Report Exported",
                {"report_id": names.new("report"), "format": rng.choice(_FORMATS)},
            ),
        )
    )


def _track(names: Names, at: int, user_id: str, event: str, properties: Json) -> Json:
    return _call(names, at, "track", userId=user_id, event=event, properties=properties)


def _call(names: Names, at: int, kind: str, **more: object) -> Json:
    return {"type": kind, "messageId": names.new("msg"), "timestamp": _text(at), **more}


def _text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
