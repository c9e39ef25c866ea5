"""Stored reports of audits for a terminal: what there is, what a cleaning removes.

Which report may go is decided in `audit/report/retention.py`; here it is asked for, and worded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from growth_pipeline.audit.report.report_store import ReportStore
from growth_pipeline.audit.report.retention import (
    FOLDER,
    Cleaning,
    StoredReport,
    clean_reports,
    left_alone,
)
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.lake import Lake

Say = Callable[[str], None]


@dataclass(frozen=True)
class Listed:
    """Reports, the newest first; `total` counts those beyond the limit too.

    `left_alone`: folder of the lake that this database knows no report of -> its files.
    """

    reports: Sequence[StoredReport]
    total: int
    keep_days: int
    left_alone: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = [report.to_dict() for report in self.reports]
        return {
            "keep_days": self.keep_days,
            "total": self.total,
            "reports": told,
            "left_alone": dict(self.left_alone),
        }

    def lines(self) -> list[str]:
        """For a person."""
        listed = [
            f"{one.month} {one.tz:<4} {one.verdict:<7} {one.finished_at:%Y-%m-%d %H:%M} "
            f"{one.scope.account_id} {one.scope.mode}  "
            f"{', '.join(one.kept_because) or f'kept for {self.keep_days} days'}"
            for one in self.reports
        ]
        more = self.total - len(self.reports)
        return [
            *(listed or ["no report is stored: growth audit --month 2025-10 writes one"]),
            *([f"{more} more: --limit {self.total}"] if more else []),
            *_left_alone(self.left_alone),
        ]


@dataclass(frozen=True)
class Cleaned:
    """What was removed, or would be."""

    cleaning: Cleaning
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.cleaning.to_dict(), "dry_run": self.dry_run}

    def lines(self) -> list[str]:
        """For a person."""
        done = self.cleaning
        verb = "would remove" if self.dry_run else "removed"
        lines = [f"{verb} {path}" for path in done.removed]
        lines.append(
            f"{verb} {len(done.removed)} files ({done.byte_count} bytes) written before "
            f"{done.older_than:%Y-%m-%d}; {done.kept} stay"
        )
        lines += [f"missing, though it should stay: {path}" for path in done.missing]
        return [*lines, *_left_alone(done.left_alone)]


def _left_alone(folders: Mapping[str, int]) -> list[str]:
    return [
        f"left alone: {count} file{'' if count == 1 else 's'} in {folder}, "
        "of no audit of this database"
        for folder, count in folders.items()
    ]


def list_reports(limit: int, *, say: Say) -> Listed:
    """Stored reports of this folder's configuration, or of the demo that runs here.

    Raises: ConfigurationError, RemoteUnavailableError, LakeUnreadableError.
    """
    with _opened(say, dry_run=True) as (store, lake):
        files, reports = lake.list_artifacts(FOLDER), store.stored_reports()
        keep_days = load_settings().reports.keep_days
        return Listed(reports[:limit], len(reports), keep_days, left_alone(files, reports))


def clean(*, now: datetime, dry_run: bool, say: Say) -> Cleaned:
    """Remove reports that are older than the setting says and that nothing keeps.

    Raises: ConfigurationError, RemoteUnavailableError, LakeWriteError.
    """
    with _opened(say, dry_run=dry_run) as (store, lake):
        keep = timedelta(days=load_settings().reports.keep_days)
        return Cleaned(clean_reports(lake, store, now=now, keep=keep, dry_run=dry_run), dry_run)


@contextmanager
def _opened(say: Say, *, dry_run: bool) -> Iterator[tuple[ReportStore, Lake]]:
    with open_database(say, read_only=dry_run, name="growth reports") as (_, database):
        yield ReportStore(database), Lake(load_settings().resolved_lake_url)
