"""A weekly growth report made and kept: measured, written, judged, put into lake and database.

Rules are elsewhere: this is the order in which they are called, for Dagster and the terminal alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from growth_pipeline.core.errors import UsageError
from growth_pipeline.insights.digest.measure import DigestSources, last_week_end, measure_digest
from growth_pipeline.insights.facts import Digest
from growth_pipeline.insights.report.cleaning import clean
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.write import (
    highlights,
    save_report,
    to_json,
    to_markdown,
)
from growth_pipeline.insights.weekly import write_report
from growth_pipeline.insights.writer.write import Written, write_claims
from growth_pipeline.insights.written import Judged, judge_written

if TYPE_CHECKING:
    from growth_pipeline.insights.insight_store import InsightStore
    from growth_pipeline.insights.writer.model import Model
    from growth_pipeline.insights.writer.write import Limits
    from growth_pipeline.storage.lake import Lake

FEWEST_WEEKS = 1
MOST_WEEKS = 104
NO_MODEL_ASKED = "Claude was not asked: the report was ordered without it."


@dataclass(frozen=True, kw_only=True)
class Order:
    """What report is wanted. `week_end`: None for the newest complete week.

    `tell`: whether others are told of it.
    """

    weeks: int
    week_end: date | None = None
    tell: bool = False
    run_id: str | None = None

    @classmethod
    def read(
        cls, *, weeks: int, week_end: str = "", tell: bool = False, run_id: str | None = None
    ) -> Order:
        """An order from what a person typed. Raises: UsageError."""
        if not FEWEST_WEEKS <= weeks <= MOST_WEEKS:
            raise UsageError(
                f"{weeks} weeks cannot be shown",
                remedy=f"give a number from {FEWEST_WEEKS} to {MOST_WEEKS}",
            )
        try:
            end = date.fromisoformat(week_end) if week_end else None
        except ValueError:
            raise UsageError(
                f"{week_end!r} is not a day", remedy="write it as YYYY-MM-DD, as in 2026-11-22"
            ) from None
        return cls(weeks=weeks, week_end=end, tell=tell, run_id=run_id)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A report that lies where it belongs. `artifacts`: format -> path in the lake."""

    report: WeeklyReport
    judged: Judged
    artifacts: Mapping[str, str]
    highlights: str
    markdown: str
    shown: str
    told: bool


def make_report(
    order: Order,
    sources: DigestSources,
    *,
    store: InsightStore,
    lake: Lake,
    model: Model | None,
    limits: Limits,
    why_no_model: str,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    say: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Make the report of an order, keep it, and mark it as one to tell if nothing in it is wrong.

    Raises: UsageError for a week that is not over or does not begin on the day that weeks begin on;
    RemoteUnavailableError; LakeWriteError.
    """
    now = clock()
    week_end = _checked_end(order, sources, now)
    say(f"measuring {order.weeks} weeks that end before {week_end}")
    digest = measure_digest(
        sources,
        week_end=week_end,
        weeks=order.weeks,
        now=now,
        previous=store.digest_before(week_end),
    )
    say(f"{len(digest.facts)} facts, {len(digest.notes)} notes")

    def ask(digest: Digest) -> Written:
        return write_claims(
            digest, model=model, limits=limits, memory=store, clock=clock, monotonic=monotonic
        )

    report = write_report(
        digest,
        past=store,
        write=ask if model is not None else None,
        why_no_model=why_no_model or ("" if model else NO_MODEL_ASKED),
        now=now,
        tell=say,
    )
    faces = {"md": to_markdown(report), "json": to_json(report)}
    judged = judge_written(report, faces)
    artifacts = save_report(report, lake)
    told = order.tell and judged.may_be_told
    lines = highlights(report)
    store.keep(report, highlights=lines, artifacts=artifacts, to_tell=told, run_id=order.run_id)
    return Finished(
        report=report,
        judged=judged,
        artifacts=artifacts,
        highlights=lines,
        markdown=faces["md"],
        shown=to_markdown(report, pictures=True),
        told=told,
    )


def clean_files(lake: Lake, store: InsightStore, *, now: datetime, keep: timedelta) -> int:
    """Remove files of reports that are older than `keep`, never those of the newest; how many.

    Raises: RemoteUnavailableError; LakeWriteError.
    """
    return clean(lake, store, now=now, keep=keep)


def _checked_end(order: Order, sources: DigestSources, now: datetime) -> date:
    newest = last_week_end(now, tz=sources.revenue_tz, week_start=sources.week_start)
    if order.week_end is None:
        return newest
    if order.week_end > newest:
        raise UsageError(
            f"the week before {order.week_end} is not over",
            remedy=f"the newest complete week ends before {newest}",
        )
    if (newest - order.week_end).days % 7:
        raise UsageError(
            f"no week of the report ends before {order.week_end}",
            remedy=f"weeks begin on a {sources.week_start}: {newest} is such a day; set "
            "GROWTH_INSIGHTS__WEEK_START for another",
        )
    return order.week_end
