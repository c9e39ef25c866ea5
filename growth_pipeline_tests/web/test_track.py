"""The routes that take events: who may, what is stored, what senders are told."""

import base64
import dataclasses
import gzip
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from growth_pipeline.events.ingest.ingest_store import IngestStore
from growth_pipeline.events.ingest.segment import ROUTES
from growth_pipeline.storage.postgres import Database
from growth_pipeline.web.app import create_app
from growth_pipeline.web.track import PATHS
from growth_pipeline_tests.fakes.ingest_server import basic, create_key, ingest_serving
from growth_pipeline_tests.fakes.web_server import Clock, settings_of

SENT = "2026-10-05T10:00:01Z"
PAGE = "https://app.example"


@pytest.fixture(scope="module")
def running(module_database_url, tmp_path_factory):
    with ingest_serving(module_database_url, tmp_path_factory.mktemp("ingest")) as server:
        yield server


@pytest.fixture
def ingest_server(running):
    """The server of this module, without any event."""
    with running.database.connection() as connection:
        connection.execute("truncate events.events, events.dead_letters")
    return running


def a_track(message_id="m1", **more):
    return {
        "type": "track",
        "event": "Thing Done",
        "userId": "u1",
        "messageId": message_id,
        "timestamp": "2026-10-05T10:00:00Z",
        "properties": {"n": 1},
    } | more


def a_batch(*calls, **more):
    return {"batch": list(calls), "sentAt": SENT} | more


def ids(server):
    return [row["message_id"] for row in server.rows()]


# --- what is stored ------------------------------------------------------------------------------


def test_a_batch_is_stored_once_however_often_it_is_sent(ingest_server):
    for _ in range(2):
        answer = ingest_server.post("/v1/batch", a_batch(a_track("m1"), a_track("m2")))
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    rows = ingest_server.rows()
    assert [(row["message_id"], row["event"], row["user_id"]) for row in rows] == [
        ("m1", "Thing Done", "u1"),
        ("m2", "Thing Done", "u1"),
    ]
    assert rows[0]["key_id"] == ingest_server.key_id
    assert rows[0]["properties"] == {"n": 1}
    assert json.loads(rows[0]["body"]) == a_track("m1")


def test_a_message_id_twice_in_one_batch_is_one_event(ingest_server):
    first, second = a_track("m1", userId="first"), a_track("m1", userId="second")
    assert ingest_server.post("/v1/b", a_batch(first, second)).json() == {"success": True}
    assert [row["user_id"] for row in ingest_server.rows()] == ["first"]


def test_a_message_id_is_known_by_its_source_whatever_key_brings_it(
    ingest_server, module_database_url
):
    same = create_key(module_database_url, "app")
    other = create_key(module_database_url, "another")
    for key in (ingest_server.key, same.key, other.key):
        answer = ingest_server.post("/v1/batch", a_batch(a_track()), headers=basic(key))
        assert answer.status_code == 200
    assert len(ingest_server.rows()) == 2


CALLS = {
    "track": {"event": "Thing Done"},
    "identify": {"traits": {"plan": "pro"}},
    "page": {"name": "Pricing"},
    "screen": {"name": "Home"},
    "group": {"groupId": "g1"},
    "alias": {"previousId": "before"},
}


@pytest.mark.parametrize(("name", "kind"), ROUTES.items())
def test_every_route_stores_its_calls(ingest_server, name, kind):
    call = {"userId": "u1", "messageId": "m1"} | CALLS[kind or "track"]
    document = call if kind else a_batch(call | {"type": "track"})
    assert ingest_server.post(f"/v1/{name}", document).status_code == 200
    assert [(row["type"], row["message_id"]) for row in ingest_server.rows()] == [
        (kind or "track", "m1")
    ]


def test_the_time_is_corrected_by_how_wrong_the_clock_of_the_sender_is(database_url, tmp_path):
    clock = Clock()
    sent = clock.now + timedelta(days=3650)
    told = sent - timedelta(minutes=5)
    batch = a_batch(a_track(timestamp=told.isoformat()), sentAt=sent.isoformat())
    with ingest_serving(database_url, tmp_path, clock=clock) as server:
        assert server.post("/v1/batch", batch).status_code == 200
        (row,) = server.rows()
    assert row["occurred_at"] == clock.now - timedelta(minutes=5)
    assert (row["sent_at"], row["received_at"]) == (sent, clock.now)
    assert row["flags"] == ["not_in_catalogue"]


