"""How long reports are kept: what may be removed and what must stay, and how it is carried out.

Only reports of audits are ever removed. Extracts, and the files of closed months, are no reports.
Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.lake import ArtifactFile

FOLDER: Final = "reports/audit"
FACES: Final = ("md", "html", "json", "csv")


@dataclass(frozen=True)
class StoredReport:
    """Grain: the report of one audit, with its files in the lake.

    `kept_because`: why it must stay, whatever its age; empty when it may go.
    """

    audit_id: UUID
    scope: Scope
    month: Month
    tz: str
    verdict: str
    finished_at: datetime
    paths: tuple[str, ...]
    kept_because: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON knows it."""
        return {
            "audit_id": str(self.audit_id),
            "account_id": self.scope.account_id,
            "livemode": self.scope.livemode,
            "month": self.month.key,
            "tz": self.tz,
            "verdict": self.verdict,
            "finished_at": self.finished_at.isoformat(),
            "files": list(self.paths),
            "kept_because": list(self.kept_because),
        }


@dataclass(frozen=True)
class Cleaning:
    """What a cleaning removes and keeps.

    `removed`: paths of files. `byte_count`: their bytes. `kept`: files that stay. `forgotten`:
    audits that have no file of their own left. `missing`: paths that must stay and are gone.
    `left_alone`: folder of an account and mode that no audit is known of -> its files.
    """

    removed: tuple[str, ...]
    byte_count: int
    kept: int
    forgotten: tuple[UUID, ...]
    missing: tuple[str, ...]
    left_alone: Mapping[str, int]
    older_than: datetime

    def to_dict(self) -> dict[str, Any]:
        """The cleaning as JSON knows it."""
        return {
            "older_than": self.older_than.isoformat(),
            "removed": list(self.removed),
            "removed_bytes": self.byte_count,
            "kept": self.kept,
            "missing": list(self.missing),
            "left_alone": dict(self.left_alone),
        }


def plan_cleaning(
    files: Iterable[ArtifactFile], reports: Sequence[StoredReport], *, older_than: datetime
) -> Cleaning:
    """Which files go: those of reports, written before `older_than`, that nothing keeps.

    One lake may hold the reports of several databases (decision 0018: one a mode). Only folders of
    an account and mode that a report is known of are looked at; there, a file of no audit that is
    known (its audit was never stored) goes by its age alone. A file that two audits share stays if
    one of them must.
    """
    files = list(files)
    ours = _folders(reports)
    listed = [one for one in files if _is_report(one.path) and _folder_of(one.path) in ours]
    protected = {path for report in reports if report.kept_because for path in report.paths}
    gone = [one for one in listed if one.modified_at < older_than and one.path not in protected]
    present = {one.path for one in listed}
    left = present - {one.path for one in gone}
    return Cleaning(
        removed=tuple(sorted(one.path for one in gone)),
        byte_count=sum(one.byte_count for one in gone),
        kept=len(left),
        forgotten=tuple(
            report.audit_id
            for report in reports
            if not report.kept_because and (left - protected).isdisjoint(report.paths)
        ),
        missing=tuple(sorted(protected - present)),
        left_alone=left_alone(files, reports),
        older_than=older_than,
    )


def left_alone(files: Iterable[ArtifactFile], reports: Sequence[StoredReport]) -> dict[str, int]:
    """Folders of accounts and modes that no report is known of -> how many files of reports."""
    ours = _folders(reports)
    folders = Counter(_folder_of(one.path) for one in files if _is_report(one.path))
    return {folder: count for folder, count in sorted(folders.items()) if folder not in ours}


def _folders(reports: Sequence[StoredReport]) -> set[str]:
    return {f"{FOLDER}/{one.scope.account_id}/{one.scope.mode}" for one in reports}


def _folder_of(path: str) -> str:
    """The folder of an account and mode that a file lies in."""
    return "/".join(path.split("/")[:-1][:4])


def _is_report(path: str) -> bool:
    return path.startswith(f"{FOLDER}/") and path.rpartition(".")[2] in FACES


# --- carried out ---------------------------------------------------------------------------------


class Files(Protocol):
    """What is asked of the lake."""

    def list_artifacts(self, folder: str) -> Sequence[ArtifactFile]:
        """All files below a folder."""
        ...

    def remove_artifact(self, path: str, *, older_than: datetime) -> bool:
        """Remove a file unless it was written again meanwhile."""
        ...


class Reports(Protocol):
    """What is asked of the database."""

    def stored_reports(self) -> list[StoredReport]:
        """Reports that were written and not cleaned."""
        ...

    def forget(self, audit_ids: Iterable[UUID]) -> None:
        """Note that these audits' reports lie nowhere any more."""
        ...


def clean_reports(
    lake: Files, store: Reports, *, now: datetime, keep: timedelta, dry_run: bool = False
) -> Cleaning:
    """Remove reports that are older than `keep` and that nothing keeps; what that came to.

    Files go first and are forgotten afterwards: killed in between, the next cleaning forgets them.
    Raises: GrowthError when lake or database is away.
    """
    files = lake.list_artifacts(FOLDER)  # before the database: what is written meanwhile is young
    cleaning = plan_cleaning(files, store.stored_reports(), older_than=now - keep)
    if not dry_run:
        for path in cleaning.removed:
            lake.remove_artifact(path, older_than=cleaning.older_than)
        store.forget(cleaning.forgotten)
    return cleaning
