"""A Kit account (API v4) on this machine, for tests and for trying journeys: nobody gets an e-mail.

It keeps state, answers as the reference says, limits requests as Kit does, sends webhooks, and can
be told to fail in every way that matters. Run: python -m growth_pipeline.sandbox.kit --port 8700
"""

from __future__ import annotations

import argparse
import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

STATES = ("active", "inactive", "bounced", "cancelled", "complained")
_MOST_ON_A_PAGE = 1000
_WEBHOOK_EVENTS = {
    "active": "subscriber.subscriber_activate",
    "cancelled": "subscriber.subscriber_unsubscribe",
    "bounced": "subscriber.subscriber_bounce",
    "complained": "subscriber.subscriber_complain",
}


@dataclass
class Faults:
    """Shares of writes that fail, each in its way; 0 to 1. `delay`: seconds before it is accepted.

    lost: accepted, the answer is lost. late: accepted after `delay`. error_after: accepted, 500.
    error_before: 500, not accepted. reset: cut off, not accepted.
    """

    lost: float = 0.0
    late: float = 0.0
    error_after: float = 0.0
    error_before: float = 0.0
    reset: float = 0.0
    reads: float = 0.0
    delay: float = 1.5
    hang: float = 0.0

    def draw(self, random_: random.Random) -> str:
        """The fault of one write; empty: none."""
        drawn = random_.random()
        for name in ("lost", "late", "error_after", "error_before", "reset"):
            share: float = getattr(self, name)
            if drawn < share:
                return name
            drawn -= share
        return ""


