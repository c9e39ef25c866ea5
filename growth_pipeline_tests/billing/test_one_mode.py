"""Live and test rows never meet: what a database is for is said once, by the first key."""

import threading

import dagster as dg
import orjson
import pytest

from growth_pipeline.billing import resources
from growth_pipeline.billing.inbox import Handling, decide, parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import Applied, apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    NOW,
    a_charge,
    a_thin_event,
    an_event,
)

LIVE, TEST = Scope("self", True), Scope("self", False)


@pytest.fixture
def store(database):
    return BillingStore(database)


def receive(store, *bodies):
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )


def rows(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def a_coupon(percent_off, *, created=NOON, **fields):
    coupon = {
        "id": "SAVE",
        "object": "coupon",
        "created": created,
        "duration": "once",
        "percent_off": percent_off,
    }
    return coupon | fields


def test_the_first_key_says_for_ever_what_a_database_is_for(store):
    assert store.bound_livemode() is None
    store.bind_mode(LIVE, now=NOW)
    store.bind_mode(LIVE, now=NOW)
    store.bind_mode(Scope("acct_2", True), now=NOW)
    assert store.bound_livemode() is True


@pytest.mark.parametrize(("first", "second"), [(LIVE, TEST), (TEST, LIVE)])
def test_a_key_of_the_other_mode_is_refused_with_a_remedy(store, database, first, second):
    store.bind_mode(first, now=NOW)
    with pytest.raises(ConfigurationError, match=f"holds {first.mode}-mode rows") as caught:
        store.bind_mode(second, now=NOW)
    assert "GROWTH_DATABASE_URL" in caught.value.remedy
    assert rows(database, "select livemode, bound_by from billing.stripe_mode") == [
        (first.livemode, "self")
    ]


def test_another_account_in_the_other_mode_is_refused_too(store):
    store.bind_mode(LIVE, now=NOW)
    with pytest.raises(ConfigurationError):
        store.bind_mode(Scope("acct_sandbox", False), now=NOW)


def test_a_dry_run_binds_nothing(store, database):
    database.dry_run = True
    store.bind_mode(TEST, now=NOW)
    database.dry_run = False
    assert store.bound_livemode() is None


def test_many_keys_at_once_agree_on_one_mode(store):
    outcomes = []

    def bind(scope):
        try:
            store.bind_mode(scope, now=NOW)
            outcomes.append(scope.livemode)
        except ConfigurationError:
            pass

    threads = [threading.Thread(target=bind, args=(scope,)) for scope in [LIVE, TEST] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [store.bound_livemode()] * 4


def test_a_database_that_applied_test_events_before_any_key_takes_no_live_key(store):
    receive(store, an_event("charge.succeeded", a_charge(), livemode=False))
    apply_waiting(store, now=NOW)
    with pytest.raises(ConfigurationError, match="holds test-mode rows"):
        store.bind_mode(LIVE, now=NOW)
    store.bind_mode(TEST, now=NOW)


@pytest.mark.parametrize("scope", [LIVE, TEST])
def test_a_database_that_applied_events_of_both_modes_says_so_and_where_to_begin_again(
    store, database, scope
):
    for livemode, id in ((True, "evt_1"), (False, "evt_2")):
        receive(store, an_event("charge.succeeded", a_charge(), id=id, livemode=livemode))
    apply_waiting(store, now=NOW)
    with pytest.raises(ConfigurationError, match="holds rows of both of Stripe's modes") as caught:
        store.bind_mode(scope, now=NOW)
    assert "GROWTH_DATABASE_URL" in caught.value.remedy
    assert "growth backfill" in caught.value.remedy
    assert f"use a {scope.mode}" not in caught.value.remedy
    assert "mode key" not in caught.value.remedy, "neither key helps"
    assert store.bound_livemode() is None


def test_events_that_wait_do_not_keep_a_key_away_and_are_judged_by_it(store, database):
    receive(store, an_event("charge.succeeded", a_charge(), livemode=False))
    store.bind_mode(LIVE, now=NOW)
    assert apply_waiting(store, now=NOW) == Applied(ignored=1)
    assert rows(database, "select count(*) from billing.payments") == [(0,)]


@pytest.mark.parametrize("account", [None, "acct_connected"])
def test_events_of_the_other_mode_stay_in_the_inbox_with_the_reason(store, database, account):
    store.bind_mode(LIVE, now=NOW)
    named = {} if account is None else {"account": account}
    receive(
        store,
        an_event("charge.succeeded", a_charge("ch_1"), id="evt_1", livemode=True, **named),
        an_event("charge.succeeded", a_charge("ch_2"), id="evt_2", livemode=False, **named),
    )
    assert apply_waiting(store, now=NOW) == Applied(applied=1, ignored=1)
    assert rows(database, "select event_id, reason from billing.inbox where state = 'ignored'") == [
        ("evt_2", "other_mode: the database holds live rows, this is test mode")
    ]
    assert rows(database, "select account_id, livemode, id from stripe.charges") == [
        (account or "self", True, "ch_1")
    ]
    assert rows(database, "select livemode, charge_id from billing.payments") == [(True, "ch_1")]


def test_a_body_that_tells_no_mode_is_quarantined_and_not_taken_for_a_test_event():
    for body in (b"[]", an_event("charge.succeeded", a_charge(), livemode="yes")):
        assert decide(parse_envelope(body), bound_livemode=True).handling is Handling.QUARANTINE


def test_without_a_key_events_of_both_modes_are_applied_and_kept_apart(store, database):
    for livemode, id in ((True, "evt_1"), (False, "evt_2")):
        receive(store, an_event("charge.succeeded", a_charge(), id=id, livemode=livemode))
    assert apply_waiting(store, now=NOW) == Applied(applied=2)
    assert rows(database, "select livemode, id from stripe.charges order by 1") == [
        (False, "ch_1"),
        (True, "ch_1"),
    ]


# Race 15 of the mirror: one id that people chose, in test, in live, in two accounts, and again
# after its deletion.


def coupon_events():
    """The life of coupon SAVE: live 10 %, deleted, made again with 30 %; test and connected 50 %."""
    first, again = a_coupon(10.0), a_coupon(30.0, created=NOON + 100)
    gone = {"id": "SAVE", "object": "coupon", "deleted": True, "created": NOON}
    return [
        an_event("coupon.created", first, id="evt_1", created=NOON, livemode=True),
        an_event("coupon.deleted", first | gone, id="evt_2", created=NOON + 50, livemode=True),
        an_event("coupon.created", again, id="evt_3", created=NOON + 100, livemode=True),
        an_event("coupon.created", a_coupon(50.0), id="evt_4", created=NOON, livemode=False),
        an_event(
            *("coupon.created", a_coupon(70.0)),
            **{"id": "evt_5", "created": NOON, "livemode": True, "account": "acct_connected"},
        ),
    ]


def coupons(database):
    return rows(
        database,
        "select account_id, livemode, percent_off::float, deleted_at from stripe.coupons order by 1, 2",
    )


@pytest.mark.parametrize(
    "order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3), (1, 3, 0, 2, 4)]
)
def test_one_coupon_id_in_two_modes_and_two_accounts_is_three_histories(store, database, order):
    events = coupon_events()
    for place in order:
        receive(store, events[place])
        apply_waiting(store, now=NOW)
    assert coupons(database) == [
        ("acct_connected", True, 70.0, None),
        ("self", False, 50.0, None),
        ("self", True, 30.0, None),
    ]
    assert rebuild_mirror(store, now=NOW, check_only=True).is_equal


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (3, 2, 1, 0, 4)])
def test_in_a_live_database_the_test_coupon_of_the_same_id_changes_nothing(store, database, order):
    store.bind_mode(LIVE, now=NOW)
    events = coupon_events()
    for place in order:
        receive(store, events[place])
        apply_waiting(store, now=NOW)
    assert coupons(database) == [
        ("acct_connected", True, 70.0, None),
        ("self", True, 30.0, None),
    ]
    assert rows(database, "select count(*) from billing.inbox") == [(5,)]
    assert rebuild_mirror(store, now=NOW, check_only=True).is_equal


