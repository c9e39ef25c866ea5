"""A sender that is faster than any receiver: HTTP/1.1 by hand over connections that stay open.

An HTTP client library costs more a request than the receiver does; then one would measure that.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from growth_pipeline_tests.fakes.stripe_events import a_customer, an_event, sign
from growth_pipeline_tests.fakes.web_server import SECRET

OK = 200
_CUT = (OSError, asyncio.IncompleteReadError, ValueError, IndexError)


class CutError(Exception):
    """The connection broke before the answer was there: whether it was stored is not known."""


class Connection:
    """One connection to a receiver that stays open until something breaks it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, *, at: int | None = None) -> int:
        """Deliver one signed event; the status of the answer. Raises: CutError."""
        header = sign(body, SECRET, int(time.time()) if at is None else at)
        head = (
            "POST /webhooks/stripe HTTP/1.1\r\nHost: receiver\r\n"
            "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nAccept: */*\r\n"
            "Content-Type: application/json; charset=utf-8\r\n"
            f"Stripe-Signature: {header}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._address, limit=2**16)
            reader, writer = self._streams
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(answer))
            return int(answer[9:12])
        except _CUT as error:
            self.close()
            raise CutError from error

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


def _content_length(head: bytes) -> int:
    return int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])


@dataclass
class Load:
    """What a load did. Units: seconds."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    cut: int = 0

    @property
    def rate(self) -> float:
        """Acknowledged events a second."""
        return len(self.acknowledged) / self.seconds if self.seconds else 0.0

    def wait(self, share: float) -> float:
        """How long this share of the deliveries waited at most, in milliseconds."""
        waits = sorted(self.waits)
        return 1000 * waits[min(len(waits) - 1, int(share * len(waits)))] if waits else 0.0


def load_events(size: int, *, prefix: str = "evt") -> Iterator[tuple[str, bytes]]:
    """Ids and bodies of about `size` bytes without end: each the birth of another customer."""
    mark = "00000000000000"
    fields = {f"field_{n}": f"{n * 2654435761 % 2**32:08x}-value" for n in range(size // 32)}
    customer = a_customer(f"cus_{mark}", metadata=fields)
    parts = an_event("customer.created", customer, id=mark).split(mark.encode())
    for number in itertools.count():
        name = f"{prefix}_{number:09}"
        yield name, name.encode().join(parts)


async def run_load(
    host: str,
    port: int,
    events: Iterator[tuple[str, bytes]],
    *,
    connections: int,
    seconds: float,
    per_second: float | None = None,
    until: Callable[[], bool] = lambda: False,
) -> Load:
    """Deliver as fast as the receiver answers, or `per_second` at even gaps."""
    load = Load()
    began = time.perf_counter()
    end = began + seconds
    turn = itertools.count()

    async def work() -> None:
        connection = Connection(host, port)
        while time.perf_counter() < end and not until():
            due = began + next(turn) / per_second if per_second else 0.0
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            name, body = next(events)
            await _deliver(connection, name, body, load, since=due)
        connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    load.seconds = time.perf_counter() - began
    return load


async def _deliver(
    connection: Connection, name: str, body: bytes, load: Load, *, since: float
) -> None:
    began = since or time.perf_counter()  # at even gaps, waiting for a free connection counts too
    try:
        status = await connection.post(body)
    except CutError:
        load.cut += 1
        await asyncio.sleep(0.01)
        return
    if status == OK:
        load.acknowledged.append(name)
        load.waits.append(time.perf_counter() - began)
    else:
        load.refused += 1
        await asyncio.sleep(0.01)
