"""Slack, GitHub and a cron monitor as small servers on loopback that can be told to misbehave."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from growth_pipeline_tests.fakes.loopback_http import LoopbackServer

SLOW_SECONDS = 1.5
LATE_SECONDS = 45.0
CLIENT_TIMEOUT = 0.5


class FakeServer:
    """Answers writes as `faults` says, one word a write: ok, a status, lost (taken), slow (taken).

    "late": the line breaks, and the write takes effect LATE_SECONDS later by this server's clock.
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
        self.late: list[tuple[float, str, str, bytes]] = []
        self.headers: dict[str, str] = {}
        self._catching_up = threading.Lock()

    counts_reads = False

    def now(self) -> float:
        """Seconds since 1970 by this server's clock."""
        return time.time() + self.ahead

    def catch_up(self) -> None:
        """Writes that were begun long enough ago take effect."""
        with self._catching_up:
            while self.late and self.late[0][0] <= self.now():
                _, method, path, body = self.late.pop(0)
                self.handle(method, path, body)

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        raise NotImplementedError


BOT_TOKEN = "xoxb-of-a-test"
BOT_CHANNEL = "C0GROWTH"


class FakeSlack(FakeServer):
    """An incoming webhook, and a bot's API with uploads. Taken is taken, also if its answer is lost.

    `messages`: what the webhook took. `shared`: what the bot told: channel, blocks, and of a picture
    its bytes, title, alt text. `answers`: words instead of what an API method would answer, by its
    name: an error ("invalid_auth"), or text that is no answer ("<html>"). `upload_url`: told instead
    of this server's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict] = []
        self.shared: list[dict] = []
        self.answers: dict[str, list[str]] = {}
        self.upload_url = ""
        self.uploads: dict[str, dict] = {}
        self.uploaded_with: list[dict] = []

    def handle(self, method, path, body):
        route = urlsplit(path).path
        if route.startswith("/api/"):
            return self._api(route.removeprefix("/api/"), dict(parse_qsl(body.decode())))
        if route.startswith("/upload/v1/"):
            return self._take(route.removeprefix("/upload/v1/"), body)
        if path != "/services/T0/B0/secret":
            return 404, "no_service"
        self.messages.append(json.loads(body))
        return 200, "ok"

    def _api(self, name, form):
        methods = {
            "files.getUploadURLExternal": self._make_place,
            "files.completeUploadExternal": self._share,
            "chat.postMessage": self._post,
        }
        if self.answers.get(name):
            word = self.answers[name].pop(0)
            return 200, {"ok": False, "error": word} if word.isidentifier() else word
        if self.headers.get("Authorization") != f"Bearer {BOT_TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}
        if form.get("channel", form.get("channel_id", BOT_CHANNEL)) != BOT_CHANNEL:
            return 200, {"ok": False, "error": "channel_not_found"}
        return methods[name](form)

    def _post(self, form):
        message = {name: form[name] for name in ("channel", "text")}
        self.shared.append({**message, "blocks": json.loads(form["blocks"])})
        return 200, {"ok": True, "ts": "1.0"}

    def _make_place(self, form):
        name = f"F{len(self.uploads):08d}"
        self.uploads[name] = {"alt": form["alt_txt"], "length": int(form["length"])}
        url = self.upload_url or f"{self.url}/upload/v1/{name}"
        return 200, {"ok": True, "upload_url": url, "file_id": name}

    def _take(self, name, body):
        place = self.uploads.get(name)
        if place is None or place["length"] != len(body):
            return 400, "no such upload, or another length"
        self.uploaded_with.append(dict(self.headers))
        place["picture"] = body
        return 200, f"OK - {len(body)}"

    def _share(self, form):
        (file,) = json.loads(form["files"])
        place = self.uploads.get(file["id"], {})
        if "picture" not in place or place.get("done"):
            return 200, {"ok": False, "error": "file_not_found"}
        place["done"] = True
        facts = {name: place[name] for name in ("picture", "alt")}
        blocks = json.loads(form.get("blocks", "[]"))
        self.shared.append(
            {"channel": form["channel_id"], "blocks": blocks, "title": file["title"], **facts}
        )
        return 200, {"ok": True, "files": [{"id": file["id"], "title": file["title"]}]}


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
    """Issues and comments of one repository, as the REST API gives them.

    `user` is whose token it is; None: an app's token, which may not ask and writes as a bot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.user: str | None = "growth-alerts"
        self.issues: list[dict] = []
        self.comments: dict[int, list[dict]] = {}

    def handle(self, method, path, body):
        route, _, query = path.partition("?")
        sent = json.loads(body) if body else {}
        asked = dict(parse_qsl(query))
        found = re.fullmatch(r"/repos/acme/books/issues(?:/(\d+)(/comments)?)?", route)
        if not found:
            return self._token_user(route)
        if found[1] is None:
            return self._create(sent) if method == "POST" else (200, self._list(asked))
        number = int(found[1])
        if number > len(self.issues):
            return 404, {"message": "Not Found"}
        if found[2] and method == "POST":
            return self._comment(number, sent)
        if found[2]:
            return 200, self._page(self.comments[number], asked)
        return 200, self._update(number, method, sent)

    def _token_user(self, route):
        if route != "/user":
            return 404, {"message": "Not Found"}
        return (200, {"login": self.user}) if self.user else (403, {"message": "no user"})

    def _update(self, number, method, sent):
        issue = self.issues[number - 1]
        if method == "PATCH":
            changed = {name: sent[name] for name in ("state", "title", "body") if name in sent}
            issue.update(changed, updated_at=self._said_at())
        return issue

    def _said_at(self):
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _author(self):
        if self.user:
            return {"login": self.user, "type": "User"}
        return {"login": "growth-app[bot]", "type": "Bot"}

    def _create(self, sent, author=None):
        issue = {
            "number": len(self.issues) + 1,
            "state": "open",
            **sent,
            "labels": [{"name": name} for name in sent.get("labels", ())],
            "user": author or self._author(),
            "updated_at": self._said_at(),
        }
        self.issues.append(issue)
        self.comments[issue["number"]] = []
        return 201, issue

    def _list(self, asked):
        listed = [
            issue
            for issue in reversed(self.issues)
            if asked.get("state", "open") in ("all", issue["state"])
            and asked.get("creator", issue["user"]["login"]) == issue["user"]["login"]
            and {"name": asked.get("labels")} in [*issue["labels"], {"name": None}]
        ]
        return self._page(listed, asked)

    def _page(self, listed, asked):
        since = asked.get("since")
        if since:
            begin = datetime.fromisoformat(since.replace("Z", "+00:00"))
            listed = [one for one in listed if datetime.fromisoformat(one["updated_at"]) >= begin]
        page, length = int(asked.get("page", 1)), int(asked.get("per_page", 30))
        return listed[(page - 1) * length : page * length]

    def _comment(self, number, sent, author=None):
        comment = {**sent, "user": author or self._author(), "updated_at": self._said_at()}
        self.comments[number].append(comment)
        self.issues[number - 1]["updated_at"] = comment["updated_at"]
        return 201, comment


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
        fake.headers = dict(self.headers.items())  # of the last request: clients come one by one
        fake.catch_up()
        writes = self.command != "GET" or fake.counts_reads
        if writes:
            fake.arrivals.append(fake.now())
        fault = fake.faults.pop(0) if writes and fake.faults else "ok"
        status, _, wait = fault.partition(":")
        if status.isdigit():
            headers = {"Retry-After": wait} if wait else {}
            headers |= {"Location": "http://127.0.0.1:1/inside"} if status[0] == "3" else {}
            self._send(int(status), {"message": "no"}, headers)
            return
        if fault == "late":
            fake.late.append((fake.now() + LATE_SECONDS, self.command, self.path, body))
            self.connection.close()
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


class Server(LoopbackServer):
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
