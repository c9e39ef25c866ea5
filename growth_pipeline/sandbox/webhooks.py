"""Sending events to a webhook endpoint as Stripe does: signed, at least once, in no sure order.

The signature is made here by hand, so that the product's verification is judged by other code.
Source: Stripe documentation, "Verify webhook signatures manually".
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import hmac
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx

from growth_pipeline.sandbox.journal import Event, Json
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.thin import notification
from growth_pipeline.sandbox.versions import is_told
from growth_pipeline.sandbox.view import event_body

_RETRY_SECONDS = (0.1, 0.5, 1.0, 2.0)


def signature_header(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header of a body sent at a second."""
    signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


@dataclass(frozen=True)
class Order:
    """What to send where, and how badly.

    `duplicate_share`, `late_share`, `drop_share`: parts of the events (0 to 1) that come twice,
    come after all others, or never come. `shuffle_seconds`: how far (in the events' own time) an
    event may be overtaken. `drop`: event ids that never come. `types`, `created_gte`,
    `created_lt`, `limit`: which events it is about. `off`: spans of epoch seconds (from, to) in
    which the endpoint was disabled: what happened then is never sent. `attempts`: tries per event.
    `payload`: `snapshot`, or `thin` for notifications. `api_version`: of the endpoint; None is the
    account's. `account`: a connected account whose events it is about, as a Connect endpoint gets
    them. `other_mode`: they say that they are of the other mode, which such an endpoint gets too.

    Raises: ValueError for a payload that is neither.
    """

    url: str
    secret: str
    concurrency: int = 16
    duplicate_share: float = 0.0
    late_share: float = 0.0
    drop_share: float = 0.0
    shuffle_seconds: float = 0.0
    drop: frozenset[str] = frozenset()
    types: frozenset[str] | None = None
    created_gte: int = 0
    created_lt: int | None = None
    off: tuple[tuple[int, int], ...] = ()
    limit: int | None = None
    seed: int = 1
    attempts: int = 5
    timeout_seconds: float = 10.0
    payload: str = "snapshot"
    api_version: str | None = None
    account: str | None = None
    other_mode: bool = False

    def __post_init__(self) -> None:
        if self.payload not in {"snapshot", "thin"}:
            raise ValueError(f"payload {self.payload!r} is neither snapshot nor thin")


class Form:
    """How events are written for an endpoint: in its version, thin, with the account in it."""

    def __init__(self, order: Order, store: Store, version: str) -> None:
        self._order = order
        self._store = store
        self._version = version

    def events(self, *, bodies: bool) -> Iterator[Event]:
        """All events that its version has, in order of time; planted losses are left out."""
        for event in self._store.events(with_lost=False, bodies=bodies):
            if is_told(event.type, self._version):
                yield event

    def body(self, event: Event) -> bytes:
        """The bytes that are signed and sent."""
        account = self._order.account
        if self._order.payload == "thin":
            return self._in_mode(notification(event.body, account))
        body = self._in_mode(event_body(self._store, event.body, self._version))
        return body if account is None else body[:-1] + b',"account":"%s"}' % account.encode()

    def _in_mode(self, body: bytes) -> bytes:
        if not self._order.other_mode:
            return body
        modes = (b'"livemode":false', b'"livemode":true')
        own, other = modes if modes[0] in body else reversed(modes)
        return body.replace(own, other)


@dataclass
class Progress:
    """How far a delivery is. `total` counts events, not attempts; `done` when nothing is left."""

    total: int = 0
    acknowledged: int = 0
    failed: int = 0
    dropped: int = 0
    attempts: int = 0
    duplicates: int = 0
    done: bool = False
    seconds: float = 0.0
    last_error: str | None = None


def arrange(events: Iterable[Event], order: Order) -> Iterator[tuple[Event, bool]]:
    """The events in the order they are sent, each with whether it is sent for the first time.

    Bounded memory: only events within `shuffle_seconds`, and late ones, are held.
    """
    rng = random.Random(order.seed)
    held: list[tuple[float, int, Event, bool]] = []
    late: list[Event] = []
    for number, event in enumerate(events):
        if rng.random() < order.late_share:
            late.append(event)
            continue
        delay = rng.random() * order.shuffle_seconds
        heapq.heappush(held, (event.created + delay, 2 * number, event, True))
        if rng.random() < order.duplicate_share:
            again = event.created + delay + rng.random() * order.shuffle_seconds
            heapq.heappush(held, (again, 2 * number + 1, event, False))
        while held and held[0][0] <= event.created:
            yield heapq.heappop(held)[2:]
    while held:
        yield heapq.heappop(held)[2:]
    for event in late:
        yield event, True


