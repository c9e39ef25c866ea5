"""Webhooks: signed so that Stripe's SDK accepts them, sent at least once, lost only on purpose."""

import time
from collections import Counter
from itertools import pairwise

import httpx
import orjson
import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from growth_pipeline.sandbox.journal import Event
from growth_pipeline.sandbox.webhooks import Order, arrange, chosen, signature_header
from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.fakes.webhook_receiver import WebhookReceiver

SECRET = "whsec_sandbox_test"


def deliver(client, url, **order):
    """One delivery to its end: its progress."""
    body = {"url": f"{url}/webhooks", "secret": SECRET, **order}
    started = client.post("/_sandbox/deliveries", json=body)
    assert started.status_code == 202, started.text
    address = f"/_sandbox/deliveries/{started.json()['delivery_id']}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        progress = client.get(address).json()
        if progress["done"]:
            return progress
        time.sleep(0.02)
    raise AssertionError(progress)


def ids_of(receiver):
    return [orjson.loads(one.body)["id"] for one in receiver.received]


def test_the_header_is_stripes_test_vector():
    header = signature_header(
        b'{"id":"evt_example","object":"event"}', "whsec_growth_example", 1893456000
    )
    expected = "61f08dbb4649e2de0ca5d4200697c4605b182f9a6d4d5ba6148459ca09fbc8e0"
    assert header == f"t=1893456000,v1={expected}"


def test_every_delivered_event_passes_the_sdks_verification_byte_for_byte(spoiled, events):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=300)
    assert (progress["total"], progress["acknowledged"], progress["failed"]) == (300, 300, 0)
    assert progress["attempts"] == 300
    by_id = {event["id"]: event for event in events}
    for one in receiver.received:
        event = stripe.Webhook.construct_event(one.body, one.headers["stripe-signature"], SECRET)
        assert orjson.loads(one.body) == by_id[event.id]
        assert one.headers["content-type"] == "application/json; charset=utf-8"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(one.body, one.headers["stripe-signature"], "whsec_other")


def test_without_shuffling_events_come_in_the_order_they_happened(spoiled, events):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, limit=200, concurrency=1)
    assert ids_of(receiver) == [event["id"] for event in events[:200]]


def test_duplicates_come_besides_and_every_event_comes_once_at_least(spoiled, events):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=200, duplicate_share=0.5, shuffle_seconds=3600)
    counts = Counter(ids_of(receiver))
    assert set(counts) == {event["id"] for event in events[:200]}
    assert set(counts.values()) == {1, 2}
    assert progress["duplicates"] == sum(counts.values()) - 200
    assert progress["acknowledged"] == 200


def test_dropped_events_never_come_and_are_not_counted_in_the_total(spoiled, events):
    receiver = WebhookReceiver()
    dropped = [event["id"] for event in events[10:20]]
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=100, drop=dropped)
    assert (progress["total"], progress["dropped"]) == (90, 10)
    assert set(ids_of(receiver)) == {event["id"] for event in events[:100]} - set(dropped)


def test_what_happens_while_the_receiver_is_off_never_comes(spoiled, events, company):
    since, to = company.as_of - 31 * 86400, company.as_of - 4 * 86400
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, created_gte=since, off_days=4)
    recent = [event for event in events if event["created"] >= since]
    sent = {event["id"] for event in recent if event["created"] < to}
    assert set(ids_of(receiver)) == sent
    assert progress["dropped"] == len(recent) - len(sent) > 0
    missed = spoiled.get("/v1/events", params={"delivery_success": "false", "limit": 100}).json()
    assert {one["id"] for one in missed["data"]} <= {event["id"] for event in events} - sent


def test_spans_in_which_the_receiver_was_off_can_be_given(spoiled, events, company):
    middle = company.as_of - 20 * 86400
    span = [middle, middle + 5 * 86400]
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        bounds = {"created_gte": middle - 86400, "created_lt": middle + 6 * 86400}
        deliver(spoiled, url, off=[span], **bounds)
    assert set(ids_of(receiver)) == {
        event["id"]
        for event in events
        if bounds["created_gte"] <= event["created"] < bounds["created_lt"]
        and not span[0] <= event["created"] < span[1]
    }


def test_planted_losses_never_come_whatever_is_asked(spoiled):
    lost = spoiled.post("/_sandbox/plant", json={}).json()["lost_events"]
    assert lost
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, drop="planted", concurrency=8)
    assert not set(lost) & set(ids_of(receiver))
    assert len(lost) + len(receiver.received) == len(
        spoiled.get("/_sandbox/events").text.splitlines()
    )


