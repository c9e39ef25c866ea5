"""Claude's Messages API as a small server on loopback that keeps every byte and can misbehave."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """One answer. `cut_at`: bytes of it after which the line breaks; None: it is sent whole.

    `wait`: seconds before anything is sent. `drip`: seconds between single bytes. `chunk`: a piece
    of the body that is sent `chunks` times, for bodies that are not worth holding.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    reset: bool = False
    wait: float = 0.0
    drip: float = 0.0
    chunk: bytes = b""
    chunks: int = 0

    def wire(self) -> bytes:
        """The answer as it goes over the line."""
        length = len(self.body) + len(self.chunk) * self.chunks
        lines = [
            f"HTTP/1.1 {self.status} Said",
            "content-type: application/json",
            f"content-length: {length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class FakeClaude:
    """Answers from `replies`, one a request; the last one again and again. `received`: raw bytes."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.received: list[bytes] = []
        self.url = ""
        self.stopping = threading.Event()

    def bodies(self) -> list[dict]:
        """The questions."""
        return [json.loads(raw.partition(b"\r\n\r\n")[2]) for raw in self.received]

    def heads(self) -> list[str]:
        """Request lines and headers."""
        return [raw.partition(b"\r\n\r\n")[0].decode() for raw in self.received]

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def message(
    text: str | None,
    *,
    stop_reason: str = "end_turn",
    tokens: tuple[int, int] = (4000, 900),
    thinking: str = "hm",
    **more: object,
) -> Reply:
    """An answer of status 200 with one text block, or with none."""
    blocks = [] if text is None else [{"type": "text", "text": text}]
    told = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [{"type": "thinking", "thinking": thinking, "signature": "s"}, *blocks],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }
    return Reply(body=json.dumps(told | more).encode())


def refusal(status: int, kind: str, *, code: str | None = None, **headers: str) -> Reply:
    """An error as the API writes it; its message is a word that must come out nowhere."""
    error: dict = {"type": kind, "message": "servers-own-words"}
    if code:
        error["details"] = {"error_code": code}
    told = {"type": "error", "error": error, "request_id": "req_1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(told).encode(), headers=named)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        fake: FakeClaude = self.server.fake
        raw = self._read()
        if not raw:
            return
        fake.received.append(raw)
        reply = fake.next_reply()
        with suppress(OSError):  # the client did not wait
            self._send(fake, reply)

    def _read(self) -> bytes:
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = self.request.recv(65536)
            if not more:
                return raw
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        while len(body) < (lengths or [0])[0]:
            more = self.request.recv(65536)
            if not more:
                break
            raw, body = raw + more, body + more
        return raw

    def _send(self, fake: FakeClaude, reply: Reply) -> None:
        fake.stopping.wait(reply.wait)
        wire = reply.wire() if reply.cut_at is None else reply.wire()[: reply.cut_at]
        if reply.drip:
            for byte in wire:
                if fake.stopping.wait(reply.drip):
                    return
                self.request.sendall(bytes([byte]))
            return
        self.request.sendall(wire)
        for _ in range(reply.chunks):
            self.request.sendall(reply.chunk)
        if reply.reset:  # closed with a RST, not with a FIN
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, fake: FakeClaude) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serving(fake: FakeClaude) -> Iterator[FakeClaude]:
    """The fake, reachable under its `url`."""
    with _Server(fake) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            fake.stopping.set()
            server.shutdown()
            thread.join()


class SteppedTime:
    """A monotonic clock that tests move; sleeping moves it, and so does the real time of a call."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._ahead += seconds
