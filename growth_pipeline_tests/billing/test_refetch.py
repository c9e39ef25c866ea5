"""Questions to Stripe: when they are asked, by whom, and what an answer or its lack does."""

from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import Asked, Refetched, refetch_due, refetch_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import LookedUp
from growth_pipeline.stripe_api.errors import (
    StripeIncompleteError,
    StripePermissionError,
    StripeUnreachableError,
)
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    a_charge,
    a_customer,
    a_subscription,
    a_thin_event,
    an_event,
)
from growth_pipeline_tests.fakes.watched_objects import SCOPE, moment


class Stripe:
    """Answers from a dictionary, at an instant that a test moves; remembers what it was asked."""

    scope = SCOPE
    api_version = NEW

    def __init__(self, *objects, at=NOON + 60):
        self.objects = {found["id"]: found for found in objects}
        self.at = at
        self.asked = []
        self.failure = None
        self.failures = {}

    def look_up(self, resource, id, params=None):
        self.asked.append((resource, id, dict(params or {})))
        if self.failure is not None:
            raise self.failure
        if id in self.failures:
            raise self.failures[id]
        return LookedUp(self.objects.get(id), moment(self.at - 2), moment(self.at))

    def complete_nested(self, owner, name):
        assert name == "items"
        return owner


@pytest.fixture
def store(database):
    yield BillingStore(database)
    assert rebuild_mirror(BillingStore(database), now=NOW, check_only=True).is_equal


def apply(store, *bodies):
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )
    return apply_waiting(store, now=moment(NOON + 1))


def ask(store, stripe, at=NOON + 60, **options):
    return refetch_waiting(store, stripe, now=moment(at), **options)


