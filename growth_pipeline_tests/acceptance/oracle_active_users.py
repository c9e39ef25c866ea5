"""Active users by plain loops over sets of people and days, for every kind and option.

Written from the contract (docs/metrics.md, "Active users") alone; imports nothing of the product.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from growth_pipeline_tests.acceptance.oracle_retention import (
    WEEKDAYS,
    Days,
    Event,
    User,
    first_instant,
    local_day,
    rate_of,
)

ONE = timedelta(days=1)
NAMES = {
    "day": "dau",
    "week": "wau_calendar",
    "month": "mau_calendar",
    1: "dau",
    7: "wau",
    30: "mau",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """Every option of active users."""

    as_of: datetime
    kind: str
    tz: str = "UTC"
    grains: tuple[str, ...] = ("day",)
    windows: tuple[int, ...] = (1, 7, 30)
    week_start: str = "monday"
    anchor: date | None = None
    events: tuple[str, ...] | None = None
    min_events: int = 1
    new_by: str = "first_activity"
    silent_days: int = 30
    retained: tuple[int, int] = (1, 30)
    first: date | None = None
    last: date | None = None
    open_cells: str = "null"
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loops:
    """A history and what is asked of it."""

    users: list[User] | None
    events: list[Event]
    asked: Asked

    @cached_property
    def active(self) -> Days:
        """Local day -> who had enough qualifying events on it."""
        known = None if self.users is None else {user.user for user in self.users}
        counts: Counter[tuple[date, str]] = Counter()
        for event in self.events:
            counted = event.occurred_at < self.asked.as_of
            counted = counted and (known is None or event.user in known)
            counted = counted and event.user not in self.asked.excluded
            if counted and (self.asked.events is None or event.event in self.asked.events):
                counts[local_day(event.occurred_at, self.asked.tz), event.user] += 1
        days: Days = defaultdict(set)
        for (day, user), count in counts.items():
            if count >= self.asked.min_events:
                days[day].add(user)
        return days

    @property
    def first_day(self) -> date:
        return min(local_day(event.occurred_at, self.asked.tz) for event in self.events)

    @cached_property
    def all_days(self) -> list[date]:
        """From the first day of data to the last one begun before as_of."""
        days, day = [], self.first_day
        while first_instant(day, self.asked.tz) < self.asked.as_of:
            days.append(day)
            day += ONE
        return days

    def state(self, after: date) -> str:
        """State of something begun, `after` being the day after its last."""
        return "closed" if first_instant(after, self.asked.tz) <= self.asked.as_of else "open"

    def shown(self, state: str, value: Any) -> Any:
        return value if state == "closed" or self.asked.open_cells == "so_far" else None

    def days(self) -> list[date]:
        return [day for day in self.all_days if self.is_asked(day, day)]

    def is_asked(self, first: date, last: date) -> bool:
        """Whether days from first to last (both in) touch what is to be shown."""
        begins, ends = self.asked.first, self.asked.last
        return (begins is None or last >= begins) and (ends is None or first <= ends)

    def floor(self, day: date, grain: str) -> date:
        if grain == "day":
            return day
        if grain == "month":
            return day.replace(day=1)
        if self.asked.anchor is not None:
            return day - (day - self.asked.anchor).days % 7 * ONE
        return day - (day.weekday() - WEEKDAYS.index(self.asked.week_start)) % 7 * ONE

    def after(self, start: date, grain: str) -> date:
        if grain == "month":
            return (start + 31 * ONE).replace(day=1)
        return start + (7 if grain == "week" else 1) * ONE

    def starts(self, grain: str) -> list[date]:
        found = sorted({self.floor(day, grain) for day in self.all_days})
        return [s for s in found if self.is_asked(s, self.after(s, grain) - ONE)]

    def who(self, start: date, after: date) -> set[str]:
        """Everyone active on the days from start to before after."""
        return set().union(*(who for day, who in self.active.items() if start <= day < after))

    def rows(self) -> list[Row]:
        return list(getattr(self, self.asked.kind)()) if self.all_days else []

    def rolling(self) -> Iterator[Row]:
        for day in self.days():
            state = self.state(day + ONE)
            for width in self.asked.windows:
                begins = day - (width - 1) * ONE
                yield {
                    "day": day.isoformat(),
                    "metric": NAMES.get(width, f"active_{width}"),
                    "window_days": width,
                    "users": self.shown(state, len(self.who(begins, day + ONE))),
                    "truncated": begins < self.first_day,
                    "state": state,
                }

    def calendar(self) -> Iterator[Row]:
        for grain in self.asked.grains:
            for start in self.starts(grain):
                after = self.after(start, grain)
                yield {
                    "grain": grain,
                    "metric": NAMES[grain],
                    "period_start": start.isoformat(),
                    "users": self.shown(self.state(after), len(self.who(start, after))),
                    "state": self.state(after),
                }

    def stickiness(self) -> Iterator[Row]:
        for start in self.starts("month"):
            after = self.after(start, "month")
            state = self.state(after)
            yield {
                "period_start": start.isoformat(),
                **self.sticky(start, after, (after - start).days, state),
                "state": state,
            }

    def stickiness_rolling(self) -> Iterator[Row]:
        for day in self.days():
            state = self.state(day + ONE)
            yield {
                "day": day.isoformat(),
                **self.sticky(day - 29 * ONE, day + ONE, 30, state),
                "truncated": day - 29 * ONE < self.first_day,
                "state": state,
            }

    def sticky(self, start: date, after: date, days: int, state: str) -> Row:
        user_days = sum(len(who) for day, who in self.active.items() if start <= day < after)
        users = len(self.who(start, after))
        values = {
            "user_days": user_days,
            "average_dau": float(rate_of(user_days, days)),
            "users": users,
            "rate": float(rate_of(user_days, days * users)) if users else None,
        }
        return {name: self.shown(state, value) for name, value in values.items()} | {"days": days}

    def lifecycle(self) -> Iterator[Row]:
        signed = {
            user.user: local_day(user.signed_up_at, self.asked.tz)
            for user in self.users or ()
            if user.signed_up_at < self.asked.as_of
        }
        for grain in self.asked.grains:
            for start in self.starts(grain):
                after, earlier = self.after(start, grain), self.floor(start - ONE, grain)
                now, before = self.who(start, after), self.who(earlier, start)
                ever = self.who(date.min, start)
                new = now - ever
                if self.asked.new_by == "signup":
                    new = {u for u in now - before if u in signed and start <= signed[u] < after}
                values = {
                    "active": len(now),
                    "new": len(new),
                    "returning": len(now & before),
                    "resurrecting": len(now - before - new),
                    "dormant": len(before - now),
                }
                state = self.state(after)
                yield {
                    "grain": grain,
                    "period_start": start.isoformat(),
                    **{name: self.shown(state, value) for name, value in values.items()},
                    "state": state,
                }

    def days_active(self) -> Iterator[Row]:
        grain = self.asked.grains[0]
        closed = [day for day in self.all_days if self.state(day + ONE) == "closed"]
        first = self.asked.first or self.first_day
        last = self.asked.last or closed[-1]
        periods: dict[str, set[date]] = defaultdict(set)
        for day, people in self.active.items():
            for user in people if first <= day <= last else ():
                periods[user].add(self.floor(day, grain))
        found = Counter(map(len, periods.values()))
        begun = first_instant(first, self.asked.tz) < self.asked.as_of
        state = self.state(last + ONE) if begun else "not_begun"
        for number in range(1, max(found, default=0) + 1):
            yield {
                "grain": grain,
                "active_periods": number,
                "users": self.shown(state, found[number]),
                "state": state,
            }

    def silence(self) -> Iterator[Row]:
        low, high = self.asked.retained
        for day in self.days():
            woken, again = 0, 0
            for user in self.active.get(day, set()):
                seen = [other for other, who in self.active.items() if user in who]
                before = [other for other in seen if other < day]
                if before and (day - max(before)).days >= self.asked.silent_days:
                    woken += 1
                    again += any(day + low * ONE <= other <= day + high * ONE for other in seen)
            state, judged = self.state(day + ONE), self.state(day + (high + 1) * ONE)
            rate: Decimal | None = rate_of(again, woken) if woken else None
            yield {
                "day": day.isoformat(),
                "users": self.shown(state, woken),
                "state": state,
                "retained": self.shown(judged, again),
                "rate": self.shown(judged, None if rate is None else float(rate)),
                "retained_state": judged,
            }
