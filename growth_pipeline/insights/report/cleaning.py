"""How long files of weekly reports are kept: which go, and how that is carried out.

Only files under reports/insights/ that a report of this database names are ever removed: a lake may
hold the reports of several databases. Contract: docs/insights.md, "What is kept".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Protocol

FOLDER: Final = "reports/insights"


class KeptReport(Protocol):
    """One report whose files lie in the lake. `artifacts`: format -> path."""

    @property
    def report_id(self) -> str:
        """Its name."""
        ...

    @property
    def week_start(self) -> date:
        """The first day of its week."""
        ...

    @property
    def made_at(self) -> datetime:
        """When it was made."""
        ...

    @property
    def artifacts(self) -> Mapping[str, str]:
        """Format -> path in the lake."""
        ...


class Files(Protocol):
    """What is asked of the lake."""

    def remove_artifact(self, path: str, *, older_than: datetime) -> bool:
        """Remove a file unless it was written again meanwhile; whether it is gone."""
        ...


class Reports(Protocol):
    """What is asked of the database."""

    def kept_reports(self) -> Sequence[KeptReport]:
        """Reports whose files were not cleaned."""
        ...

    def forget_files(self, report_ids: Iterable[str]) -> None:
        """Note that the files of these reports lie nowhere any more."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a cleaning removes. `forgotten`: reports that have no file of their own left."""

    removed: tuple[str, ...]
    forgotten: tuple[str, ...]
    older_than: datetime


def plan_cleaning(reports: Sequence[KeptReport], *, older_than: datetime) -> Plan:
    """Which files go: those of reports made before `older_than` that no kept report names.

    The report that was made last stays whatever its age, and so does the last of the newest week.
    """
    newest = {max(reports, key=key).report_id for key in (_by_making, _by_week) if reports}
    old = [one for one in reports if one.made_at < older_than and one.report_id not in newest]
    gone = {one.report_id for one in old}
    kept = {path for one in reports if one.report_id not in gone for path in one.artifacts.values()}
    named = {path for one in old for path in one.artifacts.values() if _is_ours(path)}
    return Plan(tuple(sorted(named - kept)), tuple(sorted(gone)), older_than)


def clean(lake: Files, store: Reports, *, now: datetime, keep: timedelta) -> int:
    """Remove files of reports that are older than `keep`; how many are gone.

    Files go first and are forgotten afterwards: killed in between, the next cleaning forgets them.
    Raises: GrowthError when lake or database is away.
    """
    plan = plan_cleaning(store.kept_reports(), older_than=now - keep)
    removed = sum(lake.remove_artifact(path, older_than=plan.older_than) for path in plan.removed)
    if plan.forgotten:
        store.forget_files(plan.forgotten)
    return removed


def _by_making(report: KeptReport) -> tuple[datetime, str]:
    return (report.made_at, report.report_id)


def _by_week(report: KeptReport) -> tuple[date, datetime, str]:
    return (report.week_start, *_by_making(report))


def _is_ours(path: str) -> bool:
    return path.startswith(f"{FOLDER}/") and ".." not in path.split("/")
