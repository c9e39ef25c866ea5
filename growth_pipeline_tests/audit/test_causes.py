"""Why the sides differ. Every rule of docs/metrics.md, "Causes", with the case beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.causes import Trace, cause_of_object, deliveries_of, is_unit_factor
from growth_pipeline.audit.codes import CODES, Cause

SUB = ("subscription", "sub_1")
REFUND = ("refund", "re_1")
NOON = datetime(2025, 10, 15, 12, tzinfo=UTC)


def at(hours: float) -> str:
    return (NOON + timedelta(hours=hours)).isoformat()


def heard(event_id: str, hours: float = 0, **fields) -> dict[str, object]:
    """An event of the ledger."""
    return {
        "event_id": event_id,
        "type": "customer.subscription.updated",
        "created_at": at(hours),
        "received_at": at(hours + 0.01),
        "state": "applied",
        "reason": None,
        "source": "webhook",
        **fields,
    }


def listed(event_id: str, hours: float = 0, pending: int = 0) -> dict[str, object]:
    """An event of Stripe's list."""
    return {
        "event_id": event_id,
        "type": "customer.subscription.updated",
        "created_at": at(hours),
        "pending_webhooks": pending,
    }


def row(hours: float = 0, **facts) -> dict[str, object]:
    """The mirror's row."""
    return {"state_at": NOON + timedelta(hours=hours), "status": "active", **facts}


def cause(trace: Trace, *objects, code: str = "subscription_status", **more) -> Cause:
    return cause_of_object(code, objects or [SUB], trace, **more).cause


@pytest.mark.parametrize("code", CODES)
def test_every_class_gets_a_cause_and_only_the_audits_own_are_unknown(code):
    found = cause(Trace(), ("charge", "ch_1"), code=code)
    assert (found is Cause.UNKNOWN) == (code in {"source_incomplete", "bridge_nonzero"})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("period_cutoff", Cause.CUT_OFF),
        ("unknown_version", Cause.QUARANTINED),
        ("payout_failed", Cause.AT_STRIPE),
        ("refund_stuck", Cause.AT_STRIPE),
        ("duplicate_subscription", Cause.AT_STRIPE),
    ],
)
def test_some_classes_say_their_cause_themselves(code, expected):
    everything_wrong = Trace(events={SUB: [heard("evt_1", state="quarantined")]})
    assert cause(everything_wrong, code=code) is expected


@pytest.mark.parametrize(
    ("stripe", "ours", "is_factor"),
    [
        (1200, 120_000, True),
        (1200, 12, True),
        (5, 5000, True),
        (5000, 5, True),
        (-1200, -120_000, True),
        (1200, 12_000, False),
        (1200, 120_001, False),
        (0, 0, False),
        (0, 100, False),
        (1200, -120_000, False),
    ],
)
def test_a_wrong_unit_is_a_factor_of_exactly_a_hundred_or_a_thousand(stripe, ours, is_factor):
    assert is_unit_factor(stripe, ours) is is_factor


def test_a_wrong_unit_says_more_than_who_wrote_the_row():
    pair = [(2900, 290_000)]
    assert cause(Trace(), code="mrr_drift", minor=pair) is Cause.UNIT_FACTOR
    assert cause(Trace(), code="mrr_drift", minor=pair, written_by={"hand"}) is Cause.UNIT_FACTOR


CHARGE = ("charge", "ch_1")
SECOND = ("refund", "re_2")


def refunds(*, second_in_mirror: bool, second_minor: int = 9900) -> Trace:
    """Stripe refunded 1.00, then more; the mirror knows the first and perhaps the second."""
    known = {CHARGE: row(status="succeeded"), REFUND: row(amount="100", status="succeeded")}
    second = {"amount": second_minor, "status": "succeeded"}
    mirrored = known | ({SECOND: row(**second)} if second_in_mirror else {})
    return Trace(mirrored, stripe={REFUND: {"amount": 100, "status": "succeeded"}, SECOND: second})


def test_a_refund_that_was_lost_is_no_wrong_unit_though_the_sums_are_apart_by_a_hundred():
    def told(trace: Trace, **more) -> Cause:
        behind = (CHARGE, REFUND, SECOND)
        return cause(trace, *behind, code="refund_missing", minor=[(10_000, 100)], **more)

    assert told(refunds(second_in_mirror=False)) is Cause.NEVER_DELIVERED
    assert told(refunds(second_in_mirror=False), written_by={"mirror"}) is Cause.NEVER_DELIVERED
    assert told(refunds(second_in_mirror=True)) is Cause.UNIT_FACTOR, "nothing was lost"
    assert told(refunds(second_in_mirror=False), mirror_is_right=True) is Cause.UNIT_FACTOR
    other = refunds(second_in_mirror=False, second_minor=4000)
    assert told(other) is Cause.UNIT_FACTOR, "40.00 that were lost do not make 99.00"


