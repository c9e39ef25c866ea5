"""The webhook receiver: one answer for each case, and nothing stored that was not signed."""

import asyncio
import time

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from growth_pipeline.web.app import create_app
from growth_pipeline.web.webhooks import BODY_LIMIT, SkewWatch
from growth_pipeline_tests.fakes.stripe_events import NOON, a_charge, a_customer, an_event
from growth_pipeline_tests.fakes.web_server import (
    OTHER_SECRET,
    SECRET,
    Clock,
    client_of,
    settings_of,
    signed,
)

PATH = "/webhooks/stripe"


def stored(database):
    with database.connection() as connection:
        return connection.execute(
            "select event_id, body, received_at from billing.inbox order by 1"
        ).fetchall()


def wait_for(question, seconds=20):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return answer


def test_a_genuine_event_is_stored_as_it_came_and_answered_200(client, database, clock):
    body = b" " + an_event("charge.succeeded", a_charge()) + b"\n"
    answer = client.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert stored(database) == [("evt_1", body, clock.now)]


def test_a_repeated_event_is_answered_200_and_stored_once(client, database):
    body = an_event("charge.succeeded", a_charge())
    for _ in range(3):
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
    assert len(stored(database)) == 1


def test_an_event_is_applied_soon_after_the_answer(client, database):
    body = an_event("charge.succeeded", a_charge())
    client.post(PATH, content=body, headers=signed(body))

    def booked():
        with database.connection() as connection:
            return connection.execute("select charge_id from billing.payments").fetchall()

    assert wait_for(booked) == [("ch_1",)]


def test_events_that_waited_before_the_start_are_applied_at_the_start(
    database_url, database, tmp_path
):
    from growth_pipeline.billing.inbox import parse_envelope, received_event
    from growth_pipeline.billing.store import BillingStore

    body = an_event("customer.created", a_customer())
    store = BillingStore(database)
    store.insert_event(
        received_event(parse_envelope(body), body, account_id="self", received_at=Clock().now)
    )
    with TestClient(create_app(settings_of(database_url, tmp_path, SECRET))):
        wait_for(lambda: store.inbox_counts() == {"applied": 1})


def test_a_body_over_the_bound_is_413_announced_or_not(app, database):
    with client_of(app) as client:
        big = b"x" * (BODY_LIMIT + 1)
        announced = client.post(PATH, content=big, headers=signed(b""))
        endless = client.post(PATH, content=(b"x" * 65_536 for _ in range(80)), headers=signed(b""))
    assert [announced.status_code, endless.status_code] == [413, 413]
    assert stored(database) == []


def test_a_body_of_exactly_the_bound_is_read(client, database):
    frame = an_event("customer.created", a_customer(note=""))
    body = frame.replace(b'"note":""', b'"note":"' + b"x" * (BODY_LIMIT - len(frame)) + b'"')
    assert len(body) == BODY_LIMIT
    assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
    assert len(stored(database)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        an_event("wormhole.opened", {"id": "wh_1"}),
        an_event("charge.succeeded", a_charge(), version="2031-01-01.zinnia"),
        an_event("customer.created", a_customer(m=1)).replace(b'"m":1', rb'"m":"\u0000\ud800"'),
        an_event("customer.created", a_customer(m=1)).replace(b'"m":1', b'"m":' + b"9" * 999),
        an_event("charge.succeeded", a_charge()).replace(b'"evt_1"', rb'"evt_\u0000"'),
    ],
)
def test_odd_but_genuine_events_are_answered_200_and_kept(client, database, body):
    assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
    assert [row[1] for row in stored(database)] == [body]


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 200_000])
def test_a_signed_body_that_is_no_json_is_refused_like_a_forged_one(client, database, body):
    refused = client.post(PATH, content=body, headers=signed(body))
    forged = client.post(PATH, content=b"{}", headers=signed(b"{}", secret="whsec_forged"))
    assert (
        (refused.status_code, refused.text)
        == (forged.status_code, forged.text)
        == (400, "webhook refused\n")
    )
    assert stored(database) == []


