"""Stored reports from a terminal, on a real database and a lake of their own."""

import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.report.write import save_report
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.audit.report.test_write import a_finding, an_audit

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]


@pytest.fixture
def files(tmp_path, database):
    """Two old audits of one month, the first of them no good: files of the first, of the second."""
    lake, store = Lake(str(tmp_path / ".growth" / "lake")), AuditStore(database)
    made = []
    for day, verdict in ((1, Verdict.FAIL), (2, Verdict.WARNING)):
        at = datetime(2025, 11, day, tzinfo=UTC)
        finding = a_finding(object_id=f"ch_{day}")
        audit = replace(an_audit(finding), verdict=verdict, started_at=at, finished_at=at)
        store.publish(audit)
        paths = save_report(audit, lake)
        store.record_artifacts(audit, paths)
        made.append({Path(lake.url) / path for path in paths.values()})
    old = (datetime.now(UTC) - timedelta(days=100)).timestamp()
    for path in set().union(*made):
        os.utime(path, (old, old))
    return made


def test_stored_reports_are_listed_with_what_keeps_them(growth_here, files):
    told = json.loads(growth_here("reports", "list", "--json").stdout)
    assert (told["keep_days"], told["total"]) == (90, 2)
    assert [one["kept_because"] for one in told["reports"]] == [["newest of its month"], []]
    shown = growth_here("reports", "list", "--limit", "1")
    assert shown.returncode == 0, shown.stderr
    assert "2025-10 UTC  WARNING 2025-11-02" in shown.stdout
    assert "1 more: --limit 2" in shown.stdout


def test_a_dry_run_shows_what_a_cleaning_removes_and_removes_nothing(growth_here, files):
    dry = growth_here("reports", "clean", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would remove 4 files" in dry.stdout
    assert all(path.exists() for path in files[0] | files[1])
    done = json.loads(growth_here("reports", "clean", "--json").stdout)
    assert (len(done["removed"]), done["kept"], done["dry_run"]) == (4, 4, False)
    assert [path.exists() for path in files[0]] == [False] * 4
    assert all(path.exists() for path in files[1])
    assert "removed 0 files" in growth_here("reports", "clean").stdout
    assert json.loads(growth_here("reports", "list", "--json").stdout)["total"] == 1


def test_how_long_reports_are_kept_is_a_setting(growth_here, files):
    dry = growth_here("reports", "clean", "--dry-run", GROWTH_REPORTS__KEEP_DAYS="120")
    assert "would remove 0 files" in dry.stdout
    wrong = growth_here("reports", "clean", GROWTH_REPORTS__KEEP_DAYS="0")
    assert wrong.returncode == 5
    assert "GROWTH_REPORTS__KEEP_DAYS" in wrong.stderr


def test_reports_of_another_database_are_left_alone_and_told(growth_here, files):
    theirs = min(files[0]).parents[2] / "test" / "2025-10" / "theirs.md"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("a report")
    os.utime(theirs, (0, 0))
    folder = theirs.parents[1].relative_to(theirs.parents[5])
    shown = growth_here("reports", "list").stdout
    assert f"left alone: 1 file in {folder}, of no audit of this database" in shown
    assert json.loads(growth_here("reports", "list", "--json").stdout)["left_alone"] == {
        str(folder): 1
    }
    assert "left alone: 1 file" in growth_here("reports", "clean").stdout
    assert theirs.exists()


def test_without_reports_the_next_command_is_told(growth_here):
    done = growth_here("reports", "list")
    assert done.returncode == 0, done.stderr
    assert "growth audit --month" in done.stdout
