"""Weekly reports of made-up companies, with facts as the real comparisons make them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.claims import Claim, ClaimKind, Prediction, Refused, Severity
from growth_pipeline.insights.facts import (
    Digest,
    Direction,
    Group,
    Kind,
    Point,
    Restated,
    Series,
    Source,
    State,
    Status,
    Unit,
)
from growth_pipeline.insights.report.result import Graded, ModelUse, WeeklyReport

WEEK_END = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
MONEY = Source("revenue.mrr_spells", "UTC", NOW, "growth@1", "0123456789abcdef")
PEOPLE = Source("cohorts.active_users", "Europe/Berlin", NOW - timedelta(hours=2))
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
STEPS = ("new", "expansion", "contraction", "churn")


def weeks(values, *, samples=None, of=None, days_later=0, length=7, end=WEEK_END):
    """Closed weeks up to `end`. `of`: denominators; values are then numerators."""
    told = []
    for number, value in enumerate(values):
        start = end - timedelta(days=7 * (len(values) - number)) + timedelta(days=days_later)
        point = Point(start, start + timedelta(days=length), value)
        if value is None:
            point = replace(point, state=State.OPEN, reason="known only up to 2026-11-20 10:00 UTC")
        elif of is not None:
            share = (Decimal(value) / of[number]).quantize(Decimal("0.000001"))
            point = replace(
                point, value=share, sample=of[number], numerator=value, denominator=of[number]
            )
        elif samples is not None:
            point = replace(point, sample=samples[number])
        told.append(point)
    return tuple(told)


def a_series(fact_id, points, **more):
    given = {
        "group": Group.USERS,
        "family": fact_id.split(".")[0],
        "label": "Some figure",
        "kind": Kind.FLOW,
        "unit": Unit.COUNT,
        "source": PEOPLE,
    }
    return Series(fact_id=fact_id, points=tuple(points), **(given | more))


def money_of(currency, scale=1, *, count=9):
    """MRR that its movements make, customers and payments, of one currency; all exact."""
    moves = {
        "new": [31_000 + 900 * n for n in range(count - 1)] + [84_000],
        "expansion": [12_000] * count,
        "contraction": [-4_000] * count,
        "churn": [-9_000 - 300 * n for n in range(count)],
    }
    level, levels = 900_000, []
    for week in range(count):
        level += sum(moves[name][week] for name in STEPS)
        levels.append(level * scale)
    code = currency.upper()
    shared = {
        "group": Group.REVENUE,
        "currency": currency,
        "unit": Unit.MINOR,
        "source": MONEY,
    }
    people = [180 + 3 * week for week in range(count)]
    yield a_series(
        f"mrr.{currency}",
        weeks(levels, samples=people),
        **shared | {"kind": Kind.STOCK, "label": f"MRR ({code})"},
    )
    for name in STEPS:
        yield a_series(
            f"mrr_{name}.{currency}",
            weeks([one * scale for one in moves[name]], samples=[24] * count),
            **shared | {"label": f"{name.capitalize()} MRR ({code})", "part_of": f"mrr.{currency}"},
        )
    yield a_series(
        f"customers.{currency}",
        weeks(people),
        **shared
        | {
            "kind": Kind.STOCK,
            "unit": Unit.COUNT,
            "label": f"Paying customers ({code})",
            "noun": "paying customers",
        },
    )
    paid = [410_000 + 7_000 * (week % 3) for week in range(count)]
    yield a_series(
        f"payments.{currency}",
        weeks([one * scale for one in paid], samples=[90 + week for week in range(count)]),
        **shared | {"label": f"Payments ({code})"},
    )


def users(count=9):
    signups = [118, 122, 125, 119, 121, 124, 117, 120, 180][-count:]
    active = [380, 384, 391, 388, 395, 399, 402, 410, 356][-count:]
    new = [60] * (count - 1) + [52]
    back = [30] * count
    yield a_series("signups", weeks(signups), label="Sign-ups", noun="sign-ups")
    monday = WEEK_END - timedelta(days=6)
    calendar = weeks(active, end=monday)
    gone = [0] + [active[n - 1] + new[n] + back[n] - active[n] for n in range(1, count)]
    noun = {"noun": "active users"}
    yield a_series(
        "active_week", calendar, label="Active users of the calendar week", kind=Kind.STOCK, **noun
    )
    for name, values, sign in (
        ("new_users", new, 1),
        ("resurrecting_users", back, 1),
        ("dormant_users", gone, -1),
    ):
        yield a_series(
            name,
            weeks(values, end=monday),
            label=name.replace("_", " ").capitalize(),
            sign=sign,
            part_of="active_week",
            more_is="good" if sign > 0 else "bad",
        )


def engagement(count=9):
    shared = {"group": Group.ENGAGEMENT}
    level = [380, 384, 391, 388, 395, 399, 402, 410, 356][-count:]
    stock = shared | {"kind": Kind.STOCK, "noun": "active users"}
    yield a_series("wau", weeks(level), label="Weekly active users (WAU)", **stock)
    yield a_series("mau", weeks([900 + n for n in range(count)]), label="MAU", **stock)
    yield a_series(
        "dau",
        weeks([Decimal("141.285714") + n for n in range(count)]),
        label="Daily active users (DAU), mean of the week",
        **stock | {"unit": Unit.AVERAGE},
    )
    yield a_series(
        "stickiness",
        weeks([900 + 5 * n for n in range(count)], of=[7 * one for one in level]),
        label="Stickiness",
        **shared | {"kind": Kind.RATE, "unit": Unit.RATE},
    )
    for place, day in enumerate(WEEKDAYS):
        yield a_series(
            f"dau.{day}",
            weeks([130 + place] * (count - 1) + [150 - place], days_later=place, length=1),
            label=f"Active users on {day.capitalize()}",
            grain="day",
            **stock,
        )
    for number, hits in ((1, 61), (7, 38), (30, 9)):
        yield a_series(
            f"retention.day{number}",
            weeks([hits] * (count - 1) + [hits + 4], of=[124] * count),
            label=f"Day {number} retention",
            family="retention",
            **shared | {"kind": Kind.RATE, "unit": Unit.RATE},
        )


def event_id(name):
    return f"event.{sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def product(names, stages, funnel="Checkout", count=9):
    shared = {"group": Group.PRODUCT, "noun": "events"}
    yield a_series("events", weeks([9_000] * (count - 1) + [10_400]), label="Events", **shared)
    for name, values in (
        ("activation", [6_000] * (count - 1) + [7_100]),
        ("other", [3_000] * (count - 1) + [3_300]),
    ):
        yield a_series(
            f"events.{name}",
            weeks(values),
            label=f"{name.capitalize()} events",
            part_of="events",
            **shared,
        )
    for number, name in enumerate(names):
        yield a_series(
            event_id(name),
            weeks([210 + number] * (count - 1) + [330 + number]),
            label="Event",
            family="event",
            name=name,
            **shared,
        )
    before = WEEK_END - timedelta(days=14)
    rows = {"group": Group.PRODUCT, "family": "funnel"}
    yield a_series(
        "funnel.1.entered",
        weeks([260] * count, end=before),
        label="Users who began the funnel",
        name=funnel,
        noun="users",
        **rows,
    )
    for stage, name in enumerate(stages, start=2):
        yield a_series(
            f"funnel.1.{stage}",
            weeks([240 - 40 * stage + n for n in range(count)], of=[260] * count, end=before),
            label="Funnel conversion to a later stage",
            name=name,
            kind=Kind.RATE,
            unit=Unit.RATE,
            **rows,
        )


def a_digest(series, *, weeks_shown=8, restated=(), statuses=None, notes=(), options=None):
    given = (
        Status(
            status_id="audit.2026-11",
            label="Revenue audit of 2026-11",
            value="WARNING",
            detail="0 HIGH, 2 MEDIUM, 1 LOW open",
            as_of=NOW,
        ),
        Status(
            status_id="audit.2026-10",
            label="Revenue audit of 2026-10",
            value="PASS",
            detail="0 HIGH, 0 MEDIUM, 3 LOW open",
            as_of=NOW,
        ),
    )
    return Digest(
        week_start=WEEK_END - timedelta(days=7),
        week_end=WEEK_END,
        weeks=weeks_shown,
        made_at=NOW,
        facts=facts_of(tuple(series)),
        statuses=given if statuses is None else statuses,
        restated=tuple(restated),
        notes=tuple(notes),
        options=options or {"version": "digest@1", "policy": "growth@1", "revenue_timezone": "UTC"},
    )


def a_claim(text, *, group=Group.REVENUE, number=0, **more):
    facts = tuple(dict.fromkeys(one.split(":")[0] for one in _references(text)))
    given = {
        "claim_id": f"claim-{number}-{sha256(text.encode('utf-8', 'replace')).hexdigest()[:6]}",
        "kind": ClaimKind.OBSERVATION,
        "facts": facts,
        "rule": "mrr_moved",
    }
    return Claim(text=text, group=group, **(given | more))


def _references(text):
    return [piece.split("}")[0] for piece in text.split("{")[1:]]


HONEST = (
    (
        Group.REVENUE,
        Severity.GOOD,
        "{mrr.usd:label} rose by {mrr.usd:size} ({mrr.usd:percent_size}) to {mrr.usd:value}.",
        "Ask the new customers what brought them.",
    ),
    (
        Group.USERS,
        Severity.GOOD,
        "{signups:label} rose from {signups:before} to {signups:value}, by {signups:percent_size}.",
        "Find where they came from.",
    ),
    (
        Group.ENGAGEMENT,
        Severity.HIGH,
        "{wau:label} fell by {wau:size} ({wau:percent_size}) to {wau:value}.",
        "Look at what changed in the product, and write to those who went quiet.",
    ),
)


def a_report(digest, claims=None, **more):
    told = HONEST if claims is None else ()
    written = [
        a_claim(text, group=group, severity=severity, recommendation=advice, number=number)
        for number, (group, severity, text, advice) in enumerate(told)
    ]
    given = {
        "report_id": "2026-11-15-0123456789abcdef",
        "digest": digest,
        "claims": tuple(written if claims is None else claims),
        "refused": (),
        "predictions": (),
        "graded": (),
        "why_no_model": "Claude was not asked: no key is set.",
        "use": None,
        "made_at": NOW,
    }
    return WeeklyReport(**(given | more))


def a_whole_digest(**more):
    names = ("Report Exported", "Seat Added", "Invoice Viewed")
    series = [
        *money_of("usd"),
        *users(),
        *engagement(),
        *product(names, ("Cart filled", "Card given", "Paid")),
    ]
    given = {
        "restated": (
            Restated(
                fact_id="mrr.usd",
                label="MRR (USD)",
                unit=Unit.MINOR,
                currency="usd",
                start=date(2026, 11, 1),
                before=1_081_400,
                now=1_079_900,
                reason="Stripe told of it later",
            ),
        ),
        "notes": ("2026-09 was not audited: growth audit --month 2026-09.",),
    }
    return a_digest(series, **(given | more))


def a_whole_report(**more):
    digest = more.pop("digest", None) or a_whole_digest()
    by_model = a_claim(
        "{mrr.usd:label} moved by {mrr.usd:change}, driven by {mrr_new.usd:label} of "
        "{mrr_new.usd:value}.",
        kind=ClaimKind.DRIVER,
        written_by="model",
        rule="",
        severity=Severity.LOW,
        recommendation="Repeat what brought them.",
        number=7,
    )
    event = event_id("Report Exported")
    named = a_claim(
        f"{{{event}:label}} rose by {{{event}:percent_size}} to {{{event}:value}}.",
        group=Group.PRODUCT,
        severity=Severity.LOW,
        number=8,
    )
    stage = a_claim(
        "Of those who began, {funnel.1.4:value} came to the last stage.",
        group=Group.PRODUCT,
        severity=Severity.LOW,
        number=9,
    )
    honest = a_report(digest).claims
    refused = Refused(
        claim=a_claim("MRR will double", written_by="model", rule=""),
        reasons=(
            'the word "double" tells of a number',
            "mrr.usd:size is told with a direction, 12 of them, that the fact has not",
        ),
    )
    prediction = Prediction(fact_id="signups", direction=Direction.UP, written_by="rule")
    lost = Prediction(fact_id="gone.eur", direction=Direction.DOWN, written_by="model")
    graded = [
        Graded(
            report_id="r-1",
            prediction=one,
            week_start=digest.week_start,
            value_then=then,
            value_now=now,
            came=came,
            grade=grade,
        )
        for one, then, now, came, grade in (
            (prediction, Decimal(120), 180, Direction.UP, "held"),
            (lost, Decimal("1200.5"), None, Direction.UNKNOWN, "cannot be told"),
        )
    ]
    given = {
        "claims": (*honest, by_model, named, stage),
        "refused": (refused,),
        "predictions": (prediction,),
        "graded": tuple(graded),
        "why_no_model": "",
        "use": ModelUse(
            model="claude-model-5-20260101",
            calls=2,
            input_tokens=8_412,
            output_tokens=1_204,
            cost_usd=Decimal("0.043296"),
            seconds=14.27,
        ),
    }
    return a_report(digest, **(given | more))
