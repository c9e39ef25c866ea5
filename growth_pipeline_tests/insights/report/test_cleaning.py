from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from growth_pipeline.insights.report.cleaning import clean

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
KEEP = timedelta(days=90)


@dataclass(frozen=True)
class Report:
    report_id: str
    made_at: datetime
    artifacts: dict[str, str]
    week_start: date = date(2026, 11, 15)


@dataclass
class Reports:
    reports: list[Report]
    forgotten: set[str] = field(default_factory=set)

    def kept_reports(self):
        return [one for one in self.reports if one.report_id not in self.forgotten]

    def forget_files(self, report_ids):
        self.forgotten |= set(report_ids)


def a_report(lake, name, *, days_old, path=None, week_start=date(2026, 11, 15)):
    path = path or f"reports/insights/{week_start}/{name}.md"
    put(lake, path, days_old=days_old)
    return Report(name, NOW - timedelta(days=days_old), {"md": path}, week_start)


def put(lake, path, *, days_old):
    written = Path(lake.put_artifact(path, b"x").url.removeprefix("file://"))
    then = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(written, (then, then))


def left(lake):
    return sorted(one.path.rpartition("/")[2] for one in lake.list_artifacts("reports"))


def test_old_reports_go_and_young_ones_stay(lake):
    reports = Reports([a_report(lake, f"r{days}", days_old=days) for days in (1, 89, 91, 400)])
    assert clean(lake, reports, now=NOW, keep=KEEP) == 2
    assert left(lake) == ["r1.md", "r89.md"]
    assert reports.forgotten == {"r91", "r400"}


def test_the_newest_report_stays_whatever_its_age(lake):
    reports = Reports([a_report(lake, "r100", days_old=100), a_report(lake, "r200", days_old=200)])
    assert clean(lake, reports, now=NOW, keep=KEEP) == 1
    assert left(lake) == ["r100.md"]


def test_the_newest_week_stays_though_an_older_week_was_written_again_later(lake):
    newest = a_report(lake, "newest", days_old=120)
    again = a_report(lake, "again", days_old=110, week_start=date(2026, 11, 1))
    assert clean(lake, Reports([newest, again]), now=NOW, keep=KEEP) == 0
    assert left(lake) == ["again.md", "newest.md"]


def test_a_file_that_a_kept_report_shares_stays(lake):
    shared = "reports/insights/2026-11-15/shared.png"
    put(lake, shared, days_old=200)
    old = Report("old", NOW - timedelta(days=200), {"png": shared})
    young = Report("young", NOW, {"png": shared})
    reports = Reports([old, young])
    assert clean(lake, reports, now=NOW, keep=KEEP) == 0
    assert left(lake) == ["shared.png"]
    assert reports.forgotten == {"old"}


@pytest.mark.parametrize(
    "path", ["reports/audit/acct_1/live/2026-10/a.md", "extracts/charges/a.parquet"]
)
def test_only_files_of_weekly_reports_are_touched(lake, path):
    reports = Reports([a_report(lake, "young", days_old=1)])
    reports.reports.append(a_report(lake, "old", days_old=200, path=path))
    assert clean(lake, reports, now=NOW, keep=KEEP) == 0
    assert lake.find_artifact(path) == b"x"


def test_files_of_nobody_here_stay(lake):
    put(lake, "reports/insights/2026-01-04/other.md", days_old=300)
    assert clean(lake, Reports([a_report(lake, "r1", days_old=1)]), now=NOW, keep=KEEP) == 0
    assert left(lake) == ["other.md", "r1.md"]


def test_a_file_that_was_written_again_meanwhile_stays(lake):
    old = a_report(lake, "old", days_old=200)
    put(lake, old.artifacts["md"], days_old=0)
    assert clean(lake, Reports([old, a_report(lake, "r1", days_old=1)]), now=NOW, keep=KEEP) == 0
    assert "old.md" in left(lake)


def test_a_cleaning_that_was_cut_short_is_finished_by_the_next(lake):
    reports = Reports(
        [a_report(lake, name, days_old=days) for name, days in (("a", 200), ("b", 1))]
    )
    lake.remove_artifact(reports.reports[0].artifacts["md"], older_than=NOW)
    clean(lake, reports, now=NOW, keep=KEEP)
    assert reports.forgotten == {"a"}


def test_without_reports_nothing_happens(lake):
    assert clean(lake, Reports([]), now=NOW, keep=KEEP) == 0
