"""Random companies as series, and what the rules must say of them, worked out in plain loops.

Written from docs/insights-rules.md alone; nothing of change.py or rules/ is used here.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from growth_pipeline.insights.facts import Group, Kind, Point, Series, Source, State, Unit

END = date(2031, 3, 16)
NOW = datetime(2031, 3, 16, 9, tzinfo=UTC)
WEEKS = 9
CATEGORIES = (
    *("acquisition", "activation", "engagement", "collaboration", "billing", "support", "other"),
)


# --- companies -------------------------------------------------------------------------------------


def a_company(draw: random.Random) -> list[Series]:
    """All families of facts, some with gaps, unknowns, zeros, small numbers, or no parts that fit."""
    found = []
    for currency in draw.sample(("usd", "eur", "jpy"), draw.choice((0, 1, 2))):
        found += _revenue(draw, currency)
    found += [
        _counts(draw, "signups", Group.USERS, Kind.FLOW),
        *_activity(draw),
        *(_counts(draw, name, Group.ENGAGEMENT, Kind.STOCK) for name in ("wau", "mau")),
        _average(draw),
        *(
            _counts(draw, f"dau.{day}", Group.ENGAGEMENT, Kind.STOCK, grain="day", family="dau")
            for day in ("monday", "saturday")
        ),
        _rate(draw, "stickiness", Group.ENGAGEMENT),
        *(
            _rate(draw, f"retention.day{day}", Group.ENGAGEMENT, family="retention")
            for day in (1, 7, 30)
        ),
        *_events(draw),
        _counts(draw, "funnel.1.entered", Group.PRODUCT, Kind.FLOW, family="funnel"),
        *(
            _rate(draw, f"funnel.{number}.{stage}", Group.PRODUCT, family="funnel")
            for number, stage in ((1, 2), (1, 3), (1, 4), (2, 2))
        ),
    ]
    if draw.random() < 0.5:
        findings = draw.choice((0, 0, 3))
        found.append(
            _series("audit.high", [findings], group=Group.REVENUE, kind=Kind.STOCK, unit=Unit.COUNT)
        )
    return [_gapped(draw, one) for one in found if draw.random() > 0.05]


def _gapped(draw: random.Random, series: Series) -> Series:
    """Sometimes a week is missing: nobody published it."""
    if len(series.points) < WEEKS or draw.random() > 0.04:
        return series
    points = list(series.points)
    del points[draw.randrange(1, WEEKS - 1)]
    return replace(series, points=tuple(points))


def _series(fact_id, values, *, group, kind, unit, family=None, samples=None, cases=None, **more):
    points = []
    for number, value in enumerate(values):
        end = END - timedelta(days=7 * (len(values) - 1 - number))
        start = end - timedelta(days=7)
        if value is None:
            points.append(Point(start, end, state=State.OPEN, reason="not over"))
        elif cases is not None:
            rate = (Decimal(value) / cases[number]).quantize(Decimal("0.000001"))
            points.append(Point(start, end, rate, cases[number], value, cases[number]))
        else:
            points.append(Point(start, end, value, samples[number] if samples else None))
    return Series(
        fact_id=fact_id,
        group=group,
        family=family or fact_id.partition(".")[0],
        label=fact_id.replace(".", " "),
        kind=kind,
        unit=unit,
        points=tuple(points),
        source=Source("made.up", "UTC", NOW),
        **more,
    )


def _path(draw, size):
    """Weeks of a size: steady, rising, falling or wild, and a last week that may jump."""
    drift, noise = draw.choice((0, 0, 0.03, -0.03)), draw.choice((0.01, 0.05, 0.2))
    values = []
    for week in range(WEEKS):
        level = size * (1 + drift) ** week
        values.append(max(0, round(level * (1 + draw.uniform(-noise, noise)))))
    values[-1] = round(values[-1] * draw.choice((0, 0.5, 0.8, 0.95, 1, 1, 1, 1.05, 1.3, 2)))
    return values


def _gaps(draw, values):
    """Some periods that are not known: at the beginning, within, or the last one."""
    dice = draw.random()
    if dice < 0.08:
        values[draw.randrange(len(values))] = None
    elif dice < 0.12:
        values[:4] = [None] * 4
    return values


def _counts(draw, fact_id, group, kind, **more):
    size = draw.choice((3, 18, 25, 100, 400, 5_000))
    values = _gaps(draw, _path(draw, size))
    return _series(fact_id, values, group=group, kind=kind, unit=Unit.COUNT, noun="things", **more)


def _average(draw):
    values = [None if one is None else Decimal(one) / 7 for one in _gaps(draw, _path(draw, 700))]
    return _series("dau", values, group=Group.ENGAGEMENT, kind=Kind.STOCK, unit=Unit.AVERAGE)


def _rate(draw, fact_id, group, **more):
    cases = [draw.choice((15, 30, 200, 1_000, 4_000))] * WEEKS
    share = draw.choice((0.1, 0.3, 0.6))
    hits = [min(case, round(case * share * draw.uniform(0.97, 1.03))) for case in cases]
    hits[-1] = min(cases[-1], round(hits[-1] * draw.choice((0.5, 0.85, 1, 1, 1.2, 1.5))))
    values = _gaps(draw, hits)
    if draw.random() < 0.1:
        values[-2] = 0
    made = _series(
        fact_id, values, group=group, kind=Kind.RATE, unit=Unit.RATE, cases=cases, **more
    )
    if draw.random() < 0.2:  # many days of few users
        return replace(made, points=tuple(replace(one, sample=6) for one in made.points))
    return made


def _revenue(draw, currency):
    customers = draw.choice((5, 19, 40, 500))
    samples = [customers] * WEEKS
    size = draw.choice((10_000, 3_000_000))
    movers = [draw.choice((2, 30))] * WEEKS
    moves = {
        "new": [draw.randrange(size // 50 + 1) for _ in range(WEEKS)],
        "expansion": [draw.randrange(size // 100 + 1) for _ in range(WEEKS)],
        "contraction": [-draw.randrange(size // 100 + 1) for _ in range(WEEKS)],
        "churn": [-draw.randrange(size // 60, size // 40 + 1) for _ in range(WEEKS)],
    }
    if draw.random() < 0.4:  # a company that grows
        moves["churn"] = [value // 4 for value in moves["churn"]]
        moves["new"] = [value + size // 60 for value in moves["new"]]
    moves[draw.choice(("new", "expansion"))][-1] += draw.choice((0, 0, size // 8))
    moves["churn"][-1] -= draw.choice((0, 0, size // 7))
    mrr = [size]
    for week in range(1, WEEKS):
        mrr.append(max(0, mrr[-1] + sum(values[week] for values in moves.values())))
    if draw.random() < 0.1:
        mrr[-1] += 1  # then the parts do not add up
    shared = {"group": Group.REVENUE, "unit": Unit.MINOR, "currency": currency}
    found = [
        _series(f"mrr.{currency}", mrr, kind=Kind.STOCK, samples=samples, **shared),
        *(
            _series(
                f"mrr_{name}.{currency}",
                values,
                kind=Kind.FLOW,
                samples=movers,
                part_of=f"mrr.{currency}",
                **shared,
            )
            for name, values in moves.items()
        ),
        _series(
            f"payments.{currency}", _path(draw, size), kind=Kind.FLOW, samples=samples, **shared
        ),
    ]
    counted = {"group": Group.REVENUE, "unit": Unit.COUNT, "currency": currency, "noun": "things"}
    found += [
        _series(f"customers.{currency}", _path(draw, customers), kind=Kind.STOCK, **counted),
        _series(f"payment_count.{currency}", _path(draw, customers), kind=Kind.FLOW, **counted),
    ]
    return found


def _activity(draw):
    came = {name: _path(draw, draw.choice((5, 60))) for name in ("new_users", "resurrecting_users")}
    left = _path(draw, draw.choice((5, 60)))
    active = [draw.choice((30, 400))]
    for week in range(1, WEEKS):
        active.append(
            max(0, active[-1] + sum(values[week] for values in came.values()) - left[week])
        )
    shared = {"group": Group.USERS, "unit": Unit.COUNT, "noun": "things"}
    return [
        _series("active_week", active, kind=Kind.STOCK, **shared),
        *(
            _series(name, values, kind=Kind.FLOW, part_of="active_week", **shared)
            for name, values in came.items()
        ),
        _series(
            "dormant_users",
            left,
            kind=Kind.FLOW,
            part_of="active_week",
            sign=-1,
            more_is="bad",
            **shared,
        ),
    ]


def _events(draw):
    by_category = {name: _path(draw, draw.choice((0, 10, 30, 900))) for name in CATEGORIES}
    if draw.random() < 0.05:  # nothing is told any more
        by_category = {name: [*values[:-1], 0] for name, values in by_category.items()}
    total = [sum(values[week] for values in by_category.values()) for week in range(WEEKS)]
    shared = {"group": Group.PRODUCT, "kind": Kind.FLOW, "unit": Unit.COUNT, "noun": "events"}
    return [
        _series("events", total, **shared),
        *(
            _series(f"events.{name}", values, family=f"events.{name}", part_of="events", **shared)
            for name, values in by_category.items()
        ),
    ]


# --- what holds, in plain loops ---------------------------------------------------------------------


def small(series, value, cases, sample):
    if series.kind is Kind.RATE:
        return cases < 20
    if series.unit in (Unit.COUNT, Unit.AVERAGE) and abs(value) < 20:
        return True
    return sample is not None and sample < 20


def middle_of(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def came(series, weeks_back):  # noqa: C901, PLR0911, PLR0912  line by line from the docs
    """up, down, flat, too_few or unknown, against the mean of so many weeks before."""
    points = series.points
    if len(points) < weeks_back + 1:
        return "unknown"
    now, old = points[-1], points[-1 - weeks_back : -1]
    if misses_a_week([*old, now]):
        return "unknown"
    if any(point.value is None for point in (now, *old)):
        return "unknown"
    if series.kind is Kind.RATE:
        hits, cases = sum(p.numerator for p in old), sum(p.denominator for p in old)
        if min(now.denominator, now.sample, cases, sum(p.sample for p in old)) < 20:
            return "too_few"
        before, after = hits / cases, now.numerator / now.denominator
        common = (hits + now.numerator) / (cases + now.denominator)
        spread = (common * (1 - common) * (1 / cases + 1 / now.denominator)) ** 0.5
        z = (after - before) / spread if spread else 0
        clear = abs(after - before) >= 0.1 * before and abs(z) >= 2
        return ("up" if after > before else "down") if clear else "flat"
    before = sum(Decimal(p.value) for p in old) / len(old)
    if series.unit is Unit.MINOR:
        before = Decimal(round(before))
    after = Decimal(now.value)
    samples = [p.sample for p in old]
    sample = None if None in samples else sum(samples) // len(samples)
    if small(series, after, None, now.sample) or small(series, before, None, sample):
        return "too_few"
    if before == after:
        return "flat"
    way = "up" if after > before else "down"
    if before == 0:
        return way
    share = abs(after - before) / abs(before)
    if series.kind is Kind.STOCK:
        return way if share >= Decimal("0.05") else "flat"
    if share < Decimal("0.1"):
        return "flat"
    if series.unit is Unit.COUNT:
        z = float(after - before) / float(after + before) ** 0.5
        return way if abs(z) >= 2 else "flat"
    known = [Decimal(p.value) for p in points[:-1] if p.value is not None]
    if len(known) < 4:
        return "flat"
    middle = middle_of(known)
    deviation = Decimal("1.4826") * middle_of([abs(value - middle) for value in known])
    return way if abs(after - before) >= 2 * deviation else "flat"


def misses_a_week(points):
    return (points[-1].start - points[0].start).days != 7 * (len(points) - 1)


def trend(series):
    """Direction of the last eight weeks, if they moved the fact by something; else None."""
    points = list(series.points[-8:])
    if len(points) < 8 or any(point.value is None for point in points) or misses_a_week(points):
        return None
    for point in points:
        if small(series, point.value, point.denominator, point.sample):
            return None
    pairs = [(n, m) for n in range(8) for m in range(n + 1, 8)]
    steps = [points[m].value - points[n].value for n, m in pairs]
    balance = sum(step > 0 for step in steps) - sum(step < 0 for step in steps)
    slope = middle_of([Decimal(step) / (m - n) for step, (n, m) in zip(steps, pairs, strict=True)])
    least = Decimal("0.05") if series.kind is Kind.STOCK else Decimal("0.1")
    if 2 * abs(balance) < len(pairs) or abs(slope) * 7 < least * abs(points[-1].value):
        return None
    return "up" if balance > 0 else "down"


def drivers_named(series, everything):
    """The largest part that moved a fact its way, and a second of half its size."""
    way = came(series, 1)
    if way not in ("up", "down"):
        return ()
    change = series.points[-1].value - series.points[-2].value
    moved = {}
    for part in everything:
        if part.part_of != series.fact_id:
            continue
        value = part.points[-1].value
        if value is not None and series.kind is Kind.FLOW:
            old = None if misses_a_week(part.points[-2:]) else part.points[-2].value
            value = None if old is None else value - old
        if value is None:
            return ()
        moved[part.fact_id] = part.sign * value
    if sum(moved.values()) != change:
        return ()
    same = sorted((-abs(value), name) for name, value in moved.items() if value * change > 0)
    if len(same) > 1 and 2 * same[1][0] > same[0][0]:
        same = same[:1]
    return tuple(name for _, name in same[:2])


def mean_before(series):
    """Mean of the four weeks before, else the week before; 0 where neither is known."""
    for count in (4, 1):
        old = series.points[-1 - count : -1]
        if len(series.points) <= count or misses_a_week(series.points[-1 - count :]):
            continue
        if all(point.value is not None for point in old):
            return sum(point.value for point in old) / count
    return 0


def chance(series, before):
    """z between the last value and a baseline, as of a flow."""
    now, before = float(series.points[-1].value), float(before)
    return abs(now - before) / (now + before) ** 0.5


DRIVEN = ("mrr", "active_week", "events")
MOVES = (  # rule, severity, families, direction against the week before
    ("mrr_fell", "HIGH", ("mrr",), "down"),
    ("mrr_rose", "GOOD", ("mrr",), "up"),
    ("churn_worse", "HIGH", ("mrr_churn",), "down"),
    ("contraction_worse", "MEDIUM", ("mrr_contraction",), "down"),
    ("new_mrr_fell", "MEDIUM", ("mrr_new",), "down"),
    ("expansion_better", "GOOD", ("mrr_expansion",), "up"),
    ("customers_fell", "HIGH", ("customers",), "down"),
    ("customers_rose", "GOOD", ("customers",), "up"),
    ("payments_fell", "MEDIUM", ("payments",), "down"),
    ("payments_rose", "GOOD", ("payments",), "up"),
    ("payment_count_fell", "MEDIUM", ("payment_count",), "down"),
    ("signups_fell", "HIGH", ("signups",), "down"),
    ("signups_rose", "GOOD", ("signups",), "up"),
    ("active_fell", "HIGH", ("active_week",), "down"),
    ("active_rose", "GOOD", ("active_week",), "up"),
    ("dormant_rose", "MEDIUM", ("dormant_users",), "up"),
    ("new_users_fell", "MEDIUM", ("new_users",), "down"),
    ("wau_fell", "HIGH", ("wau",), "down"),
    ("wau_rose", "GOOD", ("wau",), "up"),
    ("mau_fell", "MEDIUM", ("mau",), "down"),
    ("dau_fell", "MEDIUM", ("dau",), "down"),
    ("stickiness_fell", "MEDIUM", ("stickiness",), "down"),
    ("retention_fell", "HIGH", ("retention",), "down"),
    ("retention_rose", "GOOD", ("retention",), "up"),
    ("events_fell", "MEDIUM", ("events",), "down"),
    ("events_rose", "GOOD", ("events",), "up"),
    (
        "category_fell",
        "MEDIUM",
        tuple(f"events.{name}" for name in CATEGORIES if name != "support"),
        "down",
    ),
    (
        "category_rose",
        "GOOD",
        tuple(f"events.{name}" for name in CATEGORIES if name not in ("support", "billing")),
        "up",
    ),
    ("support_rose", "MEDIUM", ("events.support",), "up"),
    ("funnel_fell", "HIGH", ("funnel",), "down"),
    ("funnel_rose", "GOOD", ("funnel",), "up"),
)
UNUSUAL = (
    ("churn_unusual", "HIGH", "mrr_churn", "down"),
    ("signups_unusual", "MEDIUM", "signups", "down"),
    ("dormant_unusual", "MEDIUM", "dormant_users", "up"),
    ("retention_unusual", "MEDIUM", "retention", "down"),
)
TRENDS = (
    ("mrr_trend_down", "MEDIUM", "mrr", "down"),
    ("mrr_trend_up", "GOOD", "mrr", "up"),
    ("signups_trend_down", "MEDIUM", "signups", "down"),
    ("wau_trend_down", "MEDIUM", "wau", "down"),
)
LOW = (("customers_low", "customers"), ("signups_low", "signups"), ("wau_low", "wau"))
REPEATS = {  # rule -> families that say it already where they moved this way
    "payment_count_fell": ("payments",),
    "new_users_fell": ("signups",),
    "wau_fell": ("active_week",),
    "wau_rose": ("active_week",),
    "dau_fell": ("wau", "active_week", "stickiness"),
    "category_fell": ("events",),
    "category_rose": ("events",),
}
NAMED = (  # silent where they are named as a driver
    *("churn_worse", "churn_unusual", "contraction_worse", "expansion_better"),
    *("dormant_rose", "dormant_unusual"),
)
OUT_OF_RANGE = ("payments_fell", "payments_rose", "payment_count_fell")


def is_repeated(rule, way, series, everything):
    """Whether another claim says it, or it comes and goes."""
    for other in everything:
        is_other = other.family in REPEATS.get(rule, ()) and other.currency == series.currency
        if is_other and other.grain == "week" and came(other, 1) == way:
            return True
        is_whole = rule in NAMED and other.fact_id == series.part_of
        if is_whole and series.fact_id in drivers_named(other, everything):
            return True
    if rule in OUT_OF_RANGE:
        earlier = [point.value for point in series.points[:-1] if point.value is not None]
        return min(earlier) <= series.points[-1].value <= max(earlier)
    return False


def severity_of_move(severity, series, way):
    """As the rule has it; LOW where it may be no news; None where good news is none."""
    if series.kind is Kind.STOCK:
        is_doubtful = series.unit is not Unit.MINOR and not series.currency
        is_doubtful = is_doubtful and chance(series, series.points[-2].value) < 2
    else:
        is_usual = came(series, 4)
        if severity == "GOOD" and is_usual == {"up": "down", "down": "up"}[way]:
            return None
        is_doubtful = is_usual in ("up", "down", "flat") and is_usual != way
    return "LOW" if is_doubtful and severity != "GOOD" else severity


def stages_told(everything, way):
    """Stages of funnels that are told: the first that moved, and later ones that fell further."""
    found, told = set(), {}
    for series in everything:
        if series.family != "funnel" or came(series, 1) != way:
            continue
        funnel = series.fact_id.split(".")[1]
        if series.kind is Kind.RATE:
            old = series.points[-2].value
            left = series.points[-1].value / old if old else 1
            if funnel in told and (way == "up" or left > Decimal("0.9") * told[funnel]):
                continue
            told[funnel] = left
        found.add(series.fact_id)
    return found


def expected(everything) -> set[tuple[str, tuple[str, ...], str]]:
    """(rule, facts of its claim, severity) for everything that the rules must say."""
    found = set()
    for series in everything:
        if series.grain == "week":
            found |= set(of_moves(series, everything))
            found |= set(of_weeks(series, everything))
        elif came(series, 4) == "down" and chance(series, mean_before(series)) >= 2:
            whole = [one for one in everything if one.family in ("dau", "wau", "active_week")]
            if not any(one.grain == "week" and came(one, 1) == "down" for one in whole):
                found.add(("weekday_unusual", (series.fact_id,), "LOW"))
    return found


def of_moves(series, everything):
    now = came(series, 1)
    for rule, severity, families, way in MOVES:
        if series.family not in families or now != way:
            continue
        if series.family == "funnel" and series.fact_id not in stages_told(everything, way):
            continue
        told = severity_of_move(severity, series, way)
        if told is not None and not is_repeated(rule, way, series, everything):
            drivers = drivers_named(series, everything) if series.family in DRIVEN else ()
            yield rule, (series.fact_id, *drivers), told


def of_weeks(series, everything):  # noqa: C901  line by line from the docs
    name, value = (series.fact_id,), series.points[-1].value
    now, is_usual = came(series, 1), came(series, 4)
    for rule, severity, family, way in UNUSUAL:
        if series.family != family or is_usual != way or now == way:
            continue
        if not is_repeated(rule, way, series, everything):
            yield rule, name, severity
    for rule, severity, family, way in TRENDS:
        if series.family != family or now != "flat" or trend(series) != way:
            continue
        if series.kind is Kind.STOCK or is_usual != way:
            yield rule, name, severity
    for rule, family in LOW:
        if series.family == family and value is not None and value < 20 <= mean_before(series) / 2:
            yield rule, name, "HIGH"
    if series.family == "audit" and value:
        yield "audit_findings", name, "HIGH"
    if series.family.startswith("events") and is_nothing(series):
        if series.family == "events":
            yield "events_silent", name, "HIGH"
        elif not any(is_nothing(one) for one in everything if one.family == "events"):
            yield "category_silent", name, "HIGH"


def is_nothing(series):
    return series.points[-1].value == 0 and mean_before(series) >= 20
