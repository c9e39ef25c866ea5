"""Retention against a plain loop over random histories, with every option; and the published case."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.storage.engine import Engine

EPOCH = date(1970, 1, 1)
ZONES = ("UTC", "America/New_York", "Pacific/Apia", "Asia/Kathmandu")
USERS = {"user_number": pl.Int32, "entry_day": pl.Int32, "segment": pl.String}
ACTIVITY = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
MONEY = {"user_number": pl.Int32, "day": pl.Int32, "currency": pl.String, "minor": pl.Int64}


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 2, tmp_path)


def _facts(users, activity, money=None):
    return RetentionFacts(
        users=pl.DataFrame(users, schema=USERS, orient="row"),
        activity=pl.DataFrame(activity, schema=ACTIVITY, orient="row"),
        money=None if money is None else pl.DataFrame(money, schema=MONEY, orient="row"),
    )


def _day(year, month, day):
    return (date(year, month, day) - EPOCH).days


PUBLISHED = (
    [(1, _day(2031, 1, 1), None), (2, _day(2031, 1, 3), None), (3, _day(2031, 1, 30), None)],
    [
        (1, _day(2031, 1, 5), 1),
        (1, _day(2031, 2, 2), 1),
        (1, _day(2031, 3, 1), 1),
        (2, _day(2031, 3, 3), 1),
        (3, _day(2031, 2, 1), 1),
    ],
)
AS_OF = datetime(2031, 3, 15, tzinfo=UTC)


def _told(result):
    return [(cell.users, cell.state.value) for cell in result.cells]


def test_the_published_case_by_calendar_months(engine):
    definition = RetentionDefinition(as_of=AS_OF, grain="month", max_period=3)
    cells = _told(measure_retention(engine, _facts(*PUBLISHED), definition))
    assert cells == [(1, "closed"), (2, "closed"), (None, "open"), (None, "not_begun")]
    so_far = replace(definition, open_cells="so_far")
    cells = _told(measure_retention(engine, _facts(*PUBLISHED), so_far))
    assert cells == [(1, "closed"), (2, "closed"), (2, "open"), (None, "not_begun")]
    later = replace(definition, retention="on_or_after")
    result = measure_retention(engine, _facts(*PUBLISHED), later)
    assert (result.cells[1].users, result.cells[1].final) == (3, False)


def test_the_published_case_by_thirty_days_since_entry(engine):
    definition = RetentionDefinition(
        as_of=AS_OF, grain="month", periods="since_entry", max_period=1, open_cells="so_far"
    )
    cells = _told(measure_retention(engine, _facts(*PUBLISHED), definition))
    assert cells == [(2, "closed"), (2, "open")]
    # 31 January + 30 days is 2 March: at its first instant the cell is closed, before it is not.
    for as_of, state in (
        (datetime(2031, 3, 2, tzinfo=UTC), "closed"),
        (datetime(2031, 3, 1, 23, 59, 59, 999999, tzinfo=UTC), "open"),
    ):
        told = measure_retention(engine, _facts(*PUBLISHED), replace(definition, as_of=as_of))
        assert told.cells[0].state.value == state


def test_the_published_money_adds_up_and_ends_where_periods_are_open(engine):
    money = [
        (1, _day(2031, 1, 5), "usd", 3000),
        (1, _day(2031, 2, 2), "usd", 6000),
        (3, _day(2031, 2, 3), "usd", -600),
        (1, _day(2031, 3, 1), "usd", 500),
    ]
    definition = RetentionDefinition(as_of=AS_OF, grain="month", max_period=2, open_cells="so_far")
    cells = measure_retention(engine, _facts(*PUBLISHED, money), definition).cells
    assert [cell.revenue_minor for cell in cells] == [3000, 5400, 500]
    assert [cell.revenue_per_customer_minor for cell in cells] == [1000, 1800, 167]
    assert [cell.cumulative_revenue_minor for cell in cells] == [3000, 8400, None]
    assert cells[1].cumulative_per_customer_minor == 2800


def test_churn_is_of_those_who_paid_in_the_first_period(engine):
    users = [(number, _day(2031, 1, 1), None) for number in range(4)]
    money = [
        (0, _day(2031, 1, 2), "usd", 1000),
        (1, _day(2031, 1, 2), "usd", 2000),
        (2, _day(2031, 1, 2), "usd", 3000),
        (0, _day(2031, 2, 2), "usd", 1500),
        (1, _day(2031, 2, 2), "usd", 500),
        (3, _day(2031, 2, 2), "usd", 9000),  # no opening member
    ]
    definition = RetentionDefinition(as_of=AS_OF, grain="month", max_period=1)
    cell = measure_retention(engine, _facts(users, [], money), definition).cells[1]
    assert str(cell.logo_churn) == "0.333333"  # one of three is gone
    assert str(cell.revenue_churn) == "0.750000"  # 1000 + 500 of 6000 are left
    assert str(cell.nrr) == "0.333333"  # 2000 of 6000


def test_a_cohort_without_payments_has_a_row_of_nothing_in_the_only_currency(engine):
    users = [(0, _day(2031, 1, 1), None), (1, _day(2031, 2, 1), None)]
    money = [(0, _day(2031, 1, 2), "usd", 1000)]
    definition = RetentionDefinition(as_of=AS_OF, grain="month", max_period=0)
    cells = measure_retention(engine, _facts(users, [], money), definition).cells
    assert [(cell.currency, cell.revenue_minor) for cell in cells] == [("usd", 1000), ("usd", 0)]


def test_two_currencies_are_two_rows_and_never_one_sum(engine):
    users = [(0, _day(2031, 1, 1), None)]
    money = [(0, _day(2031, 1, 2), "usd", 1000), (0, _day(2031, 1, 2), "jpy", 7)]
    definition = RetentionDefinition(as_of=AS_OF, grain="month", max_period=0)
    cells = measure_retention(engine, _facts(users, [], money), definition).cells
    assert [(cell.currency, cell.revenue_minor) for cell in cells] == [("jpy", 7), ("usd", 1000)]


def test_facts_without_any_user_give_no_cells_and_no_averages(engine):
    definition = RetentionDefinition(as_of=AS_OF)
    result = measure_retention(engine, _facts([], []), definition)
    assert (result.cells, result.averages, result.frame().height) == ([], [], 0)


# --- the plain loop ------------------------------------------------------------------------------


def _floor(day, definition):
    """First date of the calendar period, by dates alone."""
    if definition.grain == "day":
        return day
    if definition.grain == "month":
        return day.replace(day=1)
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    wanted = names.index(definition.week_start)
    if definition.anchor:
        wanted = definition.anchor.weekday()
    while day.weekday() != wanted:
        day -= timedelta(days=1)
    return day


def _next(start, definition):
    if definition.grain == "month":
        return _floor(start + timedelta(days=31), definition)
    return start + timedelta(days=7 if definition.grain == "week" else 1)


def _index(start, entry, day, definition):
    """Period index of a day for a member; None before entry."""
    if definition.periods == "calendar":
        target, count = _floor(day, definition), 0
        if target < start:
            return None
        while start < target:
            start, count = _next(start, definition), count + 1
        return count
    distance = (day - entry).days
    return None if distance < 0 else distance // definition.period_days


def _is_begun(day, definition):
    """Whether the local date has come before as_of."""
    last = definition.as_of - timedelta(microseconds=1)
    return last.astimezone(ZoneInfo(definition.tz)).date() >= day


def _state(start, first, last, definition):
    end = begin = start
    if definition.periods == "calendar":
        for _ in range(first):
            begin = _next(begin, definition)
        for _ in range(last + 1):
            end = _next(end, definition)
    else:
        begin = start + timedelta(days=first * definition.period_days)
        days = timedelta(days=(last + 1) * definition.period_days)
        following = _next(start, definition)
        end = following - timedelta(days=1) + days
        if definition.mode == "recurring":
            end = max(following, start + days)
    as_of = definition.as_of.astimezone(ZoneInfo(definition.tz))
    if as_of.date() >= end:
        return "closed"
    return "open" if _is_begun(begin, definition) else "not_begun"


def _reached(counts, low, high, definition):
    """Whether a member's events by period index reach a column."""
    return any(
        low <= index
        and (high is None or index <= high)
        and (index == 0 or count >= definition.min_events)
        for index, count in counts.items()
    )


