"""Digests of a small company, written by hand: what a report may say, with somebody's names in it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from growth_pipeline.insights.facts import (
    Comparison,
    Digest,
    Direction,
    Driver,
    Fact,
    Group,
    Kind,
    Point,
    Restated,
    Series,
    Source,
    Status,
    Trend,
    Unit,
)

WEEK_END = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
WEEKS = 9
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def points(values, samples=None, *, of=None):
    """Closed weeks that end with WEEK_END. `of`: denominators; values are then numerators."""
    told = []
    for number, value in enumerate(values):
        end = WEEK_END - timedelta(days=7 * (len(values) - 1 - number))
        sample = None if samples is None else samples[number]
        point = Point(end - timedelta(days=7), end, value, sample)
        if of is not None:
            rate = None if value is None else Decimal(value) / of[number]
            point = replace(
                point, value=rate, numerator=value, denominator=of[number], sample=of[number]
            )
        told.append(point)
    return tuple(told)


def a_comparison(value, baseline):
    """A comparison by the plainest rule: a tenth more or less is a direction."""
    if value is None or baseline is None:
        return Comparison(
            baseline=baseline, change=None, percent=None, z=None, direction=Direction.UNKNOWN
        )
    change = value - baseline
    percent = Decimal(change) / Decimal(abs(baseline)) if baseline else None
    says = Direction.FLAT
    if percent is not None and abs(percent) >= Decimal("0.1"):
        says = Direction.UP if percent > 0 else Direction.DOWN
    return Comparison(baseline=baseline, change=change, percent=percent, z=None, direction=says)


def a_fact(fact_id, values, *, samples=None, of=None, drivers=(), **series):
    """A fact whose last value is about the last week."""
    given = {
        "group": Group.USERS,
        "family": fact_id.split(".")[0],
        "label": "Some figure",
        "kind": Kind.FLOW if of is None else Kind.RATE,
        "unit": Unit.COUNT if of is None else Unit.RATE,
        "source": Source("mart.some", "UTC", NOW),
    } | series
    told = Series(fact_id=fact_id, points=points(values, samples, of=of), **given)
    value = [point.value for point in told.points]
    usual = None if None in value[-5:-1] else Decimal(sum(value[-5:-1])) / len(value[-5:-1])
    return Fact(
        series=told,
        before=a_comparison(value[-1], value[-2]),
        usual=a_comparison(value[-1], usual),
        trend=Trend(slope=Decimal(1), tau=Decimal("0.6"), direction=Direction.UP, periods=8),
        drivers=tuple(Driver(fact_id=one, contribution=1, share=None) for one in drivers),
    )


def money(fact_id, values, samples, **more):
    """A fact in minor units of USD."""
    given = {"unit": Unit.MINOR, "currency": "usd", "group": Group.REVENUE} | more
    return a_fact(fact_id, values, samples=samples, **given)


def event_id(name):
    """Id of the fact about one event name."""
    return f"event.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def steady(last, *, before=None):
    """Nine weeks around one size, the last of them as given."""
    return [before if before is not None else last] * (WEEKS - 1) + [last]


def a_digest(*facts, names=("Report Exported", "Seat Added"), stages=("Invited", "Paid")):
    """A digest of the given facts, or of a company of some hundred users with these names."""
    return Digest(
        week_start=WEEK_END - timedelta(days=7),
        week_end=WEEK_END,
        weeks=8,
        made_at=NOW,
        facts=facts or tuple(_company(names, stages)),
        statuses=(
            Status(
                status_id="audit.2026-11",
                label="Audit of November",
                value="PASS",
                detail="0 HIGH, 0 MEDIUM, 1 LOW open",
                as_of=NOW,
            ),
        ),
    )


def with_free_text(digest, text):
    """The digest with a text in every field that is no figure and that nobody needs to send."""
    source = Source(text, text, NOW, policy=text, receipt_id=text)
    facts = tuple(
        replace(
            fact,
            series=replace(
                fact.series,
                source=source,
                points=tuple(replace(point, reason=text) for point in fact.series.points),
            ),
        )
        for fact in digest.facts
    )
    restated = Restated(
        fact_id=text,
        label=text,
        unit=Unit.COUNT,
        currency=text,
        start=WEEK_END,
        before=1,
        now=2,
        reason=text,
    )
    statuses = (
        *(replace(one, label=text, detail=text) for one in digest.statuses),
        Status(status_id=text, label=text, value=text, detail=text, as_of=NOW),
    )
    return replace(
        digest,
        facts=facts,
        statuses=statuses,
        restated=(restated,),
        notes=(text,),
        options={text: text, "plan": text},
    )


def _company(names, stages):
    yield money(
        "mrr.usd",
        [900_000 + 10_000 * week for week in range(WEEKS - 1)] + [1_200_000],
        [180] * WEEKS,
        kind=Kind.STOCK,
        label="MRR (USD)",
        drivers=("mrr_new.usd", "mrr_churn.usd"),
    )
    yield money(
        "mrr_new.usd", steady(250_000), steady(40), label="New MRR (USD)", part_of="mrr.usd"
    )
    yield money(
        "mrr_churn.usd", steady(-20_000), steady(9), label="Lost MRR (USD)", part_of="mrr.usd"
    )
    yield a_fact("signups", steady(180, before=120), label="Sign-ups", noun="sign-ups")
    yield a_fact("wau", steady(400, before=410), label="Weekly active users", kind=Kind.STOCK)
    yield a_fact("mau", steady(900), label="Monthly active users", kind=Kind.STOCK)
    for number, day in enumerate(_DAYS):
        yield a_fact(
            f"dau.{day}",
            steady(100 + number),
            label=f"Active users on {day.title()}s",
            kind=Kind.STOCK,
            grain="day",
            group=Group.ENGAGEMENT,
        )
    yield a_fact(
        "retention.day7",
        steady(45),
        of=steady(150),
        label="Retention on day 7",
        group=Group.ENGAGEMENT,
    )
    yield a_fact("events", steady(9_000), label="Events", noun="events", group=Group.PRODUCT)
    for number, name in enumerate(names):
        yield a_fact(
            event_id(name),
            steady(300 + 10 * number, before=200),
            family="event",
            label="Event",
            name=name,
            noun="events",
            group=Group.PRODUCT,
        )
    yield a_fact("funnel.1.entered", steady(600), label="Entered funnel 1", group=Group.PRODUCT)
    for number, stage in enumerate(stages, start=2):
        yield a_fact(
            f"funnel.1.{number}",
            steady(500 - 10 * number),
            of=steady(600),
            family="funnel",
            label=f"Funnel 1, stage {number}",
            name=stage,
            group=Group.PRODUCT,
        )