# --- what Stripe is asked with a key -------------------------------------------------------------


def a_fetched_coupon(livemode):
    payload = a_coupon(10.0, livemode=livemode)
    return Fetched(
        ObjectKey("self", livemode, "coupon", "SAVE"),
        payload,
        orjson.dumps(payload),
        "2026-10-28.endive",
        NOW,
        NOW,
    )


def test_what_was_read_with_a_key_of_the_other_mode_is_stored_nowhere(store, database):
    store.bind_mode(LIVE, now=NOW)
    with pytest.raises(ConfigurationError, match="holds live-mode rows"):
        apply_fetched(store, [a_fetched_coupon(livemode=False)], source="backfill", now=NOW)
    assert rows(database, "select count(*) from billing.fetched_states") == [(0,)]
    assert coupons(database) == []
    outcome = apply_fetched(store, [a_fetched_coupon(livemode=True)], source="backfill", now=NOW)
    assert outcome.refused == ()
    assert coupons(database) == [("self", True, 10.0, None)]


def resource_with(database, key, monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", key)
    context = dg.build_init_resource_context(resources={"database": database})
    return resources.stripe(context)


def test_a_run_with_a_key_of_the_other_mode_ends_before_its_first_step(
    store, database, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    open_reader = resource_with(database, "rk_live_GrowthCanary1", monkeypatch)
    assert store.bound_livemode() is True
    with open_reader() as reader:
        assert reader.scope == LIVE
    with open_reader("acct_2") as reader:
        assert reader.scope == ("acct_2", True)
    with pytest.raises(ConfigurationError, match="the key is a test mode key"):
        resource_with(database, "rk_test_GrowthCanary2", monkeypatch)
    assert store.bound_livemode() is True


def test_the_scopes_of_a_run_are_the_keys_account_and_those_connected(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_live_GrowthCanary1")
    monkeypatch.setenv("GROWTH_STRIPE__CONNECTED_ACCOUNTS", "acct_2,acct_3")
    assert resources.configured_scopes() == [LIVE, ("acct_2", True), ("acct_3", True)]


def test_a_thin_event_of_the_other_mode_asks_for_nothing():
    body = a_thin_event("v1.customer.updated", "customer", "cus_7")
    assert decide(parse_envelope(body), bound_livemode=False).handling is Handling.FETCH
    assert decide(parse_envelope(body), bound_livemode=True).reason.startswith("other_mode")
