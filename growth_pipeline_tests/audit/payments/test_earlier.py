"""An audit after another one: it looks again only at what moved, and comes to the same answer."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.earlier import KEPT
from growth_pipeline_tests.audit.company import LIVE, NOVEMBER, OCTOBER, Company, epoch, found

FIRST = datetime(2025, 11, 2, tzinfo=UTC)
SECOND = FIRST + timedelta(hours=6)
THIRD = FIRST + timedelta(hours=12)


def execute(company: Company, statement: str, *values: object) -> None:
    with company.database.connection() as connection:
        connection.execute(statement, values)


def payments_of(audit) -> tuple[int | None, int | None, int, int]:
    told = audit.changes["payments"]
    return (
        told["changed_at_stripe"],
        told["changed_in_books"],
        told["judged_again"],
        told["taken_over"],
    )


def versions(company: Company) -> dict[str, str]:
    """The physical version of each stored finding: another one after each write."""
    with company.database.connection() as connection:
        rows = connection.execute("select object_id, xmin::text from audit.findings").fetchall()
    return dict(rows)


def without_dates(audit) -> list[Finding]:
    return [replace(one, first_seen_at=None, last_seen_at=None) for one in audit.findings]


@pytest.fixture
def wrong(company):
    """A charge without row, an amount that is wrong, a row Stripe does not know, a good payment."""
    company.charge(1, 1200)
    company.payment(2, 5000, booked={"amount_minor": 50})
    company.row(3, amount_minor=70, written_by="hand")
    company.payment(4, 900)
    return company


def counts(new, changed, closed, unchanged):
    told = {"new": new, "changed": changed, "closed": closed, "unchanged": unchanged}
    return {**told, "not_judged": 0}


def test_the_first_audit_judges_everything(wrong):
    audit = wrong.audit_and_keep(as_of=FIRST)
    assert payments_of(audit) == (None, None, 3, 0)
    assert audit.changes["findings"] == counts(3, 0, 0, 0)


def test_when_nothing_moved_nothing_is_asked_judged_or_written(wrong):
    asked = []

    def confirm(*question):
        asked.append(question)

    first = wrong.audit_and_keep(as_of=FIRST, confirm=confirm)
    written, questions = versions(wrong), len(asked)
    assert ("charges", "ch_3") in asked
    second = wrong.audit_and_keep(as_of=SECOND, confirm=confirm)
    assert payments_of(second) == (0, 0, 0, 3)
    assert len(asked) == questions
    assert versions(wrong) == written
    assert without_dates(second) == without_dates(first)
    assert second.totals == first.totals
    assert second.verdict == first.verdict
    assert "nothing changed: 3 findings are as they were" in second.changes["said"]


def test_a_finding_that_was_taken_over_was_seen_by_the_audit_that_took_it(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    wrong.audit_and_keep(as_of=SECOND)
    assert {
        (one.first_seen_at, one.last_seen_at) for one in wrong.store.findings(LIVE, OCTOBER)
    } == {(FIRST, SECOND)}


def test_what_moved_is_judged_and_the_rest_is_taken_over(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    written = versions(wrong)
    execute(
        wrong,
        "update billing.payments set amount_minor = 5, written_at = %s where charge_id = 'ch_2'",
        FIRST + timedelta(hours=1),
    )
    second = wrong.audit_and_keep(as_of=SECOND)
    assert payments_of(second) == (0, 1, 1, 2)
    assert second.changes["findings"] == counts(0, 1, 0, 2)
    assert ("amount_mismatch", "ch_2", {"usd": -4995}) in found(second)
    moved = {name for name, version in versions(wrong).items() if version != written[name]}
    assert moved == {"ch_2"}


def test_what_changed_at_stripe_is_counted_and_judged(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    wrong.refund(1, 200, of=1, created=epoch(FIRST) + 60)
    wrong.refund(2, 100, of=4, created=epoch(FIRST) + 60)
    second = wrong.audit_and_keep(as_of=SECOND)
    assert payments_of(second) == (2, 0, 2, 2)
    assert ("refund_missing", "ch_4", {"usd": 100}) in found(second)
    assert ("missing_in_db", "ch_1", {"usd": -1000}) in found(second)


def test_when_the_older_files_are_gone_what_changed_at_stripe_is_unknown_and_not_0(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    wrong.refund(1, 200, of=1, created=epoch(FIRST) + 60)
    wrong.as_of = SECOND
    wrong.write()
    for resource in wrong.objects:
        wrong.lake.prune(f"stripe/{resource}", now=datetime.now(UTC) + timedelta(hours=2))
    second = wrong.audit_and_keep(as_of=SECOND)
    assert second.changes["payments"]["changed_at_stripe"] is None
    assert "an unknown number changed at Stripe" in second.changes["said"]


def test_a_mended_payment_closes_its_finding(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    execute(wrong, "update billing.payments set amount_minor = 5000 where charge_id = 'ch_2'")
    second = wrong.audit_and_keep(as_of=SECOND)
    assert second.changes["findings"] == counts(0, 0, 1, 2)
    assert second.changes["payments"]["changed_in_books"] is None, "no row says when it changed"


def test_a_row_that_turns_up_elsewhere_is_looked_at_again(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    wrong.row(1, amount_minor=1200, created_at=NOVEMBER.start)
    assert ("period_cutoff", "ch_1", {}) in found(wrong.audit_and_keep(as_of=SECOND))


def test_news_in_the_ledger_is_looked_at_again(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    execute(
        wrong,
        "insert into billing.inbox (account_id, livemode, event_id, type, created_at, received_at,"
        " body, state, object, object_id) values ('acct_1', true, 'evt_1', 'charge.succeeded', %s,"
        " %s, '', 'quarantined', 'charge', 'ch_1')",
        FIRST,
        FIRST + timedelta(hours=1),
    )
    second = wrong.audit_and_keep(as_of=SECOND)
    assert payments_of(second)[2:] == (1, 2)
    assert {one.object_id: str(one.cause) for one in second.findings}[
        "ch_1"
    ] == "delivered_and_quarantined"


def test_news_of_a_refund_that_no_table_knows_is_looked_at_again(company):
    company.payment(1, 1000)
    company.refund(7, 300, of=1)
    company.audit_and_keep(as_of=FIRST)
    execute(
        company,
        "insert into billing.inbox (account_id, livemode, event_id, type, created_at, received_at,"
        " body, state, object, object_id) values ('acct_1', true, 'evt_1', 'refund.created', %s,"
        " %s, '', 'quarantined', 'refund', 're_7')",
        FIRST,
        FIRST + timedelta(hours=1),
    )
    second = company.audit_and_keep(as_of=SECOND)
    assert payments_of(second)[2:] == (1, 0)


def test_a_missing_customer_is_looked_for_again_because_it_may_turn_up(company):
    company.payment(1, 1000, booked={"customer_id": "cus_9"})
    assert [one.code for one in company.audit_and_keep(as_of=FIRST).findings] == ["orphan_row"]
    company.other("customers", id="cus_1")
    company.other("customers", id="cus_9")
    assert company.audit_and_keep(as_of=SECOND).findings == ()


def test_findings_of_another_definition_are_not_taken_over(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    execute(wrong, "update audit.audits set definition = 'audit@0'")
    assert payments_of(wrong.audit_and_keep(as_of=SECOND))[2:] == (3, 0)


def test_an_owner_or_a_suppression_of_before_is_not_part_of_what_is_taken_over(wrong):
    wrong.audit_and_keep(as_of=FIRST)
    execute(wrong, """update audit.findings set owner = 'ada', suppression = '{"reason": "old"}'""")
    second = wrong.audit_and_keep(as_of=SECOND)
    assert {one.suppression for one in second.findings} == {None}
    assert {one.owner for one in wrong.store.findings(LIVE, OCTOBER)} == {"ada"}


def test_an_older_look_at_stripe_takes_nothing_over(wrong):
    wrong.audit_and_keep(as_of=SECOND)
    assert payments_of(wrong.audit_and_keep(as_of=FIRST))[2:] == (3, 0)


def test_each_finding_of_a_payment_remembers_its_pair(wrong):
    audit = wrong.audit_and_keep(as_of=FIRST)
    assert all(len(one.evidence[KEPT]["digest"]) == 32 for one in audit.findings)


@pytest.mark.parametrize("round_", range(3))
def test_an_audit_that_takes_over_says_what_one_without_a_past_says(company, seed, round_):
    """Random books and changes: findings, totals and verdict are equal to those of a fresh look."""
    generator = random.Random(seed + 10 * round_)
    for number in range(30):
        spoil(company, number, generator)
    company.audit_and_keep(as_of=FIRST)
    for at in (SECOND, THIRD):
        for number in generator.sample(range(30), 6):
            execute(
                company,
                "update billing.payments set amount_minor = amount_minor + %s, currency = %s,"
                " created_at = created_at + %s * interval '20 days', written_at = %s"
                " where charge_id = %s",
                generator.randint(-1, 1),
                generator.choice(["usd", "eur"]),
                generator.choice([0, 0, 1]),
                at - timedelta(minutes=1),
                f"ch_{number}",
            )
        company.refund(at.hour * 100, 3, of=generator.randrange(30), created=epoch(at) - 7200)
        audit = company.audit_and_keep(as_of=at)
        fresh = company.audit(run_id="fresh")
        assert audit.changes["payments"]["taken_over"] > 0
        assert found(audit) == found(fresh)
        assert audit.totals == fresh.totals
        assert audit.verdict == fresh.verdict
        assert {(o.object_id, o.code, o.severity, o.cause) for o in audit.findings} == {
            (o.object_id, o.code, o.severity, o.cause) for o in fresh.findings
        }


def spoil(company: Company, number: int, generator: random.Random) -> None:
    """One payment, right or wrong in one of several ways."""
    amount = generator.randint(100, 9_999)
    how = generator.choice(["right", "missing", "amount", "twice", "unknown", "later", "status"])
    if how in {"right", "twice"}:
        company.payment(number, amount)
    if how == "twice":
        company.row(number, amount_minor=amount, written_by="import")
    if how == "missing":
        company.charge(number, amount)
    if how == "amount":
        company.payment(number, amount, booked={"amount_minor": amount * 100})
    if how == "unknown":
        company.row(number, amount_minor=amount)
    if how == "later":
        company.payment(number, amount, booked={"created_at": NOVEMBER.start})
    if how == "status":
        company.payment(number, amount, status="failed", booked={"status": "succeeded"})
