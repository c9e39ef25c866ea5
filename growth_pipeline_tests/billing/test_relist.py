"""Listing again: what differs is on record first, then repaired; absence alone proves nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate

import pytest

from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.relist import difference_of, relist
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep import sweep
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.watch import nightly_sights, outage_sights
from growth_pipeline.stripe_api.errors import (
    StripeError,
    StripePermissionError,
    StripeUnreachableError,
)
from growth_pipeline_tests.fakes import stripe_list_server as faults
from growth_pipeline_tests.fakes.living_company import (
    a_line,
    a_list,
    a_living_charge,
    a_living_customer,
    a_living_invoice,
    a_living_refund,
    a_living_subscription,
    an_item,
)
from growth_pipeline_tests.fakes.living_stripe import DAY, Account

START = int(datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def account() -> Account:
    return Account(now=START)


class Pipeline:
    """Sweep, mirror and re-list at the account's own time."""

    def __init__(self, account, reader, database) -> None:
        self.account = account
        self.reader = reader
        self.database = database
        self.store = BillingStore(database)
        self.sweeps = SweepStore(database)

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.account.now, UTC)

    def sweep(self):
        """A second later, because the running second is never read."""
        self.account.now += 1
        done = sweep(self.reader, self.store, self.sweeps, now=self.clock(), clock=self.clock)
        apply_waiting(self.store, now=self.clock())
        return done

    def relist(self, sights=None, reason="nightly"):
        return relist(
            nightly_sights(self.clock()) if sights is None else sights,
            self.reader,
            self.store,
            self.sweeps,
            reason=reason,
            now=self.clock(),
            clock=self.clock,
        )

    def deliver(self) -> None:
        """What the web app does with the events that reached it."""
        for body in self.account.take_delivered():
            self.store.insert_event(
                received_event(
                    parse_envelope(body), body, account_id="acct_1", received_at=self.clock()
                )
            )
        apply_waiting(self.store, now=self.clock())

    def state(self, kind: str, id_: str):
        key = ObjectKey("acct_1", False, kind, id_)
        return self.sweeps.load_states([key]).get(key)

    def drift(self) -> list[tuple]:
        with self.database.connection() as connection:
            return connection.execute(
                "select object, id, reason, difference, fields, repaired_at is not null"
                " from billing.drift order by object, id"
            ).fetchall()

    def without_a_word(self, change, *arguments, **changes) -> None:
        """A change of the account that no event tells of."""
        told = len(self.account.events)
        change(*arguments, **changes)
        del self.account.events[told:]


@pytest.fixture
def pipeline(account, reader, database):
    return Pipeline(account, reader, database)


def test_a_mirror_that_says_what_stripe_says_has_no_drift_and_costs_one_request_a_list(
    account, pipeline
):
    account.create(a_living_customer("cus_1"))
    account.create(a_living_subscription("sub_1"))
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    account.now += DAY
    pipeline.sweep()
    done = pipeline.relist()
    assert (done.drifted, done.learned, done.asked, done.listed) == (0, 0, 0, 2)
    assert done.requests == 16  # 13 kinds with one list, and the three of invoices
    assert pipeline.drift() == []


