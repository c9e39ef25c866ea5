"""R25: whatever is put into a name, key, filter, cohort or date, the server gets the same SQL texts.

The texts are those of the server's own log. Each command and route runs first with harmless values,
then with texts made to leave their quotes; no text may come that did not come before.
"""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import structlog
from pydantic import SecretStr
from starlette.testclient import TestClient

from growth_pipeline.cli import app as growth
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.settings import LifecycleSettings
from growth_pipeline.storage.embedded import start_embedded
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.web.app import create_app
from growth_pipeline.web.security import ROUTE_RULES, Credential
from growth_pipeline_tests.acceptance.injection_texts import CANARY, injections
from growth_pipeline_tests.acceptance.statement_log import StatementLog, shape_of, shapes_of_files
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.ingest_server import basic, create_key
from growth_pipeline_tests.fakes.stripe_events import a_charge, an_event
from growth_pipeline_tests.fakes.web_server import SECRET, Clock, settings_of, signed

MONTH, DAY = "2031-05", "2031-05-05"
KIT_SECRET, LINK_SECRET, TOKEN = "k" * 40, "l" * 40, "t" * 40
_BEARER = {"Authorization": f"Bearer {TOKEN}"}
# {} is where the text goes; before it, what a careless reader of dates or numbers would be content with.
COMMANDS = [
    "events keys create {}",
    "events keys create app --origin https://a.example{}",
    "events keys revoke {}",
    "events keys revoke 1{}",
    "events dead-letters list --reason {}",
    "events dead-letters show {}",
    "events dead-letters show 1{}",
    "events dead-letters replay --reason {}",
    "events dead-letters replay 1{}",
    "events exclude {} --reason internal",
    "events exclude user --reason {}",
    "events merge {} user",
    "events merge anonymous {}",
    f"events verify --billing --since {DAY}{{}}",
    f"events rollup --since {DAY}{{}}",
    "events rollup --timezone Europe/Berlin{}",
    "events rollup --events Login{} --name logins",
    "events rollup --events Login --name logins{}",
    "findings list --month {}",
    f"findings list --month {MONTH}{{}}",
    "findings list --code MISSING{}",
    "findings list --severity HIGH{}",
    "findings list --tz Europe/Berlin{}",
    "findings show {}",
    f"findings suppress {{}} --reason known --until {DAY} --by ann",
    f"findings suppress --code {{}} --reason known --until {DAY} --by ann",
    f"findings suppress --code MISSING --month {MONTH}{{}} --reason known --until {DAY} --by ann",
    f"findings suppress abc --reason {{}} --until {DAY} --by ann",
    f"findings suppress abc --reason known --until {DAY}{{}} --by ann",
    f"findings suppress abc --reason known --until {DAY} --by {{}}",
    "findings unsuppress {}",
    "findings unsuppress --code {}",
    "findings own abc {}",
    "findings own {} ann",
    "webhooks replay {}",
    "webhooks trace {}",
    "webhooks trace evt_1{}",
    f"repair --month {MONTH}{{}}",
    f"repair --month {MONTH} --only MISSING{{}}",
    "repair --undo {}",
    f"cohorts refresh --since {DAY}{{}}",
    "cohorts refresh --grain month{}",
    "cohorts refresh --timezone Europe/Berlin{}",
    "cohorts refresh --week-start monday{}",
    "cohorts refresh --entry signup{}",
    "cohorts report --grain week{}",
    "cohorts report --entry signup{}",
    "lifecycle explain {}",
    f"lifecycle explain user --day {DAY}{{}}",
    "lifecycle outbox --state parked{}",
    "lifecycle outbox decide 1{} skip",
    "lifecycle suppress ann@example.com{}",
    "lifecycle suppress ann@example.com --reason manual{}",
    "lifecycle suppressions ann@example.com{}",
    f"lifecycle preview --from {DAY}{{}}",
    f"lifecycle scores --from {DAY}{{}}",
    "adopt --users auth.users{} --dry-run",
    "adopt --users app.users --id id{} --dry-run",
    "adopt --users app.users --created created_at{} --dry-run",
    "adopt --users app.users --email email{} --dry-run",
    "adopt --users app.users --activity app.acts?user=user_id{}&at=at --dry-run",
    "adopt --users app.users --activity app.acts?user=user_id&at=at&event=name{} --dry-run",
]
# Workers in the background send some of them when they get to it. None of them holds a value.
OF_THE_PRODUCT = shapes_of_files(Path(__file__).parents[2] / "sql") | {
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
}
HARMLESS = ("", "x", "abcdef123456")
APPLICATION = """
create schema app;
create table app.users (id text primary key, created_at timestamptz not null, email text);
create table app.acts (user_id text, at timestamptz, name text)
"""


