"""Segment's own SDKs, with nothing but their configuration changed, tell their events to the ingest.

Each runs as a program of its own: it tells, shuts down, ends. What it told is stored once, whatever
answers the server gave on the way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from growth_pipeline_tests.fakes.ingest_server import ingest_serving

TRACKS = 250
NODE_SDK = "@segment/analytics-node@3.1.0"

PYTHON = f"""
import sys
from segment.analytics.client import Client

host, key, gzip = sys.argv[1:]
failures = []
client = Client(key, host=host, gzip=gzip == "gzip", on_error=lambda *what: failures.append(what))
client.identify("u1", {{"plan": "pro"}})
client.group("u1", "g1", {{"name": "Acme"}})
client.page("u1", "Docs", "Pricing", {{"path": "/pricing"}})
client.screen("u1", "App", "Home")
client.alias("a1", "u1")
for number in range({TRACKS}):
    client.track("u1", "Thing Done", {{"number": number}})
client.shutdown()
sys.exit(len(failures))
"""

NODE = f"""
const {{ Analytics }} = require("@segment/analytics-node");
const [host, writeKey] = process.argv.slice(2);
const analytics = new Analytics({{ writeKey, host }});
let failures = 0;
analytics.on("error", (error) => {{ failures += 1; console.error(error); }});
const userId = "u1";
analytics.identify({{ userId, traits: {{ plan: "pro" }} }});
analytics.group({{ userId, groupId: "g1", traits: {{ name: "Acme" }} }});
analytics.page({{ userId, category: "Docs", name: "Pricing", properties: {{ path: "/pricing" }} }});
analytics.screen({{ userId, name: "Home" }});
analytics.alias({{ userId, previousId: "a1" }});
for (let number = 0; number < {TRACKS}; number += 1) {{
  analytics.track({{ userId, event: "Thing Done", properties: {{ number }} }});
}}
analytics.closeAndFlush({{ timeout: 120000 }}).then(() => process.exit(failures));
"""


class Unsteady:
    """Gives the first requests another answer; `after`: once the app has stored them."""

    def __init__(self, app, statuses, *, after=False):
        self._app, self._statuses, self._after = app, list(statuses), after
        self.answers = Counter()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not self._statuses:
            await self._app(scope, receive, send)
            return
        status = self._statuses.pop(0)
        self.answers[status] += 1
        await self._take(scope, receive)
        headers = [(b"content-length", b"0"), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _take(self, scope, receive):
        if self._after:
            await self._app(scope, receive, _unheard)
            return
        while (await receive()).get("more_body"):
            pass


async def _unheard(message):
    del message


@pytest.fixture(scope="module")
def node_sdk(request):
    """A folder with the Node SDK; kept in pytest's cache, where another run finds it."""
    ready = request.config.cache.mkdir("segment") / "analytics-node-3.1.0"
    if not ready.exists():
        folder = Path(tempfile.mkdtemp(dir=ready.parent))
        program = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", NODE_SDK]
        done = subprocess.run(
            [shutil.which(program[0], path=paths()) or program[0], *program[1:]],
            check=False,
            cwd=folder,
            env=os.environ | {"PATH": paths()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        try:
            folder.rename(ready)
        except OSError:  # another worker was first
            shutil.rmtree(folder)
    return ready


def paths():
    """Where programs are: those of the packages beside this Python first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


@pytest.fixture(params=["python", "python, gzip", "node"])
def sdk(request, tmp_path):
    """The command of a program that tells events, but for the address and the key."""
    if request.param != "node":
        script = tmp_path / "tell.py"
        script.write_text(PYTHON)
        zipped = "gzip" if "gzip" in request.param else "plain"
        yield lambda host, key: [sys.executable, str(script), host, key, zipped]
        return
    script = request.getfixturevalue("node_sdk") / f"tell-{os.getpid()}.cjs"
    script.write_text(NODE)
    node = shutil.which("node", path=paths())
    yield lambda host, key: [node, str(script), host, key]
    script.unlink()


def tell(sdk, server):
    """Run the program to its end: it must have lost nothing by its own account."""
    hidden = ("http_proxy", "https_proxy", "all_proxy")
    environment = {name: text for name, text in os.environ.items() if name.lower() not in hidden}
    command = sdk(server.url, server.key)
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_all_told_once(server):
    rows = server.rows()
    assert Counter(row["type"] for row in rows) == {
        "track": TRACKS, "identify": 1, "group": 1, "page": 1, "screen": 1, "alias": 1,
    }  # fmt: skip
    numbers = sorted(row["properties"]["number"] for row in rows if row["type"] == "track")
    assert numbers == list(range(TRACKS))
    assert {row["user_id"] for row in rows} == {"u1"}
    clocks = {"no_timestamp", "timestamp_unreadable", "clock_wrong", "no_sent_at", "no_message_id"}
    assert not clocks & {flag for row in rows for flag in row["flags"]}
    assert all(row["sent_at"] is not None for row in rows)
    late = [row["received_at"] - row["occurred_at"] for row in rows]
    assert all(timedelta(0) <= one < timedelta(minutes=10) for one in late)
    assert server.rows("select * from events.dead_letters") == []


def test_an_sdk_tells_all_six_calls_and_shuts_down_without_loss(sdk, database_url, tmp_path):
    with ingest_serving(database_url, tmp_path) as server:
        tell(sdk, server)
        check_all_told_once(server)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_sdk_tells_again_what_was_refused_for_a_while_and_it_is_stored_once(
    sdk, after, database_url, tmp_path
):
    unsteady = []

    def around(app):
        unsteady.append(Unsteady(app, [503, 429, 500, 503], after=after))
        return unsteady[0]

    with ingest_serving(database_url, tmp_path, around=around) as server:
        tell(sdk, server)
        check_all_told_once(server)
    assert unsteady[0].answers == {503: 2, 429: 1, 500: 1}
