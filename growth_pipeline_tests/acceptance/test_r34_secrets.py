"""R34: no secret leaves its place, whatever fails.

Thirteen planted secrets go through every setting that holds one (and one that should not), through
failing commands, doctor, config show, a failed Dagster run and its alerts, web errors and the
process list. Stripe, Slack and GitHub are one hostile server that echoes whatever it is sent. Then
every surface is searched: as it is, base64, URL-encoded, JSON-encoded, hexadecimal, reversed, and
for the first twelve characters.
"""

import base64
import http.server
import json
import os
import random
import string
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import psycopg
import pytest

from growth_pipeline_tests.fakes.loopback_http import LoopbackServer

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]
PORTS = {"GROWTH_WEB__PORT": "0", "GROWTH_WEB__DAGSTER_PORT": "0"}


# --- the planted secrets and how they are looked for ---------------------------------------------

NAMES = (
    "stripe_key",
    "stripe_key_live",
    "stripe_key_malformed",
    "webhook_secret",
    "webhook_secret_rolling",
    "database_password",
    "database_password_unreachable",
    "database_password_malformed",
    "dagster_database_password",
    "slack_path",
    "github_token",
    "heartbeat_path",
    "slack_bot_token",
    "anthropic_key",
    "kit_key",
    "kit_webhook_path",
    "link_secret",
    "api_token",
    "in_the_wrong_setting",
)


def plant(seed: int) -> dict[str, str]:
    """Nineteen secrets, different in every character that counts; the same for the same seed."""
    chance = random.Random(seed)
    letters = string.ascii_letters + string.digits
    secrets = {name: "".join(chance.choices(letters, k=32)) for name in NAMES}
    secrets["database_password"] += "@/:"  # what must be encoded inside an address
    return secrets


def forms(secret: str) -> Iterator[tuple[str, str]]:
    """The shapes in which a secret could show, each with its name."""
    yield "plain", secret
    yield "first 12", secret[:12]
    yield "reversed", secret[::-1]
    yield "url", quote(secret, safe="")
    yield "json", json.dumps(secret)[1:-1]
    yield "hex", secret.encode().hex()
    for offset in range(3):  # base64 of a longer text shows it in one of three shapes
        encoded = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        yield f"base64+{offset}", encoded[(0, 2, 3)[offset] :].rstrip("=")[:-2]


