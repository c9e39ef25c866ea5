"""`growth findings` on a real database: list, show, suppress, unsuppress, own."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.findings import About, finding_lines
from growth_pipeline_tests.audit.company import Company

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]
SOON = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()


@pytest.fixture
def growth(growth_here):
    """Runs `growth findings …`."""
    return partial(growth_here, "findings")


@pytest.fixture
def audited(lake, database, engine):
    """A published audit of October with a payment booked twice and one that is missing."""
    company = Company(lake, database, engine, scope=Scope("self", False))
    company.payment(1, 1000)
    company.row(1, amount_minor=1000, written_by="hand")
    company.charge(2, 500)
    audit = company.audit()
    company.store.publish(audit)
    return {one.code: one.fingerprint for one in audit.findings}


def read(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_open_findings_are_listed_the_worst_first(growth, audited):
    document = read(growth("list", "--json"))
    assert document["total"] == 2
    assert [(one["code"], one["impact_minor"]) for one in document["findings"]] == [
        ("duplicate_row", 1000),
        ("missing_in_db", -500),
    ]
    lines = growth("list", "--limit", "1").stdout.splitlines()
    assert lines == [
        f"{audited['duplicate_row']}  2025-10  HIGH    duplicate_row  charge ch_1  +USD 10.00",
        "and 1 more: give a larger --limit",
    ]
    assert read(growth("list", "--code", "refund_stuck", "--json"))["total"] == 0


def test_a_finding_is_shown_with_its_cause_and_evidence(growth, audited):
    name = audited["missing_in_db"]
    assert read(growth("show", name[:8], "--json"))["cause"] == "never_delivered"
    page = growth("show", name).stdout
    assert "cause:    never delivered" in page
    assert '"captured_minor": 500' in page
    assert growth("show", "123").returncode == 2
    unknown = growth("show", "ffffffff")
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_where_nothing_was_audited_no_all_clear_is_given(growth, database_url):
    document = read(growth("list", "--json"))
    assert (document["total"], document["audited_months"]) == (0, [])
    done = growth("list")
    assert done.returncode == 0
    assert done.stdout.startswith("nothing was audited yet in the database ")
    password = urlsplit(database_url).password
    assert not password or password not in done.stdout


def test_findings_of_one_zone_are_listed_and_the_audited_months_told(growth, audited):
    told = read(growth("list", "--tz", "UTC", "--json"))
    assert (told["total"], told["audited_months"]) == (2, [{"month": "2025-10", "tz": "UTC"}])
    assert {one["command"] for one in told["findings"]} == {"growth repair --month 2025-10"}
    other = growth("list", "--tz", "Asia/Tokyo").stdout
    assert other.startswith("nothing was audited yet")


def test_a_finding_is_suppressed_and_counts_again(growth, audited):
    name = audited["duplicate_row"]
    decide = ("suppress", name, "--reason", "a test sale", "--until", SOON, "--by", "ada")
    assert read(growth(*decide, "--dry-run", "--json"))["dry_run"] is True
    assert read(growth("show", name, "--json"))["suppression"] is None
    done = growth(*decide)
    assert done.stdout == (
        f"duplicate_row of ch_1 will not count until {SOON}; "
        "the verdict follows with the next audit\n"
    )
    expected = {"reason": "a test sale", "by": "ada", "until": SOON}
    assert read(growth("show", name, "--json"))["suppression"] == expected
    assert f"suppressed until {SOON}" in growth("list").stdout
    lifted = read(growth("unsuppress", name, "--by", "bob", "--json"))
    assert [one["reason"] for one in lifted["lifted"]] == ["a test sale"]
    again = growth("unsuppress", name)
    assert again.returncode == 2
    assert "nothing of it is suppressed" in again.stderr


def test_a_finding_that_outgrew_its_suppression_says_so_in_lists_and_pages(
    growth, audited, database
):
    name = audited["duplicate_row"]
    decide = ("suppress", name, "--reason", "a test sale", "--until", SOON, "--by", "ada")
    decided = read(growth(*decide, "--json"))
    assert (decided["severity"], decided["codes"]) == ("HIGH", ["duplicate_row"])
    assert decided["impacts_minor"] == {"usd": 1000}
    with database.connection() as connection:
        connection.execute(
            "update audit.findings set impact_minor = 9900000,"
            ' evidence = evidence || \'{"impacts_minor": {"usd": 9900000}}\' where fingerprint = %s',
            [name],
        )
    shown = read(growth("show", name, "--json"))
    why = "its impact grew from USD 10.00 to USD 99,000.00"
    assert shown["suppression"] is None
    assert shown["outgrown"] == {"reason": "a test sale", "by": "ada", "until": SOON, "why": why}
    assert f"no longer suppressed: {why}" in growth("list").stdout
    said = f"counts:   {why}; the suppression until {SOON} by ada: a test sale"
    assert said in growth("show", name).stdout


def test_a_class_is_suppressed_as_a_whole_and_only_so_lifted(growth, audited):
    done = growth(
        *("suppress", "--code", "duplicate_row", "--month", "2025-10"),
        *("--reason", "known", "--until", SOON, "--by", "ada", "--json"),
    )
    assert read(done)["month"] == "2025-10"
    one = growth("unsuppress", audited["duplicate_row"])
    assert "growth findings unsuppress --code duplicate_row --month 2025-10" in one.stderr
    assert growth("unsuppress", "--code", "duplicate_row").returncode == 2
    assert growth("unsuppress", "--code", "duplicate_row", "--month", "2025-10").returncode == 0


def test_a_finding_gets_an_owner_and_loses_it(growth, audited):
    name = audited["missing_in_db"]
    assert growth("own", name, "Ada").stdout == "Ada looks after missing_in_db of ch_2\n"
    assert read(growth("show", name, "--json"))["owner"] == "Ada"
    assert read(growth("own", name, "--nobody", "--json"))["owner"] is None
    assert growth("own", name).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("suppress", "--reason", "x", "--until", SOON),
        ("suppress", "abcdef", "--code", "duplicate_row", "--reason", "x", "--until", SOON),
        ("suppress", "--code", "source_incomplete", "--reason", "x", "--until", SOON),
        ("suppress", "--code", "duplicate_row", "--reason", "x", "--until", "soon"),
        ("suppress", "--code", "duplicate_row", "--reason", "x", "--until", "2020-01-01"),
        ("list", "--severity", "terrible"),
        ("list", "--code", "no_such_class"),
    ],
)
def test_what_cannot_be_decided_is_wrong_usage(growth, arguments):
    done = growth(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "next: " in done.stderr


def test_a_decision_is_about_one_finding_or_one_class():
    assert About(code="duplicate_row", month=Month(2025, 10)).finding is None
    for wrong in ({}, {"finding": "f", "code": "c"}, {"finding": "f", "month": Month(2025, 10)}):
        with pytest.raises(UsageError):
            About(**wrong)


def test_signs_that_steer_a_terminal_are_not_printed():
    finding = {
        **{
            "fingerprint": "f1",
            "month": "2025-10",
            "tz": "UTC",
            "severity": "HIGH",
            "code": "duplicate_row",
        },
        **{"object": "charge", "object_id": "ch_\x1b[2J", "currency": "usd", "impact_minor": 5},
        **{"cause": "unknown", "action": "a\nb", "command": "c", "owner": None},
        **{
            "outgrown": None,
            "suppression": None,
            "closed_at": None,
            "first_seen_at": "x",
            "last_seen_at": "y",
        },
        "evidence": {"id": "\x1b]0;x\x07"},
    }
    page = "\n".join(finding_lines(finding))
    assert "\x1b" not in page
    assert "\x07" not in page