def test_a_change_that_no_event_told_is_on_record_and_repaired(account, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(
        account.change, "subscription", "sub_1", None, status="past_due", quantity=3
    )
    done = pipeline.relist()
    assert done.drift == {("subscription", "changed"): 1}
    assert done.examples == ["subscription sub_1: changed (quantity, status)"]
    assert pipeline.drift() == [
        ("subscription", "sub_1", "nightly", "changed", ["quantity", "status"], True)
    ]
    assert pipeline.state("subscription", "sub_1").snapshot.payload["status"] == "past_due"
    assert pipeline.relist().drifted == 0


def test_an_object_that_no_event_told_of_is_missing_and_then_there(account, pipeline):
    account.create(a_living_customer("cus_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.create, a_living_charge("ch_1"), "charge.succeeded")
    account.now += 60
    done = pipeline.relist()
    assert done.drift == {("charge", "missing"): 1}
    with pipeline.database.connection() as connection:
        rows = connection.execute("select charge_id, amount_minor from billing.payments").fetchall()
    assert rows == [("ch_1", 1000)]


def test_what_was_there_before_the_first_event_is_learned_and_no_drift(account, pipeline):
    pipeline.without_a_word(account.create, a_living_subscription("sub_old"))
    account.now += 100 * DAY
    account.create(a_living_customer("cus_1"))
    pipeline.sweep()
    account.now += DAY
    done = pipeline.relist()
    assert (done.drifted, done.learned) == (0, 1)
    assert pipeline.state("subscription", "sub_old") is not None


def test_a_canceled_subscription_is_in_no_list_and_is_asked_for(account, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, status="canceled")
    done = pipeline.relist()
    assert (done.asked, done.drift) == (1, {("subscription", "changed"): 1})
    state = pipeline.state("subscription", "sub_1")
    assert (state.snapshot.payload["status"], state.deleted_at) == ("canceled", None)


def test_a_deleted_draft_gets_its_tombstone_only_because_stripe_says_that_it_knows_it_no_more(
    account, pipeline
):
    account.create(a_living_invoice("in_1"))
    account.create(a_living_invoice("in_2"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.delete, "invoice", "in_1")
    pipeline.without_a_word(account.change, "invoice", "in_2", None, status="paid")
    done = pipeline.relist()
    assert done.drift == {("invoice", "gone"): 1, ("invoice", "changed"): 1}
    assert pipeline.state("invoice", "in_1").deleted_at is not None
    assert pipeline.state("invoice", "in_2").deleted_at is None
    assert [row[3:] for row in pipeline.drift()] == [
        ("gone", [], True),
        ("changed", ["status"], True),
    ]


def test_a_list_that_does_not_end_concludes_nothing(account, stripe, pipeline):
    account.create(a_living_invoice("in_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.delete, "invoice", "in_1")
    stripe.unreadable.add("invoices")
    with pytest.raises(StripePermissionError, match="invoices"):
        pipeline.relist()
    assert pipeline.state("invoice", "in_1").deleted_at is None
    assert pipeline.drift() == []


def test_a_list_without_permission_leaves_the_others_repaired(account, stripe, pipeline):
    account.create(a_living_subscription("sub_1"))
    account.create(a_living_invoice("in_1", status="open"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, status="unpaid")
    pipeline.without_a_word(account.change, "invoice", "in_1", None, status="void")
    stripe.unreadable.add("invoices")
    with pytest.raises(StripePermissionError, match="invoices"):
        pipeline.relist()
    assert [(row[1], row[5]) for row in pipeline.drift()] == [("sub_1", True)]


@pytest.mark.parametrize("fault", [faults.status(500), faults.empty_with_more, faults.cut_json])
def test_a_list_that_always_fails_leaves_the_others_repaired_and_is_told(
    account, stripe, pipeline, fault
):
    account.create(a_living_subscription("sub_1"))
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, status="unpaid")
    pipeline.without_a_word(account.change, "charge", "ch_1", None, description="changed")

    def broken_invoices(server, request):
        """Between the lists of subscriptions and charges."""
        broken = request.path == "/v1/invoices"
        return fault(server, request) if broken else server.truth(request)

    stripe.always = broken_invoices
    with pytest.raises(StripeError, match="invoices"):
        pipeline.relist()
    assert [(row[1], row[5]) for row in pipeline.drift()] == [("ch_1", True), ("sub_1", True)]


def test_an_owner_that_cannot_be_asked_about_holds_up_no_repair(account, stripe, pipeline):
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    pipeline.sweep()
    account.now += 29 * DAY
    pipeline.sweep()
    pipeline.without_a_word(account.create, a_living_refund("re_1", "ch_1"), "refund.created")
    account.now += 60

    def broken_charge(server, request):
        broken = request.path == "/v1/charges/ch_1"
        return faults.status(500)(server, request) if broken else server.truth(request)

    stripe.always = broken_charge
    with pytest.raises(StripeError, match="ch_1"):
        pipeline.relist()
    assert [(row[1], row[5]) for row in pipeline.drift()] == [("re_1", True)]


def test_a_stripe_that_is_away_is_not_asked_list_by_list(account, stripe, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    stripe.requests.clear()

    def away(server, request):
        return faults.Reply(drop=True)

    stripe.always = away
    with pytest.raises(StripeUnreachableError):
        pipeline.relist()
    assert {request.path for request in stripe.requests} == {"/v1/products"}


def test_an_id_that_cannot_be_asked_about_is_not_taken_for_deleted(account, stripe, pipeline):
    account.create(a_living_invoice("in_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.delete, "invoice", "in_1")

    def broken_retrieve(server, request):
        if request.path.startswith("/v1/invoices/"):
            return faults.status(500)(server, request)
        return server.truth(request)

    stripe.always = broken_retrieve
    with pytest.raises(StripeError):
        pipeline.relist()
    assert pipeline.state("invoice", "in_1").deleted_at is None


def test_the_record_of_drift_stays_when_the_repair_fails(account, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, status="unpaid")
    with pipeline.database.connection() as connection:
        connection.execute("alter table billing.fetched_states rename to away")
    with pytest.raises(Exception, match=r"fetched_states|tables"):
        pipeline.relist()
    assert [(row[1], row[5]) for row in pipeline.drift()] == [("sub_1", False)]


def test_what_an_event_of_the_last_moment_explains_is_no_drift(account, stripe, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    account.receiver_is_on = False
    account.change("subscription", "sub_1", "customer.subscription.updated", status="past_due")
    account.now += 60
    done = pipeline.relist()
    assert (done.drifted, pipeline.drift()) == (0, [])
    assert pipeline.state("subscription", "sub_1").snapshot.origin == "event"


def test_a_webhook_that_was_applied_after_the_page_was_read_stays(account, stripe, pipeline):
    account.create(a_living_subscription("sub_1"))
    pipeline.sweep()
    account.now += DAY
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, status="past_due")

    def overtaken(server, request):
        """The page is made, then the subscription changes and its event is applied."""
        page = server.truth(request)
        if request.path == "/v1/subscriptions":
            page.headers = {"Date": formatdate(account.now, usegmt=True)}
            account.now += 60
            account.change(
                "subscription", "sub_1", "customer.subscription.updated", status="active"
            )
            pipeline.deliver()
        return page

    stripe.always = overtaken
    account.now += 3600
    pipeline.relist()
    assert pipeline.state("subscription", "sub_1").snapshot.payload["status"] == "active"
    assert pipeline.drift() == []


def test_a_missing_refund_leads_to_its_charge_however_old(account, pipeline):
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    pipeline.sweep()
    account.now += 29 * DAY
    pipeline.sweep()
    account.now += 29 * DAY
    pipeline.sweep()
    pipeline.without_a_word(account.create, a_living_refund("re_1", "ch_1"), "refund.created")
    pipeline.without_a_word(
        account.change, "charge", "ch_1", None, amount_refunded=400, receipt_url="https://new"
    )
    account.now += 60
    done = pipeline.relist()
    # The charge's intent was never told of, and Stripe knows none of that id.
    assert done.drift == {("refund", "missing"): 1, ("charge", "changed"): 1}
    assert pipeline.drift()[0][:5] == ("charge", "ch_1", "nightly", "changed", ["amount_refunded"])


def test_an_invoice_of_25_lines_and_a_subscription_of_12_items_come_whole(account, pipeline):
    lines = a_list([a_line(f"il_{number}") for number in range(25)])
    items = a_list([an_item(f"si_{number}") for number in range(12)])
    pipeline.sweep()
    pipeline.without_a_word(account.create, a_living_invoice("in_1", status="open", lines=lines))
    pipeline.without_a_word(account.create, a_living_subscription("sub_1", items=items))
    account.now += 60
    pipeline.relist()
    invoice = pipeline.state("invoice", "in_1").snapshot.payload
    subscription = pipeline.state("subscription", "sub_1").snapshot.payload
    assert [line["id"] for line in invoice["lines"]["data"]] == [f"il_{n}" for n in range(25)]
    assert [item["id"] for item in subscription["items"]["data"]] == [f"si_{n}" for n in range(12)]
    account.now += DAY
    assert pipeline.relist().drifted == 0


def test_an_item_beyond_the_tenth_that_went_without_a_word_is_missed(account, pipeline):
    items = [an_item(f"si_{number}") for number in range(12)]
    account.create(a_living_subscription("sub_1", items=a_list(items)))
    pipeline.sweep()
    account.now += DAY
    refetch_waiting(pipeline.store, pipeline.reader, now=pipeline.clock())
    pipeline.without_a_word(account.change, "subscription", "sub_1", None, items=a_list(items[:11]))
    account.now += DAY
    assert pipeline.relist().examples == ["subscription sub_1: changed (items)"]
    with pipeline.database.connection() as connection:
        ended = connection.execute(
            "select id from stripe.subscription_items where deleted_at is not null"
        ).fetchall()
    assert ended == [("si_11",)]


def test_a_customer_deleted_during_an_outage_gets_a_tombstone_and_others_stay(account, pipeline):
    for number in range(120):
        account.create(a_living_customer(f"cus_{number}"))
    pipeline.sweep()
    account.now += 2 * DAY
    account.delete("customer", "cus_7")
    account.change("customer", "cus_8", "customer.updated", email="new@example.test")
    account.now += 31 * DAY
    swept = pipeline.sweep()
    (lost,) = swept.lost
    assert pipeline.state("customer", "cus_7").deleted_at is None
    done = pipeline.relist(outage_sights(lost, pipeline.clock()), "outage")
    assert done.drift == {("customer", "gone"): 1, ("customer", "changed"): 1}
    assert done.asked == 1
    assert pipeline.state("customer", "cus_7").deleted_at is not None
    assert pipeline.state("customer", "cus_8").snapshot.payload["email"] == "new@example.test"


def test_objects_known_by_another_version_are_compared_by_their_columns(account, pipeline):
    account.create(a_living_refund("re_1", "ch_1", new_in_endive="yes"))
    account.events[-1]["api_version"] = "2022-11-15"
    del account.events[-1]["data"]["object"]["new_in_endive"]
    pipeline.sweep()
    account.now += DAY
    assert pipeline.relist().drifted == 0
    pipeline.without_a_word(account.change, "refund", "re_1", None, status="failed")
    account.now += DAY
    assert pipeline.relist().examples == ["refund re_1: changed (status)"]


def test_a_coupon_made_again_in_the_second_of_its_deletion_is_missing_from_the_mirror():
    gone_at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    born = int(gone_at.timestamp())
    old = {"id": "WELCOME", "object": "coupon", "created": born - 9}
    grave = Snapshot("coupon", "WELCOME", old, "", gone_at, gone_at, "event", "evt_1")
    tombstone = State(grave, deleted_at=gone_at)
    asked_at = gone_at.replace(minute=1)

    def listed(coupon):
        key = ObjectKey("self", False, "coupon", "WELCOME")
        return Fetched(key, coupon, b"{}", "2026-10-28.endive", asked_at, asked_at)

    found = difference_of(tombstone, listed(old | {"created": born}))
    assert found is not None
    assert found.difference == "missing"
    assert difference_of(tombstone, listed(old)) is None
