"""The report's faces: right answer first, nothing active, numbers that stay numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from markdown_it import MarkdownIt

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, Cause, Severity
from growth_pipeline.audit.findings import Finding, Verdict
from growth_pipeline.audit.payments.totals import CurrencyTotals, Side
from growth_pipeline.audit.report.page_findings import FINDINGS_SHOWN
from growth_pipeline.audit.report.summary import recommendations
from growth_pipeline.audit.report.tables import csv_cell, to_csv, to_dict, to_json
from growth_pipeline.audit.report.write import save_report, to_markdown
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import PeriodState
from growth_pipeline_tests.audit.company import AS_OF, OCTOBER

ATTACKS = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1+1",
    "'quoted",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "http://evil.example/auto",
    "www.evil.example",
    "a@evil.example",
    "@everyone",
    "<!channel>",
    "`a` | b \\| c",
    "``` \n# heading\n",
    "| cell | cell |",
    "line\r\nforged: record",
    "\x1b[31mred\x1b[0m",
    "right\u202eleft\u200b",
    "&lt;b&gt;",
    "*bold* _it_ ~~no~~",
    "\\`out\\`",
    "a\\",
    "[ref]: http://evil.example",
    "<http://evil.example>",
    "x" * 5000,
    "",
]


def a_finding(code: str = "amount_mismatch", object_id: str = "ch_1", **fields) -> Finding:
    known = {
        "severity": CODES[code].severity,
        "object": "charge",
        "currency": "usd",
        "impacts": {"usd": 396_000},
        "cause": Cause.HANDLED_WRONG,
        "action": CODES[code].action,
        "command": "growth audit --month 2025-10",
        "evidence": {
            "details": {code: {"stripe_minor": 4000, "booked_minor": 400_000, "factor": "x100"}},
            "booked": [{"payment_id": 17, "written_by": "mirror"}],
            "link": "https://dashboard.stripe.com/acct_1/payments/ch_1",
        },
        "fingerprint": "abc",
    }
    return Finding(code=code, object_id=object_id, **{**known, **fields})


def an_audit(*findings: Finding, **fields) -> Audit:
    totals = CurrencyTotals(
        stripe=Side(count=3, gross_minor=6000, refunded_minor=1500, fees_minor=180),
        booked=Side(count=5, gross_minor=8500),
        explained=4000,
    )
    known = {
        "scope": Scope("acct_1", True),
        "month": OCTOBER,
        "state": PeriodState.CLOSED,
        "as_of": AS_OF,
        "started_at": AS_OF,
        "finished_at": AS_OF + timedelta(seconds=3),
        "grace": timedelta(minutes=60),
        "verdict": Verdict.FAIL,
        "findings": findings,
        "totals": {"usd": totals},
        "sources": (
            {
                "resource": "charges",
                "rows": 3,
                "pages": 1,
                "complete": True,
                "has_more": False,
                "sha256": "f" * 64,
            },
            {"resource": "refunds", "complete": False},
            {
                "resource": "billing.payments",
                "rows": 5,
                "read_at": "2025-11-02T00:00:00+00:00",
                "not_judged": 0,
            },
        ),
        "run_id": "run-1",
    }
    return Audit(**{**known, **fields})


def rendered(markdown: str) -> str:
    """As GitHub shows it, with tables; bare addresses are looked for outside code spans instead."""
    return MarkdownIt("gfm-like", {"html": False, "linkify": False}).render(markdown)


def table_widths(page: str) -> list[list[int]]:
    """Cells of each row, table by table: a text that breaks out of its cell changes one."""
    return [
        [len(re.findall(r"<t[dh]", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.S)]
        for table in re.findall(r"<table>.*?</table>", page, re.S)
    ]


def outside_code(page: str) -> str:
    return re.sub(r"<code>.*?</code>", "", page, flags=re.S)


# --- JSON ----------------------------------------------------------------------------------------


def test_the_json_says_what_the_contract_promises():
    told = json.loads(to_json(an_audit(a_finding())))
    assert told["metric"] == "revenue_audit"
    assert told["definition"] == "audit@1"
    assert (told["month"], told["state"], told["tz"]) == ("2025-10", "closed", "UTC")
    assert told["as_of"] == "2025-11-02T00:00:00+00:00"
    assert (told["account_id"], told["livemode"]) == ("acct_1", True)
    assert told["verdict"] == "FAIL"
    assert told["counts"] == {"amount_mismatch": 1}
    assert told["severities"] == {"HIGH": 1, "MEDIUM": 0, "LOW": 0}
    assert told["money_difference_minor"] == {"usd": 4000}
    assert told["impact_minor_by_code"] == {"amount_mismatch": {"usd": 396_000}}
    assert told["totals"]["usd"]["stripe"] == {
        "count": 3, "gross_minor": 6000, "refunded_minor": 1500, "disputed_minor": 0, "net_minor": 4500, "fees_minor": 180,
    }  # fmt: skip
    assert {name: told["totals"]["usd"][name] for name in ("difference", "explained", "cut_off", "remainder")} == {
        "difference": 4000, "explained": 4000, "cut_off": 0, "remainder": 0,
    }  # fmt: skip
    assert told["findings"][0]["impact_minor"] == 396_000
    assert told["run_id"] == "run-1"
    assert told["sources"][0]["has_more"] is False


def test_a_recommendation_a_class_and_none_for_what_needs_nothing():
    low = a_finding("period_cutoff", "ch_2", impacts={})
    steps = recommendations(an_audit(a_finding(), a_finding(object_id="ch_3"), low))
    assert [(step["code"], step["count"], step["command"]) for step in steps] == [
        ("amount_mismatch", 2, "growth repair --month 2025-10")
    ]


def test_no_command_is_recommended_that_does_not_exist():
    from growth_pipeline.audit.evidence import Frame, source_finding

    frame = Frame(Scope("acct_1", True), OCTOBER)
    findings = [frame.finding(code, "charge", "ch_1", impacts={}, evidence={}) for code in CODES]
    findings.append(source_finding("charges", "gone", frame))
    commands = {step["command"] for step in recommendations(an_audit(*findings))}
    assert commands
    for command in commands:
        assert exists(command), command


def exists(command: str) -> bool:
    """Whether the command line takes a command: its words are commands, its options are theirs."""
    import typer

    from growth_pipeline.cli import app

    program, *words = command.split()
    found = typer.main.get_command(app)
    while words and hasattr(found, "commands"):
        name = words.pop(0)
        if name not in found.commands:
            return False
        found = found.commands[name]
    known = {option for parameter in found.params for option in parameter.opts}
    return program == "growth" and {word for word in words if word.startswith("-")} <= known


# --- CSV -----------------------------------------------------------------------------------------


def test_the_csv_has_a_row_a_finding_and_numbers_stay_numbers():
    rows = list(
        csv.DictReader(io.StringIO(to_csv(an_audit(a_finding(), a_finding(impacts={"usd": -5})))))
    )
    assert [row["impact_minor"] for row in rows] == ["396000", "-5"]
    assert rows[0]["code"] == "amount_mismatch"
    assert json.loads(rows[0]["booked"])[0]["payment_id"] == 17


def test_an_unknown_impact_is_an_empty_cell():
    audit = an_audit(a_finding("source_incomplete", impacts=None, currency=None))
    (row,) = csv.DictReader(io.StringIO(to_csv(audit)))
    assert row["impact_minor"] == ""


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_cell_starts_a_formula_and_every_text_comes_back(attack):
    text = to_csv(an_audit(a_finding(object_id=attack, action=attack)))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    for cell in row.values():
        assert not cell.startswith(
            ("=", "+", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        )
    assert (
        row["object_id"][1:] if row["object_id"].startswith("'") else row["object_id"]
    ) == attack


def test_only_texts_are_quoted():
    assert [csv_cell(value) for value in (-5, 0, None, "-5", "ch_1", "'x")] == [
        -5,
        0,
        "",
        "'-5",
        "ch_1",
        "''x",
    ]


# --- Markdown ------------------------------------------------------------------------------------


def test_the_answer_comes_first():
    lines = to_markdown(an_audit(a_finding())).splitlines()
    assert lines[0] == "# Revenue audit 2025-10: FAIL"
    assert lines[2].startswith(
        "**The books do not agree with Stripe.** They differ by +USD 40.00. "
        "Findings: 1 HIGH, 0 MEDIUM, 0 LOW."
    )


def test_an_incomplete_source_is_said_before_anything_else():
    audit = an_audit(a_finding("source_incomplete", impacts=None))
    assert "There is no verdict on a part" in to_markdown(audit).splitlines()[2]


def test_an_open_month_is_called_open():
    assert "The month is open." in to_markdown(an_audit(state=PeriodState.OPEN)).splitlines()[2]


def test_money_is_written_with_its_own_decimals():
    totals = {
        "isk": CurrencyTotals(booked=Side(count=1, gross_minor=800)),
        "jpy": CurrencyTotals(booked=Side(count=1, gross_minor=980)),
        "kwd": CurrencyTotals(booked=Side(count=1, gross_minor=7450)),
    }
    text = to_markdown(an_audit(totals=totals))
    for money in ("ISK 8.00", "JPY 980", "KWD 7.450"):
        assert money in text


def test_both_sides_the_bridge_the_sources_and_the_rules_are_there():
    page = rendered(to_markdown(an_audit(a_finding())))
    for part in (
        "Stripe and the database side by side",
        "What to do",
        "By kind of object",
        "Findings",
        "Sources",
        "How this was computed",
    ):
        assert f"<h2>{part}</h2>" in page
    assert "USD 45.00" in page
    assert "USD 85.00" in page
    assert "+USD 40.00" in page
    assert "USD 40.00 findings" in page
    assert "<code>has_more=false</code>" in page
    assert "<strong>no</strong>" in page, "the refunds were not read to their end"
    assert "tolerance 0 minor units" in page


def test_a_long_list_is_cut_and_says_so():
    findings = [a_finding(object_id=f"ch_{n}") for n in range(FINDINGS_SHOWN + 5)]
    text = to_markdown(an_audit(*findings))
    assert "5 more are in the JSON and CSV reports." in text
    assert len(list(csv.reader(io.StringIO(to_csv(an_audit(*findings)))))) == FINDINGS_SHOWN + 6


def test_the_only_links_lead_to_stripes_dashboard():
    page = rendered(to_markdown(an_audit(a_finding())))
    assert re.findall(r'href="([^"]*)"', page) == [
        "https://dashboard.stripe.com/acct_1/payments/ch_1"
    ]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_a_row_becomes_markup_or_a_link(attack):
    finding = a_finding(
        object_id=attack,
        currency=attack,
        impacts={attack: 5},
        evidence={
            "details": {"status_mismatch": {"stripe": attack, "booked": attack}},
            "booked": [{"payment_id": 1, "written_by": attack}],
            "link": f"https://dashboard.stripe.com/payments/{attack}" if attack else "",
            "reason": attack,
        },
    )
    totals = {attack: CurrencyTotals(booked=Side(count=1, gross_minor=5))}
    audit = an_audit(finding, totals=totals, scope=Scope(attack, True), run_id=attack)
    page = rendered(to_markdown(audit))
    hrefs = re.findall(r'href="([^"]*)"', page)
    assert all(href.startswith("https://dashboard.stripe.com/payments/") for href in hrefs)
    assert "evil" not in outside_code(page)
    assert not re.search(r"https?://(?!dashboard\.stripe\.com/)|www\.|@", outside_code(page))
    for active in (
        "<script",
        "<img",
        '<a href="javascript',
        "<em>",
        "<s>",
        "<h1>#",
        "\x1b",
        "\u202e",
        "\u200b",
    ):
        assert active not in page.replace("<h1>Revenue", "")
    assert page.count("<h1>") == 1
    assert [len(set(widths)) for widths in table_widths(page)] == [1] * 5


def test_the_same_audit_writes_the_same_files(lake):
    audit = an_audit(a_finding())
    paths = save_report(audit, lake)
    assert paths == save_report(audit, lake)
    assert set(paths) == {"md", "html", "json", "csv"}
    assert lake.read_artifact(paths["html"]).startswith(b"<!doctype html>")
    assert all(path.startswith("reports/audit/acct_1/live/2025-10/") for path in paths.values())
    assert json.loads(lake.read_artifact(paths["json"])) == to_dict(audit)
    assert lake.read_artifact(paths["csv"]).decode() == to_csv(audit)
    other = replace(audit, verdict=Verdict.WARNING)
    assert save_report(other, lake)["md"] != paths["md"]


def test_severities_and_causes_are_words():
    row = next(csv.DictReader(io.StringIO(to_csv(an_audit(a_finding())))))
    assert (row["severity"], row["cause"]) == (str(Severity.HIGH), "handled_wrong")


def test_fees_that_the_books_do_not_know_are_called_unknown_and_not_zero():
    page = to_markdown(an_audit())
    assert "`USD` fees settled in this currency | USD 1.80 | unknown | unknown |" in page


def test_a_finding_in_two_currencies_keeps_both_in_the_csv():
    finding = a_finding("currency_mismatch", currency="usd", impacts={"usd": 1710, "eur": -1710})
    (row,) = csv.DictReader(io.StringIO(to_csv(an_audit(finding))))
    assert (row["impact_minor"], row["impacts"]) == ("1710", "eur -1710; usd +1710")
