"""One request with events, from its first byte to its answer. Plain ASGI, as webhooks are.

What is accepted is decided in `events/ingest`. Contract: docs/events.md.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from starlette.types import Receive, Scope, Send

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.events.ingest.body import (
    BATCH_LIMIT,
    TooLargeError,
    UnreadableError,
    inflate,
    read_patiently,
    read_strictly,
    shown_keys,
)
from growth_pipeline.events.ingest.counts import KeyCounts, Outcome
from growth_pipeline.events.ingest.ingest import (
    NotABatchError,
    Origin,
    Taken,
    calls_of,
    take,
)
from growth_pipeline.events.ingest.keys import NO_KEY, WriteKey
from growth_pipeline.web.group_writer import FullError
from growth_pipeline.web.headers import header
from growth_pipeline.web.ingest.answers import (
    RETRY_SECONDS,
    Answer,
    RefusedError,
    accepted,
    of_origin,
    preflight,
    refused,
)
from growth_pipeline.web.ingest.bodies import (
    Bodies,
    BodyTooLargeError,
    Reading,
    SenderGoneError,
    TooSlowError,
    may_be_left,
)
from growth_pipeline.web.ingest.event_writer import EventWriter
from growth_pipeline.web.ingest.rates import KeyRates
from growth_pipeline.web.ingest.write_keys import WriteKeys

_ANSWER_SECONDS: Final = 10.0  # then "not stored yet"; SDKs wait 10 to 15 s
_AT_ONCE: Final = 100  # calls
_SMALL: Final = 64 * 1024
_FEW_PARTS: Final = 1000


class Route(NamedTuple):
    """What a path takes: calls of one type, a batch (`kind` None), or typed events."""

    kind: str | None
    is_typed: bool = False


@dataclass
class _Request:
    """One request on its way; `key` as soon as it is known, `is_read` once its body is whole."""

    scope: Scope
    route: Route
    received_at: datetime
    key: WriteKey | None = None
    is_read: bool = False

    @property
    def origin(self) -> str | None:
        """Origin of the page that sends it; None for a server."""
        return header(self.scope, b"origin").decode("latin-1") or None

    @property
    def key_id(self) -> int:
        """For counting."""
        return self.key.key_id if self.key else NO_KEY


class EventReceiver:
    """Decides the answer to each request with events."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        *,
        keys: WriteKeys,
        writer: EventWriter,
        bodies: Bodies,
        rates: KeyRates,
        counts: KeyCounts,
        clock: Callable[[], datetime],
    ) -> None:
        self._routes = routes
        self._keys = keys
        self._writer = writer
        self._bodies = bodies
        self._rates = rates
        self._counts = counts
        self._clock = clock
        self._large = asyncio.Semaphore(1)  # large requests are read one after another

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200 once everything is on disk; else nothing of it counts."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        request = _Request(scope, self._routes[path], self._clock())
        try:
            answer = await self._answer_to(request, receive)
        except RefusedError as error:
            day = request.received_at.date()
            self._counts.add(day, request.key_id, error.outcome)
            closes = error.closes or not (request.is_read or may_be_left(scope))
            answer = refused(error, closes=closes)
        headers = [*answer.headers, *self._origin_headers(request)]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer_to(self, request: _Request, receive: Receive) -> Answer:
        try:
            if request.scope["method"] == "OPTIONS":
                return await self._allow(request)
            taken, origin = await self._receive(request, receive)
            await self._rates.note(request.key_id, len(taken.rows) + len(taken.dead))
            async with asyncio.timeout(_ANSWER_SECONDS):
                stored = await self._writer.store(taken, origin)
        except FullError:
            raise _throttled(RETRY_SECONDS) from None
        except (GrowthError, TimeoutError):
            raise RefusedError(
                Outcome.UNAVAILABLE, 503, "not stored, send it again", retry_after=RETRY_SECONDS
            ) from None
        return accepted(stored.rejected)

    async def _allow(self, request: _Request) -> Answer:
        """A preflight shows no key: it is allowed what any key allows."""
        if request.origin is None or not await self._keys.allows(request.origin):
            raise RefusedError(Outcome.ORIGIN, 403, "no write key allows this origin")
        return preflight()

    async def _receive(self, request: _Request, receive: Receive) -> tuple[Taken, Origin]:
        """What the request brings. Its body is out of memory when this returns."""
        if self._writer.is_full:
            raise _throttled(RETRY_SECONDS)
        try:
            async with self._bodies.reading() as reading:
                return await self._read(request, reading, receive)
        except BodyTooLargeError as error:
            raise _too_large(closes=not error.ended) from None
        except SenderGoneError:
            raise RefusedError(Outcome.CUT, 400, "the body is not whole", closes=True) from None
        except TooSlowError:
            raise RefusedError(Outcome.SLOW, 408, "the body came too slowly", closes=True) from None

    async def _read(
        self, request: _Request, reading: Reading, receive: Receive
    ) -> tuple[Taken, Origin]:
        text = _basic_key(request.scope)
        if text is not None:
            await self._admit(request, await self._keys.find(text))
        raw = await reading.read(request.scope, receive)
        request.is_read = True
        body = _inflated(request.scope, raw)
        if body is not raw:
            reading.hold(len(body))
        if text is None:
            await self._look_for_key(body)
        async with self._large if _is_large(body) else nullcontext():
            if self._writer.is_full:
                raise _throttled(RETRY_SECONDS)
            document = await _document(body)
            if text is None:
                await self._admit(request, self._key_of(document))
            return await self._take(request, document)

    async def _look_for_key(self, body: bytes) -> None:
        """Go on if a known key stands in the body: that of a stranger is not read."""
        for text in shown_keys(body):
            if await self._keys.find(text) is not None:
                return
        raise _unauthorized()

    def _key_of(self, document: Any) -> WriteKey | None:
        """The key that the document shows where it belongs."""
        text = document.get("writeKey") if isinstance(document, dict) else None
        return self._keys.known(text) if isinstance(text, str) else None

    async def _admit(self, request: _Request, key: WriteKey | None) -> None:
        """Let a key in. Raises: RefusedError: 401, 403 for another origin, 429 for too much."""
        if key is None:
            raise _unauthorized()
        request.key = key
        if not key.allows(request.origin):
            raise RefusedError(Outcome.ORIGIN, 403, "the write key does not allow this origin")
        seconds = await self._rates.wait_seconds(key.key_id)
        if seconds is not None:
            raise _throttled(seconds)

    async def _take(self, request: _Request, document: Any) -> tuple[Taken, Origin]:
        assert request.key is not None  # noqa: S101 - for the type checker
        route = request.route
        try:
            calls = calls_of(document, route.kind, or_track=route.is_typed)
        except TooLargeError:
            raise _too_large() from None
        except NotABatchError as error:
            raise _malformed(error) from None
        origin = Origin(
            request.key.source_id,
            request.received_at,
            is_typed=route.is_typed,
            sent_at=document.get("sentAt"),
            key_id=request.key.key_id,
        )
        taken = Taken()
        for first in range(0, len(calls), _AT_ONCE):
            if first:
                await asyncio.sleep(0)  # 2,500 calls take as long as a hundred small requests
            take(calls[first : first + _AT_ONCE], origin, taken=taken)
        return taken, origin

    def _origin_headers(self, request: _Request) -> list[tuple[bytes, bytes]]:
        origin = request.origin
        if origin is None:
            return []
        key = request.key
        allowed = key.allows(origin) if key else self._keys.is_known_origin(origin)
        return of_origin(origin.encode("latin-1"), allowed=allowed)


