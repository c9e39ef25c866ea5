"""When events happened: clocks of senders are corrected by how wrong they are."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.events.ingest.clock import ClockFlag, read_instant, settle

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-10-05T12:00:00Z", NOW),
        ("2026-10-05T12:00:00.000Z", NOW),
        ("2026-10-05T12:00:00", NOW),
        ("2026-10-05 12:00:00+00:00", NOW),
        ("2026-10-05T17:45:00+05:45", NOW),
        ("2026-10-05T02:30:00.5-09:30", NOW + timedelta(milliseconds=500)),
        ("2026-10-05", datetime(2026, 10, 5, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.250Z", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("20261005T120000.360Z", NOW + timedelta(milliseconds=360)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_in_utc(text, instant):
    assert read_instant(text) == instant
    assert read_instant(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-13-01", "2026-02-30T00:00:00Z", "1759665600", "2026-10-05T25:00:00Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:60Z"),
        *("2026-10-05T12:00:00Z" + " " * 60, "\u0662026-10-05", "2026-10-05T12:00:61Z"),
        *(None, 1759665600, 1.5, True, [], {}),
    ],
)
def test_anything_else_is_no_instant(value):
    assert read_instant(value) is None


def test_a_wrong_clock_is_corrected_by_the_time_between_event_and_sending():
    sent = NOW + timedelta(days=3650)
    told = sent - timedelta(days=7)
    assert settle(told.isoformat(), sent.isoformat(), received_at=NOW) == (
        NOW - timedelta(days=7),
        sent,
        (),
    )


def test_without_sent_at_the_clock_is_believed_with_a_flag():
    told = NOW - timedelta(days=400)
    assert settle(told.isoformat(), None, received_at=NOW) == (told, None, (ClockFlag.NO_SENT_AT,))


@pytest.mark.parametrize(
    ("told", "sent", "flags"),
    [
        (None, None, ("no_timestamp",)),
        (None, NOW.isoformat(), ("no_timestamp",)),
        ("soon", NOW.isoformat(), ("timestamp_unreadable",)),
        (7, None, ("timestamp_unreadable",)),
        ("1999-12-31T23:59:59Z", None, ("no_sent_at", "clock_wrong")),
        ("2026-10-06T12:00:01Z", None, ("no_sent_at", "clock_wrong")),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", ("clock_wrong",)),
        ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", ("clock_wrong",)),
        ("2026-10-05T12:00:00Z", "2026-10-04T11:59:59Z", ("clock_wrong",)),
    ],
)
def test_where_no_time_can_be_told_the_receipt_counts_with_a_flag(told, sent, flags):
    timed = settle(told, sent, received_at=NOW)
    assert (timed.occurred_at, timed.flags) == (NOW, flags)


@pytest.mark.parametrize(
    ("told", "flags"),
    [("2000-01-01T00:00:00Z", ("no_sent_at",)), ("2026-10-06T12:00:00Z", ("no_sent_at",))],
)
def test_the_bounds_themselves_are_times(told, flags):
    timed = settle(told, None, received_at=NOW)
    assert timed.occurred_at == datetime.fromisoformat(told)
    assert timed.flags == flags


def test_any_clock_is_corrected_to_the_second(seed):
    random_ = random.Random(seed)
    for _ in range(2000):
        true = NOW - timedelta(seconds=random_.uniform(0, 90 * 86_400))
        wrong = timedelta(seconds=random_.uniform(-10 * 365 * 86_400, 10 * 365 * 86_400))
        travel = timedelta(milliseconds=random_.randrange(900))
        told, sent = (true + wrong).isoformat(), (NOW - travel + wrong).isoformat()
        timed = settle(told, sent, received_at=NOW)
        assert abs(timed.occurred_at - true) < timedelta(seconds=1)
        assert timed.flags == ()
