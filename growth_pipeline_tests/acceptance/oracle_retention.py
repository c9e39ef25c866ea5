"""Retention by plain loops over single events: what the grids must say.

Written from the contract (docs/metrics.md) alone. It shares no code with the product and imports
nothing of it: days come from `datetime` and `zoneinfo`, rates from `fractions`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class User:
    """One row of the users file."""

    user: str
    signed_up_at: datetime
    segment: str | None = None


@dataclass(frozen=True)
class Event:
    """One row of the activity file; `minor` is money in minor units of `currency`."""

    user: str
    occurred_at: datetime
    event: str = "use"
    minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Question:
    """Every option of the contract that moves a cell."""

    as_of: datetime
    entry: str = "signup"
    grain: str = "month"
    retention: str = "on"
    brackets: tuple[tuple[int, int], ...] = ()
    periods: str = "calendar"
    period_days: int = 30
    week_start: str = "monday"
    anchor: date | None = None
    tz: str = "UTC"
    max_period: int = 12
    events: tuple[str, ...] | None = None
    target_events: tuple[str, ...] | None = None
    min_events: int = 1
    money: str = "net"
    open_cells: str = "null"
    basis: str = "first"
    mode: str = "first_ever"
    by_segment: bool = False


@dataclass(frozen=True)
class Cell:
    """One cohort in one column: `users` is None while the contract says null."""

    size: int
    users: int | None
    rate: Decimal | None
    events: int | None
    money: dict[str, int]
    state: str
    base: int | None = field(default=None, compare=False)


CellKey = tuple[date, str | None, int]
Days = dict[date, set[str]]


def local_day(instant: datetime, tz: str) -> date:
    return instant.astimezone(ZoneInfo(tz)).date()


@cache
def first_instant(day: date, tz: str) -> datetime:
    """The first instant of the local day, or of the next one when the zone skips it.

    Searched by halving, as a midnight may be missing (DST) or come twice.
    """
    guess = datetime(day.year, day.month, day.day, tzinfo=UTC)
    low, high = guess - 2 * DAY, guess + 2 * DAY
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if local_day(middle, tz) >= day:
            high = middle
        else:
            low = middle
    return high


def floor_day(day: date, question: Question) -> date:
    if question.grain == "day":
        return day
    if question.grain == "month":
        return day.replace(day=1)
    if question.anchor is not None:
        return day - timedelta(days=(day - question.anchor).days % 7)
    return day - timedelta(days=(day.weekday() - WEEKDAYS.index(question.week_start)) % 7)


def step(start: date, count: int, question: Question) -> date:
    """The start of the period `count` periods after the one that begins on `start`."""
    if question.grain == "month":
        months = start.year * 12 + start.month - 1 + count
        return date(months // 12, months % 12 + 1, 1)
    return start + timedelta(days=count * (1 if question.grain == "day" else 7))


def period_index(entry: date, day: date, question: Question) -> int:
    if question.periods == "since_entry":
        return (day - entry).days // question.period_days
    a, b = floor_day(entry, question), floor_day(day, question)
    if question.grain == "month":
        return 12 * (b.year - a.year) + b.month - a.month
    return (b - a).days // (1 if question.grain == "day" else 7)


def cell_bounds(cohort: date, column: int, question: Question) -> tuple[date, date]:
    """The first day on which a member can be in the column, and the day after the last such day."""
    if question.periods == "calendar":
        return step(cohort, column, question), step(cohort, column + 1, question)
    days = question.period_days
    if question.mode == "recurring":
        ends = max(step(cohort, 1, question), cohort + timedelta(days=(column + 1) * days))
        return cohort + timedelta(days=column * days), ends
    last_entry = step(cohort, 1, question) - DAY
    return (
        cohort + timedelta(days=column * days),
        last_entry + timedelta(days=(column + 1) * days),
    )


def state_of(cohort: date, ranges: tuple[int, int], question: Question) -> str:
    begins, _ = cell_bounds(cohort, ranges[0], question)
    _, ends = cell_bounds(cohort, ranges[1], question)
    if first_instant(ends, question.tz) <= question.as_of:
        return "closed"
    return "open" if first_instant(begins, question.tz) < question.as_of else "not_begun"


def entries(
    users: list[User] | None, events: list[Event], question: Question
) -> list[tuple[str, date, str | None]]:
    """User, local day of entry and segment; in recurring mode the row's start is the day."""
    segments = {user.user: user.segment for user in users or ()}
    found: dict[str, list[datetime]] = defaultdict(list)
    if question.entry == "signup":
        for user in users or ():
            found[user.user].append(user.signed_up_at)
    else:
        for event in events:
            if (users is None or event.user in segments) and _enters(event, question):
                found[event.user].append(event.occurred_at)
    rows: list[tuple[str, date, str | None]] = []
    for name, instants in found.items():
        days = sorted(local_day(at, question.tz) for at in instants if at < question.as_of)
        if question.mode == "recurring":
            days = sorted({floor_day(day, question) for day in days})
        else:
            days = days[:1]
        segment = segments.get(name) if question.by_segment else None
        rows.extend((name, day, segment) for day in days)
    return rows


