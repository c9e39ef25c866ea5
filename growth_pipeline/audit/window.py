"""The span of time that one audit judges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The audited month and its limits, in Unix seconds. Judged: created before `cutoff`."""

    start: int
    end: int
    as_of: int
    cutoff: int

    def holds(self, created: int) -> bool:
        """Whether an instant lies in the month."""
        return self.start <= created < self.end

    def judged(self, created: int) -> bool:
        """Whether an object of that age is judged: in the month, and not in its grace period."""
        return self.holds(created) and created < self.cutoff