def find_leaks(secrets: dict[str, str], surfaces: dict[str, str]) -> list[str]:
    """Every (secret, form, surface) that hits."""
    return [
        f"{name} ({form}) in {surface}"
        for name, secret in secrets.items()
        for form, text in forms(secret)
        for surface, content in surfaces.items()
        if text in content
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_search_itself_finds_each_secret_in_every_shape(name):
    secrets = plant(1)
    secret = secrets[name]
    shown = {
        "plain": f"key={secret};",
        "first 12": f"{secret[:12]}…",
        "reversed": secret[::-1],
        "url": quote(f"https://u:{secret}@h", safe=""),
        "json": json.dumps({"a": secret}),
        "base64": base64.b64encode(f"user:{secret}".encode()).decode(),
        "base64 in the middle": base64.b64encode(f"x{secret} and more".encode()).decode(),
        "hex": secret.encode().hex(),
    }
    for form, text in shown.items():
        assert find_leaks({name: secret}, {form: text}), form
    assert find_leaks({name: secret}, {"other": " ".join(plant(2).values())}) == []


# --- a hostile world -----------------------------------------------------------------------------


class Echo(http.server.BaseHTTPRequestHandler):
    """Refuses everything, and tells all it was sent in the refusal."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length).decode(errors="replace")
        told = f"refused: {self.path} {dict(self.headers)} {sent}"
        error = {"type": "invalid_request_error", "code": "api_key_expired", "message": told}
        body = json.dumps({"error": error, "message": told}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def hostile() -> Iterator[str]:
    """Address of the server that plays Stripe, Slack and GitHub."""
    server = LoopbackServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Watch:
    """Collects the command line of every process of the test, again and again."""

    def __init__(self, mark: str) -> None:
        self.lines: set[str] = set()
        self._mark = mark
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.1):
            for process in psutil.process_iter():
                try:
                    if process.environ().get("R34_MARK") == self._mark:
                        self.lines.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue


def _with_password(url: str, password: str) -> str:
    return url.replace("postgres@", f"postgres:{quote(password, safe='')}@", 1)


def _dump(url: str) -> str:
    """All rows of all tables of a database, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert tables
        return "\n".join(
            str(row[0])
            for (table,) in tables
            for row in connection.execute(f"select t::text from {table} as t").fetchall()
        )


def _files(folder: Path) -> dict[str, str]:
    """Every file under a folder, by its path inside."""
    return {
        f"file {path.relative_to(folder)}": path.read_bytes().decode("latin-1")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- the test ------------------------------------------------------------------------------------


def test_no_secret_shows_on_any_surface(
    tmp_path, seed, hostile, database_url, empty_database_url, acceptance_line
):
    secrets = plant(seed)
    live = f"rk_live_{secrets['stripe_key_live']}"
    settings = {
        "GROWTH_DATABASE_URL": _with_password(database_url, secrets["database_password"]),
        "GROWTH_DAGSTER_DATABASE_URL": _with_password(
            empty_database_url, secrets["dagster_database_password"]
        ),
        "GROWTH_STRIPE__API_KEY": f"rk_test_{secrets['stripe_key']}",
        "GROWTH_STRIPE__API_BASE": hostile,
        "GROWTH_STRIPE__RETRY_SECONDS": "0",
        "GROWTH_STRIPE__WEBHOOK_SECRETS": ",".join(
            f"whsec_{secrets[name]}" for name in ("webhook_secret", "webhook_secret_rolling")
        ),
        "GROWTH_ALERTS__SLACK_WEBHOOK_URL": f"{hostile}/services/{secrets['slack_path']}",
        "GROWTH_ALERTS__GITHUB_TOKEN": f"ghp_{secrets['github_token']}",
        "GROWTH_ALERTS__GITHUB_REPOSITORY": "acme/books",
        "GROWTH_ALERTS__GITHUB_API_BASE": hostile,
        "GROWTH_ALERTS__HEARTBEAT_URL": f"{hostile}/ping/{secrets['heartbeat_path']}",
        "GROWTH_ALERTS__SLACK_BOT_TOKEN": f"xoxb-{secrets['slack_bot_token']}",
        "GROWTH_ALERTS__SLACK_CHANNEL": "C0123456789",
        "GROWTH_ALERTS__SLACK_API_BASE": hostile,
        "GROWTH_ALERTS__ALLOW_LOOPBACK": "true",
        "GROWTH_INSIGHTS__ANTHROPIC_API_KEY": f"sk-ant-{secrets['anthropic_key']}",
        "GROWTH_INSIGHTS__ANTHROPIC_API_BASE": hostile,
        "GROWTH_INSIGHTS__ALLOW_LOOPBACK": "true",
        "GROWTH_LIFECYCLE_SEND": "true",
        "GROWTH_LIFECYCLE__KIT_API_KEY": f"kit_{secrets['kit_key']}",
        "GROWTH_LIFECYCLE__KIT_API_BASE": hostile,
        "GROWTH_LIFECYCLE__KIT_WEBHOOK_SECRET": secrets["kit_webhook_path"],
        "GROWTH_LIFECYCLE__LINK_SECRET": secrets["link_secret"],
        "GROWTH_LIFECYCLE__API_TOKEN": secrets["api_token"],
        "GROWTH_LIFECYCLE__ALLOW_LOOPBACK": "true",
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
        "GROWTH_LOG_LEVEL": "DEBUG",
        "DAGSTER_HOME": str(tmp_path / "home"),
        **PORTS,
    }
    root = Path(__file__).parents[2]
    (tmp_path / "home").mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / "home" / name).write_text((root / name).read_text())
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GROWTH_", "DAGSTER_"))}
    environment = clean | settings | {"R34_MARK": str(tmp_path)}
    surfaces: dict[str, str] = {}

    def growth(*arguments: str, **variables: str) -> int:
        done = subprocess.run(
            [*GROWTH, *arguments],
            cwd=tmp_path,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        name = " ".join(["growth", *arguments, *variables])
        surfaces[f"{name}: stdout"], surfaces[f"{name}: stderr"] = done.stdout, done.stderr
        return done.returncode

    nowhere = f"postgresql://growth:{secrets['database_password_unreachable']}@127.0.0.1:9/growth"
    malformed = f"postgresql//growth:{secrets['database_password_malformed']}@db/growth"
    paths = [
        (("config", "show"), {}, 0),
        (("config", "show", "--json"), {}, 0),
        (("config", "example"), {}, 0),
        (("migrate", "--json"), {}, 0),
        (("doctor",), {}, 5),
        (("doctor", "--json", "--debug"), {}, 5),
        (("config", "show"), {"GROWTH_WEB__PORT": secrets["in_the_wrong_setting"]}, 5),
        (("doctor",), {"GROWTH_WEB__PORT": secrets["in_the_wrong_setting"]}, 5),
        (("migrate", "--debug"), {"GROWTH_DATABASE_URL": nowhere}, 6),
        (("migrate", "--debug"), {"GROWTH_DATABASE_URL": malformed}, 5),
        (("doctor",), {"GROWTH_DATABASE_URL": malformed}, 5),
        (("audit", "--month", "2026-01", "--debug"), {"GROWTH_DAGSTER_DATABASE_URL": nowhere}, 6),
        (
            ("audit", "--month", "2026-01", "--debug"),
            {"GROWTH_STRIPE__API_KEY": secrets["stripe_key_malformed"]},
            5,
        ),
        (
            ("audit", "--month", "2026-02", "--dry-run", "--debug"),
            {"GROWTH_STRIPE__API_KEY": live},
            5,
        ),
    ]
    with Watch(str(tmp_path)) as watch:
        server = subprocess.Popen(
            [*GROWTH, "serve", "--all"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(tmp_path / "serve.out").open("wb"),
            stderr=(tmp_path / "serve.err").open("wb"),
        )
        try:
            with ThreadPoolExecutor(3) as pool:
                codes = list(pool.map(lambda path: growth(*path[0], **path[1]), paths))
            assert codes == [code for _, _, code in paths], dict(
                zip(map(str, paths), codes, strict=True)
            )
            web = _wait_for_address(tmp_path / "serve.err", "web app", server)
            _wait_for_address(tmp_path / "serve.err", "Dagster", server)
            # The failed run of this audit is seen by the daemon, which alerts Slack and GitHub.
            assert growth("audit", "--month", "2026-02") == 5
            # A model that refuses the key, and tells it back: the report comes without it.
            assert growth("insights", "--debug") == 0
            # Kit refuses the key and tells it back: nothing is sent, and a check says why.
            assert growth("lifecycle", "run", "--debug") == 3
            assert "stopped" in surfaces["growth lifecycle run --debug: stdout"]
            _visit(web, secrets, surfaces)
            _wait_for_a_refused_alert(database_url)
        finally:
            server.terminate()
            server.wait(30)
    surfaces["process list"] = "\n".join(sorted(watch.lines))
    surfaces["application's database"] = _dump(database_url)
    surfaces["Dagster's database"] = _dump(empty_database_url)
    surfaces |= _files(tmp_path)

    assert "STEP_FAILURE" in surfaces["Dagster's database"]
    assert "dagster._daemon" in surfaces["process list"]
    assert "spawn_main" in surfaces["process list"], "no run worker was seen"
    sizes = {name: len(text) for name, text in sorted(surfaces.items())}
    for name, size in sizes.items():
        print(f"{size:>9} {name}")  # noqa: T201 - the searched surfaces are part of the proof
    acceptance_line(
        "R34",
        violations=find_leaks(secrets, surfaces),
        secrets=len(secrets),
        forms=len(list(forms("x" * 32))),
        surfaces=len(sizes),
        bytes=sum(sizes.values()),
        biggest=dict(sorted(sizes.items(), key=lambda item: -item[1])[:5]),
    )


def _wait_for_address(log: Path, word: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        for line in log.read_text().splitlines():
            if line.startswith(word) and "http://" in line:
                return line.split()[-1 if word == "web app" else 1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _visit(web: str, secrets: dict[str, str], surfaces: dict[str, str]) -> None:
    """Errors of the web app, some with a secret in what the visitor sends."""
    body = json.dumps({"id": "evt_1", "object": "event", "note": secrets["github_token"]})
    forged = {"Stripe-Signature": f"t=1,v1={secrets['webhook_secret']}"}
    bearer = {"Authorization": f"Bearer {secrets['stripe_key']}"}
    with httpx.Client(base_url=web, trust_env=False) as client:
        answers = {
            "GET /": client.get("/"),
            "GET /docs": client.get("/docs"),
            "GET /openapi.json": client.get("/openapi.json"),
            "GET /readyz": client.get("/readyz"),
            "GET /nowhere": client.get("/nowhere", headers=bearer),
            "GET /webhooks/stripe": client.get("/webhooks/stripe", headers=bearer),
            "POST /webhooks/stripe forged": client.post(
                "/webhooks/stripe", content=body, headers=forged | bearer
            ),
            "POST /webhooks/stripe unsigned": client.post("/webhooks/stripe", content=body),
            "POST /webhooks/kit": client.post(
                f"/webhooks/kit/{secrets['kit_webhook_path']}", content=b"no JSON"
            ),
            "POST /v1/unsubscribe": client.post(
                "/v1/unsubscribe",
                content=b"no JSON",
                headers={"Authorization": f"Bearer {secrets['api_token']}"},
            ),
        }
    assert answers["POST /webhooks/stripe forged"].status_code == 400
    assert answers["POST /webhooks/kit"].status_code == 400  # the right secret
    assert answers["POST /v1/unsubscribe"].status_code == 400  # the right token
    for name, answer in answers.items():
        surfaces[f"{name}: answer"] = f"{answer.headers}\n{answer.text}"


def _wait_for_a_refused_alert(database_url: str) -> None:
    """Until Slack and GitHub have refused an alert about the failed run."""
    statement = "select count(distinct channel) from alerts.outbox where last_error is not null"
    deadline = time.monotonic() + 90
    with psycopg.connect(database_url, autocommit=True) as connection:
        while connection.execute(statement).fetchone() != (2,):
            assert time.monotonic() < deadline, connection.execute(
                "select channel, state, attempts, last_error from alerts.outbox"
            ).fetchall()
            time.sleep(0.2)