def test_a_refund_whose_amount_nobody_knows_may_be_what_is_different():
    trace = Trace({CHARGE: row()}, stripe={CHARGE: {"status": "active"}})
    found = cause(trace, CHARGE, REFUND, code="refund_missing", minor=[(10_000, 100)])
    assert found is Cause.NEVER_DELIVERED


def test_a_refund_that_the_charge_alone_tells_of_and_the_mirror_missed_is_no_wrong_unit():
    trace = Trace({CHARGE: row(amount_refunded=100)}, stripe={CHARGE: {"amount_refunded": 10_000}})
    found = cause(trace, CHARGE, code="refund_missing", minor=[(10_000, 100)])
    assert found is Cause.NEVER_DELIVERED


def test_a_single_refund_booked_a_hundred_times_too_large_is_a_wrong_unit():
    lost = Trace({CHARGE: row()}, stripe={REFUND: {"amount": 100}})
    found = cause(lost, CHARGE, REFUND, code="refund_excess", minor=[(100, 10_000)])
    assert found is Cause.UNIT_FACTOR


def test_a_reference_to_nothing_that_no_row_of_the_books_has_is_nobodys_handling():
    for kind in ("refund", "dispute"):
        assert cause(Trace(), (kind, "x_1"), code="orphan_row") is Cause.AT_STRIPE
    user = ("customer", "cus_none")
    for right in (None, False, True):
        found = cause(Trace(), user, code="orphan_row", mirror_is_right=right)
        assert found is Cause.WRITTEN_BY_HAND
    booked = cause(Trace(), CHARGE, code="orphan_row", written_by={"mirror"})
    assert booked is Cause.HANDLED_WRONG


def test_rows_of_other_writers_were_written_by_hand():
    assert cause(Trace(), written_by={"import"}) is Cause.WRITTEN_BY_HAND
    assert cause(Trace({SUB: row()}), written_by={"mirror", "hand"}) is Cause.HANDLED_WRONG
    both = {"mirror", "hand"}
    assert cause(Trace(), code="duplicate_row", written_by=both) is Cause.WRITTEN_BY_HAND
    assert cause(Trace(), code="duplicate_row", written_by={"mirror"}) is Cause.HANDLED_WRONG
    changed = cause(Trace({SUB: row()}), written_by={"mirror"}, changed_by_hand=True)
    assert changed is Cause.WRITTEN_BY_HAND


def test_a_right_mirror_means_that_only_the_row_is_wrong():
    missing_event = Trace({SUB: row()}, listed={SUB: [listed("evt_2", 1)]})
    assert cause(missing_event, mirror_is_right=True) is Cause.HANDLED_WRONG


def test_an_object_that_nobody_ever_heard_of_was_never_delivered():
    assert cause(Trace()) is Cause.NEVER_DELIVERED
    assert cause(Trace({SUB: row()}), SUB, REFUND) is Cause.NEVER_DELIVERED


def test_a_mirror_that_says_what_stripe_says_was_handled_wrong():
    same = Trace({SUB: row()}, stripe={SUB: {"status": "active", "amount": 5}})
    assert cause(same) is Cause.HANDLED_WRONG


def test_a_newer_state_without_an_event_was_never_delivered():
    older = Trace({SUB: row()}, {SUB: [heard("evt_1")]}, stripe={SUB: {"status": "canceled"}})
    assert cause(older) is Cause.NEVER_DELIVERED


def test_an_event_of_stripes_list_that_the_ledger_lacks_was_never_delivered():
    trace = Trace(
        {SUB: row()},
        {SUB: [heard("evt_1")]},
        listed={SUB: [listed("evt_1"), listed("evt_2", 1)]},
        stripe={SUB: {"status": "canceled"}},
        lists_all=True,
    )
    assert cause(trace) is Cause.NEVER_DELIVERED


def test_an_event_that_stripe_still_tries_to_deliver_failed_if_the_endpoint_was_reached():
    def trace(reached_at: str | None, pending: int) -> Trace:
        missing = {SUB: [listed("evt_2", 1, pending=pending)]}
        return Trace({SUB: row()}, listed=missing, reached_at=reached_at, stripe={
            SUB: {"status": "canceled"}
        })  # fmt: skip

    assert cause(trace(at(2), pending=1)) is Cause.FAILED
    assert cause(trace(at(2), pending=0)) is Cause.NEVER_DELIVERED, "Stripe gave up, or never sent"
    assert cause(trace(at(0), pending=1)) is Cause.NEVER_DELIVERED, "nothing came in since"
    assert cause(trace(None, pending=1)) is Cause.NEVER_DELIVERED


