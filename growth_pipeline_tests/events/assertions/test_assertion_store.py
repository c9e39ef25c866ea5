"""What the mirror knows about the objects that billing events name, on a real Postgres."""

from __future__ import annotations

from datetime import timedelta

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.events.assertions.assertion_store import AssertionStore
from growth_pipeline.events.assertions.compare import REFERENCES, Code, Doubt, Known, Told
from growth_pipeline.events.assertions.facts import Charge, Facts
from growth_pipeline.events.assertions.verify import verify_billing
from growth_pipeline.events.catalogue.registry import ASSERTIONS, versions_of
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    OLD,
    a_charge,
    a_refund,
    a_subscription,
    an_event,
)
from growth_pipeline_tests.fakes.watched_objects import SCOPE, moment

DAY = 86_400


@pytest.fixture
def store(database):
    return AssertionStore(database, [SCOPE])


def hear(database, *bodies):
    """Stripe's events arrive and are applied."""
    billing = BillingStore(database)
    billing.insert_events(
        [
            received_event(parse_envelope(body), body, account_id=SCOPE.account_id, received_at=NOW)
            for body in bodies
        ]
    )
    apply_waiting(billing, now=NOW)


def with_price(price, quantity=1, **fields):
    found = a_subscription(**fields)
    item = found["items"]["data"][0]
    item["quantity"] = quantity
    item["price"] = {**item["price"], "id": price}
    return found


def test_every_reference_of_the_catalogue_can_be_looked_up(store):
    wanted = {(kind, f"{kind}_1") for kind in REFERENCES.values()}
    assert store.facts(wanted) == {}
    assert store.facts([]) == {}
    for event in ASSERTIONS:
        example = versions_of(event)[0].example()
        assert Told("m", event, None, NOW, example).reference is not None


def test_a_subscription_comes_with_every_state_that_stripe_told(database, store):
    hear(
        database,
        an_event("customer.subscription.created", with_price("price_pro"), id="evt_1"),
        an_event(
            "customer.subscription.updated",
            with_price("price_team", 5, cancel_at_period_end=True, canceled_at=NOON + 60),
            id="evt_2",
            created=NOON + 60,
        ),
    )
    found = store.facts([("subscription", "sub_1")])[("subscription", "sub_1")]
    assert (found.customer, found.status) == ("cus_1", "active")
    first, second = found.states
    assert (first.seen_from, first.seen_at) == (moment(NOON), moment(NOON))
    assert first.prices == {("price_pro", 1)}
    assert (first.begins, first.ends, first.is_ending) == ((moment(NOON),), (), False)
    assert second.prices == {("price_team", 5)}
    assert (second.ends, second.is_ending) == ((moment(NOON + 60),), True)


def test_a_start_that_was_set_back_is_known_by_when_it_was_made_too(database):
    made = with_price("price_pro", created=NOON, start_date=NOON - 90 * DAY)
    hear(
        database,
        an_event("customer.subscription.created", made, id="evt_1"),
        an_event("charge.succeeded", a_charge(), id="evt_2", created=NOON + 9 * DAY),
    )
    of_it = {"subscription_id": "sub_1"}
    store = Telling(database, [SCOPE])
    store.pages = (
        (
            Told(
                "m_1", "Subscription Started", "u", moment(NOON), {**of_it, "price_id": "price_pro"}
            ),
            Told(
                "m_2", "Subscription Upgraded", "u", moment(NOON), {**of_it, "to_price_id": "other"}
            ),
        ),
    )
    report = verify_billing(store, now=NOW + timedelta(days=9))
    assert report.agreed == 1
    assert [(one.told.message_id, one.code) for one in report.findings] == [
        ("m_2", Code.OTHER_STATE)
    ]


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_trial_and_a_pause_are_read_in_old_and_new_versions(database, store, version):
    trial = {"trial_start": NOON, "trial_end": NOON + 14 * DAY}
    found = a_subscription(status="trialing", pause_collection={"behavior": "void"}, **trial)
    period = {"current_period_start": NOON, "current_period_end": NOON + 14 * DAY}
    found |= {"discount": None, **period} if version == OLD else {}
    found["items"]["data"][0]["current_trial"] = {
        "start_date": NOON,
        "end_date": NOON + 14 * DAY,
    }
    hear(database, an_event("customer.subscription.created", found, version=version))
    (state,) = store.facts([("subscription", "sub_1")])[("subscription", "sub_1")].states
    assert state.is_paused
    assert state.has_started
    assert state.trial_start == moment(NOON)
    assert set(state.begins) == {moment(NOON), moment(NOON + 14 * DAY)}


