"""R36 for the routes that exist, read from the router: who may do what, and what a stranger learns."""

import random
import time

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from growth_pipeline.settings import LifecycleSettings
from growth_pipeline.web.app import create_app
from growth_pipeline.web.security import (
    ROUTE_RULES,
    Credential,
    RouteRuleError,
    check_routes,
    routes_of,
)
from growth_pipeline_tests.fakes.stripe_events import NOON, a_charge, an_event, sign
from growth_pipeline_tests.fakes.web_server import SECRET, Clock, settings_of, signed

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
BODY = an_event("charge.succeeded", a_charge())
REFUSED = {
    Credential.STRIPE_SIGNATURE: 400,
    Credential.WRITE_KEY: 401,
    Credential.ORIGIN: 403,
    Credential.PATH_SECRET: 404,
    Credential.SIGNED_LINK: 404,
    Credential.API_TOKEN: 401,
}
# What stands in the path of a stranger where a secret would.
GUESSES = {"{secret}": "s" * 32, "{token}": "IjAwIg.AAAAAAAAAAAAAAAAAAAAAAAAAAA"}


@pytest.fixture
def app(database_url, tmp_path):
    settings = settings_of(database_url, tmp_path, SECRET)
    settings.lifecycle = LifecycleSettings(
        kit_webhook_secret=SecretStr("k" * 40),
        link_secret=SecretStr("l" * 40),
        api_token=SecretStr("t" * 40),
    )
    return create_app(settings, clock=Clock())


@pytest.fixture
def client(app):
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def path_of(route):
    path = route.partition(" ")[2].replace("/static/*", "/static/site.css")
    for name, guess in GUESSES.items():
        path = path.replace(name, guess)
    return path


def attacks():
    """Everything but a genuine delivery: name -> (body, headers)."""
    genuine = sign(BODY, SECRET, NOON)
    return {
        "none": (BODY, {}),
        "wrong": (BODY, signed(BODY, secret="whsec_wrong")),
        "expired": (BODY, signed(BODY, NOON - 301)),
        "from the future": (BODY, signed(BODY, NOON + 301)),
        "replayed after an hour": (BODY, signed(BODY, NOON - 3600)),
        "tampered body": (BODY.replace(b"1000", b"9999"), {"Stripe-Signature": genuine}),
        "tampered stamp": (BODY, {"Stripe-Signature": genuine.replace(str(NOON), str(NOON + 1))}),
        "no algorithm": (BODY, {"Stripe-Signature": f"t={NOON},none="}),
        "old scheme": (BODY, {"Stripe-Signature": genuine.replace("v1=", "v0=")}),
        "bearer": (BODY, {"Authorization": f"Bearer {SECRET}"}),
        "basic": (BODY, {"Authorization": "Basic d2hzZWM6"}),
        "cookie": (BODY, {"Cookie": f"session={SECRET}"}),
        "secret as signature": (BODY, {"Stripe-Signature": f"t={NOON},v1={SECRET}"}),
        "not even JSON": (b"\x00\xff not json", signed(b"other", secret="whsec_wrong")),
        "deep": (b"[" * 100_000, signed(b"other", secret="whsec_wrong")),
        "form": (b"a=1&b=2", {"Content-Type": "application/x-www-form-urlencoded"}),
    }


def wrong_methods(client, routes):
    """Methods a path must not know; problems found, and how many were tried."""
    tries = [
        (method, path_of(route))
        for route in routes
        for method in METHODS
        if f"{method} {path_of(route)}" not in ROUTE_RULES and not route.startswith(f"{method} ")
    ]
    codes = {each: client.request(*each).status_code for each in tries}
    return [f"{each}: {code}" for each, code in codes.items() if code not in {404, 405}], len(tries)


def stranger_at(client, route):
    """What a stranger gets from a route with a credential: problems, and how many attacks."""
    method, path = route.partition(" ")[0], path_of(route)
    answers = {}
    for name, (body, headers) in attacks().items():
        answer = client.request(method, path, content=body, headers=headers)
        shown = sorted(item for item in answer.headers.items() if item[0] != "x-request-id")
        answers[name] = (answer.status_code, answer.text, tuple(shown))
    expected = REFUSED[ROUTE_RULES[route]]
    problems = [f"{route}, {name}: {got[0]}" for name, got in answers.items() if got[0] != expected]
    if len(set(answers.values())) != 1:
        problems.append(f"{route}: different answers to strangers")
    return problems, len(answers)


def test_every_route_answers_only_to_its_credential(app, client, database, acceptance_line):
    routes = routes_of(app)
    violations, checked = wrong_methods(client, routes)
    for route in routes:
        if ROUTE_RULES[route] is Credential.NONE:
            problems = [] if client.get(path_of(route)).status_code == 200 else [f"{route}: shut"]
            tried = 1
        else:
            problems, tried = stranger_at(client, route)
        violations += problems
        checked += tried
    with database.connection() as connection:
        for table in (
            "billing.inbox",
            "events.events",
            "events.dead_letters",
            "lifecycle.suppressions",
        ):
            if connection.execute(f"select 1 from {table}").fetchone():
                violations.append(f"a stranger's body was stored in {table}")
    acceptance_line("R36", violations=violations, load={"routes": len(routes), "cases": checked})


def test_a_genuine_delivery_passes_where_the_attacks_fail(client):
    assert client.post("/webhooks/stripe", content=BODY, headers=signed(BODY)).status_code == 200


def test_guessing_gives_one_answer_and_no_hint_in_time(client, seed, acceptance_line):
    random_ = random.Random(seed)
    guesses = [f"t={NOON},v1={random_.getrandbits(256):064x}" for _ in range(200)]
    genuine = sign(BODY, SECRET, NOON)
    close = [genuine[:-1] + digit for digit in "0123456789abcdef" if genuine[-1] != digit]
    seconds = {}
    answers = set()
    for name, headers in (("far", guesses), ("close", close * 8)):
        times = []
        for header in headers:
            began = time.perf_counter()
            answer = client.post(
                "/webhooks/stripe", content=BODY, headers={"Stripe-Signature": header}
            )
            times.append(time.perf_counter() - began)
            answers.add((answer.status_code, answer.text))
        seconds[name] = sorted(times)[len(times) // 2]
    violations = [] if answers == {(400, "webhook refused\n")} else [str(answers)]
    acceptance_line(
        "R36",
        violations=violations,
        part="guesses",
        milliseconds={k: v * 1000 for k, v in seconds.items()},
    )


def test_the_body_of_a_stranger_is_never_parsed(app, client):
    for body in (b"not json", b"[" * 500_000, b"\xff"):
        client.post("/webhooks/stripe", content=body, headers=signed(b"something else"))
    assert app.state.webhook_counts["unreadable"] == 0
    assert sum(app.state.webhook_counts.values()) == 3


def test_a_new_route_without_a_rule_keeps_the_app_from_starting(app):
    check_routes(routes_of(app))

    @app.get("/admin/metrics")
    def show():
        return {}

    with pytest.raises(RouteRuleError, match="GET /admin/metrics has no rule"):
        check_routes(routes_of(app))


def test_no_open_page_shows_the_secret_or_the_database(app, client, database_url):
    for route, credential in ROUTE_RULES.items():
        if credential is Credential.NONE:
            text = client.get(path_of(route)).text
            assert SECRET not in text
            assert database_url not in text
