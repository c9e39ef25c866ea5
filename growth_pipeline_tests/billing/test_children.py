"""Entries of nested lists: what is known of them follows from the set of states, not from its order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from growth_pipeline.billing.children import (
    DISCOUNTS,
    ITEMS,
    LINES,
    EntryKey,
    entries_of,
    follows_from_newest,
    lists_of,
)
from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    OLD,
    a_customer,
    a_price,
    a_subscription,
    an_invoice,
)

T0 = datetime(2030, 1, 1, tzinfo=UTC)


def an_item(id, **fields):
    period = {"current_period_start": NOON, "current_period_end": NOON + 9}
    item = {"id": id, "object": "subscription_item", "price": a_price(), "quantity": 1}
    return item | {"discounts": [], "subscription": "sub_1"} | period | fields


def subscription(at, *items, has_more=False, **fields):
    """The subscription as told at a second, with these items."""
    listed = [an_item(item) if isinstance(item, str) else item for item in items]
    payload = a_subscription(
        items={"object": "list", "data": listed, "has_more": has_more}, **fields
    )
    return told(payload, at)


def told(payload, at, *, version=NEW, deletes=False):
    instant = T0 + timedelta(seconds=at)
    return Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=version,
        state_from=instant,
        state_at=instant,
        origin="event",
        event_id=f"evt_{at}",
        is_tombstone=deletes,
    )


def known(newest, *others, deleted_at=None):
    """Entries by id: at which second their content was told, and at which they ended."""
    gone = None if deleted_at is None else T0 + timedelta(seconds=deleted_at)
    entries = entries_of(State(newest, deleted_at=gone), [newest, *others])
    return {
        entry.key.id: (
            _second(entry.parent.state_at),
            None if entry.deleted_at is None else _second(entry.deleted_at),
        )
        for entry in entries
    }


def _second(instant):
    return int((instant - T0).total_seconds())


# --- what a state shows --------------------------------------------------------------------------


def test_a_subscription_shows_its_items_and_the_discounts_on_both():
    whole = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "A"}}
    item = an_item("si_1", discounts=["di_2"])
    items, discounts = lists_of(subscription(1, item, discounts=[whole]))
    assert (items.table, items.is_whole) == (ITEMS, True)
    assert items.entries == {EntryKey(ITEMS, "", "si_1"): item}
    assert discounts.entries == {
        EntryKey(DISCOUNTS, "sub_1", "di_1"): whole,
        EntryKey(DISCOUNTS, "si_1", "di_2"): None,
    }


def test_a_list_that_goes_on_is_not_whole():
    shown = lists_of(subscription(1, "si_1", has_more=True))
    assert [one.is_whole for one in shown] == [False, False]


def test_an_invoice_shows_its_lines_and_a_customer_the_one_discount():
    line = {"id": "il_1", "object": "line_item"}
    lines = {"object": "list", "data": [line], "has_more": True}
    discounts, shown = lists_of(told(an_invoice(lines=lines, discounts=["di_1"]), 1))
    assert discounts.entries == {EntryKey(DISCOUNTS, "in_1", "di_1"): None}
    assert (shown.table, list(shown.entries), shown.is_whole) == (
        LINES,
        [EntryKey(LINES, "", "il_1")],
        False,
    )
    whole = {"id": "di_9", "object": "discount"}
    (single,) = lists_of(told(a_customer(discount=whole), 1, version=OLD))
    assert single.entries == {EntryKey(DISCOUNTS, "cus_1", "di_9"): whole}


def test_kinds_without_lists_and_sparse_tombstones_show_nothing():
    assert lists_of(told({"id": "po_1", "object": "payout", "created": 1}, 1)) == []
    sparse = {"id": "cus_1", "object": "customer", "deleted": True}
    assert lists_of(told(sparse, 1, deletes=True)) == []


# --- what became of entries ----------------------------------------------------------------------


def test_an_item_ends_with_the_first_whole_list_that_lacks_it():
    first, second, third = (
        subscription(1, "si_1", "si_2"),
        subscription(5, "si_1"),
        subscription(9, "si_1"),
    )
    assert known(third, first, second) == {"si_1": (9, None), "si_2": (1, 5)}


def test_a_list_that_goes_on_ends_nothing():
    first, second = subscription(1, "si_1", "si_2"), subscription(5, "si_1", has_more=True)
    assert known(second, first) == {"si_1": (5, None), "si_2": (1, None)}


def test_an_item_that_comes_back_lives():
    states = [subscription(1, "si_1"), subscription(3), subscription(7, "si_1")]
    assert known(states[-1], *states) == {"si_1": (7, None)}


def test_a_late_state_with_fewer_items_takes_nothing_away():
    late, newest = subscription(1, "si_1"), subscription(5, "si_1", "si_2")
    assert known(newest, late) == {"si_1": (5, None), "si_2": (5, None)}


def test_a_discount_that_is_only_named_keeps_what_was_told_of_it():
    whole = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "A"}}
    first, second = subscription(1, discounts=[whole]), subscription(5, discounts=["di_1"])
    assert known(second, first) == {"di_1": (1, None)}
    (entry,) = entries_of(State(second), [first])
    assert entry.payload == whole


def test_states_after_the_newest_do_not_count():
    final, later = subscription(5, "si_1", status="canceled"), subscription(9, "si_1", "si_2")
    assert known(final, later) == {"si_1": (5, None)}


def test_what_lies_in_a_deleted_object_ends_with_it():
    draft = told(an_invoice(lines={"data": [{"id": "il_1"}, {"id": "il_2"}], "has_more": False}), 1)
    shorter = told(an_invoice(lines={"data": [{"id": "il_1"}], "has_more": False}), 4, deletes=True)
    assert known(shorter, draft, deleted_at=6) == {"il_1": (4, 6), "il_2": (1, 4)}


def test_the_newest_state_alone_is_enough_unless_another_shows_more():
    newest = State(subscription(5, "si_1"))
    assert follows_from_newest(newest, [subscription(1, "si_1")])
    assert not follows_from_newest(newest, [subscription(1, "si_1", "si_2")])
    named = State(subscription(5, discounts=["di_1"]))
    whole = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "A"}}
    assert follows_from_newest(named, [subscription(1, discounts=["di_1"])])
    assert not follows_from_newest(named, [subscription(1, discounts=[whole])])


@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.booleans()), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_any_order_of_states_gives_the_entries_a_plain_loop_gives(lists, random_):
    states = [
        subscription(second, *sorted(ids), has_more=has_more)
        for second, (ids, has_more) in enumerate(lists)
    ]
    expected: dict[str, tuple[int, int | None]] = {}
    for second, (ids, has_more) in enumerate(lists):
        for id_, (last, end) in list(expected.items()):
            if id_ not in ids and not has_more and end is None:
                expected[id_] = (last, second)
        for id_ in ids:
            expected[id_] = (second, None)
    shuffled = random_.sample(states, len(states))
    assert known(states[-1], *shuffled) == expected
