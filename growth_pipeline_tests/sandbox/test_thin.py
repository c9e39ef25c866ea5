"""Thin events: the SDK takes them, they hold nothing of the object, and lead to it."""

import json

import pytest
import stripe

from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.fakes.webhook_receiver import WebhookReceiver
from growth_pipeline_tests.sandbox.test_webhooks import SECRET, deliver


@pytest.fixture
def notified(spoiled):
    """What an endpoint for thin events gets of one event of each type, and a client for it."""
    types = {}
    for line in spoiled.get("/_sandbox/events").text.splitlines():
        event = json.loads(line)
        types[event["type"]] = event
    receiver = WebhookReceiver()
    with serving(receiver.app) as url:
        deliver(spoiled, url, payload="thin", created_gte=max(e["created"] for e in types.values())
                - 29 * 86400, limit=1500, concurrency=4)  # fmt: skip
    address = str(spoiled.base_url).rstrip("/")
    client = stripe.StripeClient("rk_test_sandbox", base_addresses={"api": address})
    return client, receiver.received


def first_of_each_type(received):
    found = {}
    for one in received:
        found.setdefault(json.loads(one.body)["type"], one)
    return found.values()


def test_the_sdk_takes_every_type_and_the_snapshot_constructor_none(notified):
    client, received = notified
    for one in first_of_each_type(received):
        header = one.headers["stripe-signature"]
        event = client.parse_event_notification(one.body, header, SECRET)
        assert event.object == "v2.core.event"
        assert "Unknown" not in type(event).__name__, event.type
        with pytest.raises(ValueError, match="parse_event_notification"):
            client.construct_event(one.body, header, SECRET)


def test_a_notification_holds_only_what_leads_to_the_object(notified):
    _, received = notified
    for one in received:
        body = json.loads(one.body)
        assert set(body) == {
            "id", "object", "context", "created", "livemode", "reason", "related_object", "type",
        }  # fmt: skip
        assert set(body["related_object"]) == {"id", "type", "url"}
        assert body["type"].startswith("v1.")


def test_the_object_and_the_event_are_found_where_the_notification_says(notified, spoiled):
    client, received = notified
    for one in first_of_each_type(received):
        event = client.parse_event_notification(one.body, one.headers["stripe-signature"], SECRET)
        whole = event.fetch_event()
        assert (whole.id, whole.type) == (event.id, event.type)
        snapshot = spoiled.get(f"/v1/events/{whole.snapshot_event}").json()
        assert f"v1.{snapshot['type']}" == event.type
        related = json.loads(one.body)["related_object"]
        answer = spoiled.get(related["url"])
        stays = related["type"] in {"customer", "subscription"} or related["id"] == "SEASON"
        if event.type.endswith(".deleted") and not stays:
            assert answer.status_code == 404
        elif related["type"] != "discount":
            assert answer.json()["id"] == related["id"]


def test_what_is_no_thin_event_has_no_address_there(spoiled, events):
    assert spoiled.get("/v2/core/events/evt_none").status_code == 404
    assert spoiled.get(f"/v2/core/events/{events[0]['id']}").status_code == 404


def test_a_payload_that_is_neither_is_refused(spoiled):
    body = {"url": "http://127.0.0.1:9", "secret": SECRET, "payload": "fat"}
    answer = spoiled.post("/_sandbox/deliveries", json=body)
    assert answer.status_code == 400
    assert "thin" in answer.json()["error"]