def test_a_payment_comes_with_its_charges_and_the_customer(database, store):
    declined = a_charge(
        "ch_1",
        payment_intent="pi_1",
        status="failed",
        paid=False,
        captured=False,
        amount_captured=0,
    )
    hear(
        database,
        an_event("charge.failed", declined, id="evt_1"),
        an_event(
            "charge.succeeded",
            a_charge("ch_2", payment_intent="pi_1", created=NOON + 9),
            id="evt_2",
            created=NOON + 9,
        ),
    )
    found = store.facts([("payment_intent", "pi_1"), ("payment_intent", "pi_2")])
    assert found == {
        ("payment_intent", "pi_1"): Facts(
            customer="cus_1",
            charges=(Charge(False, True, 0, "usd"), Charge(True, False, 1000, "usd")),
        )
    }


def test_a_refund_comes_with_its_amount_and_its_charges_customer(database, store):
    hear(
        database,
        an_event("charge.succeeded", a_charge(), id="evt_1"),
        an_event("refund.created", a_refund(), id="evt_2"),
    )
    assert store.facts([("refund", "re_1")]) == {
        ("refund", "re_1"): Facts("cus_1", "succeeded", 400, "usd")
    }


def test_sessions_and_payment_methods_are_found(database, store):
    session = {
        "id": "cs_1",
        "object": "checkout.session",
        "created": NOON,
        "customer": "cus_1",
        "mode": "subscription",
        "payment_status": "paid",
        "status": "complete",
    }
    hear(database, an_event("checkout.session.completed", session))
    with database.connection() as connection:  # payment methods are listed, no event tells of them
        connection.execute(
            "insert into stripe.payment_methods (account_id, livemode, id, type, api_version,"
            " payload, state_from, state_at, origin, applied_at)"
            " values ('self', false, 'pm_1', 'card', %s, '{}', now(), now(), 'fetch', now())",
            [NEW],
        )
    assert store.facts([("checkout.session", "cs_1"), ("payment_method", "pm_1")]) == {
        ("checkout.session", "cs_1"): Facts("cus_1", "complete"),
        ("payment_method", "pm_1"): Facts(None),
    }


def test_objects_of_another_account_are_unknown(database, store):
    hear(database, an_event("customer.subscription.created", with_price("price_pro")))
    other = AssertionStore(database, [SCOPE._replace(account_id="acct_other")])
    assert other.facts([("subscription", "sub_1")]) == {}
    assert other.known() == Known(None, None)


def test_the_mirror_speaks_from_its_first_event_to_where_stripes_list_was_read(database, store):
    assert store.known() == Known(None, None)
    hear(
        database,
        an_event("charge.succeeded", a_charge(), id="evt_1", created=NOON),
        an_event("refund.created", a_refund(), id="evt_2", created=NOON + 5),
    )
    assert store.known() == Known(moment(NOON), moment(NOON + 5))
    with database.connection() as connection:
        connection.execute(
            "insert into billing.sweeps (account_id, livemode, swept_to, told_since)"
            " values ('self', false, %s, %s)",
            [moment(NOON + 3600), moment(NOON - 1)],
        )
    assert store.known() == Known(moment(NOON - 1), moment(NOON + 3600))


def test_the_mirror_speaks_for_the_account_that_it_knows_least_of(database):
    with database.connection() as connection:
        connection.execute(
            "insert into billing.sweeps (account_id, livemode, swept_to, told_since)"
            " values ('self', false, %(noon)s, %(noon)s - interval '90 days'),"
            " ('acct_2', false, %(noon)s - interval '1 day', %(noon)s - interval '2 days')",
            {"noon": moment(NOON)},
        )
    both = AssertionStore(database, [SCOPE, SCOPE._replace(account_id="acct_2")])
    assert both.known() == Known(moment(NOON - 2 * DAY), moment(NOON - DAY))


def test_the_mirror_speaks_only_of_what_was_applied(database, store):
    hear(database, an_event("charge.succeeded", a_charge(), id="evt_1", created=NOON))
    body = an_event("refund.created", a_refund(), id="evt_2", created=NOON + 60)
    BillingStore(database).insert_events(
        [received_event(parse_envelope(body), body, account_id=SCOPE.account_id, received_at=NOW)]
    )
    with database.connection() as connection:
        connection.execute(
            "insert into billing.sweeps (account_id, livemode, swept_to, told_since)"
            " values ('self', false, %s, %s)",
            [moment(NOON + 7200), moment(NOON)],
        )
    assert store.known() == Known(moment(NOON), moment(NOON + 60))
    apply_waiting(BillingStore(database), now=NOW)
    assert store.known() == Known(moment(NOON), moment(NOON + 7200))


def test_a_payment_that_failed_before_any_charge_is_known_to_have_failed(database, store):
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1000,
        "amount_received": 0,
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "livemode": False,
        "status": "requires_payment_method",
    }
    paid = intent | {"status": "succeeded", "amount_received": 1000}
    hear(
        database,
        an_event("payment_intent.payment_failed", intent, id="evt_1"),
        an_event("payment_intent.succeeded", paid, id="evt_2", created=NOON + 60),
    )
    found = store.facts([("payment_intent", "pi_1")])[("payment_intent", "pi_1")]
    assert (found.status, found.has_failed) == ("succeeded", True)


