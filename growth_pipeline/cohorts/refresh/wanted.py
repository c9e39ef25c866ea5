"""What is asked of a refresh.

Contract: docs/metrics.md, "Published cohorts".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from growth_pipeline.cohorts.definition import GRAINS, RetentionDefinition
from growth_pipeline.cohorts.refresh.entries import PUBLISHED_ENTRIES, SIGNUP
from growth_pipeline.core.calendar import day_end
from growth_pipeline.core.errors import UsageError


@dataclass(frozen=True)
class Wanted:
    """What is asked of a refresh.

    `grains`: in any order. `since`, `until`: days from the one to the other, both in, are computed
    again in any case; `until` None is the last. `through`: the last whole local day, default the
    last there is in the lake, and never one that is earlier than what is published unless said
    here. `tz`: None is the zone of the rollup. `entry`: one of PUBLISHED_ENTRIES.
    """

    grains: Sequence[str] = GRAINS
    since: date | None = None
    until: date | None = None
    through: date | None = None
    tz: str | None = None
    week_start: str = "monday"
    entry: str = SIGNUP

    def __post_init__(self) -> None:
        unknown = [grain for grain in self.grains if grain not in GRAINS]
        if unknown:
            raise UsageError(
                f"--grain {unknown[0]!r} is not known", remedy=f"allowed are {', '.join(GRAINS)}"
            )
        if self.entry not in PUBLISHED_ENTRIES:
            raise UsageError(
                f"--entry {self.entry!r} is not published",
                remedy=f"allowed are {', '.join(PUBLISHED_ENTRIES)}; growth retention knows others",
            )
        if self.until is not None and (self.since is None or self.until < self.since):
            raise UsageError(
                f"--until {self.until} ends a range that does not begin before it",
                remedy="give --since with a date that is not later",
            )

    def definition(
        self, grain: str, through: int, tz: str, *, segment_by: str | None = None
    ) -> RetentionDefinition:
        """The standard question of a grain: Day 0-30, Week 0-12, Month 0-12, bounded.

        `segment_by`: the property by which cohorts are split; None: not.
        """
        end = datetime.fromtimestamp(day_end(tz, through), UTC)
        return RetentionDefinition(
            as_of=end,
            entry=self.entry,
            grain=grain,
            tz=tz,
            week_start=self.week_start,
            segment=segment_by,
        )
