"""Keys, versions, headers, limits and planned failures of the server."""

import base64
import json
import time

import httpx
import pytest

from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.errors import ApiError
from growth_pipeline.sandbox.faults import Limiter
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline_tests.fakes.local_server import serving

KEY = "rk_test_sandbox"


def test_without_a_key_the_answer_says_how_to_give_one(address):
    answer = httpx.get(f"{address}/v1/charges")
    assert answer.status_code == 401
    assert "Authorization" in answer.json()["error"]["message"]


@pytest.mark.parametrize("key", ["rk_test_wrong", "rk_live_sandbox", "sk_test_sandbox", "x"])
def test_another_key_or_one_of_the_other_mode_is_refused(address, key):
    answer = httpx.get(f"{address}/v1/charges", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("Invalid API Key provided")
    assert "data" not in answer.json()


def test_basic_authentication_works_as_at_stripe(address):
    value = base64.b64encode(f"{KEY}:".encode()).decode()
    answer = httpx.get(f"{address}/v1/charges", headers={"Authorization": f"Basic {value}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!!", "Basic \xe9\xe9\xe9", "Bearer \xe9", "x"]
)
def test_a_header_that_is_no_key_is_refused_like_a_wrong_key(address, header):
    answer = httpx.get(f"{address}/v1/charges", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_every_answer_names_its_request_its_version_and_its_time(api):
    first, second = api.get("/v1/charges"), api.get("/v1/nothing")
    for answer in (first, second):
        assert answer.headers["request-id"].startswith("req_")
        assert answer.headers["stripe-request-id"] == answer.headers["request-id"]
        assert answer.headers["stripe-version"] == "2026-10-28.endive"
        assert answer.headers["date"].endswith("GMT")
        assert answer.headers["content-type"] == "application/json"
    assert first.headers["request-id"] != second.headers["request-id"]


def test_a_version_that_never_was_is_refused(api):
    good = api.get("/v1/charges", headers={"Stripe-Version": "2026-10-28.endive"})
    assert (good.status_code, good.headers["stripe-version"]) == (200, "2026-10-28.endive")
    for version in ("2020-08-27", "2026-10-28", "2026-10-28.fennel", "2025-03-31.clover",
                    "2026-11-25.endive", "tomorrow"):  # fmt: skip
        answer = api.get("/v1/charges", headers={"Stripe-Version": version})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_api_version")


# --- rate limits -----------------------------------------------------------------------------------


def admitted(limiter, endpoint, count):
    reasons = []
    for _ in range(count):
        try:
            limiter.admit(endpoint)
            reasons.append("ok")
        except ApiError as error:
            reasons.append(error.headers["Stripe-Rate-Limited-Reason"])
    return reasons


def test_a_second_holds_as_many_requests_as_the_rate():
    now = [0.0]
    limiter = Limiter(None, 3, clock=lambda: now[0])
    assert admitted(limiter, "charges", 5) == ["ok"] * 3 + ["endpoint-rate"] * 2
    assert admitted(limiter, "refunds", 1) == ["ok"]
    now[0] = 1.0
    assert admitted(limiter, "charges", 4) == ["ok"] * 3 + ["endpoint-rate"]


def test_the_account_has_a_limit_above_its_endpoints():
    limiter = Limiter(4, 3, clock=lambda: 0.0)
    assert admitted(limiter, "charges", 3) == ["ok"] * 3
    assert admitted(limiter, "refunds", 2) == ["ok", "global-rate"]


def test_one_request_too_many_gets_stripes_429(fresh_store, company):
    access = Access(KEY, requests_per_second=5, endpoint_requests_per_second=5)
    with serving(create_app(fresh_store, company, access)) as url:
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=url, headers=headers) as client:
            answers = [client.get("/v1/charges") for _ in range(12)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert limited[0].headers["stripe-rate-limited-reason"] == "global-rate"
    assert limited[0].json()["error"]["code"] == "rate_limit"
    assert "retry-after" not in limited[0].headers


# --- planned failures ------------------------------------------------------------------------------


def fail(client, **fault):
    answer = client.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["429", "500", "401", "403"])
def test_a_fault_meets_its_list_as_often_as_told_and_no_other(spoiled, kind):
    fail(spoiled, resource="charges", kind=kind, times=2)
    assert spoiled.get("/v1/refunds").status_code == 200
    statuses = [spoiled.get("/v1/charges").status_code for _ in range(3)]
    assert statuses == [int(kind), int(kind), 200]


def test_a_missing_right_is_named(spoiled):
    fail(spoiled, resource="disputes", kind="403")
    message = spoiled.get("/v1/disputes").json()["error"]["message"]
    assert "rak_dispute_read" in message


def test_a_limit_may_say_when_to_come_back(spoiled):
    fail(spoiled, resource="charges", kind="429", retry_after=1.5)
    answer = spoiled.get("/v1/charges")
    assert answer.headers["retry-after"] == "1.5"
    assert answer.headers["stripe-rate-limited-reason"] == "endpoint-rate"


def test_a_cut_answer_is_a_200_that_is_no_json(spoiled):
    fail(spoiled, resource="charges", kind="truncated")
    answer = spoiled.get("/v1/charges")
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_reset_breaks_the_connection(spoiled):
    fail(spoiled, resource="charges", kind="reset")
    with pytest.raises(httpx.RemoteProtocolError):
        spoiled.get("/v1/charges")
    assert spoiled.get("/v1/charges").status_code == 200


def test_a_timeout_keeps_silent(spoiled):
    fail(spoiled, resource="charges", kind="timeout", seconds=5)
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        spoiled.get("/v1/charges", timeout=0.3)
    assert time.monotonic() - began < 4


def test_an_empty_page_may_say_that_there_is_more(spoiled):
    fail(spoiled, resource="charges", kind="empty_page")
    page = spoiled.get("/v1/charges").json()
    assert (page["data"], page["has_more"]) == ([], True)


def test_a_cursor_may_be_deleted_between_pages(spoiled):
    first = spoiled.get("/v1/charges").json()
    fail(spoiled, resource="charges", kind="cursor_deleted", skip=0)
    cursor = first["data"][-1]["id"]
    answer = spoiled.get("/v1/charges", params={"starting_after": cursor})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "resource_missing")
    assert error["param"] == "starting_after"


