"""Which closed months something reached since their last audit, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.months.late_store import late_months
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, ZonedMonth
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOON, OCTOBER, TEST
from growth_pipeline_tests.audit.test_deliveries import charge_of, send
from growth_pipeline_tests.fakes.stripe_events import a_dispute, a_refund

FIRST, END = Month(2025, 3), Month(2026, 3)
DAY = 86_400
AFTER = 40 * DAY  # 24 November, long after the audit


def months(company, scope: Scope = LIVE, *, first=FIRST, end=END, tz="UTC"):
    return late_months(company.database, scope, ZonedMonth(first, tz), ZonedMonth(end, tz))


@pytest.fixture
def audited(company):
    """October, audited on 2 November; its charge came by webhook."""
    company.charge(1, 1000)
    send(company, "evt_1", "charge.succeeded", charge_of(company))
    company.store.publish(company.audit())
    return company


def test_a_month_that_nothing_reached_since_its_audit_is_left_alone(audited):
    assert months(audited) == set()


@pytest.mark.parametrize("thing", [a_refund(), a_dispute()], ids=["refund", "dispute"])
def test_a_late_refund_or_dispute_of_its_charge_makes_a_month_due(audited, thing):
    kind = "refund.created" if thing["object"] == "refund" else "charge.dispute.created"
    send(audited, "evt_2", kind, thing, seconds=AFTER)
    assert months(audited) == {OCTOBER}
    assert months(audited, TEST) == set(), "another mode has audits of its own"
    assert months(audited, tz="Europe/Berlin") == set(), "that month was never audited"
    assert months(audited, first=OCTOBER.next) == set()
    assert months(audited, end=OCTOBER) == set()


def test_a_refund_that_came_before_the_audit_is_known_to_it(audited):
    send(audited, "evt_2", "refund.created", a_refund(), seconds=DAY)
    assert months(audited) == set()


def test_the_next_audit_settles_it(audited):
    send(audited, "evt_2", "refund.created", a_refund(), seconds=AFTER)
    later = NOON + timedelta(seconds=AFTER, days=1)
    audited.audit_and_keep(as_of=later)
    assert months(audited) == set()


def test_a_refund_of_a_month_that_was_never_audited_or_of_no_known_charge_makes_nothing_due(
    company,
):
    company.charge(1, 1000)
    send(company, "evt_1", "charge.succeeded", charge_of(company))
    send(company, "evt_2", "refund.created", a_refund(), seconds=AFTER)
    send(company, "evt_3", "refund.created", a_refund("re_2", "ch_none"), seconds=AFTER)
    assert months(company) == set()


def test_a_month_is_one_of_the_audits_zone(company):
    """1 October 02:00 UTC is 30 September in Los Angeles."""
    early = datetime(2025, 10, 1, 2, tzinfo=UTC)
    company.charge(1, 1000, created=int(early.timestamp()))
    send(company, "evt_1", "charge.succeeded", charge_of(company))
    values = {"tz": "America/Los_Angeles", "as_of": AS_OF}
    with company.database.connection() as connection:
        for month in ("2025-09-01", "2025-10-01"):
            connection.execute(
                "insert into audit.audits (audit_id, account_id, livemode, month, definition,"
                " state, as_of, started_at, finished_at, verdict, counts, totals, sources, tz)"
                " values (gen_random_uuid(), 'acct_1', true, %(month)s, 'audit@1', 'closed',"
                " %(as_of)s, %(as_of)s, %(as_of)s, 'PASS', '{}', '{}', '[]', %(tz)s)",
                {**values, "month": month},
            )
    send(company, "evt_2", "refund.created", a_refund(), seconds=AFTER)
    assert months(company, tz="America/Los_Angeles") == {Month(2025, 9)}
    assert months(company) == set()
