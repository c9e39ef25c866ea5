"""Races that known mirrors lose, one test each; after each one the ledger alone gives the same rows.

Source: docs/stripe.md, "Order", "Deletions and tombstones", "Money objects".
"""

import random
import threading
from itertools import permutations

import orjson
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import Applied, apply_batch, apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    OLD,
    a_charge,
    a_customer,
    a_dispute,
    a_refund,
    a_subscription,
    a_thin_event,
    an_event,
    an_invoice_payment,
)
from growth_pipeline_tests.fakes.watched_objects import SCOPE, moment


@pytest.fixture
def store(database):
    return BillingStore(database)


@pytest.fixture(autouse=True)
def rebuilt_from_the_ledger_it_is_the_same(store):
    yield
    rebuilt = rebuild_mirror(store, now=NOW, check_only=True)
    assert rebuilt.is_equal, rebuilt


def receive(store, *bodies):
    return store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )


def apply(store, *bodies):
    receive(store, *bodies)
    return apply_waiting(store, now=NOW)


def key(object_name, id_):
    return ObjectKey(*SCOPE, object_name, id_)


def fetched(payload, *, first, last):
    """What a page said, between two seconds after noon."""
    itself = key(payload["object"], payload["id"])
    raw = orjson.dumps(payload)
    return Fetched(itself, payload, raw, NEW, moment(NOON + first), moment(NOON + last))


def gone(object_name, id_, *, first, last):
    since, until = moment(NOON + first), moment(NOON + last)
    return Fetched(key(object_name, id_), None, b"", NEW, since, until)


def apply_page(store, *states, source="backfill"):
    return apply_fetched(store, states, source=source, now=NOW)


def state(store, object_name, id_):
    with store.mirror_turn() as turn:
        return turn.load_states([key(object_name, id_)])[key(object_name, id_)]


