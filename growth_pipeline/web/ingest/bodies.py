"""Bodies of requests, read within bounds of bytes and time that hold for all senders together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive, Scope

from growth_pipeline.web.headers import announced_size, header

_DRAINED: Final = 4 * 1024 * 1024


class BodyTooLargeError(Exception):
    """The sender sends more than a body may have. `ended`: whether all of it was taken off."""

    def __init__(self, *, ended: bool) -> None:
        super().__init__("the body is too large")
        self.ended = ended


class SenderGoneError(Exception):
    """The sender went away before its body was whole."""


class TooSlowError(Exception):
    """The sender took longer than it may, or was the slowest when memory ran short."""


class Reading:
    """One request that is being received."""

    def __init__(self, bodies: Bodies, deadline: asyncio.Timeout) -> None:
        self._bodies = bodies
        self.deadline = deadline
        self.size = 0
        self.is_evicted = False

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """The raw body, never more than the limit of it.

        Too large a body is taken off the wire, up to a bound, so that its sender hears the answer.
        Raises: BodyTooLargeError, SenderGoneError; TooSlowError from the reading's context.
        """
        limit = self._bodies.limit
        chunks = _chunks(receive)
        announced = announced_size(scope)
        if announced > limit:
            raise BodyTooLargeError(ended=announced <= _DRAINED and await _ends(chunks, 0))
        body = bytearray()  # a list of chunks of one byte would take 40 times their size
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                size = len(body)
                body.clear()
                raise BodyTooLargeError(ended=await _ends(chunks, size))
            self.hold(len(chunk))
        return bytes(body)

    def hold(self, size: int) -> None:
        """Count bytes that this request keeps in memory until its block ends."""
        self._bodies.make_room(self, size)


class Bodies:
    """Holds at most `total` bytes of unfinished requests; the longest open ones give way.

    Honest requests are whole within milliseconds, so those that give way are the slow ones.
    """

    def __init__(self, *, limit: int, total: int, seconds: float) -> None:
        self.limit = limit
        self._total = total
        self._seconds = seconds
        self._held = 0
        self._open: dict[Reading, None] = {}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Receive one request; its bytes count until the end of the block.

        Raises: TooSlowError when the block takes too long.
        """
        reading: Reading | None = None
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                reading = Reading(self, deadline)
                self._open[reading] = None
                yield reading
        except TimeoutError:
            raise TooSlowError from None
        finally:
            if reading is not None:
                self._close(reading)

    def make_room(self, reading: Reading, size: int) -> None:
        """Count bytes that a reading keeps; the longest open give way if they are too many."""
        if reading.is_evicted:
            return
        reading.size += size
        self._held += size
        while self._held > self._total:
            self._evict(next(one for one in self._open if one.size))

    def _evict(self, reading: Reading) -> None:
        reading.is_evicted = True
        self._close(reading)
        reading.deadline.reschedule(asyncio.get_running_loop().time())

    def _close(self, reading: Reading) -> None:
        if self._open.pop(reading, reading) is None:
            self._held -= reading.size
            reading.size = 0


def may_be_left(scope: Scope) -> bool:
    """Whether a body may be left unread: its sender announces an end that is not far."""
    return not header(scope, b"transfer-encoding") and announced_size(scope) <= _DRAINED


async def _ends(chunks: AsyncIterator[bytes], size: int) -> bool:
    """Take off what is left of a body that is too large; whether it came to its end."""
    async for chunk in chunks:
        size += len(chunk)
        if size > _DRAINED:
            return False
    return True


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)