def chosen(events: Iterable[Event], order: Order) -> Iterator[tuple[Event, bool]]:
    """The events an order asks for, each with whether it is to be sent (not dropped)."""
    rng = random.Random(f"drop/{order.seed}")
    count = 0
    for event in events:
        if not _is_wanted(event, order):
            continue
        if order.limit is not None and count >= order.limit:
            return
        count += 1
        is_off = any(start <= event.created < end for start, end in order.off)
        is_lucky = rng.random() >= order.drop_share
        yield event, is_lucky and not is_off and event.id not in order.drop


def _is_wanted(event: Event, order: Order) -> bool:
    if order.types is not None and event.type not in order.types:
        return False
    until = event.created + 1 if order.created_lt is None else order.created_lt
    return order.created_gte <= event.created < until


class Delivery:
    """One delivery of many events, in a thread of its own so that the server stays quick."""

    def __init__(
        self,
        order: Order,
        form: Form,
        *,
        on_acknowledged: Callable[[str], None],
    ) -> None:
        self.order = order
        self.progress = Progress()
        self._form = form
        self._acknowledged = on_acknowledged
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        for _, is_sent in chosen(self._form.events(bodies=False), self.order):
            self.progress.total += is_sent
            self.progress.dropped += not is_sent
        self._thread.start()

    def stop(self) -> None:
        """Sends nothing more, and waits for what is under way."""
        self._stopped.set()
        self._thread.join(timeout=self.order.timeout_seconds)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            asyncio.run(self._send_all())
        finally:
            self.progress.seconds = time.monotonic() - began
            self.progress.done = True

    async def _send_all(self) -> None:
        sent = (
            event
            for event, is_sent in chosen(self._form.events(bodies=True), self.order)
            if is_sent
        )
        queue = arrange(sent, self.order)
        await asyncio.gather(*(self._sender(queue) for _ in range(self.order.concurrency)))

    async def _sender(self, queue: Iterator[tuple[Event, bool]]) -> None:
        # The client's own transport: one webhook needs no cookies, redirects or environment. One
        # for each sender, because a shared pool looks through all its connections every time.
        async with httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1)) as transport:
            for event, is_first in queue:
                if self._stopped.is_set():
                    return
                is_done = await self._send(transport, event)
                if is_first:
                    self.progress.acknowledged += is_done
                    self.progress.failed += not is_done
                else:
                    self.progress.duplicates += 1
                if is_done:
                    self._acknowledged(event.id)

    async def _send(self, transport: httpx.AsyncHTTPTransport, event: Event) -> bool:
        event = event._replace(body=self._form.body(event))
        for attempt in range(self.order.attempts):
            if attempt:
                await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS)) - 1])
            if self._stopped.is_set():
                return False
            if await self._attempt(transport, event):
                return True
        return False

    async def _attempt(self, transport: httpx.AsyncHTTPTransport, event: Event) -> bool:
        """One attempt; every attempt is signed anew. A redirect counts as a failure."""
        self.progress.attempts += 1
        seconds = self.order.timeout_seconds
        request = httpx.Request(
            "POST",
            self.order.url,
            content=event.body,
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Stripe-Signature": signature_header(
                    event.body, self.order.secret, int(time.time())
                ),
            },
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
        )
        try:
            response = await transport.handle_async_request(request)
            await response.aread()
        except httpx.TransportError as error:
            self.progress.last_error = f"{event.id}: {type(error).__name__}"
            return False
        if response.is_success:
            return True
        self.progress.last_error = f"{event.id}: HTTP {response.status_code}"
        return False


@dataclass
class Deliveries:
    """Deliveries of this server by their ids."""

    by_id: dict[str, Delivery] = field(default_factory=dict)

    def start(self, delivery: Delivery) -> str:
        """Starts a delivery; its id."""
        delivery_id = f"del_{len(self.by_id) + 1}"
        self.by_id[delivery_id] = delivery
        delivery.start()
        return delivery_id

    def describe(self, delivery_id: str) -> Json | None:
        """A delivery's progress; None for an unknown id."""
        delivery = self.by_id.get(delivery_id)
        return None if delivery is None else vars(delivery.progress).copy()

    def stop(self) -> None:
        """Ends all that run."""
        for delivery in self.by_id.values():
            delivery.stop()
