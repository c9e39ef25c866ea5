"""Weekly reports that wait to be told: what alerts ask of whoever writes them, and the words of it.

Pure. The rules of a report are elsewhere: here it is a title, lines and a picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Protocol

from growth_pipeline.alerts.decide import Alert, report_alert


class UntoldReport(Protocol):
    """One report that nobody was told of. `highlights`: lines, of which the title is the first."""

    @property
    def report_id(self) -> str:
        """What the report is known by."""

    @property
    def week_start(self) -> date:
        """First day of the week that it is about."""

    @property
    def title(self) -> str:
        """One line."""

    @property
    def highlights(self) -> str:
        """Plain text."""

    @property
    def picture(self) -> bytes | None:
        """PNG; None where there is none."""


class ReportOutlet(Protocol):
    """Reports on their way out; `insights.insight_store.ReportOutlet` in production."""

    def has_untold(self) -> bool:
        """Whether a report waits to be told."""

    def untold_reports(self) -> Sequence[UntoldReport]:
        """Reports that nobody was told of yet."""

    def mark_told(self, report_ids: Sequence[str], now: datetime) -> None:
        """They are in the outbox now."""


def report_alerts(reports: Iterable[UntoldReport], *, whole_at: str) -> list[Alert]:
    """One alert a report. `whole_at`: where the whole report is read."""
    return [
        report_alert(
            report_id=one.report_id,
            week_start=one.week_start,
            title=one.title,
            body=f"{_below_title(one)}\nWhole report: {whole_at}",
            picture=one.picture,
        )
        for one in reports
    ]


def _below_title(report: UntoldReport) -> str:
    first, _, rest = report.highlights.partition("\n")
    return rest if first == report.title else report.highlights