def rows(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def a_ring(id="cus_1"):
    """There and back within a second: no rule orders it."""
    there, here = a_customer(id, email="b"), a_customer(id, email="a")
    return [
        an_event("customer.updated", there, id=f"evt_1_{id}", previous={"email": "a"}),
        an_event("customer.updated", here, id=f"evt_2_{id}", previous={"email": "b"}),
    ]


def test_a_doubt_is_asked_about_once_not_before_it_can_be_settled_and_then_it_is(store, database):
    apply(store, *a_ring())
    stripe = Stripe(a_customer(email="a"))
    assert ask(store, stripe, at=NOON + 2) == Refetched()
    assert ask(store, stripe, at=NOON + 3) == Refetched(answered=1)
    assert ask(store, stripe) == Refetched()
    assert stripe.asked == [("customers", "cus_1", {})]
    assert rows(database, "select email, undecided, origin from stripe.customers") == [
        ("a", False, "fetch")
    ]


def test_doubts_about_one_object_are_one_question(store):
    apply(store, *a_ring())
    more = [("evt_3", "c", "d"), ("evt_4", "d", "c")]
    for id_, now, before in more:
        later = a_customer(email=now)
        apply(store, an_event("customer.updated", later, id=id_, previous={"email": before}))
    stripe = Stripe(a_customer(email="d"))
    assert ask(store, stripe) == Refetched(answered=1)
    assert len(stripe.asked) == 1


def test_an_event_that_settles_a_doubt_makes_the_question_needless(store, database):
    apply(store, *a_ring())
    settling = an_event("customer.updated", a_customer(email="z"), id="evt_9", created=NOON + 9)
    apply(store, settling)
    stripe = Stripe()
    assert ask(store, stripe) == Refetched()
    assert rows(database, "select email, undecided from stripe.customers") == [("z", False)]


def test_a_list_that_an_event_cut_off_is_fetched_whole_with_its_discounts(store, database):
    whole = a_subscription()
    [first] = whole["items"]["data"]
    items = [first | {"id": f"si_{n}"} for n in range(12)]
    whole["items"] |= {"data": items}
    cut = whole | {"items": whole["items"] | {"data": items[:10], "has_more": True}}
    apply(store, an_event("customer.subscription.created", cut))
    stripe = Stripe(whole)
    assert ask(store, stripe) == Refetched(answered=1)
    assert stripe.asked == [("subscriptions", "sub_1", {"expand[0]": "discounts"})]
    assert rows(database, "select count(*) from stripe.subscription_items") == [(12,)]


def test_thin_events_bring_their_object_and_its_end(store, database):
    apply(store, a_thin_event("v1.customer.created", "customer", "cus_1", id="evt_1"))
    stripe = Stripe(a_customer(email="fetched"))
    assert ask(store, stripe) == Refetched(answered=1)
    assert rows(database, "select email, deleted_at from stripe.customers") == [("fetched", None)]
    assert rows(database, "select effect from billing.inbox") == [("updated",)]
    apply(store, a_thin_event("v1.customer.deleted", "customer", "cus_1", id="evt_2", at=NOON + 99))
    gone = Stripe({"id": "cus_1", "object": "customer", "deleted": True}, at=NOON + 120)
    assert ask(store, gone, at=NOON + 120) == Refetched(gone=1)
    assert rows(database, "select email, deleted_at from stripe.customers") == [
        ("fetched", moment(NOON + 120))
    ]


def test_several_thin_events_of_one_object_in_a_batch_ask_once(store, database):
    for at, id in ((NOON, "evt_1"), (NOON + 3, "evt_2"), (NOON + 1, "evt_3")):
        body = a_thin_event("v1.customer.updated", "customer", "cus_1", id=id, at=at)
        store.insert_events(
            [received_event(parse_envelope(body), body, account_id="self", received_at=NOW)]
        )
    apply_waiting(store, now=moment(NOON + 1))
    (due_at,) = rows(database, "select due_at from billing.refetches")[0]
    assert due_at > moment(NOON + 3), "the latest of them decides"
    stripe = Stripe(a_customer(email="fetched"))
    assert ask(store, stripe) == Refetched(answered=1)
    assert len(stripe.asked) == 1


def test_the_object_of_an_event_in_an_unknown_version_is_asked_for_in_ours(store, database):
    future = {"version": "2027-04-01.fennel"}
    changed = a_customer(email="unread")
    apply(
        store,
        an_event("customer.created", changed, id="evt_1", **future),
        an_event("customer.updated", changed, id="evt_2", created=NOON + 1, **future),
    )
    assert rows(database, "select count(*) from stripe.customers") == [(0,)]
    assert ask(store, Stripe(a_customer(email="fetched"))) == Refetched(answered=1)
    assert rows(database, "select email, origin from stripe.customers") == [("fetched", "fetch")]
    assert store.inbox_counts() == {"quarantined": 2}


def test_an_answer_that_leaves_the_doubt_waits_longer_each_time(store):
    apply(store, *a_ring())
    stripe = Stripe(a_customer(email="a"), at=NOON + 1)  # of the doubtful second itself
    waits = []
    at = NOON + 10
    for _ in range(4):
        started = at
        while ask(store, stripe, at=at) == Refetched() and at < started + 60:
            at += 1
        waits.append(at - started)
    assert waits == sorted(waits)
    assert waits[-1] >= 8
    stripe.at = at + 100
    assert ask(store, stripe, at=at + 100) == Refetched(answered=1)


def test_without_an_answer_everything_waits_on_and_the_failure_is_told(store, database):
    apply(store, *a_ring("cus_1"), *a_ring("cus_2"))
    stripe = Stripe(a_customer("cus_1"), a_customer("cus_2"))
    stripe.failure = StripeUnreachableError("Stripe is away")
    with pytest.raises(StripeUnreachableError):
        ask(store, stripe)
    assert len(stripe.asked) == 1
    assert rows(database, "select distinct last_error, claim from billing.refetches") == [
        ("Stripe is away", None)
    ]
    stripe.failure = None
    assert ask(store, stripe, at=NOON + 90) == Refetched()
    assert ask(store, stripe, at=NOON + 121) == Refetched(answered=2)


def test_a_missing_permission_holds_up_nobody_else(store):
    apply(store, *a_ring())
    stripe = Stripe()
    stripe.failure = StripePermissionError("customers: no permission")
    assert ask(store, stripe) == Refetched(refused=1)
    assert ask(store, stripe, at=NOON + 1800) == Refetched()
    assert ask(store, stripe, at=NOON + 3700) == Refetched(refused=1)


def test_two_askers_never_ask_the_same_question_and_a_dead_one_only_delays_it(store):
    apply(store, *a_ring())
    claimed = store.claim_refetches(
        SCOPE, claim=UUID(int=7), now=moment(NOON + 9), until=moment(NOON + 309), limit=10
    )
    assert [each.key.id for each in claimed] == ["cus_1"]
    stripe = Stripe(a_customer())
    assert ask(store, stripe, at=NOON + 60) == Refetched()
    stripe.at = NOON + 400
    assert ask(store, stripe, at=NOON + 400) == Refetched(answered=1)


def test_another_account_is_not_asked_about_with_this_key(store):
    apply(store, *a_ring())
    stripe = Stripe()
    stripe.scope = Scope("acct_2", False)
    assert ask(store, stripe) == Refetched()


def test_nobody_is_asked_while_nothing_is_due_and_a_missing_key_is_told(store):
    opened = []

    @contextmanager
    def open_reader(account):
        opened.append(account)
        yield Stripe(a_customer())

    def no_key(account):
        raise ConfigurationError(f"no key for {account}")

    now = moment(NOON + 60)
    assert refetch_due(store, open_reader, [SCOPE], now=now) == Asked(Refetched())
    assert opened == []
    apply(store, *a_ring())
    assert refetch_due(store, no_key, [SCOPE], now=now).trouble == "no key for self"
    assert refetch_due(store, open_reader, [SCOPE], now=now) == Asked(Refetched(answered=1))
    assert opened == ["self"]
    assert store.count_refetches(now + timedelta(days=1)) == {}


def test_an_object_that_never_gets_an_answer_holds_up_no_other(store, database):
    apply(store, *a_ring("cus_1"), *a_ring("cus_2"))
    stripe = Stripe(a_customer("cus_1"), a_customer("cus_2"))
    stripe.failures["cus_1"] = StripeIncompleteError("customers cus_1: 500")
    assert ask(store, stripe) == Refetched(answered=1, unanswered=1)
    assert rows(database, "select id, attempts, last_error from billing.refetches") == [
        ("cus_1", 1, "customers cus_1: 500")
    ]
    at, waits = NOON + 60, []
    for _ in range(8):
        (due_at,) = rows(database, "select due_at from billing.refetches")[0]
        waits.append(due_at.timestamp() - at)
        at = due_at.timestamp()
        assert ask(store, stripe, at=at - 1) == Refetched()
        assert ask(store, stripe, at=at) == Refetched(unanswered=1)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_an_object_that_ends_every_round_is_asked_about_last(store, database):
    apply(store, *a_ring("cus_1"), *a_ring("cus_2"), *a_ring("cus_3"))
    stripe = Stripe(*(a_customer(f"cus_{number}") for number in (1, 2, 3)))
    stripe.failures["cus_1"] = StripeUnreachableError("customers cus_1: no answer")
    with pytest.raises(StripeUnreachableError):
        ask(store, stripe)
    attempts = "select id, attempts from billing.refetches order by id"
    assert rows(database, attempts) == [("cus_1", 1), ("cus_2", 0), ("cus_3", 0)]
    with pytest.raises(StripeUnreachableError):
        ask(store, stripe, at=NOON + 120)
    assert rows(database, attempts) == [("cus_1", 2)]


def test_an_asker_that_is_told_to_stop_gives_back_what_it_has_not_asked(store, database):
    apply(store, *a_ring("cus_1"), *a_ring("cus_2"))
    stripe = Stripe(a_customer("cus_1"), a_customer("cus_2"))
    assert ask(store, stripe, is_stopping=lambda: bool(stripe.asked)) == Refetched(answered=1)
    assert rows(database, "select id, attempts, claim from billing.refetches") == [
        ("cus_2", 0, None)
    ]
    assert ask(store, stripe) == Refetched(answered=1)


def test_an_answer_that_the_mirror_cannot_use_waits_and_its_thin_event_with_it(store, database):
    thin = a_thin_event("v1.charge.updated", "charge", "ch_1", id="evt_1")
    apply(store, thin, *a_ring("cus_1"))
    broken = a_charge("ch_1") | {"amount": "a lot"}
    stripe = Stripe(broken, a_customer("cus_1"))
    assert ask(store, stripe) == Refetched(answered=1, refused=1)
    [(id_, due_at, reason)] = rows(database, "select id, due_at, last_error from billing.refetches")
    assert (id_, due_at) == ("ch_1", moment(NOON + 60 + 3600))
    assert reason
    assert rows(database, "select effect from billing.inbox where event_id = 'evt_1'") == [
        ("fetching",)
    ]
    assert store.count_refused_states() == {"charge": 1}
    mended = Stripe(a_charge("ch_1"), at=NOON + 3700)
    assert ask(store, mended, at=NOON + 3700) == Refetched(answered=1)
    assert store.count_refused_states() == {}
    assert rows(database, "select effect from billing.inbox where event_id = 'evt_1'") == [
        ("updated",)
    ]


def test_a_doubt_that_was_asked_about_a_thousand_times_can_still_wait(store, database):
    apply(store, *a_ring())
    with database.connection() as connection:
        connection.execute("update billing.refetches set attempts = 5000")
    stripe = Stripe(a_customer(email="a"), at=NOON + 1)  # of the doubtful second itself
    assert ask(store, stripe) == Refetched(answered=1)
    assert rows(database, "select due_at from billing.refetches") == [(moment(NOON + 60 + 3600),)]


def test_an_account_in_trouble_holds_up_no_other_unless_stripe_is_away(store):
    apply(store, *a_ring())
    here = Scope("acct_0", False)
    body = a_thin_event("v1.customer.updated", "customer", "cus_9", id="evt_9")
    store.insert_events(
        [received_event(parse_envelope(body), body, account_id="acct_0", received_at=NOW)]
    )
    apply_waiting(store, now=moment(NOON + 1))
    stripe = Stripe(a_customer(email="a"))
    trouble = [StripeUnreachableError("Stripe is away"), ConfigurationError("no key for acct_0")]

    @contextmanager
    def open_reader(account):
        if account == "acct_0":
            raise trouble.pop(0)
        yield stripe

    now = moment(NOON + 60)
    asked = refetch_due(store, open_reader, [here, SCOPE], now=now)
    assert asked == Asked(Refetched(), "Stripe is away")
    asked = refetch_due(store, open_reader, [here, SCOPE], now=now)
    assert asked == Asked(Refetched(answered=1), "no key for acct_0")