def test_an_event_that_waits_to_be_applied_was_delivered_and_failed():
    waiting = Trace(events={SUB: [heard("evt_1", state="received")]})
    assert cause(waiting) is Cause.FAILED


def test_a_state_that_the_mirror_refused_was_delivered_and_failed():
    refused = Trace({SUB: row()}, stripe={SUB: {"status": "canceled"}}, refused={SUB: "odd"})
    assert cause(refused) is Cause.FAILED


def test_quarantine_explains_what_the_mirror_does_not_know():
    set_aside = heard("evt_2", 1, state="quarantined", reason="unknown_type: x")
    assert cause(Trace(events={SUB: [set_aside]})) is Cause.QUARANTINED
    assert cause(Trace({SUB: row(0)}, {SUB: [set_aside]})) is Cause.QUARANTINED
    since = Trace({SUB: row(2)}, {SUB: [set_aside]})
    assert cause(since) is Cause.HANDLED_WRONG, "the mirror learnt it in another way"


def test_events_that_came_and_left_no_row_were_handled_wrong():
    assert cause(Trace(events={SUB: [heard("evt_1", state="ignored")]})) is Cause.HANDLED_WRONG


def test_a_mirror_older_than_an_applied_event_is_stale():
    trace = Trace({SUB: row(0)}, {SUB: [heard("evt_2", 1)]}, stripe={SUB: {"status": "canceled"}})
    assert cause(trace) is Cause.STALE


def test_a_mirror_that_heard_everything_and_is_older_all_the_same_is_stale():
    trace = Trace(
        {SUB: row(0)},
        {SUB: [heard("evt_1", 0)]},
        listed={SUB: [listed("evt_1", 0)]},
        stripe={SUB: {"status": "canceled"}},
        lists_all=True,
    )
    assert cause(trace) is Cause.STALE


def test_a_list_that_begins_after_the_mirrors_state_says_nothing_about_what_it_missed():
    def trace(lists_from: float) -> Trace:
        heard_all = {SUB: [heard("evt_1", 0)]}
        canceled = {SUB: {"status": "canceled"}}
        more = {"lists_all": True, "lists_from": at(lists_from)}
        return Trace({SUB: row(0)}, heard_all, listed={}, stripe=canceled, **more)

    assert cause(trace(1)) is Cause.NEVER_DELIVERED, "Stripe forgot the event after 30 days"
    assert cause(trace(-1)) is Cause.STALE


def test_a_caller_that_compared_more_than_facts_may_say_that_the_mirror_is_wrong():
    trace = Trace({SUB: row(0)}, {SUB: [heard("evt_1", 0)]}, lists_all=True, listed={})
    assert cause(trace, mirror_is_right=False) is Cause.STALE
    assert cause(trace) is Cause.HANDLED_WRONG


def test_of_several_objects_the_one_that_was_stopped_first_counts():
    trace = Trace(
        {SUB: row(0)},
        {SUB: [heard("evt_2", 1)], REFUND: [heard("evt_3", state="received")]},
        stripe={SUB: {"status": "canceled"}},
    )
    assert cause(trace, SUB, REFUND) is Cause.FAILED


def test_deliveries_say_what_came_and_what_did_not():
    trace = Trace(
        events={SUB: [heard("evt_1", 0), heard("evt_2", 1, source="sweep")]},
        listed={SUB: [listed("evt_2", 1, pending=1), listed("evt_3", 2, pending=2)]},
    )
    assert deliveries_of([SUB, SUB], trace) == [
        {
            "event_id": "evt_3",
            "type": "customer.subscription.updated",
            "created_at": at(2),
            "pending_webhooks": 2,
            "received_at": None,
            "state": "missing",
            "reason": None,
            "attempts": 0,
        },
        {
            "event_id": "evt_2",
            "type": "customer.subscription.updated",
            "created_at": at(1),
            "pending_webhooks": 1,
            "received_at": at(1.01),
            "state": "applied",
            "reason": None,
            "attempts": 0,
        },
        {
            "event_id": "evt_1",
            "type": "customer.subscription.updated",
            "created_at": at(0),
            "pending_webhooks": None,
            "received_at": at(0.01),
            "state": "applied",
            "reason": None,
            "attempts": 1,
        },
    ]


def test_the_newest_five_deliveries_are_evidence():
    trace = Trace(events={SUB: [heard(f"evt_{n}", n) for n in range(1, 9)]})
    told = cause_of_object("subscription_status", [SUB], trace)
    ids = [event["event_id"] for event in told.evidence["delivery"]]
    assert ids == ["evt_8", "evt_7", "evt_6", "evt_5", "evt_4"]
    assert cause_of_object("subscription_status", [SUB], Trace()).evidence == {}