def test_customers_of_users_are_those_that_the_application_tells(database, store):
    with database.connection() as connection:
        connection.execute(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id)"
            " values ('self', false, 'user_1', 'cus_1'), ('self', false, 'user_2', null),"
            " ('self', true, 'user_3', 'cus_3')"
        )
    assert store.customers(["user_1", "user_2", "user_3", "user_1"]) == {
        "user_1": frozenset({"cus_1"})
    }


class Telling(AssertionStore):
    """The store, with events that a test tells."""

    pages: tuple[tuple[Told, ...], ...] = ()

    def told(self, since, until):
        yield from (list(page) for page in self.pages)


def test_a_client_that_says_upgraded_is_contradicted_when_stripe_says_no(database):
    hear(
        database,
        an_event("customer.subscription.created", with_price("price_pro"), id="evt_1"),
        an_event("customer.subscription.created", with_price("price_pro", id="sub_2"), id="evt_2"),
        an_event(
            "customer.subscription.updated",
            with_price("price_team", id="sub_2"),
            id="evt_3",
            created=NOON + DAY,
        ),
        an_event("charge.succeeded", a_charge(), id="evt_4", created=NOON + 9 * DAY),
    )

    def upgraded(message_id, subscription, **more):
        properties = {"subscription_id": subscription, "to_price_id": "price_team", **more}
        return Told(message_id, "Subscription Upgraded", "u", moment(NOON + DAY), properties)

    store = Telling(database, [SCOPE])
    store.pages = (
        (upgraded("m_1", "sub_1"), upgraded("m_2", "sub_2")),
        (upgraded("m_3", "sub_3"), upgraded("m_4", "sub_2", quantity=7), upgraded("m_5", None)),
    )
    report = verify_billing(store, now=NOW + timedelta(days=9))
    assert (report.compared, report.agreed, report.contradicted) == (5, 1, 3)
    assert [(one.told.message_id, one.code) for one in report.findings] == [
        ("m_3", Code.OBJECT_UNKNOWN),
        ("m_1", Code.OTHER_STATE),
        ("m_4", Code.OTHER_STATE),
    ]
    assert report.doubts == {Doubt.NO_REFERENCE: 1}
    document = report.to_dict()
    assert document["contradicted"]["other_state"] == 2
    assert document["as_of"] == "2030-01-10T12:00:00+00:00"
    assert document["undecided"]["no_reference"] == 1
    first, *rest = report.lines(limit=2)
    assert first == (
        "5 billing events: Stripe agrees with 1, contradicts 3, 1 undecided (no reference: 1)"
    )
    assert rest[0].startswith("MEDIUM object_unknown  2030-01-02 12:00 UTC  Subscription Upgraded")
    assert rest[-1] == "and 1 more"


def test_billing_events_of_a_span_come_in_pages_in_the_order_of_receipt(database, store):
    """The table is the ingest's; what is read of it are these columns."""
    with database.connection() as connection:
        connection.execute(
            "insert into events.events"
            " (source_id, body, message_id, type, event, user_id, occurred_at, received_at, properties)"
            " select 1, '{}', 'm_' || n, 'track', 'Payment Failed', 'user_1', %(noon)s,"
            " %(noon)s + n * interval '1 second', jsonb_build_object('payment_intent_id', 'pi_' || n)"
            " from generate_series(0, 1204) as n",
            {"noon": moment(NOON)},
        )
        connection.execute(
            "update events.events set flags = '{clock_wrong}' where message_id = 'm_1'"
        )
        connection.execute(
            "update events.events set flags = '{timestamp_unreadable}' where message_id = 'm_2'"
        )
        connection.execute(
            "insert into events.events"
            " (source_id, body, message_id, type, event, user_id, occurred_at, received_at, properties)"
            " values (1, '{}', 'other', 'track', 'Project Created', 'u', %(noon)s, %(noon)s, '{}'),"
            " (1, '{}', 'none', 'identify', null, 'u', %(noon)s, %(noon)s, null),"
            " (1, '{}', 'null', 'track', 'Payment Failed', null, %(noon)s, %(noon)s, null)",
            {"noon": moment(NOON)},
        )
    pages = list(store.told(moment(NOON), moment(NOON + 1203)))
    assert [len(page) for page in pages] == [500, 500, 204]
    told = [one for page in pages for one in page]
    assert [one.message_id for one in told[:3]] == ["m_0", "null", "m_1"]
    assert told[-1] == Told(
        "m_1202", "Payment Failed", "user_1", moment(NOON), {"payment_intent_id": "pi_1202"}
    )
    assert [one.has_time for one in told[:4]] == [True, True, False, False]
    assert (told[1].user_id, told[1].properties) == (None, {})
    report = verify_billing(store, now=moment(NOON + 1203), since=moment(NOON))
    assert report.doubts == {Doubt.MIRROR_IS_EMPTY: 1204}