def _basic_key(scope: Scope) -> str | None:
    """The write key of an Authorization header: the name of Basic; None without."""
    scheme, _, value = header(scope, b"authorization").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _is_large(body: bytes) -> bool:
    """Whether a request takes megabytes while it is read: long, or of very many parts."""
    return len(body) > _SMALL or body.count(b",") > _FEW_PARTS


def _inflated(scope: Scope, body: bytes) -> bytes:
    """The body as its sender wrote it. Raises: RefusedError."""
    encoding = header(scope, b"content-encoding").strip().lower()
    if encoding in (b"", b"identity"):
        return body
    if encoding not in (b"gzip", b"x-gzip"):
        raise RefusedError(Outcome.MALFORMED, 415, "content-encoding may be gzip or identity")
    try:
        return inflate(body)
    except UnreadableError as error:
        raise _malformed(error) from None
    except TooLargeError:
        raise _too_large() from None


async def _document(body: bytes) -> Any:
    """The body as JSON, whatever its content type says: browsers say text/plain.

    What may take long is read beside the loop. Raises: RefusedError.
    """
    try:
        return read_strictly(body)
    except UnreadableError:
        pass
    try:
        return await asyncio.to_thread(read_patiently, body)
    except UnreadableError as error:
        raise _malformed(error) from None


def _malformed(error: ValueError) -> RefusedError:
    return RefusedError(Outcome.MALFORMED, 400, str(error))


def _unauthorized() -> RefusedError:
    return RefusedError(Outcome.UNAUTHORIZED, 401, "no active write key is shown")


def _throttled(seconds: int) -> RefusedError:
    return RefusedError(
        Outcome.THROTTLED, 429, "too much at this moment, send it later", retry_after=seconds
    )


def _too_large(*, closes: bool = False) -> RefusedError:
    message = f"a request may have {BATCH_LIMIT} bytes inflated, a call 32768, a batch 2500 calls"
    return RefusedError(Outcome.TOO_LARGE, 413, message, closes=closes)
