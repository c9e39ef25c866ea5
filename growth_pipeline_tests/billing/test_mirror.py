"""The mirror on a real Postgres: what is applied, ignored, set aside, and booked."""

import random
import threading
from datetime import UTC, datetime
from itertools import permutations

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import Applied, apply_waiting, rebuild_payments
from growth_pipeline.billing.store import BillingStore, EventKey
from growth_pipeline.core.errors import RemoteUnavailableError, UnknownValueError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.mirror_tables import forget
from growth_pipeline_tests.fakes.object_histories import a_life
from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    NOW,
    OLD,
    a_charge,
    a_customer,
    a_dispute,
    a_refund,
    a_subscription,
    an_event,
    an_invoice_payment,
)

SCOPE = Scope("self", False)
JANUARY = Month(2030, 1)


@pytest.fixture
def store(database):
    return BillingStore(database)


def receive(store, *bodies):
    events = [
        received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
        for body in bodies
    ]
    return store.insert_events(events)


def apply(store, *bodies, batch=500):
    receive(store, *bodies)
    return apply_waiting(store, now=NOW, batch=batch)


def rows(database, query, *parameters):
    with database.connection() as connection:
        return connection.execute(query, parameters).fetchall()


def payments(database):
    return rows(
        database,
        "select account_id, livemode, charge_id, invoice_id, status, captured, amount_minor,"
        " refunded_minor, disputed_minor, currency from billing.payments order by 1, 2, 3",
    )


def mirrored(database):
    """Everything the mirror knows but when it was written."""
    return rows(
        database,
        "select account_id, livemode, object, id, api_version, payload, created_at, state_from, state_at,"
        " origin, event_id, undecided, deleted_at from stripe.objects order by 1, 2, 3, 4",
    )


def reasons(database):
    return dict(
        rows(
            database,
            "select event_id, split_part(reason, ':', 1) from billing.inbox where state = 'quarantined'",
        )
    )


# --- inbox ---------------------------------------------------------------------------------------


def test_a_known_event_is_stored_once_and_its_bytes_stay(store, database):
    body = an_event("charge.succeeded", a_charge())
    assert receive(store, body) == {EventKey("self", False, "evt_1")}
    assert receive(store, body, body) == set()
    assert rows(database, "select body, state, source from billing.inbox") == [
        (body, "received", "webhook")
    ]


def test_one_event_at_a_time_says_whether_it_was_new(store):
    body = an_event("charge.succeeded", a_charge())
    event = received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
    assert store.insert_event(event) is True
    assert store.insert_event(event) is False


def test_the_same_id_in_both_modes_and_two_accounts_is_four_events(store):
    bodies = [
        an_event("charge.succeeded", a_charge(), livemode=livemode, account=account)
        for livemode in (True, False)
        for account in ("acct_1", "acct_2")
    ]
    assert len(receive(store, *bodies)) == 4
    assert apply_waiting(store, now=NOW) == Applied(applied=4)


def test_applying_says_what_became_of_each_event(store):
    done = apply(
        store,
        an_event("charge.succeeded", a_charge(), id="evt_1"),
        an_event("setup_intent.created", {"id": "seti_1", "object": "setup_intent"}, id="evt_2"),
        an_event("charge.teleported", a_charge(), id="evt_3"),
    )
    assert done == Applied(applied=1, ignored=1, quarantined=1)
    assert store.inbox_counts() == {"applied": 1, "ignored": 1, "quarantined": 1}
    assert apply_waiting(store, now=NOW) == Applied()


def test_more_events_than_a_batch_are_all_applied(store):
    bodies = [
        an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n}") for n in range(25)
    ]
    assert apply(store, *bodies, batch=4) == Applied(applied=25)


def test_applying_stops_between_batches_when_told(store):
    receive(store, an_event("customer.created", a_customer()))
    assert apply_waiting(store, now=NOW, is_stopping=lambda: True) == Applied()
    assert store.inbox_counts() == {"received": 1}


def test_a_dry_run_tries_everything_and_keeps_nothing(store, database):
    receive(
        store,
        *(an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n}") for n in range(7)),
    )
    database.dry_run = True
    assert apply_waiting(store, now=NOW, batch=3) == Applied(applied=7)
    database.dry_run = False
    assert store.inbox_counts() == {"received": 7}
    assert mirrored(database) == []


# --- payments ------------------------------------------------------------------------------------


def test_a_charge_becomes_a_payment(store, database):
    apply(store, an_event("charge.succeeded", a_charge(amount=2500, amount_captured=2500)))
    assert payments(database) == [
        ("self", False, "ch_1", None, "succeeded", True, 2500, 0, 0, "usd")
    ]