def _ranges(definition):
    last = definition.max_period
    if definition.retention == "bracket":
        return [(low, min(high, last)) for low, high in definition.brackets if low <= last]
    after = definition.retention == "on_or_after"
    return [(n, None if after and n else n) for n in range(last + 1)]


def _plain(users, activity, money, definition):
    """(cohort, segment, column, currency) -> what a cell says, by loops over dates."""
    members = _members(users, activity, money, definition)
    known = {currency for group in members.values() for currency in _currencies(group)}
    cells = {}
    for (start, segment), group in members.items():
        own = _currencies(group) or (known if len(known) == 1 else {None})
        before = len(group)
        for number, (low, high) in enumerate(_ranges(definition)):
            users_in = sum(_reached(counts, low, high, definition) for counts, _ in group)
            base = before if definition.basis == "previous" else len(group)
            before = users_in
            last = low if high is None else high
            state = _state(start, low, last, definition)
            rate = f"{round(Fraction(users_in, base) * 10**6)}" if base else None
            events = sum(counts[n] for counts, _ in group for n in range(low, last + 1))
            shows = state == "closed" or (state == "open" and definition.open_cells == "so_far")
            for currency in own:
                values = (users_in, rate, events, _paid(group, currency, low, last))
                cells[start, segment, number, currency] = (
                    state,
                    len(group),
                    *(values if shows else (None,) * 4),
                )
    return cells


