"""The reader against a real HTTP server that misbehaves. Lists equal the truth, or the reading fails."""

import logging
import random
import socket
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

import pytest

from growth_pipeline.core.errors import (
    ConfigurationError,
    ExitCode,
    IncompleteError,
    RemoteUnavailableError,
)
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripeIncompleteError,
    StripePermissionError,
    StripeUnreachableError,
)
from growth_pipeline_tests.fakes import stripe_list_server as fake

START, END = 1_759_276_800, 1_761_955_200  # October 2025
WINDOW = "charges of [2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)"


def _charges(count, *, created=lambda n: START + n * 60):
    return [{"id": f"ch_{n:05d}", "object": "charge", "created": created(n)} for n in range(count)]


def _ids(reader, resource="charges", **params):
    pages = list(reader.list_window(resource, START, END, params or None))
    assert [page.has_more for page in pages] == [True] * (len(pages) - 1) + [False]
    return [found["id"] for page in pages for found in page.objects]


def _expected(charges):
    return [charge["id"] for charge in sorted(charges, key=lambda charge: -charge["created"])]


# --- lists as they should be ---------------------------------------------------------------------


def test_a_list_is_read_to_its_end_newest_first(stripe, reader):
    stripe.objects["charges"] = _charges(250)
    assert _ids(reader()) == _expected(stripe.objects["charges"])
    assert [request.params.get("starting_after") for request in stripe.requests] == [
        None,
        "ch_00150",
        "ch_00050",
    ]


def test_an_empty_list_is_one_page_without_objects(stripe, reader):
    assert _ids(reader()) == []
    assert len(stripe.requests) == 1


def test_only_objects_of_the_half_open_window_are_read(stripe, reader):
    edges = {START - 1: "before", START: "first", END - 1: "last", END: "after"}
    stripe.objects["charges"] = [{"id": id, "created": created} for created, id in edges.items()]
    assert _ids(reader()) == ["last", "first"]


def test_an_empty_window_asks_nothing(stripe, reader):
    assert list(reader().list_window("charges", START, START)) == []
    assert stripe.requests == []


def test_a_window_may_begin_at_the_beginning(stripe, reader):
    stripe.objects["charges"] = [{"id": "ch_old", "created": 5}]
    pages = list(reader().list_window("charges", None, END))
    assert [found["id"] for found in pages[0].objects] == ["ch_old"]
    assert "created[gte]" not in stripe.requests[0].params


def test_cancelled_subscriptions_come_with_status_all(stripe, reader):
    stripe.objects["subscriptions"] = [
        {"id": "sub_1", "created": START, "status": "active"},
        {"id": "sub_2", "created": START, "status": "canceled"},
    ]
    assert _ids(reader(), "subscriptions", status="all") == ["sub_1", "sub_2"]


def test_more_objects_in_one_second_than_a_page_holds_are_all_read(stripe, reader):
    stripe.objects["charges"] = _charges(350, created=lambda n: START + 100 * (n > 320))
    assert sorted(_ids(reader())) == [f"ch_{n:05d}" for n in range(350)]


def test_requests_carry_key_version_and_who_asks(stripe, reader):
    _ids(reader())
    headers = stripe.requests[0].headers
    assert headers["authorization"] == f"Bearer {fake.KEY}"
    assert headers["stripe-version"] == fake.VERSION
    assert headers["user-agent"].startswith("growth-pipeline/0.")
    assert stripe.requests[0].params["limit"] == "100"


def test_raw_texts_are_the_objects_as_stripe_gave_them(stripe, reader):
    odd = {
        "id": "ch_1",
        "created": START,
        "description": 'Zoë "\u0000" \U0001f600',
        "nested": {"b": 1, "a": [0.1, None]},
    }
    stripe.objects["charges"] = [odd]
    page = next(reader().list_window("charges", START, END))
    assert page.raws == [
        '{"id":"ch_1","created":1759276800,"description":"Zoë \\"\\u0000\\" \U0001f600","nested":{"b":1,"a":[0.1,null]}}'
    ]


def test_half_of_a_surrogate_pair_and_a_huge_number_lose_nothing(stripe, reader):
    body = b'{"has_more": false, "data": [{"id": "ch_1", "created": %d, "name": "\\ud83d", "n": 123456789012345678901}]}'
    stripe.always = lambda *_: fake.Reply(body=body % START)
    page = next(reader().list_window("charges", START, END))
    assert page.raws == [
        '{"id":"ch_1","created":1759276800,"name":"\\ud83d","n":123456789012345678901}'
    ]