def the_life_of_a_charge():
    """10.00 usd, refunded 4.00 and 1.00 of which the latter fails, disputed, lost, won; for an invoice."""
    charge = a_charge()
    return [
        an_event("charge.succeeded", charge, id="evt_1"),
        an_event("refund.created", a_refund("re_1", amount=400), id="evt_2", created=NOON + 10),
        an_event(
            "refund.created",
            a_refund("re_2", amount=100, status="pending"),
            id="evt_3",
            created=NOON + 20,
        ),
        an_event(
            "refund.failed",
            a_refund("re_2", amount=100, status="failed"),
            id="evt_4",
            created=NOON + 30,
        ),
        an_event(
            "charge.refunded", charge | {"amount_refunded": 500}, id="evt_5", created=NOON + 20
        ),
        an_event(
            "charge.dispute.funds_withdrawn",
            a_dispute("dp_1", "ch_1", -1000),
            id="evt_6",
            created=NOON + 40,
        ),
        an_event(
            "charge.dispute.closed",
            a_dispute("dp_1", "ch_1", -1000, 1000),
            id="evt_7",
            created=NOON + 50,
        ),
        an_event("invoice_payment.paid", an_invoice_payment(), id="evt_8"),
    ]


def test_any_order_and_any_batches_book_the_same_row(store, database, seed):
    # refunds: 400 counts, the failed 100 does not; dispute: withdrawn and reinstated is 0.
    expected = [("self", False, "ch_1", "in_1", "succeeded", True, 1000, 400, 0, "usd")]
    random_ = random.Random(seed)
    for _ in range(12):
        rows_before = len(rows(database, "select 1 from billing.inbox"))
        assert rows_before == 0
        bodies = the_life_of_a_charge()
        random_.shuffle(bodies)
        for body in bodies:
            apply(store, body) if random_.random() < 0.6 else receive(store, body)
        apply_waiting(store, now=NOW, batch=random_.randint(1, 5))
        assert payments(database) == expected
        with database.connection() as connection:
            forget(connection, "billing.inbox", "billing.payments")


def test_a_refund_before_its_charge_waits_for_it(store, database):
    apply(store, an_event("refund.created", a_refund(amount=300), id="evt_1"))
    assert payments(database) == []
    apply(store, an_event("charge.succeeded", a_charge(), id="evt_2"))
    assert [row[7] for row in payments(database)] == [300]


def test_funds_withdrawn_are_booked_until_they_come_back(store, database):
    apply(store, an_event("charge.succeeded", a_charge(), id="evt_1"))
    apply(store, an_event("charge.dispute.created", a_dispute("dp_1", "ch_1", -1000), id="evt_2"))
    assert [row[8] for row in payments(database)] == [1000]
    won = a_dispute("dp_1", "ch_1", -1000, 1000, status="won")
    apply(store, an_event("charge.dispute.closed", won, id="evt_3", created=NOON + 9))
    assert [row[8] for row in payments(database)] == [0]


def test_the_invoice_is_known_once_the_invoice_payment_is_in_either_order(store, database):
    charge = an_event("charge.succeeded", a_charge("ch_2"), id="evt_1")
    link = an_event(
        "invoice_payment.paid", an_invoice_payment(intent="pi_of_ch_2", invoice="in_2"), id="evt_2"
    )
    apply(store, link)
    apply(store, charge)
    assert [row[3] for row in payments(database)] == ["in_2"]
    other = an_event("charge.succeeded", a_charge("ch_3"), id="evt_3")
    late = an_invoice_payment("inpay_3", intent="pi_of_ch_3", invoice="in_3")
    apply(store, other)
    apply(store, an_event("invoice_payment.paid", late, id="evt_4"))
    assert [row[3] for row in payments(database)] == ["in_2", "in_3"]


def test_an_equal_payment_is_not_written_again(store, database):
    apply(store, an_event("charge.succeeded", a_charge(), id="evt_1"))
    written = rows(database, "select written_at from billing.payments")
    receive(
        store, an_event("charge.updated", a_charge(description="x"), id="evt_2", created=NOON + 5)
    )
    apply_waiting(store, now=datetime(2031, 1, 1, tzinfo=UTC))
    assert rows(database, "select written_at from billing.payments") == written


