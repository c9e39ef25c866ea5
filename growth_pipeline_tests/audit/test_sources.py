"""Which files speak for a month of UTC or of another zone, and what is said of those that do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.sources import read_sources
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import PeriodState
from growth_pipeline_tests.audit.company import (
    AS_OF,
    LIVE,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    epoch,
    found,
)

PACIFIC = "America/Los_Angeles"  # October 2025: 1 October 07:00 to 1 November 07:00 UTC
AUCKLAND = "Pacific/Auckland"  # October 2025: 30 September 11:00 to 31 October 11:00 UTC


def at(month: int, day: int, hour: int) -> datetime:
    return datetime(2025, month, day, hour, tzinfo=UTC)


@pytest.fixture
def zoned(company):
    """Four settled payments around both ends of October in Los Angeles, each of its own amount."""
    company.extracted = {OCTOBER, NOVEMBER}
    for number, created, amount in (
        (1, at(10, 1, 6), 100),  # 30 September there
        (2, at(10, 1, 7), 2_000),
        (3, at(11, 1, 6), 30_000),
        (4, at(11, 1, 7), 400_000),  # 1 November there
    ):
        company.payment(number, amount, created=epoch(created))
    return company


def test_a_month_of_a_zone_holds_what_its_clocks_say(zoned):
    audit = zoned.audit(tz=PACIFIC)
    assert found(audit) == []
    usd = audit.totals["usd"]
    assert (usd.stripe.count, usd.stripe.gross_minor) == (2, 32_000)
    assert (usd.booked.count, usd.booked.gross_minor) == (2, 32_000)
    assert (audit.tz, audit.state, audit.verdict) == (PACIFIC, PeriodState.CLOSED, Verdict.PASS)


def test_the_same_month_in_utc_holds_others(zoned):
    usd = zoned.audit().totals["usd"]
    assert (usd.stripe.count, usd.stripe.gross_minor) == (2, 2_100)


def test_both_limits_are_told_and_the_money_between_them(zoned):
    zoned.row(5, amount_minor=7, created_at=at(11, 1, 0))
    boundaries = zoned.audit(tz=PACIFIC).boundaries
    assert boundaries["start"] == "2025-10-01T07:00:00+00:00"
    assert boundaries["end"] == "2025-11-01T07:00:00+00:00"
    assert boundaries["utc_start"] == "2025-10-01T00:00:00+00:00"
    assert boundaries["utc_end"] == "2025-11-01T00:00:00+00:00"
    start, end = boundaries["between"]
    one = {"count": 1, "refunded_minor": 0, "disputed_minor": 0}
    assert (start["edge"], start["counted_in"]) == ("start", "utc")
    assert start["stripe"] == {"usd": {**one, "gross_minor": 100, "net_minor": 100}}
    assert start["books"] == start["stripe"]
    assert (end["edge"], end["counted_in"]) == ("end", "zone")
    assert end["stripe"] == {"usd": {**one, "gross_minor": 30_000, "net_minor": 30_000}}
    assert end["books"]["usd"]["gross_minor"] == 30_007


def test_refunds_of_the_stretch_between_are_counted_whenever_they_were_made(zoned):
    zoned.refund(1, 40, of=1, created=epoch(at(11, 1, 9)))
    start, _ = zoned.audit(tz=PACIFIC).boundaries["between"]
    assert start["stripe"]["usd"]["net_minor"] == 60


def test_in_utc_nothing_lies_between(zoned):
    boundaries = zoned.audit().boundaries
    assert boundaries["start"] == boundaries["utc_start"]
    assert boundaries["between"] == []


def test_a_zone_ahead_of_utc_takes_the_end_of_the_month_before(company):
    company.extracted = {SEPTEMBER, OCTOBER}
    company.payment(1, 100, created=epoch(at(9, 30, 10)))
    company.payment(2, 2_000, created=epoch(at(9, 30, 11)))
    company.payment(3, 30_000, created=epoch(at(10, 31, 11)))
    audit = company.audit(tz=AUCKLAND)
    assert audit.totals["usd"].stripe.gross_minor == audit.totals["usd"].booked.gross_minor == 2_000
    start, end = audit.boundaries["between"]
    assert (start["counted_in"], start["stripe"]["usd"]["gross_minor"]) == ("zone", 2_000)
    assert (end["counted_in"], end["stripe"]["usd"]["gross_minor"]) == ("utc", 30_000)


def test_a_payment_booked_on_the_other_side_of_midnight_is_cut_off_in_the_zone_alone(company):
    """20:00 UTC on 31 October is noon in Los Angeles and 1 November in Auckland."""
    company.extracted = {SEPTEMBER, OCTOBER, NOVEMBER}
    booked = {"created_at": at(10, 31, 10)}
    company.payment(1, 500, created=epoch(at(10, 31, 20)), booked=booked)
    assert found(company.audit(tz=PACIFIC)) == []
    november = company.audit(NOVEMBER, tz=AUCKLAND)
    assert found(november) == [("period_cutoff", "ch_1", {})]
    assert november.findings[0].cause is not Cause.WRITTEN_BY_HAND


def test_findings_of_a_zone_have_names_and_commands_of_their_own(zoned):
    zoned.charge(9, 700)
    (in_utc,) = zoned.audit().findings
    (in_zone,) = zoned.audit(tz=PACIFIC).findings
    assert in_utc.fingerprint != in_zone.fingerprint
    assert f"--tz {PACIFIC}" not in in_utc.command


def test_a_missing_neighbour_is_named_and_there_is_no_verdict(zoned):
    zoned.unwritten = {("charges", NOVEMBER)}
    zoned.extracted = {OCTOBER}
    audit = zoned.audit(tz=PACIFIC)
    (reason,) = [
        one.evidence["reason"]
        for one in audit.findings
        if one.code == "source_incomplete" and one.object_id == "stripe/charges"
    ]
    assert "2025-11 was not extracted" in reason
    assert f"2025-10 of {PACIFIC}" in reason
    assert audit.verdict is Verdict.FAIL
    assert audit.totals == {}


def test_a_neighbour_that_has_not_begun_is_not_missed(zoned):
    zoned.as_of = at(10, 20, 0)
    zoned.extracted = {OCTOBER}
    audit = zoned.audit(tz=PACIFIC)
    assert (audit.state, audit.verdict) == (PeriodState.OPEN, Verdict.PASS)


def test_a_neighbour_read_long_before_is_refused_or_little_would_be_judged(company):
    company.extracted = {SEPTEMBER, OCTOBER}
    company.payment(1, 100, created=epoch(at(9, 30, 12)))
    old = {
        "as_of": at(10, 1, 1).isoformat(),
        "window": [epoch(SEPTEMBER.start), epoch(at(10, 1, 0))],
    }
    company.certificates = {("charges", SEPTEMBER): old}
    company.write()
    sources = read_sources(company.lake, LIVE, OCTOBER, AS_OF, tz=AUCKLAND)
    assert "charges" not in sources.month
    (problem,) = sources.problems
    assert "2025-09 was read at 2025-10-01 01:00 UTC" in problem.reason
    assert sources.as_of == AS_OF


def test_a_neighbour_read_after_the_months_end_counts_whenever_that_was(company):
    company.extracted = {SEPTEMBER, OCTOBER}
    company.payment(1, 100, created=epoch(at(9, 30, 12)))
    read = {"as_of": (at(10, 31, 11) + timedelta(minutes=5)).isoformat()}
    company.certificates = {("charges", SEPTEMBER): read}
    audit = company.audit(tz=AUCKLAND)
    assert audit.totals["usd"].stripe.gross_minor == 100
    assert audit.state is PeriodState.CLOSED


def test_every_file_of_a_zones_month_has_its_certificate(zoned):
    sources = zoned.audit(tz=PACIFIC).sources
    charges = [one for one in sources if one["resource"] == "charges"]
    assert len(charges) == 2
    assert all(one["complete"] is True and one["has_more"] is False for one in charges)


def test_an_unknown_zone_is_refused_in_one_sentence(company):
    with pytest.raises(UsageError, match="'Mars/Base' is not a time zone"):
        company.audit(tz="Mars/Base")