@dataclass
class Account:
    """Everything a Kit account holds, and what was asked of it."""

    requests: int = 120
    seconds: float = 60.0
    key: str = "kit_sandbox"
    seed: int = 1
    faults: Faults = field(default_factory=Faults)
    subscribers: dict[int, dict[str, Any]] = field(default_factory=dict)
    by_address: dict[str, int] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    tagged: dict[int, dict[int, str]] = field(default_factory=dict)
    in_sequences: dict[int, dict[int, str]] = field(default_factory=dict)
    webhooks: list[dict[str, str]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    recent: deque[float] = field(default_factory=deque)
    refused: int = 0
    most_in_window: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def admits(self) -> bool:
        """Whether one more request is within the limit; a refused one is counted too."""
        now = time.monotonic()
        while self.recent and self.recent[0] <= now - self.seconds:
            self.recent.popleft()
        self.recent.append(now)
        self.most_in_window = max(self.most_in_window, len(self.recent))
        return len(self.recent) <= self.requests

    def add(self, address: str, state: str = "active") -> dict[str, Any]:
        """A subscriber; one that is there keeps the state."""
        found = self.by_address.get(address.strip().lower())
        if found is not None:
            return self.subscribers[found]
        number = len(self.subscribers) + 1
        made: dict[str, Any] = {
            "id": number,
            "first_name": None,
            "email_address": address,
            "state": state,
            "created_at": _now(),
            "updated_at": _now(),
            "fields": {},
        }
        self.subscribers[number] = made
        self.by_address[address.strip().lower()] = number
        return made

    def tag(self, name: str) -> dict[str, Any]:
        """A tag by its name; made if there is none."""
        for number, known in self.tags.items():
            if known == name:
                return {"id": number, "name": name}
        number = len(self.tags) + 1
        self.tags[number] = name
        return {"id": number, "name": name}

    def accept(self, kind: str, target: int, kit_id: int) -> None:
        """Somebody gets a tag or comes into a sequence; each time is kept."""
        place = self.tagged if kind == "tag" else self.in_sequences
        into = place.setdefault(kit_id if kind == "tag" else target, {})
        into.setdefault(target if kind == "tag" else kit_id, _now())
        self.accepted.append(
            {
                "kind": kind,
                "target": self.tags.get(target, str(target)) if kind == "tag" else str(target),
                "kit_id": kit_id,
                "address": self.subscribers[kit_id]["email_address"],
                "state": self.subscribers[kit_id]["state"],
                "at": time.time(),
            }
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def create_app(account: Account) -> Starlette:
    """The account as a web app; `/v4/…` is Kit's, `/control/…` the test's."""
    routes = _Routes(account)
    paths: list[tuple[str, str, Any]] = [
        ("GET", "/v4/subscribers", routes.list_subscribers),
        ("POST", "/v4/subscribers", routes.create_subscriber),
        ("GET", "/v4/subscribers/{id:int}", routes.get_subscriber),
        ("GET", "/v4/subscribers/{id:int}/tags", routes.tags_of),
        ("POST", "/v4/subscribers/{id:int}/unsubscribe", routes.unsubscribe),
        ("GET", "/v4/tags", routes.list_tags),
        ("POST", "/v4/tags", routes.create_tag),
        ("POST", "/v4/tags/{tag:int}/subscribers/{id:int}", routes.add_tag),
        ("GET", "/v4/sequences/{sequence:int}/subscribers", routes.sequence),
        ("POST", "/v4/sequences/{sequence:int}/subscribers/{id:int}", routes.add_to_sequence),
        ("POST", "/v4/webhooks", routes.create_webhook),
    ]
    control: list[tuple[str, str, Any]] = [
        ("POST", "/control/subscribers", routes.control_subscribers),
        ("POST", "/control/state", routes.control_state),
        ("POST", "/control/faults", routes.control_faults),
        ("POST", "/control/forget", routes.control_forget),
        ("GET", "/control/log", routes.control_log),
    ]
    return Starlette(
        routes=[
            *(Route(path, routes.guarded(to), methods=[method]) for method, path, to in paths),
            *(Route(path, to, methods=[method]) for method, path, to in control),
        ]
    )


class _Routes:
    """What each route does."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def guarded(self, to: Any) -> Any:
        """Key and limit before everything else, and a line in the log."""

        async def endpoint(request: Request) -> Response:
            account = self.account
            arrived = time.time()
            body = (await request.body()).decode("utf-8", "replace")
            with account.lock:
                admitted = account.admits()
                account.log.append(
                    {
                        "at": arrived,
                        "method": request.method,
                        "path": request.url.path,
                        "body": body,
                        "refused": not admitted,
                    }
                )
                account.refused += not admitted
            if not admitted:
                return PlainTextResponse("Retry later\n", 429)
            if account.faults.hang:
                await asyncio.sleep(account.faults.hang)
            if request.headers.get("x-kit-api-key") != account.key:
                return JSONResponse({"errors": ["The access token is invalid"]}, 401)
            if request.method == "GET" and account.random.random() < account.faults.reads:
                return JSONResponse({"errors": ["Internal error"]}, 500)
            answer: Response = await to(request)
            return answer

        return endpoint

    # --- Kit's routes ---

    async def list_subscribers(self, request: Request) -> Response:
        """Subscribers of an address, a state, or changed since an instant."""
        asked = request.query_params
        with self.account.lock:
            rows = list(self.account.subscribers.values())
        status = asked.get("status", "active")
        if status != "all":
            rows = [row for row in rows if row["state"] == status]
        if address := asked.get("email_address"):
            rows = [r for r in rows if r["email_address"].lower() == address.strip().lower()]
        if since := asked.get("updated_after"):
            rows = [r for r in rows if r["updated_at"] > since]
        return _page(request, "subscribers", rows)

    async def create_subscriber(self, request: Request) -> Response:
        """Makes one, or changes nothing but the name of one that is there."""
        told = await request.json()
        with self.account.lock:
            known = told["email_address"].strip().lower() in self.account.by_address
            made = self.account.add(told["email_address"], told.get("state") or "active")
        return JSONResponse({"subscriber": made}, 200 if known else 201)

    async def get_subscriber(self, request: Request) -> Response:
        """One subscriber."""
        found = self.account.subscribers.get(request.path_params["id"])
        return JSONResponse({"subscriber": found}) if found else _missing()

    async def tags_of(self, request: Request) -> Response:
        """The tags of a subscriber."""
        kit_id = request.path_params["id"]
        if kit_id not in self.account.subscribers:
            return _missing()
        with self.account.lock:
            rows = [
                {"id": tag, "name": self.account.tags[tag], "tagged_at": at}
                for tag, at in self.account.tagged.get(kit_id, {}).items()
            ]
        return _page(request, "tags", rows)

    async def unsubscribe(self, request: Request) -> Response:
        """Ends it; twice is harmless."""
        found = self.account.subscribers.get(request.path_params["id"])
        if not found:
            return _missing()
        await self._change(found, "cancelled")
        return Response(status_code=204)

    async def list_tags(self, request: Request) -> Response:
        """All tags."""
        with self.account.lock:
            rows = [{"id": number, "name": name} for number, name in self.account.tags.items()]
        return _page(request, "tags", rows)

    async def create_tag(self, request: Request) -> Response:
        """A tag by its name."""
        told = await request.json()
        with self.account.lock:
            return JSONResponse({"tag": self.account.tag(told["name"])}, 201)

    async def add_tag(self, request: Request) -> Response:
        """Gives a subscriber a tag, unless a fault was drawn."""
        tag, kit_id = request.path_params["tag"], request.path_params["id"]
        if tag not in self.account.tags or kit_id not in self.account.subscribers:
            return _missing()
        return await self._write("tag", tag, kit_id)

    async def add_to_sequence(self, request: Request) -> Response:
        """Adds a subscriber to a sequence, unless a fault was drawn."""
        kit_id = request.path_params["id"]
        if kit_id not in self.account.subscribers:
            return _missing()
        return await self._write("sequence", request.path_params["sequence"], kit_id)

    async def sequence(self, request: Request) -> Response:
        """Subscribers of a sequence."""
        with self.account.lock:
            held = self.account.in_sequences.get(request.path_params["sequence"], {})
            rows = [{**self.account.subscribers[one], "added_at": at} for one, at in held.items()]
        return _page(request, "subscribers", rows)

    async def create_webhook(self, request: Request) -> Response:
        """An address that is told of changes."""
        told = await request.json()
        with self.account.lock:
            name = str(told["event"]["name"])
            self.account.webhooks.append({"url": told["target_url"], "event": name})
        return JSONResponse({"webhook": {"id": len(self.account.webhooks), **told}}, 201)

    # --- the test's routes ---

    async def control_subscribers(self, request: Request) -> Response:
        """Adds subscribers: a list of addresses, or of objects with `address` and `state`."""
        for one in await request.json():
            told = {"address": one} if isinstance(one, str) else one
            with self.account.lock:
                self.account.add(told["address"], told.get("state", "active"))
        return JSONResponse({"subscribers": len(self.account.subscribers)})

    async def control_state(self, request: Request) -> Response:
        """A subscriber's state changes at Kit, as by a link in an e-mail; webhooks tell of it."""
        told = await request.json()
        number = self.account.by_address.get(told["address"].strip().lower())
        if number is None:
            return _missing()
        await self._change(self.account.subscribers[number], told["state"])
        return JSONResponse({"id": number})

    async def control_faults(self, request: Request) -> Response:
        """Which share of calls fails from now on."""
        self.account.faults = Faults(**await request.json())
        return JSONResponse({})

    async def control_forget(self, _request: Request) -> Response:
        """Forgets what was asked so far, not what is held."""
        with self.account.lock:
            self.account.log.clear()
        return JSONResponse({})

    async def control_log(self, _request: Request) -> Response:
        """What was accepted and asked, and the most requests in one window."""
        with self.account.lock:
            return JSONResponse(
                {
                    "accepted": list(self.account.accepted),
                    "log": list(self.account.log),
                    "refused": self.account.refused,
                    "most_in_window": self.account.most_in_window,
                    "states": {
                        row["email_address"]: row["state"]
                        for row in self.account.subscribers.values()
                    },
                }
            )

    # --- inside ---

    async def _write(self, kind: str, target: int, kit_id: int) -> Response:
        account = self.account
        with account.lock:
            fault = account.faults.draw(account.random)
        if fault == "reset":
            return _cut_off()
        if fault == "error_before":
            return JSONResponse({"errors": ["Internal error"]}, 500)
        if fault == "late":
            await asyncio.sleep(account.faults.delay)
        with account.lock:
            account.accept(kind, target, kit_id)
            answer = {"subscriber": dict(account.subscribers[kit_id])}
        if fault == "lost":
            return _cut_off()
        if fault == "error_after":
            return JSONResponse({"errors": ["Internal error"]}, 500)
        return JSONResponse(answer, 201)

    async def _change(self, subscriber: dict[str, Any], state: str) -> None:
        with self.account.lock:
            subscriber["state"] = state
            subscriber["updated_at"] = _now()
            urls = [
                one["url"]
                for one in self.account.webhooks
                if one["event"] == _WEBHOOK_EVENTS.get(state)
            ]
            told = {"subscriber": dict(subscriber)}
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            for url in urls:
                try:
                    await client.post(url, json=told)
                except httpx.HTTPError:
                    continue  # Kit tries again later; here it is only lost


def _page(request: Request, name: str, rows: list[dict[str, Any]]) -> Response:
    """One page of a list, by the cursor of the last row before it."""
    size = min(int(request.query_params.get("per_page", "500")), _MOST_ON_A_PAGE)
    first = int(request.query_params.get("after") or 0)
    shown = rows[first : first + size]
    pages = {
        "has_previous_page": first > 0,
        "has_next_page": first + size < len(rows),
        "start_cursor": str(first),
        "end_cursor": str(first + len(shown)),
        "per_page": size,
    }
    return JSONResponse({name: shown, "pagination": pages})


def _missing() -> Response:
    return JSONResponse({"errors": ["Not Found"]}, 404)


def _cut_off() -> Response:
    """An answer that breaks off: the connection is closed before it is whole."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b"{"
        raise ConnectionResetError

    return StreamingResponse(nothing(), 200, headers={"content-length": "1000"})


def main() -> None:
    """Serves an empty account on loopback."""
    parser = argparse.ArgumentParser(description="A Kit account (API v4) on this machine.")
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--requests", type=int, default=120, help="requests in a window")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a window")
    parser.add_argument("--seed", type=int, default=1, help="of the faults that are drawn")
    given = parser.parse_args()
    account = Account(requests=given.requests, seconds=given.seconds, seed=given.seed)
    uvicorn.run(create_app(account), host="127.0.0.1", port=given.port, log_level="critical")


if __name__ == "__main__":
    main()