def test_rows_of_other_writers_stay_untouched(store, database):
    with database.connection() as connection:
        connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, status, captured, currency,"
            " amount_minor, created_at, written_by, written_at)"
            " values ('self', false, 'ch_1', 'succeeded', true, 'usd', 77, now(), 'hand', now())"
        )
    apply(store, an_event("charge.succeeded", a_charge()))
    assert sorted(row[6] for row in payments(database)) == [77, 1000]


def test_rebuilding_a_month_gives_the_live_rows_and_repairs_them(store, database):
    apply(
        store,
        *the_life_of_a_charge(),
        an_event("charge.succeeded", a_charge("ch_2", created=NOON + 40 * 86_400), id="evt_20"),
    )
    live = payments(database)
    assert rebuild_payments(store, SCOPE, JANUARY, NOW) == 1
    assert payments(database) == live
    with database.connection() as connection:
        connection.execute("delete from billing.payments where charge_id = 'ch_1'")
        connection.execute("update billing.payments set amount_minor = 1")
    assert rebuild_payments(store, SCOPE, JANUARY, NOW) == 1
    assert rebuild_payments(store, SCOPE, JANUARY.next, NOW) == 1
    assert payments(database) == live
    assert rebuild_payments(store, Scope("self", True), JANUARY, NOW) == 0


def test_rebuilding_names_a_charge_that_cannot_be_booked(store, database):
    apply(store, an_event("charge.succeeded", a_charge()))
    with database.connection() as connection:
        connection.execute(
            """update stripe.charges set payload = payload || '{"currency": "zzz"}'"""
        )
    with pytest.raises(UnknownValueError, match="zzz"):
        rebuild_payments(store, SCOPE, JANUARY, NOW)


def test_a_month_is_exported_half_open_and_in_a_fixed_order(store):
    moments = {"ch_a": NOON, "ch_b": NOON - 43_200, "ch_c": NOON - 43_201, "ch_d": NOON + 2_635_200}
    apply(
        store,
        *(
            an_event("charge.succeeded", a_charge(id, created=at), id=f"evt_{id}")
            for id, at in moments.items()
        ),
    )
    frame = store.export_payments(SCOPE, JANUARY.start, JANUARY.end)
    assert frame["charge_id"].to_list() == ["ch_b", "ch_a"]
    assert frame["amount_minor"].to_list() == [1000, 1000]
    assert frame["fee_minor"].to_list() == [None, None]


# --- order ---------------------------------------------------------------------------------------


def test_three_updates_of_a_second_are_ordered_although_they_come_one_by_one(store, database):
    chain = [
        an_event("customer.updated", a_customer(email=after), id=id, previous={"email": before})
        for id, before, after in [("evt_3", "a", "b"), ("evt_2", "b", "c"), ("evt_1", "c", "d")]
    ]
    for order in permutations(chain):
        for body in order:
            apply(store, body)
        assert rows(database, "select payload ->> 'email', undecided from stripe.objects") == [
            ("d", False)
        ]
        with database.connection() as connection:
            forget(connection, "billing.inbox")


def test_a_deleted_customer_gets_a_tombstone_that_later_events_do_not_lift(store, database):
    apply(store, an_event("customer.deleted", a_customer(), id="evt_2", created=NOON + 5))
    apply(
        store, an_event("customer.updated", a_customer(email="late"), id="evt_3", created=NOON + 9)
    )
    apply(store, an_event("customer.created", a_customer(), id="evt_1"))
    found = rows(database, "select deleted_at, payload ->> 'email' from stripe.objects")
    assert found == [(datetime(2030, 1, 1, 12, 0, 5, tzinfo=UTC), "ada@example.test")]


def test_invented_lives_in_any_order_and_batches_end_in_their_truth(store, database, seed):
    random_ = random.Random(seed)
    lives = [a_life(random_, number) for number in range(40)]
    bodies = [told.body() for life in lives for told in life.events]
    outcomes = []
    for _ in range(3):
        random_.shuffle(bodies)
        position = 0
        while position < len(bodies):
            step = random_.randint(1, 25)
            apply(store, *bodies[position : position + step], batch=random_.choice([1, 3, 500]))
            position += step
        outcomes.append(mirrored(database))
        truths = {life.name: life for life in lives}
        for row in outcomes[-1]:
            life = truths[row[3]]
            assert (row[12] is not None) == life.is_gone
            assert row[11] or row[5] == life.truth
        with database.connection() as connection:
            forget(connection, "billing.inbox", "billing.payments")
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_several_appliers_at_once_neither_lose_nor_double_nor_deadlock(
    database_url, store, database
):
    customers = [a_customer(f"cus_{n}") for n in range(30)]
    bodies = []
    for n, customer in enumerate(customers):
        bodies.append(an_event("customer.created", customer, id=f"evt_c{n}"))
        bodies.append(an_event("charge.succeeded", a_charge(f"ch_{n}"), id=f"evt_h{n}"))
        bodies.append(an_event("refund.created", a_refund(f"re_{n}", f"ch_{n}"), id=f"evt_r{n}"))
    receive(store, *bodies)
    done: list[Applied] = []

    def work():
        with Database(database_url) as own:
            done.append(apply_waiting(BillingStore(own), now=NOW, batch=7))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(each.applied for each in done) == 90
    assert store.inbox_counts() == {"applied": 90}
    assert [row[7] for row in payments(database)] == [400] * 30