def rows(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def forget_everything(database):
    with database.connection() as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname = 'stripe' or (schemaname = 'billing' and tablename in"
            " ('inbox', 'fetched_states', 'refetches', 'payments', 'event_payments'))"
        ).fetchall()
        connection.execute("truncate " + ", ".join(name for (name,) in tables))


def item(id_, quantity=1):
    [known] = a_subscription()["items"]["data"]
    return known | {"id": id_, "quantity": quantity}


def with_items(*items, **fields):
    listed = {"object": "list", "has_more": False, "data": list(items)}
    return a_subscription(items=listed, **fields)


# --- order ---------------------------------------------------------------------------------------


def test_events_of_one_second_end_in_one_state_in_every_order(store, database, seed):
    told = [
        ("customer.subscription.updated", {"status": "active"}, {"status": "trialing"}),
        ("customer.subscription.trial_will_end", {"status": "active"}, None),
        ("customer.subscription.updated", {"status": "active", "quantity": 3}, {"quantity": 1}),
        (
            "customer.subscription.updated",
            {"status": "past_due", "quantity": 3},
            {"status": "active"},
        ),
    ]
    bodies = [
        an_event(type_, a_subscription(**changes), id=f"evt_{n}", previous=previous)
        for n, (type_, changes, previous) in enumerate(told)
    ]
    orders = random.Random(seed).sample(list(permutations(bodies)), 8)
    for order in orders:
        for body in order:
            apply(store, body)
        found = state(store, "subscription", "sub_1")
        assert (found.snapshot.payload["status"], found.snapshot.payload["quantity"]) == (
            "past_due",
            3,
        )
        assert not found.undecided
        assert rebuild_mirror(store, now=NOW, check_only=True).is_equal
        forget_everything(database)


def test_updated_before_created_does_not_step_back(store):
    apply(
        store,
        an_event(
            "customer.updated", a_customer(email="new"), id="evt_2", previous={"email": "old"}
        ),
    )
    apply(store, an_event("customer.created", a_customer(email="old"), id="evt_1"))
    assert state(store, "customer", "cus_1").snapshot.payload["email"] == "new"


@pytest.mark.parametrize("late", ["customer.updated", "customer.created"])
def test_a_deleted_customer_is_not_revived_by_what_comes_late(store, late):
    apply(store, an_event("customer.deleted", a_customer(), id="evt_9", created=NOON + 5))
    apply(store, an_event(late, a_customer(email="late"), id="evt_1", created=NOON + 5))
    apply_page(store, fetched(a_customer(email="page"), first=1, last=4))
    assert state(store, "customer", "cus_1").deleted_at == moment(NOON + 5)


def test_a_page_that_is_written_after_a_newer_webhook_changes_nothing(store):
    page = fetched(a_subscription(status="trialing"), first=0, last=2)
    apply(
        store,
        an_event(
            "customer.subscription.updated", a_subscription(status="active"), created=NOON + 9
        ),
    )
    assert apply_page(store, page).total.stale == 1
    assert state(store, "subscription", "sub_1").snapshot.payload["status"] == "active"


def test_a_webhook_that_is_older_than_a_page_changes_nothing(store):
    assert apply_page(store, fetched(a_customer(email="page"), first=5, last=7)).total.inserted == 1
    apply(store, an_event("customer.updated", a_customer(email="old"), created=NOON + 4))
    assert state(store, "customer", "cus_1").snapshot.payload["email"] == "page"


def test_the_same_page_twice_changes_nothing_and_a_later_one_only_its_instant(store, database):
    page = a_customer(email="page")
    apply_page(store, fetched(page, first=0, last=2))
    again = apply_page(store, fetched(page, first=0, last=2), fetched(page, first=50, last=52))
    assert (again.changed, again.total.unchanged) == (0, 1)
    assert state(store, "customer", "cus_1").snapshot.state_at == moment(NOON + 52)
    assert rows(database, "select count(*) from billing.fetched_states") == [(1,)]


def test_a_late_subscription_event_with_fewer_items_does_not_take_the_newer_ones(store, database):
    stale = an_event("customer.subscription.updated", with_items(item("si_1")), id="evt_1")
    newer = with_items(item("si_1"), item("si_2", quantity=7))
    apply(store, an_event("customer.subscription.updated", newer, id="evt_2", created=NOON + 5))
    apply(store, stale)
    assert rows(
        database, "select id, quantity, deleted_at from stripe.subscription_items order by id"
    ) == [("si_1", 1, None), ("si_2", 7, None)]


def test_an_item_ends_at_the_first_list_without_it_however_late_that_comes(store, database):
    both = an_event("customer.subscription.created", with_items(item("si_1"), item("si_2")))
    one = [
        an_event(
            "customer.subscription.updated",
            with_items(item("si_1", quantity=n)),
            id=f"evt_{n}",
            created=NOON + n,
        )
        for n in (10, 20)
    ]
    for order in permutations([both, *one]):
        for body in order:
            apply(store, body)
        assert rows(
            database, "select deleted_at from stripe.subscription_items where id = 'si_2'"
        ) == [(moment(NOON + 10),)]
        assert rebuild_mirror(store, now=NOW, check_only=True).is_equal
        forget_everything(database)


# --- deletions that only a fetch shows -----------------------------------------------------------


def test_an_object_that_stripe_no_longer_knows_keeps_its_last_content(store):
    apply(store, an_event("price.created", a_price(), id="evt_1"))
    assert apply_page(store, gone("price", "price_1", first=8, last=10)).total.deleted == 1
    apply(store, an_event("price.updated", a_price(active=False), id="evt_2", created=NOON + 3))
    found = state(store, "price", "price_1")
    assert (found.deleted_at, found.snapshot.payload["active"]) == (moment(NOON + 10), False)
    assert apply_page(store, gone("price", "price_1", first=60, last=62)).changed == 0
    assert state(store, "price", "price_1").deleted_at == moment(NOON + 10)


def test_an_object_that_was_gone_before_anything_was_known_of_it_is_no_row_until_then(store):
    assert apply_page(store, gone("price", "price_1", first=8, last=10)).changed == 0
    apply(store, an_event("price.created", a_price(), id="evt_1"))
    assert state(store, "price", "price_1").deleted_at == moment(NOON + 10)


def test_an_answer_that_says_deleted_is_a_tombstone_like_the_event(store):
    apply(store, an_event("customer.created", a_customer(), id="evt_1"))
    answer = {"id": "cus_1", "object": "customer", "deleted": True}
    apply_page(store, fetched(answer, first=8, last=10))
    apply(store, an_event("customer.deleted", a_customer(), id="evt_2", created=NOON + 6))
    found = state(store, "customer", "cus_1")
    assert (found.deleted_at, found.snapshot.event_id) == (moment(NOON + 6), "evt_2")


def a_price(**fields):
    price = {
        "id": "price_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": NOON,
        "currency": "usd",
        "livemode": False,
        "product": "prod_1",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "type": "recurring",
        "unit_amount": 1000,
        "unit_amount_decimal": "1000",
    }
    return price | fields


# --- at once -------------------------------------------------------------------------------------


def test_one_event_delivered_eight_times_at_once_is_one_row(database_url, store, database):
    body = an_event("customer.created", a_customer())
    wrong = []

    def deliver():
        try:
            with Database(database_url) as own:
                mine = BillingStore(own)
                receive(mine, body)
                apply_waiting(mine, now=NOW)
        except GrowthError as error:
            wrong.append(error)

    at_once([deliver] * 8)
    assert wrong == []
    assert rows(database, "select state, count(*) from billing.inbox group by 1") == [
        ("applied", 1)
    ]
    assert rows(database, "select count(*) from stripe.customers") == [(1,)]


def test_the_first_events_of_a_customer_in_parallel_neither_collide_nor_wait_for_ever(
    database_url, store, database
):
    subscription = a_subscription()
    bodies = [
        an_event("customer.created", a_customer(email="a"), id="evt_1"),
        an_event("customer.updated", a_customer(email="b"), id="evt_2", previous={"email": "a"}),
        an_event("customer.subscription.created", subscription, id="evt_3"),
        an_event("charge.succeeded", a_charge(), id="evt_4"),
        an_event("invoice_payment.paid", an_invoice_payment(), id="evt_5"),
        an_event("refund.created", a_refund(amount=100), id="evt_6"),
    ]
    wrong = []

    def bring(some):
        try:
            with Database(database_url) as own:
                apply(BillingStore(own), *some)
        except GrowthError as error:
            wrong.append(error)

    orders = [bodies, bodies[::-1], bodies[3:] + bodies[:3], bodies[::2] + bodies[1::2]]
    at_once([lambda some=some: bring(some) for some in orders])
    assert wrong == []
    assert store.inbox_counts() == {"applied": 6}
    assert rows(
        database, "select charge_id, invoice_id, amount_minor, refunded_minor from billing.payments"
    ) == [("ch_1", "in_1", 1000, 100)]
    assert state(store, "customer", "cus_1").snapshot.payload["email"] == "b"


def at_once(work):
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_an_applier_that_is_cut_off_in_its_turn_loses_and_doubles_nothing(store, database):
    receive(
        store,
        an_event("charge.succeeded", a_charge(), id="evt_1"),
        an_event("refund.created", a_refund(), id="evt_2"),
    )
    with pytest.raises(GrowthError):
        apply_and_be_cut_off(store, database)
    assert rows(database, "select count(*) from stripe.charges") == [(0,)]
    assert store.inbox_counts() == {"received": 2}
    assert apply_waiting(store, now=NOW) == Applied(applied=2)
    assert apply_waiting(store, now=NOW) == Applied()
    assert rows(database, "select amount_minor, refunded_minor from billing.payments") == [
        (1000, 400)
    ]


def apply_and_be_cut_off(store, database):
    with store.mirror_turn() as turn:
        apply_batch(turn, turn.claim(10, None), now=NOW)
        cut_other_connections(database)


def cut_other_connections(database):
    with database.connection() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


# --- poison --------------------------------------------------------------------------------------


def test_an_unknown_version_waits_beside_its_neighbours_and_applies_once_it_is_known(
    store, database
):
    strange = an_event(
        "customer.updated", a_customer("cus_2"), id="evt_2", version="2031-01-01.zinnia"
    )
    assert apply(store, an_event("customer.created", a_customer(), id="evt_1"), strange) == Applied(
        applied=1, quarantined=1
    )
    assert store.replay("evt_2") == 1
    assert apply_waiting(store, now=NOW) == Applied(quarantined=1)
    assert rows(database, "select body from billing.inbox where event_id = 'evt_2'") == [(strange,)]


def test_a_fetched_object_the_mirror_cannot_use_is_kept_with_its_reason_beside_the_others(
    store, database
):
    odd = a_charge("ch_odd", currency="zzz")
    done = apply_page(
        store, *(fetched(charge, first=0, last=2) for charge in (a_charge(), odd, a_charge("ch_2")))
    )
    assert (done.total.inserted, done.total.refused) == (2, 1)
    assert [(found.id, reason.partition(":")[0]) for found, reason in done.refused] == [
        ("ch_odd", "unknown_value")
    ]
    assert rows(
        database, "select id, split_part(refused, ':', 1) from billing.fetched_states order by 1"
    ) == [("ch_1", None), ("ch_2", None), ("ch_odd", "unknown_value")]


# --- money that comes back -----------------------------------------------------------------------


def test_a_refund_that_fails_after_it_succeeded_is_given_back(store, database):
    apply(store, an_event("charge.succeeded", a_charge(), id="evt_1"))
    apply(store, an_event("refund.created", a_refund(), id="evt_2"))
    failed = a_refund(status="failed", failure_balance_transaction="txn_9")
    late = an_event("refund.updated", a_refund(), id="evt_3", created=NOON + 2)
    apply(store, an_event("refund.failed", failed, id="evt_4", created=NOON + 90_000))
    apply(store, late)
    assert rows(database, "select refunded_minor from billing.payments") == [(0,)]


def test_a_payout_that_fails_after_it_was_paid_has_failed(store):
    payout = {
        "id": "po_1",
        "object": "payout",
        "amount": 5000,
        "arrival_date": NOON,
        "automatic": True,
        "created": NOON,
        "currency": "usd",
        "livemode": False,
        "method": "standard",
        "status": "paid",
        "type": "bank_account",
    }
    apply(store, an_event("payout.paid", payout, id="evt_1"))
    failed = payout | {"status": "failed", "failure_code": "account_closed"}
    apply(store, an_event("payout.failed", failed, id="evt_2", created=NOON + 300_000))
    apply(store, an_event("payout.updated", payout, id="evt_3", created=NOON + 10))
    assert state(store, "payout", "po_1").snapshot.payload["status"] == "failed"


def test_a_dispute_that_is_lost_then_appealed_then_won_gives_the_money_back(store, database):
    apply(store, an_event("charge.succeeded", a_charge(), id="evt_1"))
    steps = [
        ("charge.dispute.created", "needs_response", (-1000,)),
        ("charge.dispute.closed", "lost", (-1000,)),
        ("charge.dispute.updated", "appeal_under_review", (-1000,)),
        ("charge.dispute.closed", "won", (-1000, 1000)),
    ]
    booked = []
    for day, (type_, status, moved) in enumerate(steps):
        dispute = a_dispute("dp_1", "ch_1", *moved, status=status)
        apply(store, an_event(type_, dispute, id=f"evt_d{day}", created=NOON + day * 86_400))
        booked += rows(database, "select disputed_minor from billing.payments")
    assert booked == [(1000,), (1000,), (1000,), (0,)]


@pytest.mark.parametrize(("version", "refunded"), [(OLD, 1200), (NEW, 0)])
def test_a_partial_capture_nets_what_was_captured_in_every_version(
    store, database, version, refunded
):
    charge = a_charge(amount=3000, amount_captured=1800, amount_refunded=refunded, invoice=None)
    apply(store, an_event("charge.captured", charge, version=version))
    assert rows(
        database, "select amount_minor - refunded_minor - disputed_minor from billing.payments"
    ) == [(1800,)]


def test_an_invoice_paid_by_two_intents_and_an_intent_paying_two_invoices_sum_up(store, database):
    apply(
        store,
        an_event("charge.succeeded", a_charge("ch_1", payment_intent="pi_1"), id="evt_1"),
        an_event("charge.succeeded", a_charge("ch_2", payment_intent="pi_2"), id="evt_2"),
        an_event("charge.succeeded", a_charge("ch_3", payment_intent="pi_3"), id="evt_3"),
        *(
            an_event(
                "invoice_payment.paid",
                an_invoice_payment(f"inpay_{n}", invoice, intent, amount_paid=amount),
                id=f"evt_p{n}",
            )
            for n, (invoice, intent, amount) in enumerate(
                [
                    ("in_1", "pi_1", 1000),
                    ("in_1", "pi_2", 1000),
                    ("in_2", "pi_3", 400),
                    ("in_3", "pi_3", 600),
                ]
            )
        ),
    )
    assert rows(
        database, "select charge_id, invoice_id, amount_minor from billing.payments order by 1"
    ) == [("ch_1", "in_1", 1000), ("ch_2", "in_1", 1000), ("ch_3", None, 1000)]
    assert rows(
        database,
        "select invoice, sum(amount_paid)::int8 from stripe.invoice_payments group by 1 order by 1",
    ) == [("in_1", 2000), ("in_2", 400), ("in_3", 600)]


# --- thin events ---------------------------------------------------------------------------------


def test_a_thin_event_asks_for_its_object_and_says_so(store, database):
    body = a_thin_event("v1.customer.updated", "customer", "cus_1", id="evt_thin")
    assert apply(store, body) == Applied(applied=1)
    assert rows(database, "select object, id, reason from billing.refetches") == [
        ("customer", "cus_1", "thin_event")
    ]
    assert rows(database, "select effect from billing.inbox") == [("fetching",)]
