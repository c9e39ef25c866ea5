"""Ranges of `created` in which a list is read: half-open, whole seconds, in UTC.

One window a month today; a month may be cut into several without changing the partition.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from growth_pipeline.core.periods import Month


class Window(NamedTuple):
    """`created` in `[gte, lt)`, epoch seconds; `gte` None means from the beginning."""

    gte: int | None
    lt: int

    @property
    def is_empty(self) -> bool:
        """Whether no second lies inside."""
        return self.gte is not None and self.gte >= self.lt

    def holds(self, created: object) -> bool:
        """Whether an object of that second belongs here; not if it is no second at all."""
        if not isinstance(created, int):
            return False
        return (self.gte is None or self.gte <= created) and created < self.lt

    def params(self) -> dict[str, str]:
        """The window as Stripe's list filters."""
        lower = {} if self.gte is None else {"created[gte]": str(self.gte)}
        return lower | {"created[lt]": str(self.lt)}

    def up_to_second(self, created: int) -> Window:
        """What is left when everything after that second was read.

        The second itself stays inside, because others may share it; known ids are dropped.
        """
        return Window(self.gte, min(self.lt, created + 1))

    def __str__(self) -> str:
        """`[2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)`, for messages."""
        start = "the beginning" if self.gte is None else _instant(self.gte)
        return f"[{start}, {_instant(self.lt)})"


def month_windows(month: Month, now: datetime) -> list[Window]:
    """Windows that cover the part of a month before `now`, without gap or overlap.

    Shapes: one window; empty list for a month that has not begun. The second of `now` is left
    out: objects may still be added to it.
    """
    window = Window(
        int(month.start.timestamp()), min(int(month.end.timestamp()), int(now.timestamp()))
    )
    return [] if window.is_empty else [window]


def _instant(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