def test_the_state_is_as_old_as_the_date_header_says_less_the_time_it_took(stripe, reader):
    date = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)

    def dated(server, request):
        reply = server.truth(request)
        reply.headers = {"Date": format_datetime(date, usegmt=True)}
        reply.pause = 0.1
        return reply

    stripe.faults.append(dated)
    started = monotonic()
    page = next(reader().list_window("charges", START, END))
    took = timedelta(seconds=monotonic() - started)
    assert page.fetched_to == date
    assert timedelta(seconds=2.1) <= date - page.fetched_from <= timedelta(seconds=2) + took


def test_without_a_date_header_our_own_clock_counts(stripe, access):
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    stripe.faults.append(
        lambda *_: fake.Reply(body=b'{"data": [], "has_more": false}', headers={"Date": "soon"})
    )
    with StripeReader(access(), clock=lambda: noon) as reader:
        page = next(reader.list_window("charges", START, END))
    assert page.fetched_to == noon


# --- lists that misbehave for a moment -----------------------------------------------------------

PASSING = {
    "429 without Retry-After": fake.status(429),
    "429 with Retry-After": fake.status(429, Retry_After="0.1"),
    "409": fake.status(409),
    "500": fake.status(500),
    "503": fake.status(503),
    "400 that Stripe says to retry": fake.status(400, Stripe_Should_Retry="true"),
    "HTML with 200": fake.html,
    "JSON cut short": fake.cut_json,
    "connection cut in the body": fake.cut_body,
    "connection cut before the answer": fake.drop,
    "JSON that is no list": fake.cut_list,
    "empty page that promises more": fake.empty_with_more,
    "page repeated": fake.repeated_page,
    "page repeated as the last one": fake.repeated_last_page,
    "object moved to the next page": fake.moved_object,
    "filter ignored": fake.other_window,
    "cursor object deleted": fake.deleted_cursor,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_fault_that_passes_changes_nothing(stripe, reader, fault, at):
    charges = [*_charges(250), {"id": "ch_other_month", "object": "charge", "created": END + 5}]
    stripe.objects["charges"] = list(charges)
    stripe.faults.extend([None] * at + [fault])
    assert _ids(reader(retry_seconds=30)) == _expected(charges[:250])


def test_a_late_answer_is_asked_for_again(stripe, reader):
    stripe.objects["charges"] = _charges(3)
    stripe.faults.append(fake.late(1.0))
    assert _ids(reader(timeout_seconds=0.2, retry_seconds=30)) == _expected(
        stripe.objects["charges"]
    )


def test_an_answer_that_drips_is_cut_off_at_the_time_out(stripe, reader):
    stripe.objects["charges"] = _charges(3)
    stripe.faults.append(fake.dripping(0.3))  # some 300 bytes: a minute and a half
    started = monotonic()
    assert _ids(reader(timeout_seconds=0.4, retry_seconds=30)) == _expected(
        stripe.objects["charges"]
    )
    assert monotonic() - started < 40


def test_retry_after_is_waited_for(stripe, reader):
    stripe.faults.append(fake.status(429, Retry_After="0.5"))
    started = monotonic()
    assert _ids(reader(retry_seconds=30)) == []
    assert monotonic() - started >= 0.5


def test_a_retry_after_beyond_the_retry_time_ends_the_reading_at_once(stripe, reader):
    stripe.faults.append(fake.status(429, Retry_After="3600"))
    started = monotonic()
    with pytest.raises(StripeIncompleteError, match="answered 429"):
        _ids(reader(retry_seconds=60))
    assert monotonic() - started < 30


def test_retry_after_may_be_a_date(stripe, reader):
    stripe.faults.append(fake.status(429, Retry_After="Wed, 01 Jan 2200 00:00:00 GMT"))
    with pytest.raises(StripeIncompleteError):
        _ids(reader(retry_seconds=5))
    stripe.faults.append(fake.status(429, Retry_After="Wed, 01 Jan 2020 00:00:00 GMT"))
    assert _ids(reader()) == []


def test_retry_after_zero_for_ever_is_no_storm_of_requests(stripe, reader):
    stripe.always = fake.status(429, Retry_After="0")
    with pytest.raises(StripeIncompleteError):
        _ids(reader(retry_seconds=0.5))
    assert 2 <= len(stripe.requests) <= 9


def test_cursor_objects_deleted_again_and_again_lose_nothing_and_repeat_nothing(stripe, reader):
    charges = _charges(620, created=lambda n: START + (n // 150))
    stripe.objects["charges"] = list(charges)
    stripe.faults.extend([None, fake.deleted_cursor] * 5)
    ids = _ids(reader())
    assert sorted(ids) == [charge["id"] for charge in charges]


@pytest.fixture
def forgetful(stripe):
    """Stripe forgets every cursor object, although the list still holds it."""
    gone = fake.says(400, "No such charge", code="resource_missing", param="starting_after")
    stripe.always = lambda server, request: (
        gone(server, request) if "starting_after" in request.params else server.truth(request)
    )
    return stripe


def test_time_alone_leads_through_a_list_without_cursors(forgetful, reader):
    forgetful.objects["charges"] = _charges(900, created=lambda n: START + n // 90)
    assert sorted(_ids(reader())) == [f"ch_{n:05d}" for n in range(900)]


def test_a_second_that_cannot_be_paged_through_is_incomplete(forgetful, reader):
    forgetful.objects["charges"] = _charges(150, created=lambda _: START)
    with pytest.raises(
        StripeIncompleteError, match="no longer knows the object to continue from"
    ) as caught:
        _ids(reader())
    assert str(caught.value).startswith(WINDOW)


# --- lists that misbehave to the end -------------------------------------------------------------

LASTING = {
    "429": (
        fake.status(429, Stripe_Rate_Limited_Reason="endpoint-rate"),
        r"answered 429 \(endpoint-rate\)",
    ),
    "500": (fake.status(500), "answered 500"),
    "HTML with 200": (fake.html, "25|38 bytes that are not whole JSON"),
    "JSON cut short": (fake.cut_json, "not whole JSON"),
    "JSON that is no list": (fake.cut_list, "JSON that is not a list"),
    "empty page that promises more": (fake.empty_with_more, "empty page"),
    "page repeated": (fake.repeated_page, "a page that it had already given"),
    "page repeated as the last one": (fake.repeated_last_page, "a page that it had already given"),
    "filter ignored": (fake.other_window, "from outside the window"),
}


@pytest.mark.parametrize(("fault", "why"), LASTING.values(), ids=LASTING)
def test_a_fault_that_stays_names_object_window_and_cause(stripe, reader, fault, why):
    stripe.objects["charges"] = [*_charges(250), {"id": "ch_other_month", "created": END + 5}]
    stripe.always = fault
    started = monotonic()
    with pytest.raises(StripeIncompleteError, match=why) as caught:
        _ids(reader(retry_seconds=0.3))
    assert str(caught.value).startswith(WINDOW)
    assert isinstance(caught.value, IncompleteError)
    assert caught.value.retryable
    assert monotonic() - started < 60


@pytest.mark.parametrize(
    "fault", [fake.drop, fake.cut_body, fake.late(0.5)], ids=["cut", "cut in body", "late"]
)
def test_no_answer_at_all_is_unreachable_with_its_own_exit_code(stripe, reader, fault):
    stripe.always = fault
    with pytest.raises(StripeUnreachableError) as caught:
        _ids(reader(retry_seconds=0.3, timeout_seconds=0.2))
    assert str(caught.value).startswith(WINDOW)
    assert isinstance(caught.value, RemoteUnavailableError)
    assert isinstance(caught.value, IncompleteError)
    assert caught.value.exit_code == ExitCode.REMOTE_UNAVAILABLE


def test_a_closed_port_is_unreachable(stripe, reader):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(
        StripeUnreachableError, match=r"127\.0\.0\.1 cannot be reached .* no connection"
    ) as caught:
        _ids(reader(api_base=f"http://127.0.0.1:{port}", retry_seconds=0.2))
    assert caught.value.exit_code == ExitCode.REMOTE_UNAVAILABLE
    assert "GROWTH_STRIPE__API_BASE" in caught.value.remedy


def test_without_retry_seconds_nothing_is_asked_twice(stripe, reader):
    stripe.always = fake.status(500)
    with pytest.raises(StripeIncompleteError, match="asked once"):
        _ids(reader(retry_seconds=0))
    assert len(stripe.requests) == 1


# --- answers that no retry changes ---------------------------------------------------------------


def test_a_wrong_key_is_one_clear_sentence_and_is_not_tried_again(stripe, reader):
    with pytest.raises(StripeAuthError) as caught:
        _ids(reader(api_key="rk_test_AnotherKey1234"))
    assert len(stripe.requests) == 1
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert (
        str(caught.value) == f"{WINDOW}: Stripe does not accept the API key (401) (request req_1)"
    )
    assert "GROWTH_STRIPE__API_KEY" in caught.value.remedy


def test_a_key_revoked_in_mid_run_ends_the_reading(stripe, reader):
    stripe.objects["charges"] = _charges(250)
    stripe.faults.extend([None, fake.says(401, "Expired API Key provided")])
    with pytest.raises(StripeAuthError, match="charges of"):
        _ids(reader())


def test_a_missing_permission_is_named_and_is_not_an_empty_list(stripe, reader):
    said = (
        "The provided key 'rk_test_*********2mZx' does not have the required permissions for this endpoint "
        "on account 'acct_1'. Having the 'rak_charge_read' permission would allow this request to continue."
    )
    stripe.faults.append(fake.says(403, said))
    with pytest.raises(StripePermissionError, match="rak_charge_read") as caught:
        _ids(reader())
    assert str(caught.value).startswith(WINDOW)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert len(stripe.requests) == 1


def test_a_request_that_stripe_does_not_understand_fails_loudly(stripe, reader):
    with pytest.raises(
        StripeError, match=r"\(400\)\. Stripe says: Received unknown parameter: colour"
    ):
        _ids(reader(), colour="red")
    assert len(stripe.requests) == 1


def test_a_list_that_does_not_exist_is_not_an_empty_list(stripe, reader):
    stripe.always = fake.says(404, "Unrecognized request URL (GET: /v1/charges).")
    with pytest.raises(StripeError, match=r"\(404\)\. Stripe says: Unrecognized request URL"):
        _ids(reader())
    stripe.always = fake.says(404, "No such customer", code="resource_missing", param="customer")
    with pytest.raises(StripeError, match=r"knows no such list \(customer\)"):
        _ids(reader())


def test_a_redirect_is_not_followed_with_the_key(stripe, reader):
    stripe.always = fake.status(302, Location="http://127.0.0.1:9/elsewhere")
    with pytest.raises(StripeError, match=r"\(302\)"):
        _ids(reader())
    assert len(stripe.requests) == 1


def test_objects_of_the_other_mode_are_refused(stripe, reader):
    stripe.objects["charges"] = [{"id": "ch_1", "created": START, "livemode": True}]
    with pytest.raises(ConfigurationError, match="not of test mode"):
        _ids(reader())


def test_an_answer_in_another_version_is_refused(stripe, reader):
    stripe.always = lambda server, request: fake.Reply(
        body=server.truth(request).body, headers={"Stripe-Version": "2019-05-16"}
    )
    with pytest.raises(ConfigurationError, match=r"version '2019-05-16', not '2026-10-28\.endive'"):
        _ids(reader())


# --- single objects ------------------------------------------------------------------------------


def test_one_object_is_retrieved_as_it_is(stripe, reader):
    stripe.objects["customers"] = [{"id": "cus_1", "deleted": True}]
    assert reader().retrieve("customers", "cus_1") == {"id": "cus_1", "deleted": True}


def test_an_id_that_stripe_does_not_know_is_none(stripe, reader):
    assert reader().retrieve("charges", "ch_unknown") is None


def test_a_404_that_is_not_stripes_word_is_no_missing_object(stripe, reader):
    stripe.always = lambda *_: fake.Reply(status=404, body=b"<html>not found</html>")
    with pytest.raises(StripeError, match="404"):
        reader().retrieve("charges", "ch_1")


@pytest.mark.parametrize(("code", "error"), [(401, StripeAuthError), (403, StripePermissionError)])
def test_a_refusal_is_never_read_as_a_missing_object(stripe, reader, code, error):
    stripe.always = fake.says(code, "No such charge", code="resource_missing", param="id")
    with pytest.raises(error, match="ch_1"):
        reader().retrieve("charges", "ch_1")


def test_an_id_cannot_name_another_path(stripe, reader):
    strange = "../customers?x=1#é"
    assert reader().retrieve("coupons", strange) is None
    assert stripe.requests[0].path == "/v1/coupons/..%2Fcustomers%3Fx%3D1%23%C3%A9"
    with pytest.raises(StripeError, match="empty id"):
        reader().retrieve("charges", "")


def test_another_object_than_asked_for_is_refused(stripe, reader):
    stripe.always = lambda *_: fake.Reply(body=b'{"id": "ch_2"}')
    with pytest.raises(StripeIncompleteError, match=r"'ch_1' could not be read .*another object"):
        reader(retry_seconds=0.2).retrieve("charges", "ch_1")


def test_a_nested_list_that_stripe_cut_off_is_made_whole(stripe, reader):
    items = [{"id": f"si_{n}", "subscription": "sub_1", "created": START} for n in range(230)]
    stripe.objects["subscription_items"] = [
        *items,
        {"id": "si_x", "subscription": "sub_2", "created": START},
    ]
    nested = {
        "data": items[:10],
        "has_more": True,
        "url": "/v1/subscription_items?subscription=sub_1",
    }
    whole = reader().complete_nested({"id": "sub_1", "items": nested}, "items")
    assert [item["id"] for item in whole["items"]["data"]] == [f"si_{n}" for n in range(230)]
    assert whole["items"]["has_more"] is False
    assert len(stripe.requests) == 3


def test_a_nested_list_that_is_whole_costs_no_request(stripe, reader):
    owner = {"id": "sub_1", "items": {"data": [{"id": "si_1"}], "has_more": False, "url": "/v1/x"}}
    assert reader().complete_nested(owner, "items") is owner
    assert reader().complete_nested(owner, "discounts") is owner
    assert stripe.requests == []


def test_a_nested_list_whose_cursor_is_gone_is_incomplete(stripe, reader):
    nested = {
        "data": [{"id": "si_gone"}],
        "has_more": True,
        "url": "/v1/subscription_items?subscription=sub_1",
    }
    with pytest.raises(StripeIncompleteError, match="items of sub_1"):
        reader().complete_nested({"id": "sub_1", "items": nested}, "items")


# --- the doctor's question -----------------------------------------------------------------------


def test_a_check_asks_once_and_tells_kind_and_mode_of_the_key(stripe, reader):
    started = monotonic()
    found = reader().check()
    took = monotonic() - started
    assert (found.key_kind, found.livemode, found.account_id) == ("restricted", False, "acct_1")
    assert (found.api_version, found.request_id) == (fake.VERSION, "req_1")
    assert 0 < found.elapsed_seconds <= took
    assert (stripe.requests[0].path, stripe.requests[0].params) == (
        "/v1/balance_transactions",
        {"limit": "1"},
    )


def test_a_check_does_not_let_a_person_wait_for_retries(stripe, reader):
    stripe.always = fake.status(500)
    started = monotonic()
    with pytest.raises(StripeIncompleteError):
        reader(retry_seconds=120).check()
    assert len(stripe.requests) == 1
    assert monotonic() - started < 60


# --- loading -------------------------------------------------------------------------------------


def test_slow_libraries_are_loaded_when_they_are_used_and_not_before():
    program = (
        "import sys, growth_pipeline.stripe_api.client, growth_pipeline.stripe_api.signatures\n"
        "print(sorted({'httpx', 'pyrate_limiter', 'stamina', 'stripe', 'polars'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


# --- proxies and secrets -------------------------------------------------------------------------


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(stripe, reader, monkeypatch):
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert _ids(reader(retry_seconds=0)) == []


def test_the_key_is_in_no_log_no_error_and_no_traceback(stripe, reader, caplog):
    caplog.set_level(logging.DEBUG)
    echo = fake.says(400, f"Bad header: Bearer {fake.KEY}")
    texts = []
    for fault in (
        echo,
        fake.says(403, fake.KEY),
        fake.status(500),
        fake.html,
        fake.drop,
        fake.says(401, fake.KEY),
    ):
        stripe.always = fault
        with pytest.raises(StripeError) as caught:
            _ids(reader(retry_seconds=0.2))
        error = caught.value
        texts += [str(error), repr(error), error.remedy, "".join(traceback.format_exception(error))]
    texts.append(caplog.text)
    assert "/v1/charges" in caplog.text
    assert all(fake.KEY not in text and "Canary" not in text for text in texts)


def test_text_from_stripe_cannot_forge_lines(stripe, reader):
    stripe.always = fake.says(400, "one\r\ntwo\x1b[31m\u2028three " + "x" * 1000)
    with pytest.raises(StripeError) as caught:
        _ids(reader())
    assert "one two [31m three xxx" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


# --- all at once ---------------------------------------------------------------------------------


def test_any_mixture_of_faults_gives_the_truth_or_a_named_gap(stripe, reader, seed):
    dice = random.Random(seed)
    for plan in range(12):
        charges = _charges(
            dice.randrange(700), created=lambda n: START + n // dice.choice([1, 3, 130])
        )
        stripe.objects["charges"] = list(charges)
        faults = [*PASSING.values(), fake.says(401, "revoked"), fake.says(403, "rak_charge_read")]
        stripe.faults.clear()
        stripe.faults.extend(
            dice.choice(faults) if dice.random() < 0.3 else None for _ in range(20)
        )
        outcome = _outcome(reader(retry_seconds=1.5))
        named_gap = isinstance(outcome, str) and outcome.startswith(WINDOW)
        assert named_gap or outcome == sorted(charge["id"] for charge in charges), (seed, plan)


def _outcome(reader):
    """Sorted ids, each as often as it came, or the sentence of the failure."""
    try:
        return sorted(_ids(reader))
    except StripeError as error:
        return str(error)
