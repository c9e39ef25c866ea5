"""Rules of routes, and what every answer carries."""

import time

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from growth_pipeline.web.security import (
    HEADERS,
    ROUTE_RULES,
    Credential,
    Gate,
    RouteRuleError,
    check_routes,
    routes_of,
)


def an_app():
    app = FastAPI(openapi_url=None)

    @app.get("/open")
    def show():
        return {}

    @app.get("/broken")
    def break_down():
        raise RuntimeError("canary of the inside")

    app.add_middleware(Gate)
    return app


def test_a_route_without_a_rule_is_refused_by_name():
    with pytest.raises(RouteRuleError, match="GET /broken has no rule"):
        check_routes(routes_of(an_app()), {"GET /open": Credential.NONE})


def test_a_rule_without_a_route_is_refused_too():
    rules = dict.fromkeys(["GET /open", "GET /broken", "GET /gone"], Credential.NONE)
    with pytest.raises(RouteRuleError, match="GET /gone has no route"):
        check_routes(routes_of(an_app()), rules)


def test_a_route_included_by_a_router_cannot_slip_by():
    from fastapi import APIRouter

    router = APIRouter()

    @router.get("/inner")
    def show():
        return {}

    app = an_app()
    app.include_router(router)
    with pytest.raises(RouteRuleError):
        check_routes(routes_of(app), dict.fromkeys(["GET /open", "GET /broken"], Credential.NONE))


def test_only_routes_without_data_are_open():
    open_routes = {
        name for name, credential in ROUTE_RULES.items() if credential is Credential.NONE
    }
    assert open_routes == {
        "GET /",
        "GET /docs",
        "GET /openapi.json",
        "GET /healthz",
        "GET /readyz",
        "GET /version",
        "GET /static/*",
    }


def test_a_crash_shows_nothing_of_the_inside_and_has_the_headers():
    structlog.reset_defaults()  # another test of the process may have chosen a higher level
    with TestClient(an_app(), raise_server_exceptions=False) as client, capture_logs() as logs:
        answer = client.get("/broken")
        deadline = time.monotonic() + 5  # the line is written after the answer was sent
        while len(logs) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert (answer.status_code, answer.text) == (500, "internal error\n")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [line["event"] for line in logs] == ["request_failed", "request"]


def test_every_answer_carries_the_headers_and_its_own_request_id():
    with TestClient(an_app()) as client:
        answers = [client.get("/open"), client.get("/missing"), client.post("/open")]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


def test_behind_tls_the_browser_is_told_to_stay_there():
    with TestClient(an_app(), base_url="https://growth.example") as client:
        assert client.get("/open").headers["strict-transport-security"] == "max-age=31536000"


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere():
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
