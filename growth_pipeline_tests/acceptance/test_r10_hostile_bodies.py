"""R10: whatever is sent, memory stays bounded, the answer is 4xx or a close, and honest senders go on.

The app runs in a process of its own; its memory is read from the kernel.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from contextlib import ExitStack

import httpx
import psutil
import pytest

from growth_pipeline_tests.fakes.ingest_server import basic, create_key
from growth_pipeline_tests.fakes.receiver_process import HOST, ReceiverProcess

MEMORY = 64 * 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n'


def hostile_bodies():
    """Name -> (body, headers): what must be answered 4xx."""
    return {
        "gzip 1000:1": (gzip.compress(bytes(400_000_000)), GZIP),
        "gzip in gzip": (gzip.compress(gzip.compress(bytes(100_000_000))), GZIP),
        "half a gzip": (gzip.compress(b'{"batch": []}')[:-9], GZIP),
        "depth 100,000": (b'{"batch":' + b"[" * 100_000, {}),
        "deep objects": (b'{"a":' * 100_000, {}),
        "5,000 digits": (b"9" * 5_000, {}),
        "NaN alone": (b"NaN", {}),
        "100,000 NaN": (b'{"batch":[' + b"NaN," * 100_000 + b"1]}", {}),
        "equal names": (b"{" + b'"batch":1,' * 40_000 + b'"batch":2}', {}),
        "30,000 names": (json.dumps({f"k{n}": n for n in range(30_000)}).encode(), {}),
        "100,000 names": (json.dumps({f"k{n}": n for n in range(100_000)}).encode(), {}),
        "multipart": (PART * 6_000 + b"--x--", FORM),
        "no UTF-8": (b'{"batch": ["\xff\xfe"]}', {}),
        "zeros": (bytes(500_000), {}),
        "20 MB": (b" " * 20_000_000, {}),
    }


def rejected_bodies():
    """Name -> body: honest in form, so that only the odd call is rejected."""
    call = {"type": "page", "userId": "u", "messageId": "kept"}
    kept = json.dumps(call)
    return {
        "NaN": f'{{"batch": [{{"a": NaN}}, {kept}]}}',
        "5,000 digits": f'{{"batch": [{{"a": {"9" * 5_000}}}, {kept}]}}',
        "half a pair": f'{{"batch": [{{"a": "\\ud800"}}, {kept}]}}',
        "depth 900": f'{{"batch": [{"[" * 900}{"]" * 900}, {kept}]}}',
        "2,499 wrong": json.dumps({"batch": [*range(2_499), call]}),
        "a long sentAt": json.dumps(
            {"batch": [*range(3_000, 5_499), call], "sentAt": "x" * 400_000}
        ),
    }


class Honest(threading.Thread):
    """Sends a small batch again and again; keeps every answer and how long it took."""

    def __init__(self, port, key):
        super().__init__()
        self._url, self._key = f"http://{HOST}:{port}/v1/batch", key
        self.answers, self.seconds = [], []
        self.stopping = threading.Event()

    def run(self):
        with httpx.Client(headers=basic(self._key), trust_env=False, timeout=120) as client:
            while not self.stopping.is_set():
                calls = [{"type": "page", "userId": "u", "messageId": str(time.time_ns())}]
                began = time.perf_counter()
                answer = client.post(self._url, json={"batch": calls})
                self.seconds.append(time.perf_counter() - began)
                self.answers.append(answer.status_code)


def raw(port, head, *chunks):
    """Bytes as they are, until the other side closes or falls silent; the status or None."""
    with socket.create_connection((HOST, port), timeout=10) as wire:
        try:
            wire.sendall(head)
            for chunk in chunks:
                wire.sendall(chunk)
            text = wire.recv(65_536)
        except OSError:
            return None
    return int(text[9:12]) if text.startswith(b"HTTP/1.1 ") else None


def lying(port, key):
    """Requests whose frame is a lie; the status of each, None for a close or for silence."""
    auth = f"Host: x\r\nAuthorization: {basic(key)['Authorization']}\r\n"
    start = f"POST /v1/batch HTTP/1.1\r\n{auth}".encode()
    chunk = b"fffff\r\n" + b" " * 0xFFFFF + b"\r\n"
    return {
        "too short": raw(port, start + b"Content-Length: 3\r\n\r\n", b'{"batch": []}' * 100),
        "huge": raw(port, start + b"Content-Length: 999999999999\r\n\r\n", b"{}"),
        "no number": raw(port, start + b"Content-Length: x\r\n\r\n", b"{}"),
        "negative": raw(port, start + b"Content-Length: -5\r\n\r\n", b"{}"),
        "endless": raw(port, start + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 12),
    }


class Attack:
    """Sends everything hostile to one receiver; keeps what was wrong, and the most memory seen."""

    def __init__(self, receiver, key):
        self._port, self._key = receiver.port, key
        self._memory = psutil.Process(receiver.pid).memory_info
        self._client = httpx.Client(trust_env=False, timeout=120)
        self.violations, self.peak = [], 0
        for _ in range(50):  # what the first requests load stays for ever
            self.post(b'{"batch": []}', basic(key))
        self._base = self._memory().rss

    def post(self, body, headers):
        """The status, or None if the other side closed before it was all sent."""
        try:
            target = f"http://{HOST}:{self._port}/v1/batch"
            return self._client.post(target, content=body, headers=headers).status_code
        except httpx.TransportError:
            return None

    def note(self, name, status, expected):
        self.peak = max(self.peak, self._memory().rss - self._base)
        if status not in expected:
            self.violations.append(f"{name}: {status}")

    def once(self):
        refused = {None, *range(400, 500)}
        for shown in (basic(self._key), {}):
            for name, (body, headers) in hostile_bodies().items():
                self.note(name, self.post(body, headers | shown), refused)
        for name, text in rejected_bodies().items():
            self.note(name, self.post(text.encode(), basic(self._key)), {200})
        for name, status in lying(self._port, self._key).items():
            self.note(name, status, refused)

    def close(self):
        self._client.close()


def run(url, folder, *, rounds, slow):
    limited, free = create_key(url, "hostile"), create_key(url, "honest")
    with ReceiverProcess(url, folder) as receiver, ExitStack() as open_wires:
        attack = Attack(receiver, limited.key)
        open_wires.callback(attack.close)
        honest = Honest(receiver.port, free.key)
        honest.start()
        for _ in range(slow):
            wire = open_wires.enter_context(socket.create_connection((HOST, receiver.port)))
            wire.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
            wire.sendall(b" " * 399_000)
        for _ in range(rounds):
            attack.once()
        honest.stopping.set()
        honest.join()
    if attack.peak > MEMORY:
        attack.violations.append(f"{attack.peak // 2**20} MiB more memory")
    if set(honest.answers) != {200}:
        attack.violations.append(f"honest senders heard {sorted(set(honest.answers))}")
    median = sorted(honest.seconds)[len(honest.seconds) // 2]
    figures = {"peak_mib": attack.peak // 2**20, "honest_p50_ms": round(median * 1000, 1)}
    return attack.violations, figures


@pytest.mark.parametrize(
    ("rounds", "slow"),
    [(1, 50), pytest.param(10, 500, marks=pytest.mark.full)],
    ids=["fast", "full"],
)
def test_hostile_bodies_cost_little_and_honest_senders_go_on(
    database_url, database, tmp_path, acceptance_line, rounds, slow
):
    violations, figures = run(database_url, tmp_path, rounds=rounds, slow=slow)
    with database.connection() as connection:
        kept = connection.execute(
            "select count(*) from events.events where message_id = 'kept'"
        ).fetchone()[0]
    if kept != 1:
        violations.append("a neighbour of an odd call was lost")
    load = {"bodies": 2 * len(hostile_bodies()) + 10, "rounds": rounds, "slow sockets": slow}
    acceptance_line("R10", violations=violations, load=load, **figures)
