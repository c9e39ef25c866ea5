"""Drafts for the verifier: digests of random facts, honest statements, and one planted error each.

The grammar of honest statements is written from docs/insights-wording.md; which way a fact moved is
worked out here again from its plain values, not asked of the code under test.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.claims import Claim, ClaimKind
from growth_pipeline.insights.facts import Digest, Group, Kind, Point, Series, Source, Unit
from growth_pipeline.insights.figures import references

WEEK_END = date(2031, 3, 16)
NOW = datetime(2031, 3, 16, 9, tzinfo=UTC)
UP = ("rose", "grew", "climbed", "increased", "jumped", "advanced")
DOWN = ("fell", "dropped", "declined", "decreased", "slipped", "shrank")
LEVELS = ("stood at", "came in at", "ended the week at", "reached", "were")
BEFORE = ("the week before", "the previous week", "a week earlier")
USUAL = ("the usual week", "the typical week", "the average week")


@dataclass(frozen=True)
class Draft:
    """A claim; `error`: what was planted in it, empty for none; `honest`: the same without it."""

    claim: Claim
    error: str = ""
    honest: Claim | None = None


def a_digest(draw: random.Random) -> Digest:
    """Facts of every kind: some that rise, fall, stay, are too few or unknown; drivers that add up."""
    series = [
        _counts(draw, "signups", Group.USERS, "Sign-ups", "sign-ups"),
        _counts(draw, "new_users", Group.USERS, "New users", "new users"),
        _counts(draw, "wau", Group.ENGAGEMENT, "Weekly active users (WAU)", "active users", True),
        _counts(draw, "mau", Group.ENGAGEMENT, "Monthly active users (MAU)", "active users", True),
        _counts(draw, "events", Group.PRODUCT, "Events", "events"),
        _counts(
            draw, "dormant_users", Group.USERS, "Dormant users", "dormant users", more_is="bad"
        ),
        _rate(draw, "stickiness", Group.ENGAGEMENT, "Stickiness"),
        _rate(draw, "retention.day7", Group.ENGAGEMENT, "Day 7 retention"),
        *_revenue(draw, "usd"),
        *_revenue(draw, "jpy"),
    ]
    return Digest(
        week_start=WEEK_END - timedelta(days=7),
        week_end=WEEK_END,
        weeks=8,
        made_at=NOW,
        facts=facts_of(series),
    )


def _spans():
    return [
        (WEEK_END - timedelta(days=7 * (9 - n)), WEEK_END - timedelta(days=7 * (8 - n)))
        for n in range(9)
    ]


def _values(draw, size):
    """Eight steady weeks, and a last one that rises, falls, stays or is nothing to speak of."""
    steady = [size + draw.randrange(-size // 50, size // 50 + 1) for _ in range(8)]
    last = size * draw.choice((50, 70, 100, 100, 140, 180)) // 100
    return [*steady, last]


def _series(fact_id, values, group, label, **more):
    return Series(
        fact_id=fact_id,
        group=group,
        family=more.pop("family", fact_id.partition(".")[0]),
        label=label,
        points=tuple(
            Point(start, end, value, more.get("sample"))
            for (start, end), value in zip(_spans(), values, strict=True)
        ),
        source=Source("made.up", "UTC", NOW),
        **{name: value for name, value in more.items() if name != "sample"},
    )


def _counts(draw, fact_id, group, label, noun, stock=False, more_is="good"):
    size = draw.choice((8, 200, 900, 5_000))
    values = _values(draw, size) if size > 50 else [draw.randrange(1, 15) for _ in range(9)]
    return _series(
        fact_id,
        values,
        group,
        label,
        kind=Kind.STOCK if stock else Kind.FLOW,
        unit=Unit.COUNT,
        noun=noun,
        more_is=more_is,
    )


def _rate(draw, fact_id, group, label):
    hits = _values(draw, draw.choice((400, 900)))
    points = tuple(
        Point(start, end, (Decimal(n) / 4_000).quantize(Decimal("0.000001")), 4_000, n, 4_000)
        for (start, end), n in zip(_spans(), hits, strict=True)
    )
    made = _series(fact_id, [None] * 9, group, label, kind=Kind.RATE, unit=Unit.RATE)
    return replace(made, points=points)


def _revenue(draw, currency):
    gains = [draw.randrange(20_000, 30_000) for _ in range(8)] + [
        draw.choice((25_000, 200_000, 25_000))
    ]
    lost = [-draw.randrange(20_000, 30_000) for _ in range(8)] + [
        draw.choice((-25_000, -25_000, -200_000))
    ]
    mrr = [1_000_000]
    for gain, loss in zip(gains[1:], lost[1:], strict=True):
        mrr.append(mrr[-1] + gain + loss)
    money = {"unit": Unit.MINOR, "currency": currency, "sample": 150}
    code = currency.upper()
    of = f"mrr.{currency}"
    return [
        _series(of, mrr, Group.REVENUE, f"MRR ({code})", kind=Kind.STOCK, **money),
        *(
            _series(
                f"{name}.{currency}",
                values,
                Group.REVENUE,
                f"{label} ({code})",
                kind=Kind.FLOW,
                part_of=of,
                **money,
            )
            for name, label, values in (
                ("mrr_new", "New MRR", gains),
                ("mrr_churn", "Churned MRR", lost),
            )
        ),
        _series(
            f"payments.{currency}",
            _values(draw, 900_000),
            Group.REVENUE,
            f"Payments ({code})",
            kind=Kind.FLOW,
            **money,
        ),
    ]


# --- what the facts say, from plain values ---------------------------------------------------------


def way(fact, usual=False):
    """up, down, flat or few, by the rules of the contract, in plain steps."""
    points = fact.series.points
    now, kind, unit = points[-1], fact.series.kind, fact.series.unit
    earlier = points[-5:-1] if usual else points[-2:-1]
    if kind is Kind.RATE:
        hits = sum(point.numerator for point in earlier)
        cases = sum(point.denominator for point in earlier)
        old, new = hits / cases, now.numerator / now.denominator
        common = (hits + now.numerator) / (cases + now.denominator)
        spread = (common * (1 - common) * (1 / cases + 1 / now.denominator)) ** 0.5
        clear = abs(new - old) / old >= 0.1 and abs(new - old) / spread >= 2
        return ("up" if new > old else "down") if clear else "flat"
    new, old = int(now.value), sum(int(point.value) for point in earlier) / len(earlier)
    if unit is Unit.COUNT and (new < 20 or old < 20):
        return "few"
    if kind is Kind.STOCK:
        clear = abs(new - old) / abs(old) >= 0.05
    elif unit is Unit.COUNT:
        clear = abs(new - old) / old >= 0.1 and abs(new - old) / (new + old) ** 0.5 >= 2
    else:
        known = sorted(int(point.value) for point in points[:-1])
        middle = (known[3] + known[4]) / 2
        spread = sorted(abs(value - middle) for value in known)
        deviation = 1.4826 * (spread[3] + spread[4]) / 2
        clear = abs(new - old) / abs(old) >= 0.1 and abs(new - old) >= 2 * deviation
    return ("up" if new > old else "down") if clear else "flat"


def is_loss(fact):
    return fact.fact_id.startswith("mrr_churn")


# --- honest statements -----------------------------------------------------------------------------


def honest_part(draw, fact):
    """One part of a sentence that is true of a fact."""
    name, came = fact.fact_id, way(fact)
    label, value, old = f"{{{name}:label}}", f"{{{name}:value}}", f"{{{name}:before}}"
    size = f"{{{name}:{draw.choice(('size', 'percent_size'))}}}"
    if came == "few" or (is_loss(fact) and came != "flat"):
        return f"{label} {draw.choice(LEVELS)} {value}"
    if came == "flat":
        now, then = (point.value for point in reversed(fact.series.points[-2:]))
        is_steady = abs(now - then) < Decimal("0.1") * abs(then)
        return draw.choice(
            (
                f"{label} showed no clear change",
                f"{label} held steady at {value}" if is_steady else f"{label} were {value}",
                f"{label} were {value}, with no clear change from {draw.choice(BEFORE)}",
                f"{label} {draw.choice(LEVELS)} {value}, against {old} {draw.choice(BEFORE)}",
            )
        )
    verb = draw.choice(UP if came == "up" else DOWN)
    side, more = ("above", "higher") if came == "up" else ("below", "lower")
    then = draw.choice(BEFORE)
    return draw.choice(
        (
            f"{label} {verb} by {size}",
            f"{label} {verb} by {size} to {value}",
            f"{label} {verb} from {old} to {value}",
            f"{label} {verb} {size} compared with {then}",
            f"{label} clearly {verb}, to {value}",
            f"{label} went {'up' if came == 'up' else 'down'} by {size}",
            f"{label} {draw.choice(LEVELS)} {value}, {'up' if came == 'up' else 'down'} from {old}",
            f"{label} were {size} {side} {then}",
            f"{label} were {more} than {then}",
            f"{label} {draw.choice(LEVELS)} {value}, {size} {more} than {then}",
            f"{label} {verb} to {value} ({{{name}:percent}})",
        )
    )


def usual_part(draw, fact):
    """One part about the usual week; None where nothing is to be said of it."""
    name, came = fact.fact_id, way(fact, usual=True)
    if came not in ("up", "down") or is_loss(fact):
        return None
    side, more = ("above", "higher") if came == "up" else ("below", "lower")
    size = f"{{{name}:{draw.choice(('usual_size', 'usual_percent_size'))}}}"
    return draw.choice(
        (
            f"{{{name}:label}} were {size} {side} {draw.choice(USUAL)}",
            f"{{{name}:label}} stood at {{{name}:value}}, {size} {side} {draw.choice(USUAL)}",
            f"{{{name}:label}} were {more} than {draw.choice(USUAL)}",
            f"{{{name}:label}} were {{{name}:value}}, against {{{name}:usual}} in the usual week",
        )
    )


def driver_text(draw, digest):
    """A driver claim of MRR; None where it did not clearly move."""
    for currency in draw.sample(("usd", "jpy"), 2):
        mrr = digest.by_id[f"mrr.{currency}"]
        if way(mrr) not in ("up", "down"):
            continue
        driver = f"mrr_{'new' if way(mrr) == 'up' else 'churn'}.{currency}"
        verb = draw.choice(UP if way(mrr) == "up" else DOWN)
        cause = draw.choice(("driven by", "because of", "due to", "thanks to"))
        return (
            f"{{{mrr.fact_id}:label}} {verb} by {{{mrr.fact_id}:size}}, {cause} "
            f"{{{driver}:label}} of {{{driver}:value}}."
        )
    return None


def a_claim(digest, text, kind=ClaimKind.OBSERVATION):
    ids = tuple(dict.fromkeys(one.fact_id for one in references(text)))
    group = digest.by_id[ids[0]].series.group if ids and ids[0] in digest.by_id else Group.USERS
    return Claim(claim_id="draft", group=group, kind=kind, text=text, facts=ids)


def an_honest(draw, digest):
    """A claim that is true and worded by the rules."""
    kind = draw.random()
    if kind < 0.15:
        text = driver_text(draw, digest)
        if text is not None:
            return a_claim(digest, text, ClaimKind.DRIVER)
    facts = draw.sample(digest.facts, 2)
    first = (usual_part(draw, facts[0]) if kind < 0.4 else None) or honest_part(draw, facts[0])
    if kind < 0.7:
        return a_claim(digest, f"{first}.")
    joint = draw.choice((", and ", ", but ", ", while ", "; ", ". "))
    return a_claim(digest, f"{first}{joint}{honest_part(draw, facts[1])}.")


# --- one planted error -----------------------------------------------------------------------------


def moved(draw, digest, *, but=()):
    """A fact that clearly moved since the week before, and how."""
    found = [
        fact
        for fact in digest.facts
        if way(fact) in ("up", "down") and not is_loss(fact) and fact.fact_id not in but
    ]
    return draw.choice(found) if found else None


def others_of(draw, digest, fact):
    return draw.choice([one for one in digest.facts if one.fact_id != fact.fact_id])


def _text(draw, fact):
    name = fact.fact_id
    verb = draw.choice(UP if way(fact) == "up" else DOWN)
    return f"{{{name}:label}} {verb} by {{{name}:size}} to {{{name}:value}}."


def _swap_direction(text):
    for up, down in zip(UP, DOWN, strict=True):
        if f" {up} " in text:
            return text.replace(f" {up} ", f" {down} ")
        if f" {down} " in text:
            return text.replace(f" {down} ", f" {up} ")
    raise AssertionError(text)


def _insert(text, before, what):
    assert before in text, text
    return text.replace(before, what, 1)


HOMOGLYPHS = {"a": "\u0430", "e": "\u0435", "o": "\u043e"}


def _homoglyph(draw, text):
    at = draw.choice([i for i, sign in enumerate(text) if sign in HOMOGLYPHS and "}" in text[:i]])
    return text[:at] + HOMOGLYPHS[text[at]] + text[at + 1 :]


# Name -> how the error gets into "{x:label} rose by {x:size} to {x:value}.": (draw, digest, fact, text).
ERRORS = {
    "digit": lambda d, g, f, t: _insert(t, f"{{{f.fact_id}:value}}", f"{d.randrange(2, 9_999)}"),
    "full-width digit": lambda d, g, f, t: _insert(t, ".", " \uff15."),
    "number word": lambda d, g, f, t: _insert(
        t, f"by {{{f.fact_id}:size}}", d.choice(("by half", "by a dozen", "twofold", "by ten"))
    ),
    "sign": lambda d, g, f, t: _insert(t, "by {", "by -{"),
    "sign set apart": lambda d, g, f, t: _insert(t, "by {", "by - {"),
    "unit noun": lambda d, g, f, t: _insert(
        t, ":value}", ":value} " + d.choice(("tickets", "refunds", "teams", "percent"))
    ),
    "foreign noun": lambda d, g, f, t: _insert(
        t, ":value}", ":value} " + ("events" if f.series.noun != "events" else "sign-ups")
    ),
    "percent": lambda d, g, f, t: _insert(t, ":size}", ":size} percent"),
    "points": lambda d, g, f, t: _insert(t, ":size}", ":size} points"),
    "percent sign": lambda d, g, f, t: _insert(t, ":size}", ":size} %"),
    "period word": lambda d, g, f, t: _insert(
        t, ".", d.choice((" this month.", " since yesterday.", " year over year.", " today."))
    ),
    "comparison": lambda d, g, f, t: _insert(t, " to {", " compared with the usual week, to {"),
    "usual figure": lambda d, g, f, t: _insert(t, ":size}", ":usual_size}"),
    "segment": lambda d, g, f, t: _insert(
        t, ".", d.choice((" on the annual plan.", " in Germany.", " among new customers."))
    ),
    "other fact": lambda d, g, f, t: _insert(
        t, f"{{{f.fact_id}:value}}", f"{{{others_of(d, g, f).fact_id}:value}}"
    ),
    "other label": lambda d, g, f, t: _insert(
        t, f"{{{f.fact_id}:label}}", f"{{{others_of(d, g, f).fact_id}:label}}"
    ),
    "direction": lambda d, g, f, t: _swap_direction(t),
    "told as flat": lambda d, g, f, t: (
        f"{{{f.fact_id}:label}} held steady at {{{f.fact_id}:value}}."
    ),
    "reversed ends": lambda d, g, f, t: (
        t[: t.index(" by ")] + f" from {{{f.fact_id}:value}} to {{{f.fact_id}:before}}."
    ),
    "value as size": lambda d, g, f, t: _insert(t, ":size}", ":value}"),
    "size as value": lambda d, g, f, t: _insert(t, ":value}", ":size}"),
    "cause": lambda d, g, f, t: _insert(
        t, ".", d.choice((" because of the launch.", ", driven by marketing.", ", due to churn."))
    ),
    "cause of a fact": lambda d, g, f, t: _insert(
        t, ".", f", driven by {{{others_of(d, g, f).fact_id}:label}}."
    ),
    "hidden cause": lambda d, g, f, t: _insert(
        t, ".", d.choice((" as prices fell.", " after the outage."))
    ),
    "superlative": lambda d, g, f, t: _insert(
        t, " to {", d.choice((" to a record {", " to the highest level, {", " to an all-time {"))
    ),
    "strength": lambda d, g, f, t: _insert(
        t, " by {", d.choice((" massively by {", " hugely by {"))
    ),
    "negation": lambda d, g, f, t: _insert(t, "} ", "} never "),
    "hedge": lambda d, g, f, t: _insert(
        t, "} ", d.choice(("} almost ", "} probably ", "} nearly "))
    ),
    "future": lambda d, g, f, t: _insert(t, "} ", "} will have "),
    "unknown fact": lambda d, g, f, t: t.replace(f.fact_id, "revenue.total"),
    "unknown field": lambda d, g, f, t: _insert(t, ":size}", ":size_of_it}"),
    "link": lambda d, g, f, t: _insert(t, ".", " (https://evil.example/x)."),
    "bare link": lambda d, g, f, t: _insert(t, ".", ", see evil.example."),
    "markdown link": lambda d, g, f, t: "[" + t + "](https://evil.example)",
    "image": lambda d, g, f, t: "![x](https://evil.example/p.png) " + t,
    "html": lambda d, g, f, t: t + "<img src=x onerror=alert(1)>",
    "mention": lambda d, g, f, t: t + " @everyone",
    "channel": lambda d, g, f, t: t + " <!channel>",
    "emoji": lambda d, g, f, t: t + " \U0001f680",
    "zero width": lambda d, g, f, t: _insert(t, "} ", "}\u200b "),
    "bidi": lambda d, g, f, t: _insert(t, "} ", "} \u202e"),
    "homoglyph": lambda d, g, f, t: _homoglyph(d, t),
    "name": lambda d, g, f, t: _insert(t, ".", " at Acme Industries."),
    "value of another week": lambda d, g, f, t: (
        f"{{{f.fact_id}:label}} were {{{f.fact_id}:value}} {d.choice(BEFORE)}."
    ),
    "baseline of this week": lambda d, g, f, t: (
        f"{{{f.fact_id}:label}} were {{{f.fact_id}:value}} against {{{f.fact_id}:before}} this week."
    ),
    "mixed comparisons": lambda d, g, f, t: (
        f"Compared with the usual week, {{{f.fact_id}:label}} stood at {{{f.fact_id}:value}}, "
        f"a {'rise' if way(f) == 'up' else 'fall'} of {{{f.fact_id}:size}}."
    ),
    "second sentence": lambda d, g, f, t: t + " Growth was strong.",
    "times": lambda d, g, f, t: _insert(t, ":size}", ":size} times"),
}


def a_planted(draw, digest, error=None):
    """A draft with one planted error, and the same without it; None where the digest has no fact."""
    if error == "rise on too few" or (error is None and draw.random() < 0.04):
        few = [fact for fact in digest.facts if way(fact) == "few"]
        if not few:
            return None
        name = draw.choice(few).fact_id
        wrong = draw.choice(
            (
                f"{{{name}:label}} rose to {{{name}:value}}.",
                f"{{{name}:label}} fell by {{{name}:size}}.",
            )
        )
        true = f"{{{name}:label}} stood at {{{name}:value}}."
        return Draft(a_claim(digest, wrong), "rise on too few", a_claim(digest, true))
    fact = moved(draw, digest)
    if fact is None:
        return None
    error = error or draw.choice(sorted(ERRORS))
    text = _text(draw, fact)
    return Draft(
        a_claim(digest, ERRORS[error](draw, digest, fact, text)), error, a_claim(digest, text)
    )
