"""Ids in Stripe's form and the clock's arithmetic; the same seed gives the same names."""

from __future__ import annotations

import calendar
import hashlib
from datetime import UTC, datetime

HOUR = 3600
DAY = 24 * HOUR


class Names:
    """Makes ids such as `ch_` and 24 hexadecimal digits, one after the other.

    Two makers with equal parts give equal ids; with different parts, ids that never meet.
    """

    def __init__(self, *parts: object) -> None:
        self._key = "/".join(str(part) for part in parts)
        self._count = 0

    def new(self, prefix: str) -> str:
        """The next id, with its prefix."""
        return f"{prefix}_{self.digits()}"

    def digits(self) -> str:
        """24 hexadecimal digits that no other call gives."""
        self._count += 1
        text = f"{self._key}/{self._count}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def month_key(at: int) -> str:
    """Month of an epoch second in UTC, such as `2025-10`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def month_start(key: str) -> int:
    """First second of a month such as `2025-10`, in UTC."""
    return int(datetime.strptime(key, "%Y-%m").replace(tzinfo=UTC).timestamp())


def midnight(at: int) -> int:
    """First second of the UTC day that holds an epoch second."""
    return at - at % DAY


def add_months(at: int, months: int) -> int:
    """The same day and time some months later; the month's last day where it is shorter."""
    day = datetime.fromtimestamp(at, UTC)
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return int(day.replace(year=year, month=month, day=min(day.day, last)).timestamp())


def add_periods(anchor: int, interval: str, count: int) -> int:
    """End of the `count`-th billing period after an anchor.

    Counted from the anchor, not from the period before: a cycle that begins on the 31st comes
    back to the 31st after a short month.
    """
    if interval in {"day", "week"}:
        return anchor + count * DAY * (7 if interval == "week" else 1)
    return add_months(anchor, count * {"month": 1, "year": 12}[interval])
