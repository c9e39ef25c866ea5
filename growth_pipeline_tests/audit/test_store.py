"""Publishing on a real Postgres: once, in turns, closing what is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from growth_pipeline.audit.findings import Verdict
from growth_pipeline.core.errors import RemoteUnavailableError
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOVEMBER, OCTOBER, TEST

LATER = AS_OF + timedelta(hours=1)


@pytest.fixture
def wrong_company(company):
    company.charge(1, 1200)
    company.payment(2, 5000, booked={"amount_minor": 50})
    return company


def stored_findings(company, **more):
    return [(one.code, one.object_id) for one in company.store.findings(LIVE, OCTOBER, **more)]


def test_a_published_audit_is_read_back_whole(wrong_company):
    audit = wrong_company.audit()
    wrong_company.store.publish(audit)
    latest = wrong_company.store.latest(LIVE, OCTOBER)
    seen = [replace(one, first_seen_at=None, last_seen_at=None) for one in latest.findings]
    assert seen == list(audit.findings)
    assert latest.verdict is Verdict.FAIL
    assert latest.totals == audit.totals
    assert latest.sources == audit.sources
    assert (latest.audit_id, latest.as_of, latest.grace) == (
        audit.audit_id,
        audit.as_of,
        audit.grace,
    )
    assert latest.findings[0].first_seen_at == latest.findings[0].last_seen_at == AS_OF


def test_there_is_no_latest_audit_of_a_month_without_one(wrong_company):
    wrong_company.store.publish(wrong_company.audit())
    assert wrong_company.store.latest(LIVE, NOVEMBER) is None
    assert wrong_company.store.latest(TEST, OCTOBER) is None


def test_publishing_the_same_audit_twice_changes_nothing(wrong_company):
    audit = wrong_company.audit()
    first = wrong_company.store.publish(audit)
    before = wrong_company.store.latest(LIVE, OCTOBER)
    assert wrong_company.store.publish(audit) == first
    assert wrong_company.store.latest(LIVE, OCTOBER) == before
    assert before.audit_id == wrong_company.audit().audit_id, "the same run has the same name"


def test_a_finding_that_is_gone_closes_itself_and_opens_again(wrong_company):
    store, lake = wrong_company.store, wrong_company
    store.publish(lake.audit())
    correct(wrong_company, amount_minor=5000)
    published = store.publish(lake.audit(run_id="run-2", now=LATER))
    assert (published.open_findings, published.closed_findings) == (1, 1)
    assert stored_findings(wrong_company) == [("missing_in_db", "ch_1")]
    assert len(stored_findings(wrong_company, with_closed=True)) == 2
    correct(wrong_company, amount_minor=50)
    store.publish(lake.audit(run_id="run-3", now=LATER + timedelta(hours=1)))
    again = {one.object_id: one for one in store.findings(LIVE, OCTOBER)}
    assert again["ch_2"].first_seen_at == AS_OF
    assert again["ch_2"].last_seen_at == LATER + timedelta(hours=1)


def test_an_older_audit_never_replaces_the_findings_of_a_newer_one(wrong_company):
    older = wrong_company.audit()
    correct(wrong_company, amount_minor=5000)
    wrong_company.store.publish(wrong_company.audit(run_id="run-2", now=LATER))
    published = wrong_company.store.publish(older)
    assert published.is_newest is False
    assert stored_findings(wrong_company) == [("missing_in_db", "ch_1")]
    assert wrong_company.store.latest(LIVE, OCTOBER).run_id == "run-2"


def test_many_audits_of_one_month_at_once_leave_the_newest(wrong_company):
    audit = wrong_company.audit()
    audits = [
        replace(
            audit,
            run_id=f"run-{n}",
            finished_at=AS_OF + timedelta(minutes=n),
            findings=audit.findings[: n % 3],
        )
        for n in range(12)
    ]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(wrong_company.store.publish, audits))
    latest = wrong_company.store.latest(LIVE, OCTOBER)
    assert latest.run_id == "run-11"
    assert {one.fingerprint for one in latest.findings} == {
        one.fingerprint for one in audits[11].findings
    }


def test_a_text_that_postgres_refuses_is_stored_with_a_visible_mark(wrong_company):
    audit = wrong_company.audit()
    odd = replace(audit.findings[0], evidence={"stripe": {"status": "a\x00b"}})
    wrong_company.store.publish(replace(audit, findings=(odd,)))
    (stored,) = wrong_company.store.findings(LIVE, OCTOBER)
    assert stored.evidence["stripe"]["status"] == "a\ufffdb"


def test_artifacts_are_noted_beside_the_audit(wrong_company):
    audit = wrong_company.audit()
    wrong_company.store.publish(audit)
    wrong_company.store.record_artifacts(audit, {"md": "reports/x.md"})
    wrong_company.store.record_artifacts(audit, {"csv": "reports/x.csv"})
    wrong_company.store.publish(audit)
    assert wrong_company.store.latest(LIVE, OCTOBER).artifacts == {
        "md": "reports/x.md",
        "csv": "reports/x.csv",
    }


def test_the_books_are_never_written(wrong_company):
    before = booked(wrong_company)
    wrong_company.store.publish(wrong_company.audit())
    assert booked(wrong_company) == before


def booked(company):
    with company.engine.spool() as spool:
        books = company.store.booked_payments(
            LIVE, start=OCTOBER.start, end=OCTOBER.end, spool=spool
        )
        return pl.read_parquet([*books.charged, *books.loose]).sort("payment_id").rows()


def test_a_database_without_tables_says_what_to_run(empty_database_url):
    from growth_pipeline.audit.store import AuditStore
    from growth_pipeline.storage.postgres import Database

    with Database(empty_database_url) as database, pytest.raises(RemoteUnavailableError) as told:
        AuditStore(database).latest(LIVE, OCTOBER)
    assert told.value.remedy == "run growth migrate"


def correct(company, **fields):
    with company.database.connection() as connection:
        for name, value in fields.items():
            connection.execute(
                f"update billing.payments set {name} = %s where charge_id = 'ch_2'", [value]
            )
