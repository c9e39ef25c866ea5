"""The sweep: which span is read, what is lost, and what of Stripe's events reaches the inbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.refetch import Refetched, refetch_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep import LostSpan, SweepState, plan_sweep, sweep
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.stripe_api.errors import StripeError
from growth_pipeline_tests.fakes import stripe_list_server as faults
from growth_pipeline_tests.fakes.living_stripe import DAY, Account
from growth_pipeline_tests.fakes.stripe_events import a_customer

SCOPE = Scope("acct_1", False)
NOW = datetime(2030, 3, 31, 12, 0, 0, 500_000, tzinfo=UTC)
SECOND = int(NOW.timestamp())
HOUR = timedelta(hours=1)


def days(number: float) -> timedelta:
    return timedelta(days=number)


def epoch(instant: datetime) -> int:
    return int(instant.timestamp())


# --- which span ----------------------------------------------------------------------------------


def test_a_first_sweep_reads_the_thirty_days_that_stripe_keeps():
    plan = plan_sweep(SweepState(), NOW)
    assert plan.window == (SECOND - 30 * DAY, SECOND)
    assert plan.reading_to == NOW.replace(microsecond=0)
    assert (plan.is_first, plan.lost, plan.undelivered_first) == (True, None, False)


def test_a_later_sweep_goes_two_hours_back_and_asks_for_undelivered_events_first():
    plan = plan_sweep(SweepState(swept_to=NOW - HOUR), NOW)
    assert plan.window == (SECOND - 3 * 3600, SECOND)
    assert (plan.is_first, plan.lost, plan.undelivered_first) == (False, None, True)


def test_a_cursor_in_the_future_of_a_clock_that_was_set_back_reads_the_last_hours():
    plan = plan_sweep(SweepState(swept_to=NOW + days(1)), NOW)
    assert plan.window == (SECOND - 7200, SECOND)
    assert plan.lost is None


def test_after_days_without_a_sweep_the_list_is_read_once_and_not_first_for_the_undelivered():
    plan = plan_sweep(SweepState(swept_to=NOW - days(4)), NOW)
    assert plan.window.gte == SECOND - 4 * DAY - 7200
    assert (plan.lost, plan.undelivered_first) == (None, False)


@pytest.mark.parametrize(
    ("ago", "lost"),
    [
        (days(29) - 3 * HOUR, False),
        (days(29) - 2 * HOUR, False),
        (days(29) - 2 * HOUR + timedelta(seconds=1), True),
        (days(31), True),
    ],
)
def test_events_that_were_not_read_within_29_days_are_lost(ago, lost):
    plan = plan_sweep(SweepState(swept_to=NOW - ago), NOW)
    assert (plan.lost is not None) is lost
    if lost:
        whole = NOW.replace(microsecond=0)
        assert plan.lost == LostSpan(whole - ago - 2 * HOUR, whole - days(29))
    assert plan.window.gte >= SECOND - 30 * DAY


def test_before_the_first_sweep_the_inbox_tells_since_when_the_receiver_was_silent():
    silent = SweepState(newest_event_at=NOW - days(40))
    assert plan_sweep(silent, NOW).lost == LostSpan(
        (NOW - days(40) - 2 * HOUR).replace(microsecond=0), (NOW - days(29)).replace(microsecond=0)
    )
    assert plan_sweep(SweepState(newest_event_at=NOW - days(20)), NOW).lost is None
    assert plan_sweep(SweepState(newest_event_at=NOW - days(20)), NOW).window.gte == (
        SECOND - 30 * DAY
    )


def test_a_sweep_that_was_cut_short_goes_on_with_what_it_had_not_read():
    cut = SweepState(
        swept_to=NOW - days(4), unread_to=NOW - days(2), reading_to=NOW - timedelta(minutes=5)
    )
    plan = plan_sweep(cut, NOW)
    assert plan.window == (SECOND - 4 * DAY - 7200, epoch(NOW - days(2)) + 1)
    assert plan.reading_to == NOW - timedelta(minutes=5)
    assert (plan.resumes, plan.undelivered_first) == (True, False)


def test_a_rest_that_stripe_no_longer_lists_is_not_read():
    cut = SweepState(swept_to=NOW - days(60), unread_to=NOW - days(40), reading_to=NOW - days(35))
    plan = plan_sweep(cut, NOW)
    assert plan.resumes is False
    assert plan.window == (SECOND - 30 * DAY, SECOND)
    assert plan.lost is not None


# --- reading -------------------------------------------------------------------------------------


@pytest.fixture
def account() -> Account:
    return Account(now=SECOND - 3600)


@pytest.fixture
def store(database):
    return BillingStore(database)


@pytest.fixture
def sweeps(database):
    return SweepStore(database)


def stored(database) -> dict[str, str]:
    """Source of every event in the inbox, by its id."""
    with database.connection() as connection:
        rows = connection.execute("select event_id, source from billing.inbox").fetchall()
    return dict(rows)


def run(reader, store, sweeps, now=NOW):
    return sweep(reader, store, sweeps, now=now, clock=lambda: now)


def deliver(account: Account, store: BillingStore) -> None:
    """What the web app does with the bodies that reached it."""
    for body in account.take_delivered():
        store.insert_event(
            received_event(parse_envelope(body), body, account_id="acct_1", received_at=NOW)
        )


def test_a_sweep_stores_what_no_webhook_brought_and_leaves_the_rest(
    account, reader, store, sweeps, database
):
    account.create(a_customer("cus_1"))
    deliver(account, store)
    account.receiver_is_on = False
    account.create(a_customer("cus_2"))
    swept = run(reader, store, sweeps)
    assert stored(database) == {"evt_00000000": "webhook", "evt_00000001": "sweep"}
    assert (swept.listed, swept.new, swept.is_first) == (2, 1, True)
    assert sweeps.load(SCOPE).swept_to == NOW.replace(microsecond=0)


def test_a_stored_body_is_the_event_as_stripe_lists_it(account, reader, store, sweeps, database):
    account.receiver_is_on = False
    account.create(a_customer("cus_1", name="Zoë"))
    run(reader, store, sweeps)
    with database.connection() as connection:
        ((body, version, state),) = connection.execute(
            "select body, api_version, state from billing.inbox"
        ).fetchall()
    envelope = parse_envelope(bytes(body))
    assert (envelope.event_id, envelope.problem) == ("evt_00000000", None)
    assert envelope.payload["name"] == "Zoë"
    assert (version, state) == (faults.VERSION, "received")


def test_events_that_change_nothing_we_keep_are_not_stored(
    account, reader, store, sweeps, database
):
    account.tell("payment_method.attached", {"id": "pm_1", "object": "payment_method"})
    account.tell("moon.landed", {"id": "moon_1", "object": "moon"})
    swept = run(reader, store, sweeps)
    assert (swept.listed, list(stored(database))) == (2, ["evt_00000001"])


def test_an_event_of_the_cursors_second_that_appears_after_the_poll_is_stored(
    account, reader, store, sweeps, database
):
    account.create(a_customer("cus_1"))
    account.now = SECOND - 1
    account.receiver_is_on = False
    account.create(a_customer("cus_2"))
    run(reader, store, sweeps)
    account.create(a_customer("cus_3"))  # the same second, after it was read
    later = NOW + HOUR
    account.now = epoch(later)
    swept = run(reader, store, sweeps, later)
    assert set(stored(database)) == {"evt_00000000", "evt_00000001", "evt_00000002"}
    assert (swept.new, swept.missed) == (1, 1)
    assert swept.first_missed_at == datetime.fromtimestamp(SECOND - 1, UTC)


def test_an_event_younger_than_ten_minutes_may_still_come_by_webhook(
    account, reader, store, sweeps
):
    run(reader, store, sweeps, NOW - HOUR)
    account.receiver_is_on = False
    account.now = SECOND - 600
    account.create(a_customer("cus_1"))
    account.now = SECOND - 599
    account.create(a_customer("cus_2"))
    swept = run(reader, store, sweeps)
    assert (swept.new, swept.missed) == (2, 1)


def test_a_second_sweep_of_the_same_events_stores_nothing(account, reader, store, sweeps):
    account.receiver_is_on = False
    for number in range(150):
        account.create(a_customer(f"cus_{number}"))  # 101+ events of one second
    assert run(reader, store, sweeps).new == 150
    again = run(reader, store, sweeps)
    assert (again.new, again.missed, again.listed) == (0, 0, 300)  # undelivered, then all


def test_a_list_that_breaks_off_leaves_the_cursor_and_is_taken_up_where_it_broke(
    account, stripe, reader, store, sweeps, database
):
    account.receiver_is_on = False
    for number in range(450):
        account.now = SECOND - 3600 + number
        account.create(a_customer(f"cus_{number}"))
    stripe.faults.extend([None, None, None])
    stripe.always = faults.status(500)
    with pytest.raises(StripeError):
        run(reader, store, sweeps)
    state = sweeps.load(SCOPE)
    assert state.swept_to is None
    assert state.unread_to == datetime.fromtimestamp(SECOND - 3600 + 150, UTC)
    assert len(stored(database)) == 300
    stripe.always = None
    stripe.requests.clear()
    swept = run(reader, store, sweeps)
    assert len(stored(database)) == 450
    assert swept.new == 150
    # The rest of two pages, and one look at the last hours as every sweep takes.
    first, second = stripe.requests[0], stripe.requests[1]
    assert int(first.params["created[lt]"]) == SECOND - 3600 + 151
    assert "starting_after" in second.params
    state = sweeps.load(SCOPE)
    assert (state.swept_to, state.unread_to) == (NOW.replace(microsecond=0), None)


def test_a_missing_permission_fails_the_sweep_and_moves_nothing(stripe, reader, store, sweeps):
    stripe.unreadable.add("events")
    with pytest.raises(StripeError, match="events"):
        run(reader, store, sweeps)
    assert sweeps.load(SCOPE).swept_to is None


def test_an_outage_is_on_record_before_anything_is_read(stripe, reader, store, sweeps):
    sweeps.finish(SCOPE, NOW - days(31), now=NOW - days(31))
    stripe.unreadable.add("events")
    with pytest.raises(StripeError):
        run(reader, store, sweeps)
    whole = NOW.replace(microsecond=0)
    span = LostSpan(NOW - days(31) - 2 * HOUR, whole - days(29))
    (found,) = sweeps.open_outages(SCOPE)
    assert found.end == span.end
    assert found.start == span.start.replace(microsecond=0)
    stripe.unreadable.clear()
    later = NOW + days(1)
    stripe.account.now = epoch(later)
    assert run(reader, store, sweeps, later).lost == [
        LostSpan(found.start, (later - days(29)).replace(microsecond=0))
    ]
    assert sweeps.open_outages(SCOPE) == [
        LostSpan(found.start, (later - days(29)).replace(microsecond=0))
    ]
    sweeps.close_outages(SCOPE, LostSpan(found.start, later), now=later)
    assert sweeps.open_outages(SCOPE) == []


def test_a_slower_sweep_beside_a_faster_one_does_not_move_the_cursor_back(sweeps):
    sweeps.finish(SCOPE, NOW, now=NOW)
    sweeps.finish(SCOPE, NOW - HOUR, now=NOW)
    assert sweeps.load(SCOPE).swept_to == NOW


def test_undelivered_events_are_asked_for_first(account, stripe, reader, store, sweeps):
    sweeps.finish(SCOPE, NOW - HOUR, now=NOW)
    run(reader, store, sweeps)
    assert [request.params.get("delivery_success") for request in stripe.requests] == [
        "false",
        None,
    ]


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429, Stripe_Rate_Limited_Reason="endpoint-rate"),
        faults.says(403, "The key lacks the right rak_event_read"),
        faults.says(404, "Unrecognized request URL"),
        faults.empty_with_more,
        faults.cut_json,
    ],
    ids=["429 to the end", "403", "404", "an empty page and more", "cut JSON"],
)
def test_an_events_list_that_is_not_read_to_its_end_fails_and_moves_no_watermark(
    account, stripe, reader, store, sweeps, fault
):
    sweeps.finish(SCOPE, NOW - HOUR, now=NOW)
    stripe.always = fault
    with pytest.raises(StripeError):
        run(reader, store, sweeps)
    state = sweeps.load(SCOPE)
    assert (state.swept_to, state.unread_to) == (NOW - HOUR, None)


def test_sweeps_side_by_side_store_each_event_once(account, reader, store, sweeps, database):
    account.receiver_is_on = False
    for number in range(250):
        account.now = SECOND - 3600 + number
        account.create(a_customer(f"cus_{number}"))
    access = reader._access

    def sweep_once(_: int) -> int:
        with StripeReader(access) as own:
            return run(own, store, sweeps).new

    with ThreadPoolExecutor(4) as pool:
        new = list(pool.map(sweep_once, range(4)))
    assert sum(new) == len(stored(database)) == 250
    assert sweeps.load(SCOPE).swept_to == NOW.replace(microsecond=0)


def test_an_event_of_an_unknown_version_is_asked_about_once_however_often_it_is_listed(
    account, reader, store, sweeps
):
    account.create(a_customer("cus_1"))
    account.events[-1]["api_version"] = "2027-04-01.fennel"
    run(reader, store, sweeps)
    apply_waiting(store, now=NOW)
    assert refetch_waiting(store, reader, now=NOW + HOUR) == Refetched(answered=1)
    assert run(reader, store, sweeps, NOW + HOUR).listed > 0  # its hours are read again
    assert store.count_refetches(NOW + days(1)) == {}