def test_a_fault_may_wait_for_a_later_page(spoiled):
    fail(spoiled, resource="*", kind="500", skip=2)
    assert [spoiled.get("/v1/charges").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_faults_can_be_seen_and_taken_away(spoiled):
    fail(spoiled, resource="charges", kind="500", times=9)
    assert spoiled.get("/_sandbox/faults").json()["waiting"][0]["times"] == 9
    assert spoiled.delete("/_sandbox/faults").json() == {"waiting": []}
    assert spoiled.get("/v1/charges").status_code == 200


@pytest.mark.parametrize(
    "body", [{"resource": "charges", "kind": "boredom"}, {"resource": "charges", "odd": 1}, [], 5]
)
def test_a_fault_nobody_knows_is_refused(spoiled, body):
    assert spoiled.post("/_sandbox/faults", json=body).status_code == 400


def test_requests_are_counted_by_list_and_status(spoiled):
    spoiled.get("/v1/charges")
    spoiled.get("/v1/charges", params={"limit": 0})
    assert spoiled.get("/_sandbox/requests").json() == {
        "answered": {"charges 200": 1, "charges 400": 1}
    }


@pytest.mark.parametrize("path", ["truth", "faults", "requests", "events"])
def test_the_controls_need_the_key_too(address, path):
    assert httpx.get(f"{address}/_sandbox/{path}").status_code == 401
    wrong = httpx.get(f"{address}/_sandbox/{path}", headers={"X-Sandbox-Key": "rk_test_other"})
    assert wrong.status_code == 401


def test_the_truth_is_the_ledger_with_its_frame(spoiled, store, company):
    truth = spoiled.get("/_sandbox/truth").json()
    assert truth["payments"] == list(store.ledger())
    assert truth["months"] == company.month_keys
    assert truth["closed_months"] == company.month_keys[:-1]
    assert (truth["planted"], truth["tampering"]) == ([], [])
    assert truth["account_id"] == company.account.id
    october = spoiled.get("/_sandbox/truth", params={"month": "2026-10"}).json()
    assert october["payments"] == [row for row in store.ledger() if row["month"] == "2026-10"]


def test_the_controls_show_all_events_one_a_line(spoiled, events):
    lines = spoiled.get("/_sandbox/events").text.splitlines()
    assert len(lines) == len(events)