def test_one_bad_call_never_sinks_its_batch(ingest_server):
    calls = [a_track("m0"), {"type": "track", "messageId": "m1"}, a_track("m2"), 7, None]
    answer = ingest_server.post("/v1/batch", a_batch(*calls))
    assert answer.status_code == 200
    assert [one["index"] for one in answer.json()["rejected"]] == [1, 3, 4]
    assert answer.json()["rejected"][0]["reason"].startswith("no_user: ")
    assert ids(ingest_server) == ["m0", "m2"]
    letters = ingest_server.rows("select * from events.dead_letters order by dead_letter_id")
    assert [json.loads(letter["body"]) for letter in letters] == [calls[1], 7, None]
    assert {letter["key_id"] for letter in letters} == {ingest_server.key_id}


def test_a_call_with_a_value_that_json_does_not_know_sinks_only_itself(ingest_server):
    bad = json.dumps(a_batch(a_track("m1", properties={"n": float("nan")}), a_track("m2")))
    answer = ingest_server.post("/v1/batch", bad)
    assert [one["index"] for one in answer.json()["rejected"]] == [0]
    assert ids(ingest_server) == ["m2"]


def test_the_typed_route_rejects_what_the_catalogue_does_not_know_as_right(ingest_server):
    wrong = {"event": "Project Created", "userId": "u1", "messageId": "m1", "properties": {}}
    answer = ingest_server.post("/api/v1/events", wrong)
    assert answer.status_code == 200
    assert answer.json()["rejected"][0]["reason"].startswith("properties_differ: ")
    kept = ingest_server.post("/v1/track", wrong)
    assert kept.json() == {"success": True}
    assert [row["flags"] for row in ingest_server.rows()] == [["properties_differ", "no_timestamp"]]


def test_the_typed_route_takes_batches_too(ingest_server):
    calls = [a_track("m1"), {key: value for key, value in a_track("m2").items() if key != "type"}]
    assert ingest_server.post("/api/v1/events", a_batch(*calls)).json() == {"success": True}
    assert ids(ingest_server) == ["m1", "m2"]


def test_a_batch_without_calls_is_no_mistake(ingest_server):
    assert ingest_server.post("/v1/batch", a_batch()).json() == {"success": True}


def test_a_batch_of_2500_calls_is_taken_and_one_more_is_not(ingest_server):
    calls = [a_track(f"m{n:04}", properties={}) for n in range(2500)]
    calls[77] = calls[2400] = 7
    answer = ingest_server.post("/v1/batch", a_batch(*calls))
    assert [one["index"] for one in answer.json()["rejected"]] == [77, 2400]
    assert ids(ingest_server) == [f"m{n:04}" for n in range(2500) if n not in (77, 2400)]
    assert ingest_server.post("/v1/batch", a_batch(*calls, 1)).status_code == 413


def test_below_a_prefix_the_router_leads_to_the_same_receiver(module_database_url, tmp_path):
    key = create_key(module_database_url, "app").key
    app = create_app(settings_of(module_database_url, tmp_path))
    with TestClient(app, base_url="http://x", root_path="/growth") as client:
        for path in ("/growth/v1/batch", "/v1/batch"):
            answer = client.post(path, json=a_batch(a_track()), headers=basic(key))
            assert answer.json() == {"success": True}


# --- how it is written ---------------------------------------------------------------------------


def test_browsers_say_text_plain_and_show_the_key_in_the_body(ingest_server):
    document = json.dumps(a_track() | {"writeKey": ingest_server.key})
    headers = {"Content-Type": "text/plain"}
    with httpx.Client(base_url=ingest_server.url, trust_env=False) as stranger:
        assert stranger.post("/v1/t", content=document, headers=headers).status_code == 200
    assert ids(ingest_server) == ["m1"]


