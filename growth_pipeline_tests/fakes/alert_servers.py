"""Slack, GitHub and a cron monitor as small servers on loopback that can be told to misbehave."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_SECONDS = 1.5
CLIENT_TIMEOUT = 0.5


class FakeServer:
    """Answers writes as `faults` says, one word a write: ok, a status, lost (taken), slow (taken).

    A status may name its Retry-After in seconds: "429:30". `arrivals` are the instants
    of writes, `ahead` how many seconds their clock is before the real one.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.arrivals: list[float] = []
        self.ahead = 0.0
        self.slow_seconds = SLOW_SECONDS
        self.url = ""

    counts_reads = False

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        raise NotImplementedError


class FakeSlack(FakeServer):
    """An incoming webhook. `messages` are the ones Slack took, also when its answer was lost."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict] = []

    def handle(self, method, path, body):
        if path != "/services/T0/B0/secret":
            return 404, "no_service"
        self.messages.append(json.loads(body))
        return 200, "ok"


class FakeMonitor(FakeServer):
    """A cron monitor: counts the calls of one URL."""

    counts_reads = True

    def __init__(self) -> None:
        super().__init__()
        self.beats = 0

    def handle(self, method, path, body):
        if path != "/ping/secret":
            return 404, "no"
        self.beats += 1
        return 200, "OK"


class FakeGitHub(FakeServer):
    """Issues and comments of one repository, as the REST API gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict] = []
        self.comments: dict[int, list[dict]] = {}

    def handle(self, method, path, body):
        route, _, query = path.partition("?")
        sent = json.loads(body) if body else {}
        found = re.fullmatch(r"/repos/acme/books/issues(?:/(\d+)(/comments)?)?", route)
        if not found:
            return 404, {"message": "Not Found"}
        if found[1] is None:
            return self._create(sent) if method == "POST" else (200, self._list(query))
        number = int(found[1])
        if number > len(self.issues):
            return 404, {"message": "Not Found"}
        if found[2]:
            return self._comment(number, sent) if method == "POST" else (200, self.comments[number])
        issue = self.issues[number - 1]
        issue.update({name: sent[name] for name in ("state", "title") if name in sent})
        return 200, issue

    def _create(self, sent):
        issue = {"number": len(self.issues) + 1, "state": "open", **sent}
        self.issues.append(issue)
        self.comments[issue["number"]] = []
        return 201, issue

    def _list(self, query):
        page = int(re.search(r"(?:^|&)page=(\d+)", query)[1])
        is_open = [issue for issue in reversed(self.issues) if issue["state"] == "open"]
        return is_open[(page - 1) * 100 : page * 100]

    def _comment(self, number, sent):
        self.comments[number].append(sent)
        return 201, sent


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the server's fake, with the fault that is planned for it."""

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_PATCH(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        fake = self.server.fake
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fake.requests.append((self.command, self.path))
        writes = self.command != "GET" or fake.counts_reads
        if writes:
            fake.arrivals.append(time.time() + fake.ahead)
        fault = fake.faults.pop(0) if writes and fake.faults else "ok"
        status, _, wait = fault.partition(":")
        if status.isdigit():
            headers = {"Retry-After": wait} if wait else {}
            headers |= {"Location": "http://127.0.0.1:1/inside"} if status[0] == "3" else {}
            self._send(int(status), {"message": "no"}, headers)
            return
        status, answer = fake.handle(self.command, self.path, body)
        if fault == "lost":  # it was taken, and then the line broke
            self.connection.close()
            return
        if fault == "slow":
            time.sleep(fake.slow_seconds)
        self._send(status, answer)

    def _send(self, status, answer, headers=()):
        text = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            pass  # the client did not wait


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fake = fake

    def handle_error(self, *_):
        pass


@contextmanager
def serving(fake: FakeServer) -> Iterator[FakeServer]:
    with Server(fake) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
