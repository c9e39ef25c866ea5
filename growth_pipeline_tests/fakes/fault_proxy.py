"""A TCP proxy that breaks connections where it hurts: before a message, inside it, after it worked.

It stands before any server on a TCP port or a Unix socket and knows no protocol: what a message is,
and how one sees that the server is done with it, the test says in bytes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple

_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # linger 0: closing sends RST, as a crash or a firewall does

POSTGRES_DONE = b"Z\x00\x00\x00\x05"
"""ReadyForQuery: what a server says when a statement, and the commit with it, is over."""
HTTP_DONE = b"\r\n\r\n"

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class Cut(StrEnum):
    """Where a connection breaks. After `AFTER` the server has done it, and nobody was told."""

    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"


class _Armed(NamedTuple):
    message: bytes
    cut: Cut
    once_seen: bytes


class FaultProxy:
    """Forwards bytes in a thread of its own; `decide` looks at what a client sends and may cut.

    `delay` holds back every message of both directions (seconds), `slice_bytes` hands messages on
    in small pieces.
    """

    def __init__(
        self,
        target: Address,
        *,
        decide: Callable[[bytes], Cut | None] = lambda _: None,
        done: bytes = HTTP_DONE,
        delay: float = 0.0,
        slice_bytes: int | None = None,
    ) -> None:
        self.target = target
        self.cuts: Counter[Cut] = Counter()
        self.delay = delay
        self.slice_bytes = slice_bytes
        self._decide = decide
        self._done = done
        self._armed: list[_Armed] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._listener.close()

    def arm(self, message: bytes, cut: Cut, *, once_seen: bytes = b"") -> None:
        """Cut the next connection on which a client sends these bytes, once it sent the others."""
        self._armed.append(_Armed(message, cut, once_seen))

    @property
    def is_armed(self) -> bool:
        """Whether a cut still waits for its message."""
        return bool(self._armed)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = asyncio.start_server(self._serve, sock=self._listener)
        server = self._loop.run_until_complete(start)
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(_end_all())
        self._loop.close()

    def cut_of(self, chunk: bytes, sent: set[bytes]) -> Cut | None:
        """The cut for a message, if there is one; `sent` is what its connection is known to have sent."""
        sent.update(armed.once_seen for armed in self._armed if armed.once_seen in chunk)
        for armed in self._armed:
            if armed.message in chunk and armed.once_seen in sent:
                self._armed.remove(armed)
                return armed.cut
        return self._decide(chunk)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self.target, str):
                server = await asyncio.open_unix_connection(self.target)
            else:
                server = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), server)
        try:
            await asyncio.gather(link.up(), link.down())
        finally:
            link.end()


async def _end_all() -> None:
    """End every connection, and give each transport the turn of the loop it needs for that."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.01)


class _Link:
    """One client's connection and the server's behind it."""

    def __init__(
        self,
        proxy: FaultProxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._held: bytes | None = None
        self._sent: set[bytes] = set()

    async def up(self) -> None:
        """From client to server, until one of them ends or a cut comes."""
        try:
            while chunk := await self._client[0].read(_CHUNK):
                cut = self._proxy.cut_of(chunk, self._sent) if self._held is None else None
                if cut is Cut.AFTER:
                    self._held = b""
                elif cut is not None:
                    if cut is Cut.INSIDE:
                        await self._pass(self._server[1], chunk[: len(chunk) // 2])
                    self._break(cut)
                    return
                await self._pass(self._server[1], chunk)
        except OSError:
            pass
        self.end()

    async def down(self) -> None:
        """From server to client; after a message that is to be cut, only until the server is done."""
        try:
            while chunk := await self._server[0].read(_CHUNK):
                if self._held is None:
                    await self._pass(self._client[1], chunk)
                    continue
                self._held += chunk
                if self._proxy._done in self._held:
                    self._break(Cut.AFTER)
                    return
        except OSError:
            pass
        self.end()

    async def _pass(self, writer: asyncio.StreamWriter, chunk: bytes) -> None:
        if self._proxy.delay:
            await asyncio.sleep(self._proxy.delay)
        size = self._proxy.slice_bytes or len(chunk) or 1
        for start in range(0, len(chunk), size):
            writer.write(chunk[start : start + size])
            await writer.drain()

    def _break(self, cut: Cut) -> None:
        self._proxy.cuts[cut] += 1
        for _, writer in (self._client, self._server):
            found = writer.transport.get_extra_info("socket")
            if found is not None and found.family != socket.AF_UNIX:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.end()

    def end(self) -> None:
        for _, writer in (self._client, self._server):
            writer.transport.abort()
