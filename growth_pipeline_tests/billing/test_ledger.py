"""Fetched states on a real Postgres: what they change, and that the ledger alone gives the mirror."""

import random
from collections import defaultdict

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.fakes.stripe_events import NOW
from growth_pipeline_tests.fakes.watched_objects import AnsweringStripe, a_watched_object, moment


@pytest.fixture
def store(database):
    return BillingStore(database)


def receive(store, bodies):
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )


def states(store, keys):
    with store.mirror_turn() as turn:
        return turn.load_states(keys)


def wipe(database):
    with database.connection() as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname in ('billing', 'stripe')"
        ).fetchall()
        connection.execute("truncate " + ", ".join(name for (name,) in tables))


@pytest.mark.parametrize("round_", range(6))
def test_any_mix_of_events_and_fetches_gives_the_mirror_that_the_ledger_gives(
    store, database, seed, round_
):
    random_ = random.Random(seed * 10 + round_)
    watched = [a_watched_object(random_, number) for number in range(25)]
    end = max(step.at for each in watched for step in each.steps)
    told = [step.event for each in watched for step in each.steps]
    told += random_.sample(told, len(told) // 5)
    asked = [
        each.fetched(random_.choice(each.steps).at + random_.choice([0.0, 0.2, 1.1, 2.5, 500.0]))
        for each in watched
        for _ in range(random_.randint(0, 4))
    ]
    work = [("event", body) for body in told] + [("fetch", state) for state in asked]
    random_.shuffle(work)
    while work:
        step = random_.randint(1, 30)
        some, work = work[:step], work[step:]
        receive(store, [body for kind, body in some if kind == "event"])
        fetched = [state for kind, state in some if kind == "fetch"]
        if random_.random() < 0.5:
            apply_waiting(store, now=NOW, batch=random_.choice([1, 3, 500]))
        apply_fetched(
            store, fetched, source="backfill", now=NOW, batch=random_.choice([1, 2, 2000])
        )
        rebuilt = rebuild_mirror(store, now=NOW, check_only=True)
        assert rebuilt.is_equal, rebuilt
    apply_waiting(store, now=NOW)
    assert set(store.inbox_counts()) == {"applied"}
    paged = rebuild_mirror(store, now=NOW, check_only=True, batch=7)
    assert (paged.objects, paged.is_equal) == (len(watched), True)
    reader = AnsweringStripe(watched, at=end + 60)
    refetch_waiting(store, reader, now=moment(end + 60), limit=1000)
    assert rebuild_mirror(store, now=NOW, check_only=True).is_equal
    known = states(store, [each.key for each in watched])
    items = items_alive(database)
    for each in watched:
        state, truth = known[each.key], each.at(end)
        assert (state.deleted_at is not None) == each.is_gone, each.id
        assert not state.undecided
        if truth is not None:
            assert state.snapshot.payload.get("status") == truth.get("status"), each.id
            for name in ("email", "amount_refunded", "description", "name"):
                assert state.snapshot.payload.get(name) == truth.get(name), each.id
            shown = truth.get("items", {}).get("data", [])
            assert items.get(each.id, {}) == {i["id"]: i["quantity"] for i in shown}, each.id


def items_alive(database):
    """Items of each subscription that have not ended, with their quantity."""
    found = defaultdict(dict)
    with database.connection() as connection:
        for subscription, id_, quantity in connection.execute(
            "select subscription, id, quantity from stripe.subscription_items"
            " where deleted_at is null"
        ):
            found[subscription][id_] = quantity
    return found