def test_a_body_may_be_gzip(ingest_server):
    packed = gzip.compress(json.dumps(a_batch(a_track())).encode())
    headers = {"Content-Encoding": "gzip"}
    assert ingest_server.post("/v1/batch", packed, headers=headers).status_code == 200
    assert ids(ingest_server) == ["m1"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not json", {}, 400),
        (b"[]", {}, 400),
        (b'{"batch": {}}', {}, 400),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (gzip.compress(b" " * 512_001), {"Content-Encoding": "gzip"}, 413),
        (b" " * 512_001, {}, 413),
    ],
    ids=["text", "list", "object", "no gzip", "cut gzip", "brotli", "bomb", "large"],
)
def test_what_cannot_be_read_is_refused_whole(ingest_server, body, headers, status):
    answer = ingest_server.post("/v1/batch", body, headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert ingest_server.rows("select 1 from events.dead_letters") == []


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(ingest_server):
    text = json.dumps(a_batch(a_track()))
    padded = text + " " * (512_000 - len(text))
    assert ingest_server.post("/v1/batch", padded).status_code == 200
    answer = ingest_server.post("/v1/batch", padded + " ")
    assert answer.status_code == 413
    assert "connection" not in answer.headers, "the sender reads the answer and goes on"


def test_a_body_far_too_large_ends_the_connection(ingest_server):
    where = urlsplit(ingest_server.url)
    with socket.create_connection((where.hostname, where.port), timeout=30) as wire:
        wire.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n")
        wire.sendall(f"Authorization: {basic(ingest_server.key)['Authorization']}\r\n\r\n".encode())
        answer = b""
        while chunk := wire.recv(65_536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_single_call_that_is_too_large_is_refused_and_in_a_batch_it_is_rejected(ingest_server):
    large = a_track("large", properties={"text": "x" * 32_768})
    assert ingest_server.post("/v1/track", large).status_code == 413
    answer = ingest_server.post("/v1/batch", a_batch(large, a_track("small")))
    assert [one["index"] for one in answer.json()["rejected"]] == [0]
    assert ids(ingest_server) == ["small"]


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b":password").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:").decode()},
        {"Authorization": "Bearer abc"},
        basic("gwk_unknown"),
        basic("x" * 5000),
    ],
)
def test_without_a_key_nothing_is_said_about_the_body(ingest_server, shown):
    with httpx.Client(base_url=ingest_server.url, trust_env=False, timeout=30) as stranger:
        answers = [
            stranger.post("/v1/batch", content=body, headers=shown)
            for body in (json.dumps(a_batch(a_track())), b"not json", b'{"writeKey": "gwk_no"}')
        ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert ids(ingest_server) == []


def test_a_key_that_stands_only_deeper_in_the_body_does_not_count(ingest_server):
    document = a_batch(a_track(properties={"writeKey": ingest_server.key}))
    with httpx.Client(base_url=ingest_server.url, trust_env=False) as stranger:
        assert stranger.post("/v1/batch", json=document).status_code == 401


def test_a_key_in_the_body_stands_anywhere_at_its_top(ingest_server):
    first = json.dumps({"writeKey": ingest_server.key} | a_batch(a_track("m1")))
    last = json.dumps(a_batch(a_track("m2", properties={"writeKey": "gwk_other"})))
    last = last[:-1] + f', "writeKey" : "{ingest_server.key}"}}'
    with httpx.Client(base_url=ingest_server.url, trust_env=False) as browser:
        for body in (first, last, gzip.compress(first.replace("m1", "m3").encode())):
            headers = {"Content-Encoding": "gzip"} if isinstance(body, bytes) else {}
            assert browser.post("/v1/b", content=body, headers=headers).status_code == 200
    assert ids(ingest_server) == ["m1", "m2", "m3"]


def test_basic_counts_before_the_key_of_the_body(ingest_server):
    document = a_batch(a_track(), writeKey=ingest_server.key)
    answer = ingest_server.post("/v1/batch", document, headers=basic("gwk_other"))
    assert answer.status_code == 401


def test_a_new_key_is_known_at_once_and_a_revoked_one_is_refused(
    ingest_server, module_database_url
):
    assert ingest_server.post("/v1/batch", a_batch(a_track())).status_code == 200
    made = create_key(module_database_url, "later")
    answer = ingest_server.post("/v1/batch", a_batch(a_track()), headers=basic(made.key))
    assert answer.status_code == 200
    IngestStore(ingest_server.database).revoke_key(made.key_id, now=datetime.now(UTC))
    # An unknown key makes it look at all keys again; the revoked one is gone with that.
    ingest_server.post("/v1/batch", a_batch(), headers=basic("gwk_unknown"))
    answer = ingest_server.post("/v1/batch", a_batch(a_track()), headers=basic(made.key))
    assert answer.status_code == 401


# --- browsers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_key(module_database_url):
    return create_key(module_database_url, "pages", origins=[PAGE])


@pytest.fixture
def page_server(ingest_server, page_key):
    """The server, and a client that shows a key for pages of PAGE."""
    with httpx.Client(
        base_url=ingest_server.url, headers=basic(page_key.key), trust_env=False, timeout=30
    ) as client:
        yield dataclasses.replace(ingest_server, client=client, key=page_key.key)


def preflight(server, origin, path="/v1/b"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with httpx.Client(base_url=server.url, trust_env=False) as browser:
        return browser.options(path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_that_a_key_names_may_send(page_server, path):
    answer = preflight(page_server, PAGE, path)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.evil"])
def test_another_page_may_not(page_server, origin):
    asked = preflight(page_server, origin)
    assert asked.status_code == 403
    assert "access-control-allow-origin" not in asked.headers
    sent = page_server.post("/v1/batch", a_batch(a_track()), headers={"Origin": origin})
    assert sent.status_code == 403
    assert "access-control-allow-origin" not in sent.headers
    assert ids(page_server) == []


def test_each_key_has_pages_of_its_own(page_server, module_database_url):
    other = create_key(module_database_url, "other", origins=["https://other.example"])
    headers = basic(other.key) | {"Origin": PAGE}
    assert page_server.post("/v1/batch", a_batch(a_track()), headers=headers).status_code == 403
    headers["Origin"] = "https://other.example"
    assert page_server.post("/v1/batch", a_batch(a_track()), headers=headers).status_code == 200


def test_a_key_for_any_page_answers_the_page_that_asks(database_url, tmp_path):
    with ingest_serving(database_url, tmp_path, origins=["*"]) as server:
        answer = server.post("/v1/t", a_track(), headers={"Origin": PAGE})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)


def test_a_page_can_read_a_refusal(page_server):
    answer = page_server.post("/v1/batch", b"no json", headers={"Origin": PAGE})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, PAGE)
    assert answer.headers["access-control-expose-headers"] == "retry-after"


def test_a_server_names_no_page_and_may_use_every_key(page_server):
    assert page_server.post("/v1/batch", a_batch(a_track())).status_code == 200


# --- pressure and trouble ------------------------------------------------------------------------


def test_a_key_that_tells_too_much_is_asked_to_come_later(database_url, tmp_path):
    with ingest_serving(database_url, tmp_path, key_events_per_second=1) as server:
        other = create_key(database_url, "other")
        calls = [a_track(f"m{number}") for number in range(30)]
        assert server.post("/v1/batch", a_batch(*calls)).status_code == 200, "never cut"
        for _ in range(20):  # a machine that stands still for ten seconds gives the key new time
            answer = server.post("/v1/batch", a_batch(a_track("late")))
            if answer.status_code == 429:
                break
            server.post("/v1/batch", a_batch(*calls))
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        free = server.post("/v1/batch", a_batch(a_track()), headers=basic(other.key))
        assert free.status_code == 200


def test_without_a_bound_a_key_may_tell_as_much_as_it_wants(database_url, tmp_path):
    with ingest_serving(database_url, tmp_path, key_events_per_second=0) as server:
        for _ in range(20):
            assert server.post("/v1/batch", a_batch(a_track())).status_code == 200


def test_a_database_that_is_away_means_send_it_again(database_url, tmp_path):
    nowhere = database_url.replace("growth_test_", "growth_gone_")
    with TestClient(create_app(settings_of(nowhere, tmp_path)), base_url="http://x") as client:
        for shown in (basic("gwk_any"), {}):
            body = a_batch(a_track(), writeKey="gwk_any")
            answer = client.post("/v1/batch", json=body, headers=shown)
            assert answer.status_code == 503, "not 401: an SDK would give the batch up"
            assert answer.headers["retry-after"] == "2"


def test_what_was_known_before_the_database_went_away_is_not_lost(ingest_server):
    assert ingest_server.post("/v1/batch", a_batch(a_track("m1"))).status_code == 200
    with ingest_server.database.connection() as connection:
        connection.execute("alter table events.events rename to elsewhere")
    assert ingest_server.post("/v1/batch", a_batch(a_track("m2"))).status_code == 503
    with ingest_server.database.connection() as connection:
        connection.execute("alter table events.elsewhere rename to events")
    assert ingest_server.post("/v1/batch", a_batch(a_track("m2"))).status_code == 200
    assert ids(ingest_server) == ["m1", "m2"]


def test_a_full_disk_is_no_mistake_of_the_call(ingest_server):
    with ingest_server.database.connection() as connection:
        connection.execute(
            "create function events.fail() returns trigger language plpgsql as"
            " $$ begin raise 'no space left' using errcode = 'disk_full'; end $$"
        )
        connection.execute(
            "create trigger fail before insert on events.events"
            " for each row execute function events.fail()"
        )
    answer = ingest_server.post("/v1/batch", a_batch(a_track("m1"), 7))
    with ingest_server.database.connection() as connection:
        connection.execute("drop function events.fail cascade")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert ingest_server.rows("select 1 from events.dead_letters") == []
    assert ingest_server.post("/v1/batch", a_batch(a_track("m1"), 7)).status_code == 200
    assert ids(ingest_server) == ["m1"]


def test_a_call_that_only_the_database_refuses_is_set_aside(ingest_server):
    with ingest_server.database.connection() as connection:
        connection.execute("alter table events.events add constraint odd check (user_id <> 'odd')")
    calls = [a_track("m0"), a_track("m1", userId="odd"), {"type": "no"}, a_track("m3")]
    answer = ingest_server.post("/v1/batch", a_batch(*calls))
    assert answer.status_code == 200
    assert [(one["index"], one["reason"].split(":")[0]) for one in answer.json()["rejected"]] == [
        (1, "refused_by_database"),
        (2, "unknown_type"),
    ]
    assert ids(ingest_server) == ["m0", "m3"]
    assert len(ingest_server.rows("select 1 from events.dead_letters")) == 2
    with ingest_server.database.connection() as connection:
        connection.execute("alter table events.events drop constraint odd")


def test_connections_that_are_cut_lose_nothing_and_double_nothing(ingest_server):
    answers = []

    def send(sender):
        headers = basic(ingest_server.key)
        with httpx.Client(base_url=ingest_server.url, trust_env=False, headers=headers) as client:
            for number in range(20):
                calls = [a_track(f"m{sender}-{number}-{n}") for n in range(5)]
                status = 0
                while status != 200:
                    status = client.post("/v1/b", json=a_batch(*calls), timeout=60).status_code
                    answers.append(status)

    threads = [threading.Thread(target=send, args=[sender]) for sender in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        with ingest_server.database.connection() as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'growth-ingest' and datname = current_database()"
            )
    for thread in threads:
        thread.join()
    assert set(answers) <= {200, 429, 503}
    assert len(ingest_server.rows()) == 4 * 20 * 5


def test_many_senders_of_the_same_events_store_each_once(ingest_server):
    batches = [
        a_batch(*(a_track(f"m{(start + n) % 40}") for n in range(30))) for start in range(40)
    ]
    answers = []

    def send(batch):
        with httpx.Client(base_url=ingest_server.url, trust_env=False, timeout=60) as client:
            answer = client.post("/v1/batch", json=batch, headers=basic(ingest_server.key))
            answers.append(answer.status_code)

    threads = [threading.Thread(target=send, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 40
    assert sorted(ids(ingest_server)) == sorted(f"m{n}" for n in range(40))


# --- counts --------------------------------------------------------------------------------------


def test_what_became_of_everything_is_counted_by_key(database_url, tmp_path):
    day = datetime(2030, 1, 1, 12, tzinfo=UTC)
    with ingest_serving(database_url, tmp_path, clock=Clock()) as server:
        server.post("/v1/batch", a_batch(a_track("m1"), a_track("m2"), 7))
        server.post("/v1/batch", a_batch(a_track("m1")))
        server.post("/v1/batch", b"no json")
        server.post("/v1/batch", b" " * 512_001)
        server.post("/v1/batch", a_batch(), headers=basic("gwk_unknown"))
        server.post("/v1/batch", a_batch(), headers={"Origin": PAGE})
        key = server.key_id
        assert server.counts["stored"] == 2
    with Database(database_url) as database, database.connection() as connection:
        rows = connection.execute("select * from events.key_counts order by 1, 2, 3").fetchall()
    assert rows == [
        (day.date(), 0, "unauthorized", 1),
        (day.date(), key, "malformed", 1),
        (day.date(), key, "origin", 1),
        (day.date(), key, "rejected", 1),
        (day.date(), key, "repeated", 1),
        (day.date(), key, "stored", 2),
        (day.date(), key, "too_large", 1),
    ]


def test_other_methods_are_refused(ingest_server):
    for path in PATHS:
        for method in ("GET", "PUT", "DELETE"):
            assert ingest_server.client.request(method, path).status_code == 405