@pytest.fixture(scope="module")
def company() -> Iterator[tuple[str, StatementLog]]:
    """A migrated database on a server that logs every statement."""
    folder = Path(tempfile.mkdtemp(prefix="growth-r25-"))
    started = start_embedded(folder)
    try:
        log = StatementLog(started, folder / "postgres/server.log")
        with psycopg.connect(started.url("postgres"), autocommit=True) as admin:
            admin.execute("create database injected")
        url = started.url("injected")
        migrate(url)
        with psycopg.connect(url) as connection:
            connection.execute(APPLICATION)
            connection.execute(f"create table {CANARY} as select 'sings'::text as word")
        yield url, log
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def damage(url: str) -> list[str]:
    """What an injection that worked would have left."""
    with psycopg.connect(url) as connection:
        words = connection.execute(f"select word from {CANARY}").fetchall()
        roles = connection.execute(
            "select rolname from pg_roles where rolname like 'canary%'"
        ).fetchall()
        grants = connection.execute(
            "select table_name::text from information_schema.table_privileges"
            " where grantee = 'PUBLIC' and table_schema = 'billing'"
        ).fetchall()
    files = [str(path) for path in Path("/tmp").glob("canary_of_injections*")]
    return [f"left: {one}" for one in (*roles, *grants, *files)] + (
        [] if words == [("sings",)] else [f"the canary says {words}"]
    )


def new_texts(
    log: StatementLog, harmless: Callable[[], object], hostile: Callable[[], object]
) -> list[str]:
    """Texts that came with hostile values, and neither before nor after with harmless ones."""
    log.texts()
    harmless()
    known = log.texts() | OF_THE_PRODUCT
    hostile()
    fresh = log.texts() - known
    if fresh:
        harmless()
        fresh -= log.texts()
    return sorted(fresh)


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A command lets logs go to its stderr, which is closed when it ended."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


# --- commands ------------------------------------------------------------------------------------


def run_command(template: str, text: str, environment: dict[str, str]) -> str:
    """The type of an error that no person should meet; empty for none."""
    text = text.replace("\0", "")  # no argument of a process can hold it
    words = [word.replace("{}", text) for word in template.split(" ")]
    error = CliRunner().invoke(growth, words, env=environment).exception
    is_known = error is None or isinstance(error, GrowthError | SystemExit)
    return "" if is_known else f"{template} with {text!r}: {type(error).__name__}: {error}"


def run_commands(
    problems: list[str], environment: dict[str, str], template: str, texts: Iterable[str]
) -> None:
    errors = [run_command(template, text, environment) for text in texts]
    problems.extend(filter(None, errors))


@pytest.mark.timeout(3600)
def test_no_command_says_more_to_the_database(company, tmp_path, seed, full, acceptance_line):
    url, log = company
    environment = {
        "GROWTH_DATABASE_URL": url,
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
    }
    count = 2_000 if full else 100
    texts = cycle(injections(seed, count))
    rounds = count // len(COMMANDS)
    violations: list[str] = []
    for template in COMMANDS:
        run = partial(run_commands, violations, environment, template)
        fresh = new_texts(log, partial(run, HARMLESS), partial(run, islice(texts, rounds)))
        violations += [f"{template}: {text}" for text in fresh]
    acceptance_line(
        "R25",
        part="commands",
        load={"commands": len(COMMANDS), "texts": rounds * len(COMMANDS)},
        violations=violations + damage(url),
    )


# --- routes --------------------------------------------------------------------------------------


# These get one text of ten: short names of other routes; at t and p unknown keys are made to wait.
SHORT = [f"/v1/{letter}" for letter in "tpisga"]
READ_NOTHING = {
    *("GET /docs", "GET /openapi.json", "GET /healthz", "GET /version", "GET /static/*"),
}