def _enters(event: Event, question: Question) -> bool:
    if question.entry == "first_payment":
        return event.minor is not None and event.minor > 0  # 0 in a file: nothing was paid
    if question.entry == "first_event":
        return question.target_events is None or event.event in question.target_events
    return True  # first_activity: `events` says what counts as coming back


def columns(question: Question) -> list[tuple[int, int]]:
    if question.retention == "bracket":
        return list(question.brackets)
    return [(n, n) for n in range(question.max_period + 1)]


@dataclass
class _Life:
    """What one member did, by period index: events and money by currency."""

    events: dict[int, int]
    money: dict[int, dict[str, int]]


def _life_since(entry: date, events: list[Event], question: Question) -> _Life:
    life = _Life({}, {})
    for event in events:
        if event.occurred_at < question.as_of:
            index = period_index(entry, local_day(event.occurred_at, question.tz), question)
            if index >= 0:
                _live(life, event, index, question)
    return life


def _live(life: _Life, event: Event, index: int, question: Question) -> None:
    if question.events is None or event.event in question.events:
        life.events[index] = life.events.get(index, 0) + 1
    if event.minor is not None and (question.money == "net" or event.minor > 0):
        amounts = life.money.setdefault(index, {})
        currency = event.currency or ""
        amounts[currency] = amounts.get(currency, 0) + event.minor


def retention(
    users: list[User] | None, events: list[Event], question: Question
) -> dict[CellKey, Cell]:
    """Every cell of every cohort with members, by (cohort start, segment, column number)."""
    done: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        done[event.user].append(event)
    members: dict[tuple[date, str | None], list[_Life]] = defaultdict(list)
    for user, day, segment in entries(users, events, question):
        life = _life_since(day, done[user], question)
        members[floor_day(day, question), segment].append(life)
    grid: dict[CellKey, Cell] = {}
    for (cohort, segment), people in members.items():
        base: int | None = len(people)
        for number, ranges in enumerate(columns(question)):
            cell = _cell(cohort, people, ranges, base, question)
            grid[cohort, segment, number] = cell
            base = len(people) if question.basis == "first" else cell.users
    return grid


def _cell(
    cohort: date,
    people: list[_Life],
    ranges: tuple[int, int],
    base: int | None,
    question: Question,
) -> Cell:
    state = state_of(cohort, ranges, question)
    if state == "not_begun" or (state == "open" and question.open_cells == "null"):
        return Cell(len(people), None, None, None, {}, state)
    low, high = ranges
    users = sum(_is_active(life.events, low, high, question) for life in people)
    happened, paid = 0, dict[str, int]()
    for life in people:
        happened += sum(count for n, count in life.events.items() if low <= n <= high)
        for n, amounts in life.money.items():
            if low <= n <= high:
                for currency, minor in amounts.items():
                    paid[currency] = paid.get(currency, 0) + minor
    rate = rate_of(users, base) if base else None
    paid = {currency: minor for currency, minor in paid.items() if minor}
    return Cell(len(people), users, rate, happened, paid, state, base)


def _is_active(counts: dict[int, int], low: int, high: int, question: Question) -> bool:
    reached = {n for n, count in counts.items() if count >= (1 if n == 0 else question.min_events)}
    if question.retention == "on_or_after" and low > 0:
        return any(n >= low for n in reached)
    return any(low <= n <= high for n in reached)


def rate_of(users: int, base: int) -> Decimal:
    """The quotient at six decimals, half-even, from exact whole numbers."""
    scaled = Fraction(users * 10**6, base)
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    twice = 2 * rest
    up = twice > scaled.denominator or (twice == scaled.denominator and whole % 2 == 1)
    return (Decimal(whole + up) / 10**6).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


def averages(grid: dict[CellKey, Cell]) -> dict[tuple[str | None, int], tuple[int, int, int]]:
    """By segment and column: pooled users, pooled bases and cohorts of the closed cells."""
    pooled: dict[tuple[str | None, int], tuple[int, int, int]] = {}
    for (_, segment, column), cell in grid.items():
        if cell.state == "closed" and cell.users is not None and cell.base:
            users, bases, cohorts = pooled.get((segment, column), (0, 0, 0))
            pooled[segment, column] = (users + cell.users, bases + cell.base, cohorts + 1)
    return pooled


def wilson(users: int, size: int) -> tuple[float, float]:
    """The 95 % interval as the contract writes it."""
    z, p = 1.959964, users / size
    centre = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z * (p * (1 - p) / size + z * z / (4 * size * size)) ** 0.5 / (1 + z * z / size)
    return centre - half, centre + half
