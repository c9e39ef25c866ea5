"""What the report says, in its order: the answer, the money, what to do, the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from growth_pipeline.audit.codes import SECTIONS, Severity
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.report.class_facts import class_facts
from growth_pipeline.audit.report.page import build_page
from growth_pipeline.audit.report.page_changes import RESTATEMENTS_SHOWN
from growth_pipeline.audit.report.summary import (
    Risk,
    TrendPoint,
    money_at_risk,
    recommendations,
    trend_point,
)
from growth_pipeline.audit.report.write import to_markdown
from growth_pipeline.core.documents import Heading, Table
from growth_pipeline.core.periods import PeriodState
from growth_pipeline_tests.audit.company import AS_OF
from growth_pipeline_tests.audit.report.test_write import a_finding, an_audit

SUPPRESSED = {"reason": "a known double", "by": "ann", "until": "2026-01-01"}


def headings(audit, **more) -> list[str]:
    blocks = build_page(audit, **more).blocks
    return [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]


def test_the_answer_comes_before_the_evidence_and_the_evidence_before_the_rules():
    audit = an_audit(
        a_finding(),
        a_finding(object_id="ch_2", suppression=SUPPRESSED),
        changes={"said": "Nothing changed.", "findings": {"new": 0}},
        close={"closed_at": "2025-11-06", "audit_id": "a-1"},
    )
    assert headings(audit, trend=[trend_point(audit)]) == [
        "Stripe and the database side by side",
        "What to do",
        "What changed since the last audit",
        "What changed in past numbers",
        "The last month",
        "By kind of object",
        "Findings",
        "Suppressed findings",
        "Sources",
        "How this was computed",
    ]


def test_money_at_risk_adds_amounts_without_their_signs_and_keeps_kinds_apart():
    findings = [
        a_finding("missing_in_db", impacts={"usd": -4900}),
        a_finding("duplicate_row", impacts={"usd": 4900, "eur": 100}),
        a_finding("payout_unbalanced", impacts={"usd": -30}),
        a_finding("mrr_drift", impacts={"usd": 2000}),
        a_finding("period_cutoff", impacts={"usd": 999_999}),
        a_finding("amount_mismatch", impacts={"usd": 77}, suppression=SUPPRESSED),
        a_finding("source_incomplete", impacts=None),
    ]
    assert money_at_risk(findings) == {
        "eur": Risk(payments=100),
        "usd": Risk(payments=9800, beside=30, monthly=2000),
    }
    text = to_markdown(an_audit(*findings))
    assert "- Money at risk: EUR 1.00, USD 98.30, USD 20.00 a month, 1 of unknown size\n" in text


def test_a_suppressed_finding_is_printed_apart_and_counted_nowhere_else():
    audit = an_audit(a_finding(suppression=SUPPRESSED))
    text = to_markdown(audit)
    assert "Findings: 0 HIGH, 0 MEDIUM, 0 LOW." in text
    assert "- Findings: 0 HIGH, 0 MEDIUM, 0 LOW, 1 suppressed\n" in text
    assert "| `a known double` | `ann` | `2026-01-01` |" in text
    assert recommendations(audit) == []
    assert "- Money at risk: none\n" in text


def test_a_finding_that_outgrew_its_suppression_says_so_and_of_whom_it_was():
    outgrown = {
        "reason": "known",
        "by": "ann<b>",
        "until": "2026-12-01",
        "why": "its impact grew from USD 1.00 to USD 9.00",
    }
    text = to_markdown(an_audit(a_finding(evidence={"outgrown": outgrown})))
    assert "counts again: " in text
    assert "its impact grew from USD 1.00 to USD 9.00" in text
    assert "although it was suppressed until 2026-12-01 by `ann<b>`" in text, "a code span is inert"


def test_the_first_table_sets_both_sides_side_by_side_by_currency():
    audit = an_audit(a_finding(), a_finding("mrr_drift", impacts={"eur": -2000}))
    assert (
        "| Currency | Payments at Stripe | in the database | Net at Stripe | in the database "
        "| Database - Stripe | Money at risk |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| `EUR` | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} | \N{EN DASH} "
        "| EUR 20.00 a month |\n"
        "| `USD` | 3 | 5 | USD 45.00 | USD 85.00 | +USD 40.00 | USD 3,960.00 |\n"
    ) in to_markdown(audit)


def test_the_lines_of_a_section_keep_the_order_they_were_computed_in():
    sides = {"b": {"stripe": 1, "place": 1}, "c": {"stripe": 3, "place": 2}, "aaa": {"place": 0}}
    audit = an_audit(sections=({"section": "balance", "judged": 1, "sides": sides},), totals={})
    rows = [line.split(" | ")[0] for line in to_markdown(audit).splitlines()]
    assert [row for row in rows if row in {"| aaa", "| b", "| c"}] == ["| aaa", "| b", "| c"]


@pytest.mark.parametrize(
    ("code", "tz", "command"),
    [
        ("amount_mismatch", "UTC", "growth repair --month 2025-10"),
        ("amount_mismatch", "Asia/Tokyo", "growth repair --month 2025-10 --tz Asia/Tokyo"),
        ("payout_failed", "UTC", "growth audit --month 2025-10"),
    ],
)
def test_what_can_be_repaired_is_recommended_to_be_repaired(code, tz, command):
    (step,) = recommendations(an_audit(a_finding(code), tz=tz))
    assert step["command"] == command


def test_a_subscriptions_impact_is_called_monthly():
    finding = a_finding("mrr_drift", object="subscription", impacts={"eur": -2000})
    assert "-EUR 20.00 a month" in to_markdown(an_audit(finding))


def test_every_kind_of_object_has_its_part_with_both_sides_and_what_was_not_judged():
    sections = tuple(
        {
            "section": name,
            "judged": 4,
            "findings": 0,
            "sides": {"net_of_payouts": {"stripe": 900, "database": 950, "currency": "jpy"}},
            "not_judged": ["Nobody tells `billing.entitlements`."],
        }
        for name in SECTIONS
    )
    text = to_markdown(an_audit(sections=sections, totals={}))
    period = "made in 2025-10 of UTC; 0 findings."
    assert (
        f"### Payments\n\n3 charges of Stripe's list and 5 booked rows compared, {period}" in text
    )
    assert "### Refunds\n\nNot judged:" in text, "nobody knows how many its list held"
    for name, objects in (
        ("invoices", "invoices"),
        ("balance", "balance transactions"),
        ("payouts", "payouts"),
        ("subscriptions", "subscriptions"),
        ("customers", "customers"),
        ("events", "events and rows of the mirror"),
    ):
        assert f"### {name.capitalize()}\n\n4 {objects} compared, {period}" in text
    assert text.count("| `JPY` net of payouts | JPY 900 | JPY 950 | +JPY 50 |") == len(SECTIONS)
    assert text.count("Not judged: Nobody tells `billing.entitlements`.") == len(SECTIONS)


def test_a_section_names_the_end_of_its_period_and_the_classes_that_were_not_judged():
    section = {"section": "payouts", "judged": 1_200, "findings": 0}
    audit = an_audit(
        sections=(section,),
        as_of=datetime(2025, 10, 20, 12, tzinfo=UTC),
        tz="Europe/Berlin",
        unjudged=("payout_late", "stale_row"),
    )
    text = to_markdown(audit)
    assert (
        "1,200 payouts compared, made in 2025-10 of Europe/Berlin before 2025-10-20 11:00:00 UTC; "
        "0 findings." in text
    )
    assert "Classes not judged this time, open ones stay open: `payout_late`." in text


def test_one_side_that_is_not_known_has_no_difference():
    side = {"stripe": 3, "database": None, "currency": None}
    audit = an_audit(sections=({"section": "payouts", "judged": 0, "sides": {"count": side}},))
    assert "| count | 3 | \N{EN DASH} | \N{EN DASH} |" in to_markdown(audit)


def test_how_the_events_of_a_finding_fared_and_its_repair_stand_beside_it():
    delivery = {
        "event_id": "evt_1",
        "type": "charge.succeeded",
        "created_at": "2025-10-15T12:00:00+00:00",
        "received_at": None,
        "state": None,
        "pending_webhooks": 1,
        "attempts": 3,
        "reason": None,
    }
    evidence = {"delivery": [delivery], "repair": "`growth repair` books it."}
    text = to_markdown(an_audit(a_finding(evidence=evidence, owner="ann@here")))
    assert (
        "`evt_1` `charge.succeeded` not received, 3 attempts, Stripe still delivers to 1; "
        "`growth repair` books it.; looked after by `ann@here`" in text
    )


def test_what_changed_since_the_last_audit_is_said_with_the_audit_it_is_compared_with():
    changes = {"said": "2 payments of `acct_1` changed.", "previous_audit_id": "a-0"}
    text = to_markdown(an_audit(changes=changes))
    assert "2 payments of `acct_1` changed.\n\nCompared with audit `a-0`." in text


def test_a_month_of_another_zone_tells_both_limits_and_the_money_between():
    money = {"count": 1, "gross_minor": 900, "net_minor": 900}
    boundaries = {
        "tz": "Europe/Berlin",
        "start": "2025-09-30T22:00:00+00:00",
        "end": "2025-10-31T23:00:00+00:00",
        "utc_start": "2025-10-01T00:00:00+00:00",
        "utc_end": "2025-11-01T00:00:00+00:00",
        "between": [
            {
                "edge": "start",
                "since": "2025-09-30T22:00:00+00:00",
                "until": "2025-10-01T00:00:00+00:00",
                "counted_in": "zone",
                "stripe": {"jpy": money},
                "books": {},
            },
            {"edge": "end", "counted_in": "utc", "stripe": None, "books": {"jpy": money}},
        ],
    }
    text = to_markdown(an_audit(tz="Europe/Berlin", boundaries=boundaries))
    assert "In Europe/Berlin the month goes from 2025-09-30T22:00:00+00:00 to" in text
    assert "| this month | `JPY` | JPY 900 | JPY 0 |" in text
    assert "| the month in UTC | `JPY` | unknown | JPY 900 |" in text
    assert "begins and ends" not in to_markdown(an_audit(boundaries={"between": []}))


def a_restatement(number: int) -> dict:
    return {
        "object": "charge",
        "object_id": f"ch_{number}",
        "side": "stripe",
        "currency": "kwd",
        "before_minor": 7450,
        "after_minor": 0,
        "difference_minor": -7450,
        "reason": "refund_made_later",
        "evidence": ["re_1"],
        "first_seen_at": "2025-12-01",
    }


def test_a_closed_month_says_what_changed_since_why_and_by_which_object():
    close = {"closed_at": "2025-11-06T01:02:03.4+00:00", "audit_id": "a-1", "totals": {}}
    listed = tuple(map(a_restatement, range(RESTATEMENTS_SHOWN + 2)))
    text = to_markdown(an_audit(close=close, restatements=listed))
    assert "The month was closed at 2025-11-06 01:02:03 UTC by audit `a-1`." in text
    assert (
        "| charge `ch_0` | Stripe | KWD 7.450 | KWD 0.000 | -KWD 7.450 | refund made later "
        "| `re_1` | 2025-12-01 |" in text
    )
    assert "2 more are in the JSON report." in text
    assert "Nothing has changed since." in to_markdown(an_audit(close=close))


def test_the_net_at_the_close_the_changes_and_the_net_now_stand_side_by_side():
    """Stripe closed at 60.00 and has 45.00 now; the books closed at 0 and have 85.00 now."""
    change = {"object": "charge", "object_id": "ch_1", "currency": "usd", "reason": "dispute"}
    changes = (
        {**change, "side": "stripe", "difference_minor": -2000},
        {**change, "side": "stripe", "difference_minor": 500},
        {**change, "side": "books", "difference_minor": 8500},
    )
    totals = {"stripe": {"usd": {"net_minor": 6000}}, "books": {}}
    close = {"closed_at": "2025-11-06", "audit_id": "a-1", "totals": totals}
    text = to_markdown(an_audit(close=close, restatements=changes))
    assert "| Stripe | USD 60.00 | -USD 15.00 | USD 45.00 |" in text
    assert "| database | USD 0.00 | +USD 85.00 | USD 85.00 |" in text
    wrong = {**close, "problem": "Frozen and changes are not what is now."}
    assert "Frozen and changes are not what is now." in to_markdown(an_audit(close=wrong))


def test_the_trend_is_a_table_with_a_row_a_month():
    points = [
        TrendPoint(
            "2025-09",
            PeriodState.CLOSED,
            "PASS",
            {"HIGH": 0, "MEDIUM": 0, "LOW": 1},
            {"usd": 0},
            AS_OF,
        ),
        TrendPoint(
            "2025-10",
            PeriodState.OPEN,
            "FAIL",
            {"HIGH": 2, "MEDIUM": 0, "LOW": 0},
            {"usd": -5, "jpy": 7},
            datetime(2025, 11, 2, tzinfo=UTC),
        ),
    ]
    text = to_markdown(an_audit(), trend=points)
    assert "| 2025-09 | PASS | 0 | 0 | 1 |  |" in text
    assert "| 2025-10 (open) | FAIL | 2 | 0 | 0 | -USD 0.05, +JPY 7 |" in text


def test_an_open_month_is_called_provisional_at_the_top():
    first = to_markdown(an_audit(state=PeriodState.OPEN)).splitlines()[2]
    assert first.endswith("The month is open. Every number is provisional.")


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin"])
def test_the_zone_of_the_month_is_named(tz):
    assert f"- Month: 2025-10 in `{tz}`, closed" in to_markdown(an_audit(tz=tz))


def test_a_clean_audit_says_that_there_is_nothing_to_do():
    text = to_markdown(replace(an_audit(), totals={}))
    assert "## What to do\n\nNothing.\n" in text
    assert "## Findings\n\nNone.\n" in text


def test_tables_name_their_columns_and_say_what_a_row_is():
    audit = an_audit(a_finding(), a_finding("refund_stuck", object_id="re_1", impacts={}))
    tables = [block for block in build_page(audit).blocks if isinstance(block, Table)]
    assert tables
    for table in tables:
        assert table.caption
        assert all(len(row) == len(table.head) for row in table.rows)


def test_the_answer_never_says_agree_of_sides_that_differ_or_were_partly_set_aside():
    hidden = a_finding(suppression=SUPPRESSED)
    text = to_markdown(an_audit(hidden, verdict=Verdict.PASS))
    assert "agree" not in text.split("## ")[0]
    assert "They differ by +USD 40.00; 1 finding is suppressed." in text
    assert "- Suppressed money: USD 3,960.00\n" in text
    assert "They differ by +USD 40.00." in to_markdown(an_audit(verdict=Verdict.PASS))


def test_a_class_table_shows_the_severity_of_what_was_found_not_of_its_class():
    found = [
        a_finding("event_gap", severity=Severity.HIGH),
        a_finding("event_gap", "evt_2", severity=Severity.MEDIUM),
    ]
    assert "| `event_gap` | HIGH |" in to_markdown(an_audit(found[0]))
    assert "| `event_gap` | 1 HIGH, 1 MEDIUM |" in to_markdown(an_audit(*found))
    (told,) = class_facts(["event_gap"], found).values()
    assert told["severity"] == "HIGH"


def test_the_title_names_a_zone_other_than_utc():
    assert build_page(an_audit(tz="Europe/Berlin")).title.startswith(
        "Revenue audit 2025-10 in Europe/Berlin: "
    )


def test_low_findings_that_need_nothing_are_one_line_with_their_number():
    low = [a_finding("period_cutoff", f"ch_{n}", severity=Severity.LOW) for n in (1, 2)]
    text = to_markdown(an_audit(a_finding(), *low))
    assert "2 LOW findings need nothing: `period_cutoff` 2. The JSON and CSV" in text
    assert "### LOW" not in text
    assert "### HIGH: 1 finding" in text


def test_what_differs_is_told_of_events_and_credit_notes():
    gap = a_finding("event_gap", "evt_1", evidence={"stripe": {"type": "charge.refunded"}})
    note = a_finding("credit_note_unapplied", evidence={"stripe_minor": 500, "booked_minor": 0})
    text = to_markdown(an_audit(gap, note))
    assert "Stripe lists `charge.refunded`, we lack it" in text
    assert "Stripe USD 5.00, the database USD 0.00" in text
