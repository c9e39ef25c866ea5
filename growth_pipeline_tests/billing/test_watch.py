"""Which lists are read again at night and after an outage, and whose absence is asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.billing.sweep import LostSpan
from growth_pipeline.billing.watch import (
    Sight,
    Unseen,
    asked_tonight,
    is_told,
    list_back_to,
    nightly_sights,
    outage_sights,
    owners_of,
)

NOW = datetime(2030, 3, 31, 2, 30, tzinfo=UTC)
SECOND = int(NOW.timestamp())
DAY = 86_400
LOST = LostSpan(NOW - timedelta(days=33), NOW - timedelta(days=29))


def by_kind(sights: list[Sight]) -> dict[str, Sight]:
    kinds = {sight.object: sight for sight in sights}
    assert len(kinds) == len(sights)
    return kinds


def statuses(sight: Sight) -> list[str | None]:
    return [one.params.get("status") for one in sight.lists]


# The table of docs/stripe.md, "Listing again", written a second time by hand.
@pytest.mark.parametrize(
    ("kind", "asked", "days"),
    [
        ("subscription", [None], None),
        ("subscription_schedule", [], None),
        ("invoice", ["draft", "open", "uncollectible"], None),
        ("invoice_payment", ["open"], None),
        ("checkout.session", ["open"], None),
        ("refund", [None], 60),
        ("dispute", [None], 180),
        ("payout", [None], 15),
        ("payment_intent", [None], 10),
        ("charge", [None], 10),
        ("balance_transaction", [None], 10),
        ("product", [None], None),
        ("price", [None], None),
        ("coupon", [None], None),
        ("promotion_code", [None], None),
    ],
)
def test_a_night_reads_what_can_still_change(kind, asked, days):
    sight = by_kind(nightly_sights(NOW))[kind]
    assert statuses(sight) == asked
    start = None if days is None else SECOND - days * DAY
    assert {one.window for one in sight.lists} <= {(start, SECOND)}
    assert sight.since == (None if days is None else NOW - timedelta(days=days))
    assert sight.until == NOW


def test_a_night_reads_no_list_of_what_only_grows():
    assert not {"customer", "credit_note", "event", "payment_method"} & set(
        by_kind(nightly_sights(NOW))
    )


def test_the_list_of_subscriptions_is_asked_without_status_and_with_its_discounts():
    (one,) = by_kind(nightly_sights(NOW))["subscription"].lists
    assert one.params == {"expand[0]": "data.discounts"}


@pytest.mark.parametrize(
    ("kind", "open_", "closed"),
    [
        ("subscription", "past_due", "canceled"),
        ("invoice", "uncollectible", "void"),
        ("charge", "pending", "succeeded"),
        ("payment_intent", "requires_capture", "canceled"),
        ("dispute", "under_review", "won"),
        ("payout", "in_transit", "paid"),
        ("refund", "requires_action", "failed"),
    ],
)
def test_a_status_that_something_leaves_is_not_closed(kind, open_, closed):
    sight = by_kind(nightly_sights(NOW))[kind]
    assert closed in sight.closed
    assert open_ not in sight.closed


def test_after_an_outage_the_lists_reach_back_from_its_beginning_and_end_with_it():
    sights = by_kind(outage_sights(LOST, NOW))
    lost_from, lost_to = SECOND - 33 * DAY, SECOND - 29 * DAY
    assert [one.window for one in sights["charge"].lists] == [(lost_from - 10 * DAY, lost_to)]
    assert [one.window for one in sights["refund"].lists] == [(lost_from - 60 * DAY, lost_to)]
    assert (sights["charge"].since, sights["charge"].until) == (
        LOST.start - timedelta(days=10),
        LOST.end,
    )


def test_after_an_outage_what_was_made_in_it_is_listed_in_every_status():
    sights = by_kind(outage_sights(LOST, NOW))
    lost = (SECOND - 33 * DAY, SECOND - 29 * DAY)
    assert [(one.params.get("status"), one.window) for one in sights["subscription"].lists] == [
        (None, (None, SECOND)),
        ("all", lost),
    ]
    assert [(one.params.get("status"), one.window) for one in sights["invoice"].lists] == [
        *((status, (None, SECOND)) for status in ("draft", "open", "uncollectible")),
        (None, lost),
    ]


def test_after_an_outage_all_customers_are_listed_because_some_may_be_deleted():
    sight = by_kind(outage_sights(LOST, NOW))["customer"]
    assert [one.window for one in sight.lists] == [(None, SECOND)]
    assert (sight.since, sight.closed, sight.limit) == (None, frozenset(), None)


def test_after_an_outage_nobody_is_asked_for_on_another_day():
    assert {sight.limit for sight in outage_sights(LOST, NOW)} == {None}


def test_too_many_for_one_night_all_have_their_turn():
    sight = replace(by_kind(nightly_sights(NOW))["payment_intent"], limit=100)
    ids = {f"pi_{number}" for number in range(450)}
    turns = [asked_tonight(ids, sight, now=NOW + timedelta(days=day)) for day in range(5)]
    asked = [id_ for tonight, _ in turns for id_ in tonight]
    assert sorted(asked) == sorted(ids)
    assert [len(tonight) + postponed for tonight, postponed in turns] == [450] * 5
    assert max(len(tonight) for tonight, _ in turns) < 150


def test_few_are_all_asked_for_at_once():
    sight = by_kind(nightly_sights(NOW))["payment_intent"]
    assert asked_tonight({"pi_2", "pi_1"}, sight, now=NOW) == (["pi_1", "pi_2"], 0)


def test_a_refund_changes_its_charge_and_an_invoice_payment_its_invoice():
    assert owners_of("refund", {"charge": "ch_1", "payment_intent": {"id": "pi_1"}}) == [
        ("charge", "ch_1"),
        ("payment_intent", "pi_1"),
    ]
    assert owners_of("invoice_payment", {"invoice": "in_1"}) == [("invoice", "in_1")]
    assert owners_of("refund", {"charge": None}) == []
    assert owners_of("customer", {"invoice": "in_1"}) == []


def unseen(*newer: int) -> list[Unseen]:
    """Objects, one a day back, with how many of their kind are as new or newer."""
    return [
        Unseen(f"pi_{place}", NOW - timedelta(days=place), number)
        for place, number in enumerate(newer)
    ]


@pytest.mark.parametrize(
    ("newer", "place"),
    [
        ((), None),
        ((1,), None),  # a page costs as much as asking
        ((1, 2), 1),  # one page for two
        ((90, 100), 1),
        ((90, 101), None),  # two pages for two
        ((90, 95, 101), 1),  # a page for two and one question, as cheap as two pages
        ((1, 2, 3, 9_000), 2),  # a page, and the old one is asked for
        ((300, 301, 302), None),
    ],
)
def test_a_list_reaches_back_as_far_as_it_takes_fewer_requests_than_asking(newer, place):
    start = list_back_to(unseen(*newer))
    assert start == (None if place is None else NOW - timedelta(days=place))


@pytest.mark.parametrize(
    ("kind", "difference", "fields", "status", "told"),
    [
        ("charge", "missing", (), "succeeded", True),
        ("customer", "gone", (), "", True),
        ("coupon", "changed", ("times_redeemed",), "", False),
        ("coupon", "changed", ("name", "times_redeemed"), "", True),
        ("coupon", "missing", (), "", True),
        ("checkout.session", "missing", (), "open", False),
        ("checkout.session", "missing", (), "complete", True),
        ("checkout.session", "changed", ("status",), "expired", True),
        ("invoice_payment", "missing", (), "canceled", False),
        ("invoice_payment", "missing", (), "paid", True),
        ("balance_transaction", "changed", ("status",), "available", False),
        ("balance_transaction", "missing", (), "pending", False),
    ],
)
def test_what_stripe_sends_no_event_of_was_not_missed(kind, difference, fields, status, told):
    assert is_told(kind, difference, fields, status) is told
