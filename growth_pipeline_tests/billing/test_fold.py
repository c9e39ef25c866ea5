"""The fold: any order of the same states gives one state, and it is the true one."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from growth_pipeline.billing.fold import (
    Change,
    Snapshot,
    State,
    fold,
    in_order,
    is_lifted,
    merge,
    needs_history,
    says_the_same,
    undo,
)
from growth_pipeline_tests.fakes.object_histories import Told, a_life
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    a_charge,
    a_customer,
    a_dispute,
    a_refund,
    a_subscription,
    an_invoice,
)


def seen(type_, payload, *, id="evt_1", at=0, previous=None):
    """A state from an event, `at` seconds after noon."""
    instant = datetime.fromtimestamp(NOON + at, UTC)
    return Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=NEW,
        state_from=instant,
        state_at=instant,
        origin="event",
        event_id=id,
        event_type=type_,
        previous=previous,
    )


def fetched(payload, *, first=0, last=0):
    """A state from a fetch between two seconds after noon."""
    start = datetime.fromtimestamp(NOON, UTC)
    return Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=NEW,
        state_from=start + timedelta(seconds=first),
        state_at=start + timedelta(seconds=last),
        origin="fetch",
    )


def one_state(*snapshots):
    """The state of these snapshots, after checking that no order gives another one."""
    states = [fold(order) for order in permutations(snapshots)]
    assert all(state == states[0] for state in states)
    return states[0]


# --- time ----------------------------------------------------------------------------------------


def test_a_later_second_wins_whatever_arrives_first():
    old = seen("customer.updated", a_customer(email="old"), id="evt_1", at=0)
    new = seen("customer.updated", a_customer(email="new"), id="evt_2", at=1)
    assert one_state(old, new) == State(new)


def test_created_that_arrives_after_updated_does_not_go_back():
    created = seen(
        "customer.subscription.created", a_subscription(status="trialing"), id="evt_9", at=0
    )
    updated = seen(
        "customer.subscription.updated", a_subscription(status="active"), id="evt_1", at=0
    )
    assert one_state(created, updated) == State(updated)


def test_the_same_event_twice_changes_nothing():
    event = seen("customer.updated", a_customer())
    assert fold([event, event, event]) == fold([event])


def test_an_object_without_states_has_no_newest_one():
    with pytest.raises(ValueError, match="without a state"):
        fold([])


# --- chain ---------------------------------------------------------------------------------------


def test_two_updates_of_one_second_are_ordered_by_their_previous_attributes():
    # Worked in docs/stripe.md, "Order": trialing and 1, then active and 1, then active and 3.
    first = seen(
        "customer.subscription.updated",
        a_subscription(status="active", quantity=1),
        id="evt_z",
        previous={"status": "trialing"},
    )
    second = seen(
        "customer.subscription.updated",
        a_subscription(status="active", quantity=3),
        id="evt_a",
        previous={"quantity": 1},
    )
    assert one_state(first, second) == State(second)


def test_a_chain_is_followed_through_a_state_that_comes_twice():
    # 1 -> 2 -> 1 -> 3 within a second: only the last state has no step out of it.
    steps = [
        seen(
            "customer.subscription.updated",
            a_subscription(quantity=q),
            id=id_,
            previous={"quantity": before},
        )
        for id_, before, q in [("evt_c", 1, 2), ("evt_a", 2, 1), ("evt_b", 1, 3)]
    ]
    assert one_state(*steps).snapshot.payload["quantity"] == 3
    assert one_state(*steps).undecided is False


def test_a_ring_that_begins_with_the_birth_ends_there():
    born = seen("customer.created", a_customer(email="a"), id="evt_1")
    away = seen("customer.updated", a_customer(email="b"), id="evt_2", previous={"email": "a"})
    back = seen("customer.updated", a_customer(email="a"), id="evt_3", previous={"email": "b"})
    state = one_state(born, away, back)
    assert (state.snapshot.payload["email"], state.undecided) == ("a", False)


def test_a_ring_without_a_beginning_is_undecided_but_the_same_in_every_order():
    away = seen("customer.updated", a_customer(email="b"), id="evt_2", previous={"email": "a"})
    back = seen("customer.updated", a_customer(email="a"), id="evt_3", previous={"email": "b"})
    assert one_state(away, back).undecided is True


def test_a_chain_with_a_missing_link_is_undecided():
    first = seen("customer.updated", a_customer(email="b"), id="evt_2", previous={"email": "a"})
    third = seen("customer.updated", a_customer(email="d"), id="evt_1", previous={"email": "c"})
    assert one_state(first, third).undecided is True


def test_undo_puts_back_nested_keys_lists_and_keys_that_did_not_exist():
    now = {"a": 1, "metadata": {"x": "new", "y": "same", "z": "added"}, "list": [1, 2]}
    previous = {"metadata": {"x": "old", "z": None}, "list": [1]}
    assert undo(now, previous) == {
        "a": 1,
        "metadata": {"x": "old", "y": "same", "z": None},
        "list": [1],
    }


def test_null_and_absent_are_the_same_state():
    first = seen(
        "customer.updated",
        a_customer(metadata={}),
        id="evt_2",
        previous={"email": "old@example.test"},
    )
    second = seen(
        "customer.updated",
        a_customer(metadata={"k": "v"}),
        id="evt_1",
        previous={"metadata": {"k": None}},
    )
    assert one_state(first, second) == State(second)


# --- rank, final states, tombstones --------------------------------------------------------------


def test_without_a_chain_the_higher_rank_wins():
    low = seen("customer.subscription.updated", a_subscription(status="incomplete"), id="evt_9")
    high = seen("customer.subscription.updated", a_subscription(status="active"), id="evt_1")
    assert one_state(low, high) == State(high)


def test_a_final_status_is_never_left_even_by_a_later_event():
    paid = seen("invoice.paid", an_invoice(status="paid"), id="evt_1", at=0)
    late = seen("invoice.updated", an_invoice(status="open"), id="evt_2", at=60)
    assert one_state(paid, late) == State(paid)


def test_uncollectible_can_become_paid():
    given_up = seen(
        "invoice.marked_uncollectible", an_invoice(status="uncollectible"), id="evt_1", at=0
    )
    paid = seen("invoice.paid", an_invoice(status="paid"), id="evt_2", at=1)
    assert one_state(given_up, paid) == State(paid)


def test_a_cancelled_subscription_stays_cancelled_and_readable():
    cancelled = seen(
        "customer.subscription.deleted", a_subscription(status="canceled"), id="evt_1", at=0
    )
    late = seen("customer.subscription.updated", a_subscription(status="active"), id="evt_2", at=0)
    assert one_state(cancelled, late) == State(cancelled)


def test_a_deleted_customer_never_revives():
    gone = seen("customer.deleted", a_customer(), id="evt_1", at=10)
    late = seen("customer.updated", a_customer(email="later"), id="evt_2", at=99)
    early = seen("customer.created", a_customer(), id="evt_3", at=0)
    state = one_state(gone, late, early)
    assert state == State(gone, deleted_at=gone.state_at)


def test_a_chosen_id_may_be_used_again_after_the_deletion():
    coupon = {"id": "WELCOME", "object": "coupon", "created": NOON}
    first = seen("coupon.created", coupon, id="evt_1", at=0)
    gone = seen("coupon.deleted", coupon, id="evt_2", at=10)
    again = seen(
        "coupon.created", coupon | {"created": NOON + 20, "percent_off": 5}, id="evt_3", at=20
    )
    late = seen("coupon.updated", coupon | {"name": "late"}, id="evt_4", at=9)
    assert one_state(first, gone, late).deleted_at == gone.state_at
    assert one_state(first, gone, again, late) == State(again)
    gone_again = seen("coupon.deleted", coupon | {"created": NOON + 20}, id="evt_5", at=30)
    assert one_state(first, gone, again, gone_again).deleted_at == gone_again.state_at


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (a_refund(status="succeeded"), a_refund(status="failed")),
        (a_dispute(status="lost"), a_dispute(status="won")),
        (
            {"id": "po_1", "object": "payout", "status": "paid"},
            {"id": "po_1", "object": "payout", "status": "failed"},
        ),
    ],
)
def test_money_that_came_back_later_counts(before, after):
    first = seen("x.updated", before, id="evt_1", at=0)
    second = seen("x.updated", after, id="evt_2", at=5)
    assert one_state(first, second) == State(second)


def test_money_objects_of_one_second_without_a_chain_are_flagged_and_the_further_one_is_kept():
    authorised = seen("charge.succeeded", a_charge(captured=False, amount_captured=0), id="evt_9")
    captured = seen("charge.captured", a_charge(), id="evt_1")
    state = one_state(authorised, captured)
    assert (state.snapshot, state.undecided) == (captured, True)


def test_money_objects_with_a_chain_are_certain():
    first = seen("charge.succeeded", a_charge(), id="evt_9")
    second = seen(
        "charge.updated",
        a_charge(balance_transaction="txn_1"),
        id="evt_1",
        previous={"balance_transaction": None},
    )
    assert one_state(first, second) == State(second)


def test_an_update_that_changes_nothing_does_not_make_an_older_state_the_last_one():
    """Refunds of 1.00 and then 2.00 in one second; the update after them names no change."""
    first = seen("charge.refunded", a_charge(amount_refunded=100), id="evt_9")
    second = seen("charge.refunded", a_charge(amount_refunded=200), id="evt_5")
    nothing = seen("charge.updated", a_charge(amount_refunded=200), id="evt_1", previous={})
    state = one_state(first, second, nothing)
    assert (state.snapshot.payload["amount_refunded"], state.undecided) == (200, True)


def test_a_status_nobody_taught_us_is_not_final_and_flagged():
    known = seen("customer.subscription.updated", a_subscription(status="active"), id="evt_1")
    strange = seen(
        "customer.subscription.updated", a_subscription(status="hibernating"), id="evt_2"
    )
    assert one_state(known, strange) == State(known)
    both = [
        seen("x.updated", a_subscription(status=s), id=f"evt_{s}")
        for s in ("hibernating", "estivating")
    ]
    assert one_state(*both).undecided is True


# --- fetches -------------------------------------------------------------------------------------


def test_a_fetch_replaces_older_events_and_yields_to_newer_ones():
    old = seen("customer.updated", a_customer(email="old"), at=0)
    page = fetched(a_customer(email="page"), first=5, last=7)
    new = seen("customer.updated", a_customer(email="new"), id="evt_2", at=8)
    assert one_state(old, page) == State(page)
    assert one_state(old, page, new) == State(new)


def test_an_event_inside_the_fetch_follows_it_if_it_undoes_to_it():
    page = fetched(a_customer(email="page"), first=5, last=7)
    new = seen("customer.updated", a_customer(email="new"), at=6, previous={"email": "page"})
    # Nothing before second 6 and everything after second 7 is certain now.
    assert one_state(page, new) == State(replace(new, state_at=page.state_at))


def test_two_fetches_that_contradict_each_other_give_one_flagged_state():
    assert (
        one_state(fetched(a_customer(email="a")), fetched(a_customer(email="b"))).undecided is True
    )


# --- step by step --------------------------------------------------------------------------------


def step_by_step(snapshots):
    """Merge one after the other, as the mirror does: earlier events are read again where needed."""
    state, ledger = None, []
    for snapshot in snapshots:
        contested = state is not None and needs_history(state, [snapshot])
        state = merge(state, [snapshot], ledger if contested else ()).state
        ledger.append(snapshot)
    return state


def test_merge_says_whether_the_incoming_state_was_taken():
    old = seen("customer.updated", a_customer(email="old"), id="evt_1", at=0)
    new = seen("customer.updated", a_customer(email="new"), id="evt_2", at=1)
    assert merge(None, [old]) == (Change.TAKEN, State(old))
    assert merge(State(old), [new]) == (Change.TAKEN, State(new))
    assert merge(State(new), [old]) == (Change.KEPT, State(new))


def test_an_event_that_loses_against_a_fetch_of_its_instant_leaves_a_doubt():
    page = fetched(a_subscription(status="active"), first=5, last=7)
    event = seen("customer.subscription.updated", a_subscription(status="past_due"), at=6)
    assert merge(State(page), [event], [page]).state.undecided is True


def test_a_late_older_state_does_not_make_a_doubtful_one_certain():
    doubtful = State(seen("customer.updated", a_customer(), id="evt_1", at=5), undecided=True)
    older = seen("customer.updated", a_customer(), id="evt_2", at=0)
    assert merge(doubtful, [older]) == (Change.KEPT, doubtful)
    again = seen("customer.updated", a_customer(), id="evt_1", at=5)
    assert merge(doubtful, [again]) == (Change.KEPT, doubtful)


def snapshot_of(told: Told):
    return seen(told.type, told.payload, id=told.id, at=told.created - NOON, previous=told.previous)


def test_three_events_of_a_second_are_ordered_when_the_middle_one_comes_last():
    told = [
        Told("customer.updated", NOON, a_customer(email="b"), {"email": "a"}, "evt_3"),
        Told("customer.updated", NOON, a_customer(email="c"), {"email": "b"}, "evt_2"),
        Told("customer.updated", NOON, a_customer(email="d"), {"email": "c"}, "evt_1"),
    ]
    for order in permutations(map(snapshot_of, told)):
        state = step_by_step(order)
        assert (state.snapshot.payload["email"], state.undecided) == ("d", False)


def test_invented_lives_end_in_their_truth_in_every_order(seed):
    random_ = random.Random(seed)
    for number in range(60):
        life = a_life(random_, number)
        snapshots = [snapshot_of(told) for told in life.events]
        orders = list(permutations(snapshots))
        states = [step_by_step(order) for order in random_.sample(orders, min(len(orders), 60))]
        assert all(state == states[0] for state in states), (seed, number)
        assert states[0] == fold(snapshots), (seed, number)
        assert (states[0].deleted_at is not None) == life.is_gone
        if not states[0].undecided:
            assert states[0].snapshot.payload == life.truth, (seed, number)


# --- fetched states and graves -------------------------------------------------------------------


def gone(at, **fields):
    """A question that Stripe answered with "no such object"."""
    instant = datetime.fromtimestamp(NOON + at, UTC)
    return Snapshot(
        object=fields.get("object", "customer"),
        object_id=fields.get("id", "cus_1"),
        payload={},
        api_version=NEW,
        state_from=instant - timedelta(seconds=2),
        state_at=instant,
        origin="fetch",
        is_tombstone=True,
    )


def test_an_object_nobody_finds_any_more_keeps_its_last_content_and_is_gone_since_the_first_word():
    old = seen("customer.updated", a_customer(email="old"), id="evt_1", at=0)
    last = seen("customer.updated", a_customer(email="last"), id="evt_2", at=5)
    state = one_state(old, last, gone(10), gone(60))
    assert (state.snapshot, state.deleted_at) == (last, gone(10).state_at)


def test_an_object_of_which_only_the_end_is_known_is_not_told():
    assert one_state(gone(10)).is_told is False


def test_the_event_of_a_deletion_tells_more_than_a_fetch_that_finds_nothing():
    deleted = seen("customer.deleted", a_customer(), id="evt_1", at=8)
    assert one_state(deleted, gone(10)) == State(deleted, deleted_at=deleted.state_at)


def test_an_id_that_was_used_again_is_gone_only_since_its_second_end():
    coupon = {"id": "WELCOME", "object": "coupon", "created": NOON}
    again = coupon | {"created": NOON + 20}
    first = seen("coupon.deleted", coupon, id="evt_1", at=10)
    second = seen("coupon.deleted", again, id="evt_2", at=30)
    born = seen("coupon.created", again, id="evt_3", at=20)
    assert one_state(first, second).deleted_at == second.state_at
    assert one_state(first, born, second).deleted_at == second.state_at
    assert one_state(first, born) == State(born)


def a_coupon(**changes):
    return {"id": "WELCOME", "object": "coupon", "created": NOON, "percent_off": 10} | changes


def test_an_id_that_is_used_again_in_the_second_of_its_end_lives():
    gone_event = seen("coupon.deleted", a_coupon(), id="evt_2", at=10)
    again = seen("coupon.created", a_coupon(created=NOON + 10), id="evt_3", at=10)
    assert one_state(gone_event, again) == State(again)
    renamed = seen("coupon.updated", a_coupon(created=NOON + 10, name="x"), id="evt_4", at=99)
    assert one_state(gone_event, again, renamed) == State(renamed)


def test_what_was_made_and_deleted_within_a_second_is_gone_without_a_doubt():
    born = seen("coupon.created", a_coupon(), id="evt_1")
    deleted = seen("coupon.deleted", a_coupon(), id="evt_2")
    assert one_state(born, deleted) == State(deleted, deleted_at=deleted.state_at)
    earlier = fetched(a_coupon(), first=-2, last=0)
    assert one_state(born, deleted, earlier).deleted_at == deleted.state_at


def test_an_id_that_may_be_used_again_in_the_second_of_its_end_is_asked_about():
    born = seen("coupon.created", a_coupon(), id="evt_1")
    deleted = seen("coupon.deleted", a_coupon(), id="evt_2")
    other = seen("coupon.created", a_coupon(percent_off=20), id="evt_3")
    doubt = one_state(born, deleted, other)
    assert (doubt.undecided, doubt.deleted_at) == (True, None)
    answer = fetched(a_coupon(percent_off=20), first=4, last=6)
    assert one_state(born, deleted, other, answer) == State(answer)
    nothing = replace(answer, payload={}, is_tombstone=True)
    settled = one_state(born, deleted, other, nothing)
    assert (settled.undecided, settled.deleted_at) == (False, deleted.state_at)


def test_only_a_living_object_under_a_used_id_lifts_a_tombstone():
    deleted = seen("coupon.deleted", a_coupon(), id="evt_2", at=10)
    tombstone = State(deleted, deleted_at=deleted.state_at)
    listed = fetched(a_coupon(created=NOON + 10), first=60, last=62)
    assert is_lifted(tombstone, listed)
    assert not is_lifted(State(listed), listed)
    assert not is_lifted(tombstone, fetched(a_coupon(), first=60, last=62))
    customer = seen("customer.deleted", a_customer(), id="evt_1", at=10)
    buried = State(customer, deleted_at=customer.state_at)
    assert not is_lifted(buried, fetched(a_customer(), first=60, last=62))


def test_a_state_after_a_doubtful_return_is_merged_as_all_states_together_say():
    deleted = seen("coupon.deleted", a_coupon(), id="evt_2")
    other = seen("coupon.created", a_coupon(percent_off=20), id="evt_3")
    doubt = merge(None, [deleted, other]).state
    for at, is_doubtful in ((2, True), (3, False)):
        later = seen("coupon.updated", a_coupon(percent_off=20, name="x"), id="evt_4", at=at)
        assert needs_history(doubt, [later])
        state = merge(doubt, [later], [deleted, other]).state
        assert state == fold([deleted, other, later])
        assert state.undecided is is_doubtful


def test_a_fetch_that_says_what_an_event_of_its_instant_says_leaves_no_doubt():
    whole = a_subscription(discounts=[{"id": "di_1", "object": "discount", "start": NOON}])
    page = fetched(whole, first=0, last=2)
    event = seen("customer.subscription.updated", a_subscription(discounts=["di_1"]), at=1)
    state = one_state(page, event)
    assert (state.undecided, state.snapshot.origin) == (False, "fetch")


def test_a_list_that_was_cut_off_is_the_beginning_of_the_whole_one_and_of_no_other():
    def listing(names, *, more):
        data = [{"id": name, "object": "line_item"} for name in names]
        return {"lines": {"object": "list", "has_more": more, "data": data}}

    cut = listing("ab", more=True)
    assert says_the_same(cut, listing("abc", more=False))
    assert not says_the_same(cut, listing("ab", more=False))  # an entry has ended
    assert not says_the_same(cut, listing("axc", more=False))
    assert not says_the_same(listing("abc", more=False), listing("ab", more=False))


def test_addresses_that_stripe_makes_anew_are_no_change():
    one = an_invoice(hosted_invoice_url="https://invoice.example.test/1")
    other = an_invoice(hosted_invoice_url="https://invoice.example.test/2", description=None)
    assert says_the_same(one, other)
    assert not says_the_same(one, an_invoice(status="open"))


def test_states_stand_in_one_order_however_they_are_given():
    steps = [
        seen("customer.updated", a_customer(email=now), id=id_, at=0, previous={"email": before})
        for id_, before, now in [("evt_3", "a", "b"), ("evt_1", "b", "c"), ("evt_2", "c", "d")]
    ]
    later = fetched(a_customer(email="d"), first=4, last=6)
    orders = [in_order(order) for order in permutations([*steps, later])]
    assert all(order == orders[0] for order in orders)
    assert [told.payload["email"] for told in orders[0]] == ["b", "c", "d", "d"]


def test_the_instant_of_a_state_covers_all_states_of_that_instant():
    wide = fetched(a_subscription(status="active"), first=0, last=10)
    narrow = seen("customer.subscription.updated", a_subscription(status="past_due"), at=5)
    state = one_state(wide, narrow)
    assert (state.snapshot.state_from, state.snapshot.state_at) == (
        narrow.state_from,
        wide.state_at,
    )
    inside = seen("customer.subscription.updated", a_subscription(), id="evt_2", at=8)
    after = seen("customer.subscription.updated", a_subscription(), id="evt_3", at=11)
    assert needs_history(state, [inside])
    assert not needs_history(state, [after])