# --- what cannot be applied ----------------------------------------------------------------------


def test_poison_is_set_aside_with_its_reason_and_neighbours_are_applied(store, database):
    marker = a_customer("cus_p", marker=1)
    poison = {
        "evt_nul": an_event("customer.updated", marker, id="evt_nul").replace(
            b'"marker":1', rb'"m":"\u0000"'
        ),
        "evt_half": an_event("customer.updated", marker, id="evt_half").replace(
            b'"marker":1', rb'"m":"\ud800"'
        ),
        "evt_huge": an_event("customer.updated", marker, id="evt_huge").replace(
            b'"marker":1', b'"m":' + b"9" * 30
        ),
        "evt_type": an_event("charge.teleported", a_charge(), id="evt_type"),
        "evt_version": an_event(
            "charge.succeeded", a_charge(), id="evt_version", version="2031-01-01.zinnia"
        ),
        "evt_none": an_event("charge.succeeded", a_charge(), id="evt_none", version=None),
        "evt_money": an_event("charge.succeeded", a_charge(currency="zzz"), id="evt_money"),
        "evt_moved": an_event(
            "customer.subscription.updated", a_subscription(items={"data": [{}]}), id="evt_moved"
        ),
        "evt_shape": an_event(
            "customer.subscription.updated", a_subscription(items=None), id="evt_shape"
        ),
    }
    good = [an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n}") for n in range(20)]
    assert apply(store, *poison.values(), *good) == Applied(applied=20, quarantined=9)
    assert reasons(database) == {
        "evt_nul": "nul_character",
        "evt_half": "lone_surrogate",
        "evt_huge": "huge_integer",
        "evt_type": "unknown_type",
        "evt_version": "unknown_version",
        "evt_none": "unknown_version",
        "evt_money": "unknown_value",
        "evt_moved": "unknown_value",
        "evt_shape": "unexpected",
    }
    kept = dict(
        rows(database, "select event_id, body from billing.inbox where state = 'quarantined'")
    )
    assert kept == poison


def test_an_event_only_postgres_refuses_is_found_among_its_neighbours(store, database):
    # The constraint stands for any value that our own checks let pass and Postgres does not.
    odd = an_event("customer.updated", a_customer("cus_odd", marker=1), id="evt_odd")
    good = [an_event("customer.created", a_customer(f"cus_{n}"), id=f"evt_{n}") for n in range(9)]
    receive(store, odd, *good)
    with database.connection() as connection:
        connection.execute(
            "alter table stripe.customers add constraint no_odd check (id <> 'cus_odd') not valid"
        )
    assert apply_waiting(store, now=NOW) == Applied(applied=9, quarantined=1)
    assert reasons(database) == {"evt_odd": "refused_by_database"}


def test_a_quarantined_event_is_applied_when_replayed_after_the_cause_is_gone(store, database):
    body = an_event("charge.succeeded", a_charge(), version="2031-01-01.zinnia")
    apply(store, body)
    assert [event.reason.partition(":")[0] for event in store.quarantined()] == ["unknown_version"]
    assert store.replay("evt_other") == 0
    assert store.replay() == 1
    assert rows(database, "select state, reason, body from billing.inbox") == [
        ("received", None, body)
    ]


def test_an_old_version_is_read_by_its_own_adapter(store, database):
    partial = a_charge(amount=3000, amount_captured=1800, amount_refunded=1200, invoice="in_9")
    apply(store, an_event("charge.captured", partial, version=OLD))
    assert payments(database) == [
        ("self", False, "ch_1", "in_9", "succeeded", True, 1800, 0, 0, "usd")
    ]


def test_a_database_without_tables_says_what_to_do(empty_database_url):
    with Database(empty_database_url) as empty, pytest.raises(RemoteUnavailableError) as caught:
        apply_waiting(BillingStore(empty), now=NOW)
    assert "growth migrate" in caught.value.remedy
