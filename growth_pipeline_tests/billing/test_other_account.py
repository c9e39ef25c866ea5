"""A live key of another account: its silence about our objects is no word that they are gone."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.relist import catch_up, relist
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.watch import nightly_sights
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import LookedUp, StripeReader
from growth_pipeline_tests.fakes import stripe_list_server as faults
from growth_pipeline_tests.fakes.fast_access import fast_access
from growth_pipeline_tests.fakes.living_company import (
    a_living_charge,
    a_living_customer,
    a_living_invoice,
    a_living_subscription,
)
from growth_pipeline_tests.fakes.living_stripe import DAY, Account, LivingStripe
from growth_pipeline_tests.fakes.stripe_events import an_event

LIVE = Scope("acct_1", True)
START = int(datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp())
KEY = "rk_live_GrowthCanary7Q2mZx"


@pytest.fixture
def account():
    return Account(now=START)


@pytest.fixture
def stripe(account):
    with LivingStripe(account) as server:
        server.key = KEY
        yield server


@pytest.fixture
def reader(stripe):
    access = fast_access(stripe.url, api_key=KEY, livemode=True)
    with StripeReader(access) as opened:
        yield opened


@pytest.fixture
def store(database):
    yield BillingStore(database)
    assert rebuild_mirror(BillingStore(database), now=at(START), check_only=True).is_equal


@pytest.fixture
def sweeps(database):
    return SweepStore(database)


def at(second):
    return datetime.fromtimestamp(second, UTC)


def lives(account, *payloads):
    """Live objects of the account that no event tells of."""
    for payload in payloads:
        account.create(payload)["livemode"] = True
    account.events.clear()


OURS = (
    a_living_charge("ch_1"),
    a_living_customer("cus_1"),
    a_living_invoice("in_1", status="open"),
    a_living_subscription("sub_1"),
)
TYPES = {
    "charge": "charge.succeeded",
    "customer": "customer.created",
    "invoice": "invoice.created",
    "subscription": "customer.subscription.created",
}


def receive(store, bodies, second=START):
    store.insert_events(
        [
            received_event(parse_envelope(b), b, account_id="acct_1", received_at=at(second))
            for b in bodies
        ]
    )
    apply_waiting(store, now=at(second))


def hear_of(store, *payloads):
    receive(
        store,
        [
            an_event(
                TYPES[each["object"]],
                each | {"created": START, "livemode": True},
                id=f"evt_{each['id']}",
                created=START,
                livemode=True,
            )
            for each in payloads
        ],
    )


def rows(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def changed(database):
    """Everything that a wrong answer might have left behind."""
    return (
        rows(database, "select id from stripe.objects where deleted_at is not null"),
        rows(database, "select id from billing.fetched_states"),
        rows(database, "select id from billing.drift"),
    )


def look_again(account, reader, store, sweeps):
    account.now += DAY
    now = at(account.now)
    return relist(
        nightly_sights(now), reader, store, sweeps, reason="nightly", now=now, clock=lambda: now
    )


def test_a_key_of_an_empty_account_buries_nothing_at_night(
    account, reader, store, sweeps, database
):
    hear_of(store, *OURS)
    with pytest.raises(ConfigurationError, match=r"knows no charge ch_1") as caught:
        look_again(account, reader, store, sweeps)
    assert "belongs to account acct_1" in caught.value.remedy
    assert not caught.value.retryable
    assert changed(database) == ([], [], [])


def test_objects_of_another_account_do_not_enter_the_mirror(
    account, reader, store, sweeps, database
):
    hear_of(store, *OURS)
    lives(account, a_living_subscription("sub_theirs"), a_living_charge("ch_theirs"))
    with pytest.raises(ConfigurationError, match="knows no"):
        look_again(account, reader, store, sweeps)
    assert rows(database, "select id from stripe.objects order by id") == [
        *(("ch_1",), ("cus_1",), ("in_1",), ("sub_1",))
    ]
    assert changed(database) == ([], [], [])


def test_events_of_another_account_are_not_swept(account, reader, store, sweeps, database):
    hear_of(store, *OURS)
    account.create(a_living_customer("cus_theirs"))
    account.events[-1]["livemode"] = account.events[-1]["data"]["object"]["livemode"] = True
    now = at(START + DAY)
    with pytest.raises(ConfigurationError, match="knows no"):
        catch_up(reader, store, sweeps, now=now, clock=lambda: now)
    assert len(rows(database, "select event_id from billing.inbox")) == len(OURS)
    assert sweeps.load(LIVE).swept_to is None


def test_the_right_account_is_recognised_also_where_a_right_is_missing(
    account, stripe, reader, store, sweeps, database
):
    hear_of(store, *OURS)
    lives(account, *(each for each in OURS if each["object"] != "invoice"))

    def no_single_charges(server, request):
        if request.path.startswith("/v1/charges/"):
            return faults.says(403, "The key lacks the right rak_charge_read")(server, request)
        return server.truth(request)

    stripe.always = no_single_charges
    assert look_again(account, reader, store, sweeps).drift["invoice", "gone"] == 1
    assert rows(database, "select id from stripe.objects where deleted_at is not null") == [
        ("in_1",)
    ]


def fetched(kind, id_, payload=None, livemode=True):
    key = ObjectKey("acct_1", livemode, kind, id_)
    return Fetched(key, payload, b"", faults.VERSION, at(START + 50), at(START + 52))


@pytest.mark.parametrize("source", ["backfill", "sweep", "refetch", "relist"])
def test_what_stripe_cannot_have_deleted_is_refused_whoever_asked_and_with_it_all_the_rest(
    store, database, source
):
    hear_of(store, *OURS)
    answers = [fetched("invoice", "in_1"), fetched("subscription", "sub_1")]
    with pytest.raises(ConfigurationError, match="knows no subscription sub_1"):
        apply_fetched(store, answers, source=source, now=at(START + 60))
    assert changed(database) == ([], [], [])


class Silence:
    """An account that knows nobody."""

    scope = LIVE
    api_version = faults.VERSION

    def look_up(self, resource, id, params=None):
        return LookedUp(None, at(START + 58), at(START + 60))

    def complete_nested(self, owner, name):
        raise AssertionError(name)


def test_questions_wait_on_for_the_key_of_their_own_account(store, database):
    ring = [("evt_1", "a", "b"), ("evt_2", "b", "a")]
    receive(
        store,
        [
            an_event(
                "customer.updated",
                a_living_customer("cus_1", created=START, livemode=True, email=email),
                id=id_,
                created=START,
                previous={"email": before},
                livemode=True,
            )
            for id_, email, before in ring
        ],
    )
    with pytest.raises(ConfigurationError, match="knows no customer cus_1"):
        refetch_waiting(store, Silence(), now=at(START + 60))
    assert changed(database) == ([], [], [])
    assert rows(database, "select undecided from stripe.customers") == [(True,)]
    assert store.claim_refetches(
        LIVE,
        claim=UUID(int=7),
        now=at(START) + timedelta(hours=2),
        until=at(START) + timedelta(hours=3),
        limit=10,
    )


def test_silence_about_an_object_that_can_be_deleted_is_checked_by_one_that_cannot(store, database):
    hear_of(store, a_living_charge("ch_1"))
    ring = [("evt_1", "a", "b"), ("evt_2", "b", "a")]
    receive(
        store,
        [
            an_event(
                "invoice.updated",
                a_living_invoice("in_1", status="draft", created=START, livemode=True, number=now),
                id=id_,
                created=START,
                previous={"number": before},
                livemode=True,
            )
            for id_, now, before in ring
        ],
    )
    with pytest.raises(ConfigurationError, match="knows no charge ch_1"):
        refetch_waiting(store, Silence(), now=at(START + 60))
    assert changed(database) == ([], [], [])