def calls_of(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Every route with a text in every field of what it takes: method, path, options."""
    event = {
        **{name: text for name in ("messageId", "userId", "anonymousId", "event", "timestamp")},
        **{name: text for name in ("type", "name", "groupId", "previousId", "sentAt")},
        "properties": {text: text, "plan": [text, {text: 1}]},
        "traits": {"email": text, "createdAt": text, text: text},
        "context": {"ip": text, "library": {"name": text}},
    }
    tracks = [{**event, "type": "track", "timestamp": f"{DAY}T00:00:00Z{text}"}]
    tracks += [
        {**event, "type": kind, "timestamp": None} for kind in ("identify", "alias", "track")
    ]
    body = an_event(
        "charge.succeeded", {**a_charge(), "id": f"ch_{text}", "customer": text}, id=f"evt_{text}"
    )
    shown = {"x-growth": text.encode().hex()}
    return [
        ("POST", "/v1/batch", {"json": {"batch": tracks, "sentAt": text, "writeKey": text}}),
        *(
            ("POST", f"/v1/{kind}", {"json": event})
            for kind in ("track", "identify", "page", "screen", "group", "alias")
        ),
        *(("POST", path, {"json": event}) for path in SHORT[2:]),
        ("POST", "/v1/b", {"json": {"batch": tracks[:1]}}),
        (
            "POST",
            "/api/v1/events",
            {"json": {"event": text, "messageId": text, "properties": event}},
        ),
        ("POST", "/v1/t", {"json": {**event, "writeKey": text}, "headers": {"Authorization": ""}}),
        ("POST", "/v1/p", {"json": event, "headers": basic_of(text)}),
        ("OPTIONS", "/v1/t", {"headers": {"Origin": origin_of(text)}}),
        ("POST", "/v1/unsubscribe", {"json": {"email": text[:300] or "x"}, "headers": _BEARER}),
        (
            "POST",
            f"/webhooks/kit/{KIT_SECRET}",
            {"json": {"subscriber": {"id": text, "email_address": text, "state": text}}},
        ),
        *(
            (method, f"/unsubscribe/{quote(text, safe='') or 'x'}", {"data": {text: text}})
            if method == "POST"
            else (method, f"/unsubscribe/{quote(text, safe='') or 'x'}", {})
            for method in ("GET", "POST")
        ),
        ("POST", "/webhooks/stripe", {"content": body, "headers": signed(body)}),
        *(
            ("GET", path, {"params": {"month": text, text: "1"}, "headers": shown})
            for path in ("/", "/readyz")
        ),
    ]


def as_route(path: str) -> str:
    """The route of a path that has a secret in it."""
    for start, name in (("/unsubscribe/", "{token}"), ("/webhooks/kit/", "{secret}")):
        if path.startswith(start):
            return start + name
    return path


def basic_of(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def origin_of(text: str) -> str:
    """An origin as a header can hold it."""
    return "https://a.example" + re.sub(r"[^\x20-\x7e]", "", text)


def send_all(url: str, folder: Path, key: str, texts: list[str]) -> list[str]:
    """Send every call with every text to an app of its own; answers that are an error of ours."""
    settings = settings_of(url, folder, SECRET)
    settings.lifecycle = LifecycleSettings(
        kit_webhook_secret=SecretStr(KIT_SECRET),
        link_secret=SecretStr(LINK_SECRET),
        api_token=SecretStr(TOKEN),
    )
    app = create_app(settings, clock=Clock())
    problems = []
    with TestClient(app, raise_server_exceptions=False, headers=basic(key)) as client:
        for number, text in enumerate(texts):
            for method, path, options in calls_of(text):
                if number % 10 and path in SHORT:
                    continue
                answer = client.request(method, path, **options)
                if answer.status_code >= 500:
                    problems.append(f"{method} {path} with {text!r}: {answer.status_code}")
    return problems


@pytest.mark.timeout(3600)
def test_no_route_says_more_to_the_database(company, tmp_path, seed, full, acceptance_line):
    url, log = company
    key = create_key(url).key
    texts = list(injections(seed + 1, 2_000 if full else 100))
    violations: list[str] = []
    violations += new_texts(
        log,
        lambda: send_all(url, tmp_path, key, ["harmless", "", "x" * 20, "\0"]),
        lambda: violations.extend(send_all(url, tmp_path, key, texts)),
    )
    acceptance_line(
        "R25",
        part="routes",
        load={"texts": len(texts), "routes": len(calls_of(""))},
        violations=violations + damage(url),
    )


def test_every_route_that_reads_what_it_is_sent_is_sent_texts():
    sent = {f"{method} {as_route(path)}" for method, path, _ in calls_of("")}
    rules = ROUTE_RULES.items()
    reading = {route for route, credential in rules if credential is not Credential.ORIGIN}
    assert reading - sent == READ_NOTHING


# --- functions -----------------------------------------------------------------------------------

_FUNCTIONS = {
    "select * from cohorts.measure_cell(%s::date, 0, %s, %s, null, %s, %s, null, 1, %s)": 6,
    "select cohorts.calculate_retention_rate(%s::date, 1, %s, %s, null, %s, %s, null, 1, %s)": 6,
    "select cohorts.get_cohort_size(%s::date, %s, %s)": 3,
    "select * from cohorts.assign_user_to_cohort(%s, now(), %s)": 2,
    "select cohorts.check_option(%s, %s, array[%s, 'x'])": 3,
    "select cohorts.check_instant(%s::timestamptz)": 1,
    "select cohorts.period_number(%s::date, %s, date '2031-05-05')": 2,
    "select cohorts.period_start(1, %s, date '2031-05-05')": 1,
    "select activity.can_be_sign_up(%s::timestamptz)": 1,
    "select activity.read_instant(to_jsonb(%s::text))": 1,
    "select activity.read_segment(to_jsonb(%s::text)), activity.user_key(%s)": 2,
    "select set_config('request.jwt.claims', %s, true), cohorts.claimed_user()": 1,
    "select lifecycle.address_hash(%s), lifecycle.unsubscribe(%s)": 2,
    "select lifecycle.suppress(sha256('x'), 'manual', %s)": 1,
    "select lifecycle.hold(sha256('x'), 1, %s)": 1,
    "select lifecycle.lock_address(sha256(convert_to(%s, 'UTF8')), true)": 1,
    "insert into app.users values (%s, now()) on conflict do nothing": 1,  # its triggers
}
_SIGN_UPS = """
create or replace trigger growth_note_user after insert on app.users
for each row execute function activity.note_user('id', 'created_at')
"""
_RIGHT = ("2031-05-01", "month", "signup", "on", "calendar", ["Login"])
# What takes numbers alone, or nothing; the last puts together SQL of names of roles, by format('%I').
_WITHOUT_TEXT = {"rate_of", "assign_all_users", "is_reader", "grant_readers"}


def test_functions_take_any_text_as_a_value(company, seed, full, acceptance_line):
    """What a function is told is refused as no value of it, or counted; it is never run."""
    url, _ = company
    violations: list[str] = []
    texts = list(injections(seed + 2, 2_000 if full else 100))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SIGN_UPS)
        for text in (text.replace("\0", "") for text in texts):
            for call, count in _FUNCTIONS.items():
                for place in range(count):
                    values: list[Any] = list(_RIGHT[:count])
                    values[place] = [text] if place == len(_RIGHT) - 1 else text
                    try:
                        connection.execute(call, values)
                    except psycopg.DataError:
                        continue
        functions = connection.execute(
            "select p.proname, p.prosrc ~* '\\mexecute\\M', p.prorettype = 'trigger'::regtype"
            " from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
            " where n.nspname not in ('public', 'information_schema') and n.nspname !~ '^pg_'"
        ).fetchall()
    for name, executes, is_trigger in functions:
        if executes and name != "grant_readers":
            violations.append(f"{name} runs SQL it puts together")
        is_called = any(f".{name}(" in call for call in _FUNCTIONS)
        if not (is_called or is_trigger or name in _WITHOUT_TEXT):
            violations.append(f"{name} was given no text")
    acceptance_line(
        "R25",
        part="functions",
        load={"texts": len(texts), "functions": len(_FUNCTIONS)},
        violations=violations + damage(url),
    )


# --- the test itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["' or 1=1 --", "'; drop table x; --", "' union select null", "'||user||'", "\\' or true", "'"],
)
def test_a_text_that_leaves_its_quotes_is_seen(company, text):
    """A careless statement, as no product code has it."""
    url, log = company

    def careless(value: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection, suppress(psycopg.Error):
            connection.execute(f"select word from {CANARY} where word = '{value}'")

    assert new_texts(log, lambda: careless("abc"), lambda: careless("d''ef")) == []
    found = new_texts(log, lambda: careless("abc"), lambda: careless(text))
    assert found == [shape_of(f"select word from {CANARY} where word = '{text}'")]