def test_both_secrets_of_a_roll_are_accepted(database_url, database, tmp_path, clock):
    app = create_app(settings_of(database_url, tmp_path, SECRET, OTHER_SECRET), clock=clock)
    bodies = [an_event("charge.succeeded", a_charge(), id=f"evt_{n}") for n in range(2)]
    with TestClient(app) as client:
        for body, secret in zip(bodies, (SECRET, OTHER_SECRET), strict=True):
            assert (
                client.post(PATH, content=body, headers=signed(body, secret=secret)).status_code
                == 200
            )
    assert len(stored(database)) == 2


def test_without_a_signing_secret_stripe_is_asked_to_come_again(database_url, database, tmp_path):
    body = an_event("charge.succeeded", a_charge())
    with (
        TestClient(create_app(settings_of(database_url, tmp_path))) as client,
        capture_logs() as logs,
    ):
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 503
    assert "webhook_secret_missing" in [line["event"] for line in logs]
    assert stored(database) == []


def test_a_database_that_is_not_migrated_is_503_until_it_is(empty_database_url, tmp_path, clock):
    from growth_pipeline.storage.migrations import migrate

    body = an_event("charge.succeeded", a_charge())
    app = create_app(settings_of(empty_database_url, tmp_path, SECRET), clock=clock)
    with TestClient(app) as client:
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 503
        migrate(empty_database_url)
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 200


def test_a_wrong_clock_is_noticed_warned_about_once_and_shown(client, clock):
    body = an_event("charge.succeeded", a_charge())
    with capture_logs() as logs:
        for _ in range(9):
            assert (
                client.post(PATH, content=body, headers=signed(body, NOON + 900)).status_code == 400
            )
            clock.turn(1)
        assert client.get("/readyz").json()["warnings"] == ["webhook_clock_skew"]
        clock.turn(120)
        assert client.get("/readyz").json()["warnings"] == []
    warnings = [line for line in logs if line["event"] == "webhook_clock_skew"]
    assert [line["log_level"] for line in warnings] == ["warning"]


def test_forged_bodies_do_not_raise_the_clock_alarm(client):
    body = an_event("charge.succeeded", a_charge())
    with capture_logs() as logs:
        for _ in range(9):
            client.post(PATH, content=body, headers=signed(body, NOON + 900, secret="whsec_forged"))
    assert "webhook_clock_skew" not in [line["event"] for line in logs]


def test_a_webhook_below_a_prefix_takes_the_long_way_to_the_same_answer(database_url, tmp_path):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inner = create_app(settings_of(database_url, tmp_path, SECRET), clock=Clock())
    outer = Starlette(routes=[Mount("/growth", inner)])
    forged = an_event("charge.succeeded", a_charge())
    client = TestClient(outer)
    answer = client.post(f"/growth{PATH}", content=forged, headers=signed(forged, secret="whsec_x"))
    assert (answer.status_code, answer.text) == (400, "webhook refused\n")
    assert inner.state.webhook_counts == {"signature": 1}


def test_a_webhook_carries_the_headers_and_the_id_of_every_answer(client):
    answer = client.post(PATH, content=b"{}")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) == 16


def test_other_methods_on_the_path_are_refused_by_the_router(client):
    answer = client.get(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_answers_are_counted_by_outcome(app, client):
    body = an_event("charge.succeeded", a_charge())
    client.post(PATH, content=body, headers=signed(body))
    client.post(PATH, content=body, headers=signed(body, NOON + 301))
    client.post(PATH, content=body)
    assert app.state.webhook_counts == {"stored": 1, "timestamp": 1, "no_header": 1}


def test_the_alarm_needs_five_within_a_minute():
    clock, watch = Clock(), SkewWatch()
    noted = []
    for _ in range(8):
        noted.append(watch.note(clock.now))
        clock.turn(20)
    assert noted == [False] * 8
    clock.turn(300)
    assert [watch.note(clock.now) for _ in range(6)] == [False] * 4 + [True, False]


def test_stopping_stores_what_was_taken(app, database):
    bodies = [
        an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n:03}") for n in range(60)
    ]

    async def burst(url):
        import httpx

        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            posts = [client.post(PATH, content=body, headers=signed(body)) for body in bodies]
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    from growth_pipeline_tests.fakes.web_server import serve

    with serve(app) as url:
        assert asyncio.run(burst(url)) == [200] * 60
    assert [row[1] for row in stored(database)] == bodies
