"""Dead letters, replay, trace and rebuild from a terminal, on a real database."""

import json
import sys

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.fakes.stripe_events import NOW, a_charge, a_customer, a_refund, an_event

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]


@pytest.fixture
def store(database):
    """A charge with a refund, a customer told twice, and one event nobody can read yet."""
    store = BillingStore(database)
    bodies = [
        an_event("charge.succeeded", a_charge(), id="evt_charge"),
        an_event("refund.created", a_refund(), id="evt_refund", created=1_893_499_300),
        an_event("customer.updated", a_customer(email="new"), id="evt_new", created=1_893_499_300),
        an_event("customer.created", a_customer(email="old"), id="evt_old"),
        an_event("customer.updated", a_customer(), id="evt_odd", version="2031-01-01.zinnia"),
    ]
    for body in bodies:
        envelope = parse_envelope(body)
        store.insert_event(received_event(envelope, body, account_id="self", received_at=NOW))
        apply_waiting(store, now=NOW)
    return store


def test_dead_letters_are_listed_with_their_reason(store, growth_here):
    done = growth_here("webhooks", "list", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["inbox"] == {"applied": 4, "quarantined": 1}
    [letter] = document["quarantined"]
    assert (letter["event_id"], letter["reason"].partition(":")[0]) == (
        "evt_odd",
        "unknown_version",
    )
    assert "evt_odd" in growth_here("webhooks", "list").stdout


def test_a_replayed_event_that_still_cannot_be_applied_ends_with_code_1(store, growth_here):
    planned = growth_here("webhooks", "replay", "--all", "--dry-run", "--json")
    assert json.loads(planned.stdout)["replayed"] == 1
    done = growth_here("webhooks", "replay", "evt_odd", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "replayed": 1,
        "applied": 0,
        "ignored": 0,
        "quarantined": 1,
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evt_charge"], "evt_charge is applied, not set aside"),
        (["evt_nowhere"], "no event evt_nowhere was received"),
        ([], "name one event, or give --all"),
        (["evt_odd", "--all"], "name one event, or give --all"),
    ],
)
def test_what_cannot_be_replayed_is_wrong_usage(store, growth_here, arguments, sentence):
    done = growth_here("webhooks", "replay", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_trace_says_what_an_event_changed_in_mirror_and_books(store, growth_here):
    [trace] = json.loads(growth_here("webhooks", "trace", "evt_refund", "--json").stdout)
    assert (trace["state"], trace["effect"]) == ("applied", "inserted")
    assert trace["payments"] == [{"charge": "ch_1", "effect": "updated"}]
    assert trace["object_now"]["event_id"] == "evt_refund"
    [late] = json.loads(growth_here("webhooks", "trace", "evt_old", "--json").stdout)
    assert (late["effect"], late["object_now"]["event_id"]) == ("superseded", "evt_new")
    assert "a newer state was known" in growth_here("webhooks", "trace", "evt_old").stdout
    assert growth_here("webhooks", "trace", "evt_nowhere").returncode == 2


def test_a_rebuild_finds_and_corrects_what_a_hand_changed(store, growth_here, database):
    assert (
        json.loads(growth_here("mirror", "rebuild", "--check", "--json").stdout)["is_equal"] is True
    )
    with database.connection() as connection:
        connection.execute("update stripe.customers set email = 'hand@example.test'")
        connection.execute("update billing.payments set amount_minor = 7")
    found = growth_here("mirror", "rebuild", "--check", "--json")
    assert found.returncode == 1
    document = json.loads(found.stdout)
    assert (document["objects_different"], document["payments_different"]) == (1, 1)
    assert growth_here("mirror", "rebuild").returncode == 0
    with database.connection() as connection:
        assert connection.execute("select email from stripe.customers").fetchall() == [("new",)]
        assert connection.execute("select amount_minor from billing.payments").fetchall() == [
            (1000,)
        ]
    assert growth_here("mirror", "rebuild", "--check").returncode == 0