def test_only_the_types_asked_for_come(spoiled):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, types=["refund.created", "charge.failed"])
    assert {orjson.loads(one.body)["type"] for one in receiver.received} == {
        "refund.created",
        "charge.failed",
    }


def test_a_refused_event_is_sent_again_and_signed_anew(spoiled):
    receiver = WebhookReceiver(refuse_first=2)
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=20)
    assert (progress["acknowledged"], progress["attempts"]) == (20, 60)
    assert progress["last_error"].endswith("HTTP 503")


def test_an_endpoint_that_always_refuses_gets_so_many_attempts(spoiled):
    receiver = WebhookReceiver(refuse_first=99)
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=5, attempts=3)
    assert (progress["acknowledged"], progress["failed"], progress["attempts"]) == (0, 5, 15)


def test_a_redirect_counts_as_a_failure(spoiled):
    receiver = WebhookReceiver(redirect=True)
    with serving(receiver.app) as url:
        progress = deliver(spoiled, url, limit=3, attempts=1)
    assert progress["failed"] == 3


def test_an_endpoint_that_is_not_there_is_a_failure_not_a_crash(spoiled):
    progress = deliver(spoiled, "http://127.0.0.1:9", limit=3, attempts=2)
    assert (progress["failed"], progress["done"]) == (3, True)


def test_a_delivery_can_be_stopped(spoiled):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        body = {"url": f"{url}/webhooks", "secret": SECRET, "concurrency": 1}
        started = spoiled.post("/_sandbox/deliveries", json=body).json()
        progress = spoiled.delete(f"/_sandbox/deliveries/{started['delivery_id']}").json()
    assert progress["done"]
    assert progress["acknowledged"] < progress["total"]


def test_acknowledged_events_count_as_delivered_in_the_events_list(spoiled, company):
    recent = company.as_of - 20 * 86400
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, types=["invoice.paid"], created_gte=recent)

    def listed(success):
        params = {"limit": 100, "delivery_success": success, "created[gte]": recent}
        return spoiled.get("/v1/events", params=params).json()["data"]

    assert {event["id"] for event in listed("true")} == set(ids_of(receiver))
    assert listed("true")
    assert "invoice.paid" not in {event["type"] for event in listed("false")}


@pytest.mark.parametrize("body", [{}, {"url": "x"}, {"url": "x", "secret": "y", "pace": 3}])
def test_an_order_that_makes_no_sense_is_refused(spoiled, body):
    assert spoiled.post("/_sandbox/deliveries", json=body).status_code == 400


def test_an_unknown_delivery_is_not_found(spoiled):
    assert spoiled.get("/_sandbox/deliveries/del_9").status_code == 404


def test_the_server_answers_while_it_delivers(spoiled):
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        body = {"url": f"{url}/webhooks", "secret": SECRET, "limit": 2000}
        spoiled.post("/_sandbox/deliveries", json=body)
        answers = [spoiled.get("/v1/charges", timeout=httpx.Timeout(5)) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}


# --- the order of sending ---------------------------------------------------------------------------


def an_event(number, created):
    return Event(created, f"evt_{number}", "charge.updated", "ch_1", b"{}")


times = st.lists(st.integers(0, 500), min_size=1, max_size=60).map(sorted)


@given(times, st.integers(0, 99), st.sampled_from([0.0, 40.0]), st.sampled_from([0.0, 0.4]))
def test_an_event_is_overtaken_only_within_the_shuffle_time(created, seed, seconds, duplicates):
    events = [an_event(number, at) for number, at in enumerate(created)]
    order = Order("u", "s", shuffle_seconds=seconds, duplicate_share=duplicates, seed=seed)
    sent = list(arrange(events, order))
    firsts = [event for event, is_first in sent if is_first]
    assert sorted(firsts) == sorted(events)
    newest = 0
    for event in firsts:
        assert event.created >= newest - seconds
        newest = max(newest, event.created)
    if seconds == 0:
        assert firsts == events


@given(times, st.integers(0, 99))
def test_late_events_come_after_all_others(created, seed):
    events = [an_event(number, at) for number, at in enumerate(created)]
    sent = [event for event, _ in arrange(events, Order("u", "s", late_share=0.3, seed=seed))]
    assert sorted(sent) == sorted(events)
    steps_back = sum(one.created > next_one.created for one, next_one in pairwise(sent))
    assert steps_back <= 1


@given(times, st.integers(0, 99))
def test_the_same_seed_drops_the_same_events(created, seed):
    events = [an_event(number, at) for number, at in enumerate(created)]
    order = Order("u", "s", drop_share=0.5, seed=seed, drop=frozenset({"evt_0"}))
    first, second = list(chosen(events, order)), list(chosen(events, order))
    assert first == second
    assert first[0] == (events[0], False)