def _members(users, activity, money, definition):
    """(cohort start, segment) -> for each member events and payments by period index."""
    rows = {}
    for number, entry_day, segment in users:
        entry = EPOCH + timedelta(days=entry_day)
        start = _floor(entry, definition)
        rows[number, start] = (segment, start if definition.mode == "recurring" else entry)
    members = defaultdict(list)
    for (number, start), (segment, entry) in rows.items():
        counts, paid = Counter(), defaultdict(Counter)
        for index, (events,) in _placed(activity, number, start, entry, definition):
            counts[index] += events
        for index, (currency, minor) in _placed(money, number, start, entry, definition):
            paid[currency][index] += minor
        members[start, segment].append((counts, paid))
    return members


def _placed(facts, number, start, entry, definition):
    """Facts of one user with their period index; those before entry are left out."""
    for who, day, *values in facts:
        index = _index(start, entry, EPOCH + timedelta(days=day), definition)
        if who == number and index is not None:
            yield index, values


def _currencies(group):
    return {currency for _, paid in group for currency in paid}


def _paid(group, currency, low, last):
    return sum(paid[currency][n] for _, paid in group for n in range(low, last + 1))


def _measured(result, definition):
    labels = [
        (str(low) if low == high else f"{low}-{high}") if definition.retention == "bracket" else low
        for low, high in _ranges(definition)
    ]
    return {
        (cell.cohort_start, cell.segment, labels.index(cell.period_index), cell.currency): (
            cell.state.value,
            cell.cohort_size,
            cell.users,
            None if cell.rate is None else str(int(cell.rate * 10**6)),
            cell.events,
            cell.revenue_minor,
        )
        for cell in result.cells
    }


def _history(rng, mode):
    """Users, activity and payments of about two months around a leap day, all before as_of."""
    first = _day(2032, 1, 20)
    users, activity, money = [], [], []
    for number in range(rng.randint(1, 9)):
        segment = rng.choice([None, "free", "pro"])
        entries = rng.sample(range(first, first + 45), rng.randint(1, 3))
        for entry in entries if mode == "recurring" else entries[:1]:
            users.append((number, entry, segment))
        for day in rng.sample(range(first - 5, first + 75), rng.randint(0, 25)):
            activity.append((number, day, rng.randint(1, 3)))
        for day in rng.sample(range(first - 5, first + 75), rng.randint(0, 3)):
            money.append((number, day, rng.choice(["usd", "jpy"]), rng.randint(-500, 900)))
    return users, activity, money


def _options(rng, mode):
    periods = rng.choice(["calendar", "since_entry"])
    retention = rng.choice(["on", "on_or_after", "bracket"])
    brackets = ((0, 0), (1, 3), (2, 9), (70, 80)) if retention == "bracket" else ()
    zone = rng.choice(ZONES)
    day = EPOCH + timedelta(days=_day(2032, 2, 10) + rng.randint(0, 90))
    as_of = datetime(day.year, day.month, day.day, rng.choice([0, 7]), tzinfo=ZoneInfo(zone))
    return RetentionDefinition(
        as_of=as_of.astimezone(UTC),
        grain=rng.choice(["day", "week", "month"]),
        retention=retention,
        brackets=brackets,
        periods=periods,
        period_days=rng.choice([1, 7, 30]) if periods == "since_entry" else None,
        week_start=rng.choice(["monday", "sunday", "thursday"]),
        anchor=rng.choice([None, date(2032, 1, 31), date(2031, 12, 30)]),
        tz=zone,
        max_period=rng.choice([0, 5, 12, 61, 62, 75]),
        min_events=rng.choice([1, 1, 2, 3]),
        open_cells=rng.choice(["null", "so_far"]),
        basis=rng.choice(["first", "previous"]),
        mode=mode,
    )


@pytest.mark.parametrize("part", range(20))
@pytest.mark.parametrize("mode", ["first_ever", "recurring"])
def test_random_histories_give_the_cells_of_a_plain_loop(engine, seed, mode, part):
    rng = random.Random(f"{seed}/{mode}/{part}")
    users, activity, money = _history(rng, mode)
    definition = _options(rng, mode)
    result = measure_retention(engine, _facts(users, activity, money), definition)
    assert _measured(result, definition) == _plain(users, activity, money, definition)


def test_segments_of_a_cohort_add_up_to_it(engine, seed):
    rng = random.Random(seed)
    users, activity, _ = _history(rng, "first_ever")
    definition = RetentionDefinition(as_of=datetime(2032, 6, 1, tzinfo=UTC), grain="month")
    split = measure_retention(engine, _facts(users, activity), definition)
    whole = measure_retention(
        engine, _facts([(number, day, None) for number, day, _ in users], activity), definition
    )
    sums = Counter()
    for cell in split.cells:
        sums[cell.cohort_start, cell.period_index] += cell.users or 0
    assert sums == Counter(
        {(cell.cohort_start, cell.period_index): cell.users or 0 for cell in whole.cells}
    )
