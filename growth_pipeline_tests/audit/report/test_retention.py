"""Which reports may go: the old ones that nothing keeps, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.report.report_store import ReportStore
from growth_pipeline.audit.report.retention import (
    Cleaning,
    StoredReport,
    clean_reports,
    plan_cleaning,
)
from growth_pipeline.audit.report.write import save_report
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.lake import ArtifactFile
from growth_pipeline_tests.audit.company import LIVE, OCTOBER
from growth_pipeline_tests.audit.report.test_write import a_finding, an_audit

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMIT = NOW - timedelta(days=90)
OLD, YOUNG = LIMIT - timedelta(seconds=1), LIMIT


def a_file(name: str, modified_at: datetime = OLD) -> ArtifactFile:
    return ArtifactFile(f"reports/audit/acct_1/live/2025-10/{name}", 10, modified_at)


def a_report(*names: str, because: Iterable[str] = ()) -> StoredReport:
    return StoredReport(
        audit_id=uuid5(UUID(int=0), " ".join(names)),
        scope=LIVE,
        month=OCTOBER,
        tz="UTC",
        verdict="FAIL",
        finished_at=OLD,
        paths=tuple(a_file(name).path for name in names),
        kept_because=tuple(because),
    )


def test_a_report_goes_at_its_age_and_not_a_second_before():
    cleaning = plan_cleaning(
        [a_file("a.md"), a_file("b.md", YOUNG)],
        [a_report("a.md"), a_report("b.md")],
        older_than=LIMIT,
    )
    assert cleaning.removed == (a_file("a.md").path,)
    assert (cleaning.kept, cleaning.byte_count) == (1, 10)
    assert cleaning.forgotten == (a_report("a.md").audit_id,)


def test_what_must_stay_stays_whatever_its_age():
    kept = a_report("a.md", because=["last good one of its month"])
    cleaning = plan_cleaning([a_file("a.md")], [kept], older_than=LIMIT)
    assert (cleaning.removed, cleaning.kept, cleaning.forgotten) == ((), 1, ())


def test_a_file_of_two_audits_stays_if_one_of_them_must():
    reports = [a_report("same.csv", "a.md"), a_report("same.csv", "b.md", because=["newest"])]
    files = [a_file("same.csv"), a_file("a.md"), a_file("b.md")]
    cleaning = plan_cleaning(files, reports, older_than=LIMIT)
    assert cleaning.removed == (a_file("a.md").path,)
    assert cleaning.forgotten == (reports[0].audit_id,), "what is left of it is the other's"


def test_a_file_that_no_audit_knows_goes_by_its_age_beside_those_of_audits_that_are_known():
    files = [a_file("x.json"), a_file("y.json", YOUNG), a_file("a.md")]
    kept = a_report("a.md", because=["newest of its month"])
    cleaning = plan_cleaning(files, [kept], older_than=LIMIT)
    assert cleaning.removed == (a_file("x.json").path,)
    assert cleaning.left_alone == {}


def test_a_database_without_reports_removes_nothing():
    cleaning = plan_cleaning([a_file("x.json"), a_file("y.md")], [], older_than=LIMIT)
    assert (cleaning.removed, cleaning.kept) == ((), 0)
    assert cleaning.left_alone == {"reports/audit/acct_1/live": 2}


@pytest.mark.parametrize("folder", ["acct_1/test", "acct_2/live", "acct_1/lively", "acct_1"])
def test_reports_of_another_database_that_shares_the_lake_are_left_alone(folder):
    theirs = ArtifactFile(f"reports/audit/{folder}/2025-10/x.md", 10, OLD)
    cleaning = plan_cleaning([theirs, a_file("a.md")], [a_report("a.md")], older_than=LIMIT)
    assert cleaning.removed == (a_file("a.md").path,)
    assert list(cleaning.left_alone.values()) == [1]


def test_only_reports_of_audits_are_ever_removed():
    others = [
        ArtifactFile("reports/backfill/x.parquet", 1, OLD),
        ArtifactFile("audit/closes/month=2025-10/x.parquet", 1, OLD),
        ArtifactFile("stripe/charges/manifest.json", 1, OLD),
        a_file("frozen.parquet"),
    ]
    assert plan_cleaning(others, [], older_than=LIMIT).removed == ()


def test_a_kept_report_that_is_gone_is_told():
    cleaning = plan_cleaning([], [a_report("a.md", because=["newest"])], older_than=LIMIT)
    assert cleaning.missing == (a_file("a.md").path,)


# --- with a lake and a database ------------------------------------------------------------------


@pytest.fixture
def stores(database):
    return AuditStore(database), ReportStore(database)


def publish(stores, lake, day: int, verdict: Verdict, *, age_days: int, month=OCTOBER) -> set[str]:
    """One audit with its report; the paths of its files."""
    findings = [] if verdict is Verdict.PASS else [a_finding(object_id=f"ch_{day}")]
    instant = datetime(2026, 1, day, tzinfo=UTC)
    audit = an_audit(
        *findings,
        verdict=verdict,
        month=month,
        run_id=f"run-{day}",
        started_at=instant,
        finished_at=instant,
    )
    stores[0].publish(audit)
    paths = save_report(audit, lake)
    stores[0].record_artifacts(audit, paths)
    for path in paths.values():
        written = (NOW - timedelta(days=age_days)).timestamp()
        os.utime(Path(lake.url) / path, (written, written))
    return set(paths.values())


def left(lake) -> set[str]:
    return {file.path for file in lake.list_artifacts("reports/audit")}


def clean(stores, lake, **more) -> Cleaning:
    return clean_reports(lake, stores[1], now=NOW, keep=timedelta(days=90), **more)


def test_the_newest_and_the_last_good_report_of_each_month_are_never_cleaned(stores, lake):
    old_good = publish(stores, lake, 1, Verdict.PASS, age_days=150)
    last_good = publish(stores, lake, 2, Verdict.PASS, age_days=149)
    old_bad = publish(stores, lake, 3, Verdict.FAIL, age_days=148)
    young_bad = publish(stores, lake, 4, Verdict.FAIL, age_days=20)
    newest = publish(stores, lake, 5, Verdict.FAIL, age_days=147)
    other = publish(stores, lake, 6, Verdict.FAIL, age_days=146, month=Month(2025, 9))
    before = left(lake)

    dry = clean(stores, lake, dry_run=True)
    assert left(lake) == before, "a dry run removes nothing"
    done = clean(stores, lake)
    assert done == dry
    assert left(lake) == last_good | young_bad | newest | other
    assert set(done.removed) == (old_good | old_bad) - left(lake)

    again = clean(stores, lake)
    assert (again.removed, again.forgotten, again.missing) == ((), (), ())
    assert len(stores[1].stored_reports()) == 4


def test_a_cleaning_that_was_killed_halfway_is_finished_by_the_next(stores, lake):
    gone = publish(stores, lake, 1, Verdict.FAIL, age_days=150)
    newest = publish(stores, lake, 2, Verdict.FAIL, age_days=150)
    for path in sorted(gone - newest)[:2]:
        (Path(lake.url) / path).unlink()
    clean(stores, lake)
    assert left(lake) == newest
    assert [set(report.paths) for report in stores[1].stored_reports()] == [newest]


def test_a_file_that_was_written_again_meanwhile_is_not_removed(lake):
    lake.put_artifact("reports/audit/a/live/2025-10/x.csv", b"new")
    path = "reports/audit/a/live/2025-10/x.csv"
    assert lake.remove_artifact(path, older_than=datetime(2020, 1, 1, tzinfo=UTC)) is False
    assert lake.read_artifact(path) == b"new"
    assert lake.remove_artifact(path, older_than=datetime(2100, 1, 1, tzinfo=UTC)) is True
    assert lake.remove_artifact(path, older_than=datetime(2100, 1, 1, tzinfo=UTC)) is True


def test_the_report_that_closed_a_month_is_never_cleaned(stores, lake, database):
    closing = publish(stores, lake, 1, Verdict.FAIL, age_days=150)
    newest = publish(stores, lake, 2, Verdict.FAIL, age_days=150)
    with database.connection() as connection:
        connection.execute(
            """insert into audit.closes (account_id, livemode, month, tz, audit_id, definition,
            closed_at, as_of, totals, file_sha256, file_rows, file_bytes)
            select account_id, livemode, month, tz, audit_id, definition, finished_at, as_of,
            '{}', '', 0, 0 from audit.audits where run_id = 'run-1'"""
        )
    assert clean(stores, lake).removed == ()
    assert left(lake) == closing | newest


def test_the_trend_is_the_newest_audit_of_each_of_the_last_months(stores, lake):
    for number in range(14):
        month = Month(2024 + number // 12, number % 12 + 1)
        publish(stores, lake, number + 1, Verdict.PASS, age_days=1, month=month)
    publish(stores, lake, 20, Verdict.FAIL, age_days=1, month=Month(2025, 1))
    audit = an_audit(a_finding(), month=Month(2025, 2))
    points = stores[1].trend(audit)
    assert [point.month for point in points] == [
        *(f"2024-{number:02}" for number in range(3, 13)), "2025-01", "2025-02"
    ]  # fmt: skip
    assert [point.verdict for point in points[-3:]] == ["PASS", "FAIL", "FAIL"]
    assert points[-2].severities == {"HIGH": 1, "MEDIUM": 0, "LOW": 0}
    assert points[-2].difference == {"usd": 4000}


def test_the_trend_counts_findings_under_their_own_severity(stores, lake):
    """An event gap is MEDIUM by its class and HIGH after three days."""
    earlier = an_audit(
        a_finding("event_gap", "evt_1", severity=Severity.HIGH, fingerprint="1" * 32),
        a_finding("event_gap", "evt_2", severity=Severity.MEDIUM, fingerprint="2" * 32),
        month=Month(2025, 1),
    )
    stores[0].publish(earlier)
    points = stores[1].trend(an_audit(month=Month(2025, 2)))
    assert points[0].severities == {"HIGH": 1, "MEDIUM": 1, "LOW": 0}


def test_the_trend_of_a_first_audit_is_that_audit(stores):
    (point,) = stores[1].trend(an_audit())
    assert (point.month, point.verdict) == ("2025-10", "FAIL")
