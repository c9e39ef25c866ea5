"""`POST /webhooks/stripe`: verify, store the raw bytes, commit, answer. Nothing else happens here.

Contract: docs/stripe.md, "Webhook delivery".
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from growth_pipeline.billing.inbox import (
    ReceivedEvent,
    Unreadable,
    parse_envelope,
    received_event,
)
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.signatures import SignatureError, SignatureReason, verify
from growth_pipeline.web.headers import announced_size, header

_log: Final = structlog.get_logger(__name__)

PATH: Final = "/webhooks/stripe"
BODY_LIMIT: Final = 4 * 1024 * 1024
_ANSWER_SECONDS: Final = 5.0  # then "not stored yet": Stripe sends it again, the key is the same
_SKEW_COUNT: Final = 5
_SKEW_WINDOW: Final = timedelta(seconds=60)

_REFUSED: Final = "webhook refused\n"  # one text for every reason: a forger learns nothing
_PLAIN: Final = b"text/plain; charset=utf-8"


class EventWriter(Protocol):
    """Stores one event durably before it returns; `InboxWriter` is one."""

    async def insert(self, event: ReceivedEvent) -> None:
        """Return when the event is on disk."""
        ...


class _BodyTooLargeError(Exception):
    """The sender sends more than an event can be."""


class _SenderGoneError(Exception):
    """The sender went away before its body was whole."""


class _Answer(NamedTuple):
    """One answer, as it is counted and as it is sent."""

    outcome: str
    status: int
    text: str


class SkewWatch:
    """Notices genuine webhooks refused for their time: then a clock is wrong, most likely ours."""

    def __init__(self) -> None:
        self._refused_at: deque[datetime] = deque()
        self._warned_at: datetime | None = None

    def note(self, now: datetime) -> bool:
        """Count one; whether it is time to warn: 5 within 60 s, at most once in 60 s."""
        self._refused_at.append(now)
        self._forget(now)
        quiet = self._warned_at is None or abs(now - self._warned_at) > _SKEW_WINDOW
        if len(self._refused_at) < _SKEW_COUNT or not quiet:
            return False
        self._warned_at = now
        return True

    def is_skewed(self, now: datetime) -> bool:
        """Whether the last 60 s hold enough of them."""
        self._forget(now)
        return len(self._refused_at) >= _SKEW_COUNT

    def _forget(self, now: datetime) -> None:
        while self._refused_at and abs(now - self._refused_at[0]) > _SKEW_WINDOW:
            self._refused_at.popleft()


class WebhookReceiver:
    """Decides the answer to one delivery; keeps counts of what was refused and why."""

    def __init__(
        self,
        writer: EventWriter,
        *,
        secrets: Sequence[str],
        tolerance_seconds: int,
        account_id: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._writer = writer
        self._secrets = list(secrets)
        self._tolerance = tolerance_seconds
        self._account_id = account_id
        self._clock = clock
        self._skew = SkewWatch()
        self.counts: Counter[str] = Counter()

    @property
    def is_configured(self) -> bool:
        """Whether there is a signing secret to verify with."""
        return bool(self._secrets)

    @property
    def warnings(self) -> list[str]:
        """Codes of what an operator should look at now."""
        return ["webhook_clock_skew"] if self._skew.is_skewed(self._clock()) else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery: 200 stored or known, 400 refused, 413 too large, 503 try again.

        Plain ASGI on purpose: a web framework around it costs more than all of this together.
        """
        answer = await self._answer_to(scope, receive)
        self.counts[answer.outcome] += 1
        body = answer.text.encode()
        headers = [(b"content-type", _PLAIN), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer_to(self, scope: Scope, receive: Receive) -> _Answer:
        try:
            body = await _read_body(announced_size(scope), receive)
        except _BodyTooLargeError:
            return _Answer("too_large", 413, "webhook too large\n")
        except _SenderGoneError:
            return _Answer("cut", 400, _REFUSED)
        now = self._clock()
        try:
            self._verify(body, header(scope, b"stripe-signature").decode("latin-1"), now)
            event = self._event(body, now)
        except SignatureError as error:
            return self._refuse(error.reason, now)
        except Unreadable:
            return _Answer("unreadable", 400, _REFUSED)
        return await self._store(event)

    def _verify(self, body: bytes, signature: str, now: datetime) -> None:
        verify(body, signature, self._secrets, now=now, tolerance=self._tolerance)

    def _event(self, body: bytes, now: datetime) -> ReceivedEvent:
        envelope = parse_envelope(body)
        return received_event(envelope, body, account_id=self._account_id, received_at=now)

    def _refuse(self, reason: SignatureReason, now: datetime) -> _Answer:
        if reason is SignatureReason.NO_SECRET:
            _log.error("webhook_secret_missing", remedy="set GROWTH_STRIPE__WEBHOOK_SECRETS")
            return _Answer(reason, 503, "webhooks are not configured\n")
        if reason is SignatureReason.TIMESTAMP and self._skew.note(now):
            _log.warning(
                "webhook_clock_skew",
                refused=_SKEW_COUNT,
                seconds=_SKEW_WINDOW.seconds,
                remedy="correct this machine's clock; the events stay at Stripe for 30 days",
            )
        return _Answer(reason, 400, _REFUSED)

    async def _store(self, event: ReceivedEvent) -> _Answer:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._writer.insert(event)
        except (GrowthError, TimeoutError):
            return _Answer("not_stored", 503, "try again later\n")
        return _Answer("stored", 200, "ok\n")


async def _read_body(announced: int, receive: Receive) -> bytes:
    """The raw body, never more than the limit of it."""
    if announced > BODY_LIMIT:
        raise _BodyTooLargeError
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _SenderGoneError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise _BodyTooLargeError
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


_EVENT_SCHEMA: Final = {
    "requestBody": {
        "required": True,
        "description": "One Stripe event, as Stripe signed it.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "parameters": [
        {
            "name": "Stripe-Signature",
            "in": "header",
            "required": True,
            "schema": {"type": "string"},
        }
    ],
}


class WebApp(FastAPI):
    """The app; what is received in masses goes to its receiver at once, past what pages need.

    FastAPI's middleware and routing cost more than receiving does. The routes are there all the
    same: they are described like the others, and serve the paths below another prefix.
    """

    def __init__(self, *, direct: Mapping[tuple[str, str], ASGIApp], **options: Any) -> None:
        """Take the receivers by method and path."""
        super().__init__(**options)
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        receiver = (
            self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        )
        await (receiver or super().__call__)(scope, receive, send)


def add_webhook_routes(app: FastAPI, receiver: WebhookReceiver) -> None:
    """Add the route that Stripe's webhook endpoint points at."""

    def receive_stripe_webhook() -> None:
        """Verify the signature, store the raw bytes, commit, answer 200."""

    route = APIRoute(
        PATH,
        receive_stripe_webhook,  # only what it says is used
        methods=["POST"],
        response_model=None,
        response_class=PlainTextResponse,
        summary="Receive one Stripe event",
        openapi_extra=_EVENT_SCHEMA,
        responses={
            200: {"description": "Stored durably, now or before"},
            400: {"description": "Signature, timestamp or body refused"},
            413: {"description": "Body over 4 MiB"},
            503: {"description": "Not stored: send it again"},
        },
    )
    route.app = receiver
    app.router.routes.append(route)
