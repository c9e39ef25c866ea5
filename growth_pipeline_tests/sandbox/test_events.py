"""Events tell the whole story: replaying them gives the API's state, undoing them goes back."""

import re
from collections import Counter, defaultdict

import pytest

# What Stripe changes without telling: no event says that a coupon was redeemed once more, or that
# an invoice item has found its invoice.
SILENT_FIELDS = {
    "coupon": {"times_redeemed"},
    "promotion_code": {"times_redeemed"},
    "invoiceitem": {"invoice"},
}
# Objects of which no event tells. Open and cancelled invoice payments have none either.
SILENT_OBJECTS = {
    "balance_transactions",
    "credit_note_lines",
    "invoice_lines",
    "subscription_items",
    "webhook_endpoints",
}
# A missing object's last event; the next event of the same chosen id begins another object.
DELETIONS = {
    "coupon.deleted",
    "invoice.deleted",
    "invoiceitem.deleted",
    "plan.deleted",
    "price.deleted",
    "product.deleted",
}


def undo(obj, previous):
    """The object before an update: hashes by their changed keys, lists whole, new keys were null."""
    before = dict(obj)
    for key, value in previous.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            before[key] = undo(before[key], value)
        else:
            before[key] = value
    return before


def without_nulls(value):
    """A key that is null and a key that is absent are the same to `previous_attributes`."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def histories(events):
    """Events by the object they are about, oldest first. A price and its plan share an id."""
    found = defaultdict(list)
    for event in events:
        obj = event["data"]["object"]
        found[obj["object"], obj["id"]].append(event)
    return found


def test_every_event_has_stripes_envelope(events, company):
    for event in events:
        assert set(event) == {
            "id", "object", "api_version", "created", "data", "livemode", "pending_webhooks",
            "request", "type",
        }  # fmt: skip
        assert event["object"] == "event"
        assert event["api_version"] == "2026-10-28.endive"
        assert event["livemode"] is False
        assert type(event["created"]) is int
        assert company.start <= event["created"] < company.as_of
    assert len({event["id"] for event in events}) == len(events)


def test_only_updates_carry_previous_attributes(events):
    for event in events:
        is_update = event["type"].endswith(".updated")
        assert ("previous_attributes" in event["data"]) == is_update
        if is_update:
            assert event["data"]["previous_attributes"], event["type"]


def test_automation_has_no_request_and_people_have_one(events):
    by_type = defaultdict(set)
    for event in events:
        assert (event["request"]["id"] is None) == (event["request"]["idempotency_key"] is None)
        by_type[event["type"]].add(event["request"]["id"] is None)
    assert by_type["customer.created"] == {False}
    assert by_type["refund.created"] == {False}
    assert by_type["invoice.paid"] == {True}
    assert by_type["charge.dispute.created"] == {True}
    assert by_type["customer.subscription.updated"] == {True, False}


def test_one_payment_emits_several_events_in_one_second(events):
    seconds = Counter()
    for event in events:
        obj = event["data"]["object"]
        if event["type"] in {"charge.succeeded", "payment_intent.succeeded", "invoice.paid"}:
            seconds[event["created"], obj["customer"]] += 1
    assert sum(count >= 3 for count in seconds.values()) > 500


def test_an_event_comes_not_before_its_object(events):
    for event in events:
        created = event["data"]["object"].get("created")
        assert created is None or created <= event["created"], event["type"]


def test_the_last_event_of_each_object_shows_the_state_the_api_gives(objects, histories):
    untold = []
    for name, listed in objects.items():
        if name in SILENT_OBJECTS:
            continue
        for obj in listed:
            history = histories.get((obj["object"], obj["id"]))
            if history is None:
                untold.append((name, obj.get("status")))
                continue
            last = history[-1]
            if last["type"] == "customer.deleted":
                assert obj == {"id": obj["id"], "object": "customer", "deleted": True}
                continue
            silent = SILENT_FIELDS.get(obj["object"], set())
            shown = last["data"]["object"]
            assert {k: v for k, v in shown.items() if k not in silent} == {
                k: v for k, v in obj.items() if k not in silent
            }
    assert set(untold) == {
        ("checkout_sessions", "open"),
        ("invoice_payments", "open"),
        ("invoice_payments", "canceled"),
    }


def test_every_object_that_events_tell_of_is_in_the_api_unless_deleted(objects, histories):
    present = {(obj["object"], obj["id"]) for listed in objects.values() for obj in listed}
    ended = {key: history[-1]["type"] for key, history in histories.items() if key not in present}
    assert set(ended.values()) == DELETIONS


def test_a_coupons_id_may_live_twice(histories, objects):
    history = histories["coupon", "SEASON"]
    assert [event["type"] for event in history] == [
        "coupon.created",
        "coupon.deleted",
        "coupon.created",
    ]
    (now,) = [coupon for coupon in objects["coupons"] if coupon["id"] == "SEASON"]
    deleted = history[1]
    assert now["created"] > deleted["created"]
    assert now["percent_off"] != deleted["data"]["object"]["percent_off"]


def test_undoing_an_update_gives_the_snapshot_before(histories):
    checked = 0
    for history in histories.values():
        before = None  # the newest snapshot that differs from the one at hand
        last = None
        for event in history:
            snapshot = event["data"]["object"]
            if last is not None and snapshot != last:
                before = last
            last = snapshot
            if event["type"].endswith(".updated"):
                undone = undo(snapshot, event["data"]["previous_attributes"])
                assert before is not None, event["type"]
                assert without_nulls(undone) == without_nulls(before), event["type"]
                checked += 1
    assert checked > 1500


def test_previous_attributes_hold_only_what_changed(events):
    def differs(previous, now):
        for key, old in previous.items():
            if isinstance(old, dict) and isinstance(now.get(key), dict):
                differs(old, now[key])
            else:
                assert now.get(key) != old, key

    for event in events:
        differs(event["data"].get("previous_attributes", {}), event["data"]["object"])


def test_a_charge_learns_its_balance_transaction_after_it_succeeded(histories):
    waited = 0
    for (kind, _), history in histories.items():
        if kind == "charge" and history[0]["type"] == "charge.succeeded":
            assert history[0]["data"]["object"]["balance_transaction"] is None
            arrivals = [
                event
                for event in history[1:]
                if "balance_transaction" in event["data"].get("previous_attributes", {})
            ]
            assert len(arrivals) <= 1
            waited += len(arrivals)
    assert waited > 500


def test_a_subscription_item_that_goes_shows_only_as_a_list_without_it(events):
    gone = []
    for event in events:
        previous = event["data"].get("previous_attributes", {}).get("items", {})
        now = event["data"]["object"].get("items", {})
        if len(previous.get("data", ())) > len(now.get("data", ())):
            gone.append(event)
    assert gone
    assert {event["type"] for event in gone} == {"customer.subscription.updated"}


def test_ids_have_stripes_form(events, objects):
    pattern = re.compile(r"[a-z]+_([a-z]+_)?[0-9a-f]{24}\Z")
    for event in events:
        assert pattern.match(event["id"])
    for name, listed in objects.items():
        for obj in listed:
            assert name == "coupons" or pattern.match(obj["id"]), obj["id"]


def test_an_event_is_pending_until_it_is_acknowledged_or_given_up(spoiled, fresh_store, company):
    def pending():
        listed = spoiled.get("/v1/events", params={"limit": 100}).json()["data"]
        return {event["id"]: (event["created"], event["pending_webhooks"]) for event in listed}

    before = pending()
    tried_since = company.as_of - 3 * 86_400
    assert {left for at, left in before.values() if at >= tried_since} == {1}
    newest = next(iter(before))
    fresh_store.mark_delivered(newest)
    assert pending()[newest] == (before[newest][0], 0)
    params = {"limit": 100, "created[lt]": tried_since}
    older = spoiled.get("/v1/events", params=params).json()["data"]
    assert {event["pending_webhooks"] for event in older} == {0}
    assert spoiled.get(f"/v1/events/{newest}").json()["pending_webhooks"] == 0


def test_an_event_that_is_never_sent_waits_for_nobody(spoiled, fresh_store):
    newest = spoiled.get("/v1/events", params={"limit": 1}).json()["data"][0]
    assert newest["pending_webhooks"] == 1
    fresh_store.lose([newest["id"]])
    assert spoiled.get(f"/v1/events/{newest['id']}").json()["pending_webhooks"] == 0
