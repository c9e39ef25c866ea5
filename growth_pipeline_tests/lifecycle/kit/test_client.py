"""Kit's API through the client: what is read, what a failed call means, and what is never shown."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from growth_pipeline.lifecycle.kit.client import KitClient, State
from growth_pipeline.lifecycle.kit.errors import (
    KitRefusedError,
    KitUnknownError,
    KitUnreadableError,
)
from growth_pipeline.lifecycle.kit.gate import KitGate, KitLimits
from growth_pipeline.sandbox.kit import Faults
from growth_pipeline_tests.fakes.kit_outbox import KEY, kit_account, kit_client
from growth_pipeline_tests.fakes.local_server import serving

QUICK = KitLimits(requests=10_000, seconds=1)


@contextmanager
def answering(database, *answers):
    """A client of a server that gives these answers in turn, the last one for ever."""
    left = list(answers)

    async def answer(_: Request) -> Response:
        return left.pop(0) if len(left) > 1 else left[0]

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    with serving(app) as base:
        gate = KitGate(database, QUICK)
        with KitClient(KEY, gate, base=base, allow_loopback=True) as client:
            yield client


def add(client, **options):
    client.add_tag(1, 1, place=client.reserve(), within=options.get("within", 2))


# --- reading -------------------------------------------------------------------------------------


def test_a_subscriber_is_found_in_any_state_and_any_case(database):
    with kit_account() as (account, base), kit_client(database, base) as client:
        account.add("Ann@Example.com", "cancelled")
        found = client.find(" ann@example.COM ")
        assert (found.kit_id, found.state) == (1, State.CANCELLED)
        assert client.find("nobody@example.com") is None


def test_an_answer_about_somebody_else_is_nobody(database):
    told = {"subscribers": [{"id": 5, "state": "active", "email_address": "bob@example.com"}]}
    with answering(database, JSONResponse(told)) as client:
        assert client.find("ann@example.com") is None


@pytest.mark.parametrize("word", ["asleep", "ACTIVE", "", None, 3])
def test_a_state_that_nobody_knows_is_never_active(database, word):
    told = {"subscribers": [{"id": 5, "state": word, "email_address": "a@example.com"}]}
    with answering(database, JSONResponse(told)) as client:
        assert client.find("a@example.com").state is State.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [b"", b"no", b"[]", b"{}", b'{"subscribers": {}}', b'{"subscribers": [1]}',
     b'{"subscribers": [{"state": "active"}]}', b'{"subscribers": [{"id": true}]}'],
)  # fmt: skip
def test_what_cannot_be_read_is_not_nobody(database, body):
    with answering(database, Response(body, 200)) as client, pytest.raises(KitUnreadableError):
        client.find("a@example.com")


def test_a_long_list_of_tags_is_read_to_its_end(database):
    with kit_account(requests=10**6) as (account, base), kit_client(database, base) as client:
        account.add("a@example.com")
        for number in range(1203):
            account.tagged.setdefault(1, {})[account.tag(f"t{number}")["id"]] = "now"
        assert client.tags_of(1) == {f"t{number}" for number in range(1203)}
        assert client.tag_id("t1202") == 1203


def test_a_list_that_does_not_go_on_is_not_taken_for_whole(database):
    page = {"tags": [], "pagination": {"has_next_page": True, "end_cursor": "x"}}
    with answering(database, JSONResponse(page)) as client, pytest.raises(KitUnreadableError):
        client.tags_of(1)


def test_a_subscriber_whom_kit_has_no_more_is_not_one_without_tags(database):
    with kit_account() as (_, base), kit_client(database, base) as client:
        with pytest.raises(KitRefusedError) as told:
            client.tags_of(77)
        assert told.value.only_this
        assert client.subscriber(77) is None


def test_a_tag_is_made_once(database):
    with kit_account() as (account, base), kit_client(database, base) as client:
        assert client.tag_id("growth/a/b") == client.tag_id("growth/a/b") == 1
        with kit_client(database, base) as other:
            assert other.tag_id("growth/a/b") == 1
        assert account.tags == {1: "growth/a/b"}


def test_who_left_since_an_instant_is_listed(database):
    with kit_account() as (account, base), kit_client(database, base) as client:
        account.add("a@example.com", "cancelled")
        account.add("b@example.com", "bounced")
        account.add("c@example.com")
        since = datetime(2020, 1, 1, tzinfo=UTC)
        found = [one.address for one in client.not_active_since(State.CANCELLED, since)]
        assert found == ["a@example.com"]
        assert (
            list(client.not_active_since(State.CANCELLED, datetime(2100, 1, 1, tzinfo=UTC))) == []
        )


def test_a_read_is_tried_again_and_then_given_up(database):
    error = JSONResponse({"errors": ["x"]}, 500)
    good = JSONResponse({"subscribers": []})
    with answering(database, error, good) as client:
        assert client.find("a@example.com") is None
    with answering(database, error) as client, pytest.raises(KitUnreadableError, match="500"):
        client.find("a@example.com")


def test_who_is_in_a_sequence_is_known_whatever_became_of_them(database):
    with kit_account() as (account, base), kit_client(database, base) as client:
        account.add("a@example.com")
        assert not client.in_sequence(7, 1)
        client.add_to_sequence(7, 1, place=client.reserve(), within=2)
        account.subscribers[1]["state"] = "cancelled"
        assert client.in_sequence(7, 1)


# --- writing -------------------------------------------------------------------------------------


def test_a_write_is_made_once_whatever_comes_back(database):
    for fault in ("lost", "error_after", "error_before", "reset"):
        with kit_account() as (account, base), kit_client(database, base) as client:
            account.add("a@example.com")
            account.tag("t")
            account.faults = Faults(**{fault: 1})
            with pytest.raises(KitUnknownError):
                add(client)
            writes = [one for one in account.log if one["path"].startswith("/v4/tags/")]
            assert len(writes) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_is_about_this_one_only(database, status):
    with answering(database, JSONResponse({"errors": ["x"]}, status)) as client:
        with pytest.raises(KitRefusedError) as told:
            add(client)
        assert (told.value.only_this, told.value.too_many) == (True, False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_a_setting(database, status):
    with answering(database, JSONResponse({"errors": ["x"]}, status)) as client:
        with pytest.raises(KitRefusedError, match="refuses the key") as told:
            client.find("a@example.com")
        assert told.value.is_setting
        assert "KIT_API_KEY" in told.value.remedy


@pytest.mark.parametrize("answer", [Response(b"", 500), Response(b"", 502), Response(b"", 408),
                                    RedirectResponse("https://example.com/"), Response(b"", 304)])  # fmt: skip
def test_an_answer_that_says_nothing_is_unknown(database, answer):
    with answering(database, answer) as client, pytest.raises(KitUnknownError):
        add(client)


def test_a_success_without_readable_words_is_a_success(database):
    with answering(database, Response(b"<html>", 201)) as client:
        assert add(client) is None


def test_a_connection_that_was_never_made_did_nothing(database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gate = KitGate(database, QUICK)
    with (
        KitClient(KEY, gate, base=f"http://127.0.0.1:{port}", allow_loopback=True) as client,
        pytest.raises(KitRefusedError, match="does not answer"),
    ):
        add(client)


def test_too_many_stops_everybody_for_a_window(database):
    plain = PlainTextResponse("Retry later\n", 429)
    with answering(database, plain, JSONResponse({"subscribers": []})) as client:
        with pytest.raises(KitRefusedError) as told:
            client.find("a@example.com")
        assert told.value.too_many
        began = time.monotonic()
        client.find("a@example.com")
        assert time.monotonic() - began >= 0.9  # the window is one second here


# --- the bound of a call -------------------------------------------------------------------------


@contextmanager
def dripping(pause):
    """A server that answers a byte at a time, for ever; what it was sent, and when it was cut off."""
    heard, stopped = [], threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                heard.append(connection.recv(65_536))
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
                    while not stopped.is_set():
                        connection.sendall(b" ")
                        time.sleep(pause)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        stopped.set()
        listener.close()
        thread.join(timeout=5)


def test_an_answer_that_drips_does_not_lengthen_a_call(database):
    gate = KitGate(database, QUICK)
    with (
        dripping(0.05) as (base, heard),
        KitClient(KEY, gate, base=base, allow_loopback=True) as client,
    ):
        began = time.monotonic()
        with pytest.raises(KitUnknownError):
            add(client, within=0.5)
        assert 0.4 < time.monotonic() - began < 1.0
        assert len(heard) == 1


def test_an_endless_answer_is_not_read(database):
    with (
        answering(database, Response(b"[" * 9_000_000)) as client,
        pytest.raises(KitUnreadableError),
    ):
        client.find("a@example.com")


# --- where it goes and what it shows -------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    ["http://api.kit.com/v4", "https://127.0.0.1/v4", "https://169.254.169.254/v4",
     "https://user@api.kit.com/v4", "https://localhost/v4", "ftp://api.kit.com"],
)  # fmt: skip
def test_nothing_goes_where_nothing_may_go(database, base):
    with KitClient(KEY, KitGate(database, QUICK), base=base) as client:
        with pytest.raises(KitRefusedError) as told:
            client.find("a@example.com")
        assert told.value.is_setting


def test_no_address_and_no_key_is_ever_shown(database):
    shown = []
    with kit_account(key="another") as (_, base), kit_client(database, base) as client:
        with pytest.raises(KitRefusedError) as told:
            client.find("secret.person@example.com")
        shown += [str(told.value), repr(told.value), told.value.remedy, repr(client)]
    with kit_account() as (account, base), kit_client(database, base) as client:
        account.add("secret.person@example.com")
        shown.append(repr(client.find("secret.person@example.com")))
        account.faults = Faults(lost=1)
        account.tag("t")
        with pytest.raises(KitUnknownError) as lost:
            add(client)
        shown += [str(lost.value), repr(lost.value.__cause__), repr(lost.value.__context__)]
    assert not any("secret" in one or KEY in one for one in shown)


def test_nobody_is_created_but_by_asking_for_it(database):
    with kit_account() as (account, base), kit_client(database, base) as client:
        assert (
            client.create("new@example.com", place=client.reserve(), within=2).state is State.ACTIVE
        )
        account.add("left@example.com", "cancelled")
        assert (
            client.create("left@example.com", place=client.reserve(), within=2).state
            is State.CANCELLED
        )
        client.unsubscribe(1)
        client.unsubscribe(1)
        assert account.subscribers[1]["state"] == "cancelled"
