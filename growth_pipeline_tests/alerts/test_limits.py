"""Limits of channels: a plain loop over every window finds no more than a channel takes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth_pipeline.alerts.limits import (
    CALL_LEASE,
    GITHUB_RATES,
    NO_RATES,
    SLACK_RATES,
    Call,
    reach,
    wait_before,
)

NOW = datetime(2025, 11, 1, tzinfo=UTC)


def seconds(count):
    return timedelta(seconds=count)


def ended(requests, at, *, took=0.0):
    return Call(requests, NOW + seconds(at), NOW + seconds(at + took))


def test_the_first_call_waits_for_nothing():
    assert wait_before([], SLACK_RATES, 1, NOW) is None
    assert wait_before([ended(99, -1)], NO_RATES, 1, NOW) is None


def test_slack_takes_one_message_a_second_and_five_a_minute():
    wait = wait_before([ended(1, -0.4)], SLACK_RATES, 1, NOW)
    assert seconds(0.6) <= wait <= seconds(0.61)
    five = [ended(1, -at) for at in (50, 40, 30, 20, 10)]
    wait = wait_before(five, SLACK_RATES, 1, NOW)
    assert seconds(10) <= wait <= seconds(10.01)


def test_a_call_counts_from_its_end_because_only_then_the_channel_has_seen_it():
    wait = wait_before([ended(1, -5, took=4.5)], SLACK_RATES, 1, NOW)
    assert seconds(0.5) <= wait <= seconds(0.51)


def test_a_call_under_way_keeps_others_off_until_its_lease_ends():
    under_way = Call(1, NOW, None)
    assert wait_before([under_way], NO_RATES, 0, NOW + seconds(1)) is not None
    assert wait_before([under_way], NO_RATES, 0, NOW + CALL_LEASE) is None


def test_calls_are_remembered_as_long_as_the_longest_limit_reaches():
    assert reach(GITHUB_RATES) == timedelta(hours=1)
    assert reach(SLACK_RATES) == CALL_LEASE


@pytest.mark.parametrize("rates", [SLACK_RATES, GITHUB_RATES])
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.floats(0, 30), st.floats(0, 5)), min_size=1, max_size=150
    )
)
def test_however_calls_come_no_window_holds_more_than_the_limit(rates, wanted):
    wanted = [
        (1, pause, took) if rates == SLACK_RATES else (n, pause, took) for n, pause, took in wanted
    ]
    calls, now = [], NOW
    for requests, pause, took in wanted:
        now += seconds(pause)
        while (wait := wait_before(calls, rates, requests, now)) is not None:
            assert wait > timedelta()
            now += wait
        calls.append(Call(requests, now, now + seconds(took)))
        now += seconds(took)
    # The channel saw each request somewhere between begin and end: take the worst for each window.
    for limit, length in rates:
        for last in range(len(calls)):
            seen = sum(
                one.requests
                for one in calls[: last + 1]
                if one.ended_at > calls[last].began_at - seconds(length - 0.001)
            )
            assert seen <= limit
