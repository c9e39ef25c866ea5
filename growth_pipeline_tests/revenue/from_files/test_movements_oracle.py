"""MRR movements of random histories, through the public command, against plain loops over the rows.

The loops look at every customer at every instant; they share no code with the product.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from growth_pipeline.cli import app

ONE = timedelta(days=1)
CAUSES = {
    "": "unknown",
    "cancellation_requested": "voluntary",
    "payment_failed": "delinquent",
    "payment_disputed": "dispute",
    "canceled_by_retention_policy": "other",
    "paused": "paused",
}
GAINS = ("new", "reactivation", "resumed", "expansion")
LOSSES = ("contraction", "paused", "churn")
SIZES = (1, 3, 12)
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Auckland")


class Row:
    """One row of the file as a person understands it."""

    def __init__(self, key, currency, subscription, start, end, amount, reason):
        self.key, self.currency, self.subscription = key, currency, subscription
        self.start, self.end, self.amount, self.reason = start, end, amount, reason

    def live(self, at):
        return self.start <= at and (self.end is None or at < self.end)


class Question:
    """Random options."""

    def __init__(self, dice: random.Random) -> None:
        self.grain = dice.choice(("month", "month", "week", "day", "quarter", "year"))
        self.zone = dice.choice(ZONES)
        self.snapshot = dice.choice(("last", "first"))
        self.ends = dice.choice(("exclusive", "inclusive"))
        self.mode = dice.choice(("snapshot", "event"))
        self.reactivation = dice.choice((None, 1, 20, 60))
        self.free = dice.choice(("churn", "contraction"))
        self.denominator = dice.choice(("start", "average", "start_plus_new", "end"))
        self.window = dice.choice((None, None, 30, 7))
        self.paused = dice.random() < 0.3
        self.returned = dice.choice(("count", "exclude"))
        self.level = dice.choice(("customer", "subscription"))
        self.has_currency = dice.random() < 0.7
        self.open_cells = dice.choice(("null", "so_far"))

    def words(self, path: Path) -> list[str]:
        said = ["mrr", "movements", "--periods", str(path), "--grain", self.grain]
        said += ["--timezone", self.zone, "--snapshot", self.snapshot, "--end-dates", self.ends]
        said += ["--movements", self.mode, "--free-customer", self.free, "--level", self.level]
        said += ["--denominator", self.denominator, "--returned-members", self.returned]
        said += ["--open-cells", self.open_cells]
        if self.window:
            said += ["--churn-window", f"{self.window}d"]
        if self.reactivation is not None:
            said += ["--reactivation-window", str(self.reactivation)]
        return [*said, "--count-paused"] if self.paused else said


def midnight(day: date, zone: str) -> datetime:
    """The first instant that a zone's clocks show on a day or later."""
    at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    while at.astimezone(ZoneInfo(zone)).date() < day:
        at += timedelta(minutes=30)
    while (at - timedelta(minutes=30)).astimezone(ZoneInfo(zone)).date() >= day:
        at -= timedelta(minutes=30)
    return at


def random_file(dice: random.Random, asked: Question, folder: Path) -> tuple[Path, list[Row]]:
    lines = ["customer_id,subscription_id,currency,starts_on,ends_on,monthly_amount,reason"]
    rows = []
    first = date(2031, 1, 1) + ONE * dice.randrange(40)
    for customer in range(dice.randint(1, 6)):
        day = first + ONE * dice.randrange(60)
        for _ in range(dice.randint(1, 5)):
            day += ONE * dice.choice((0, 0, 1, 10, 31, 70, -15))
            length = dice.choice((0, 1, 5, 28, 31, 60, 90, None))
            start, told = moment(dice, day, asked.zone)
            end, told_end = None, ""
            if length is not None:
                until = day + ONE * length
                end, told_end = moment(dice, until, asked.zone, after=start)
                if asked.ends == "inclusive":
                    local = end.astimezone(ZoneInfo(asked.zone)).date()
                    end = midnight(local + ONE, asked.zone)
                day = until
            subscription = f"c{customer}s{dice.randrange(2)}"
            currency = dice.choice(("usd", "usd", "eur", "jpy")) if asked.has_currency else ""
            amount = dice.choice((0, 10, 20, 20, 35))
            reason = dice.choice(tuple(CAUSES))
            lines.append(
                f"c{customer},{subscription},{currency},{told},{told_end},{amount},{reason}"
            )
            key = f"c{customer}" if asked.level == "customer" else subscription
            rows.append(Row(key, currency, subscription, start, end, amount, CAUSES[reason]))
    path = folder / "periods.csv"
    path.write_text("\n".join(lines) + "\n")
    return path, rows


def moment(dice, day: date, zone: str, after: datetime | None = None) -> tuple[datetime, str]:
    at = midnight(day, zone)
    if dice.random() < 0.7 and (after is None or at >= after):
        return at, day.isoformat()
    at += timedelta(hours=dice.choice((0, 1, 12, 23)))
    if after is not None and at < after:
        at = after
    return at, at.isoformat().replace("+00:00", "Z")


def start_of(grain: str, day: date) -> date:
    if grain == "day":
        return day
    if grain == "week":
        return day - ONE * day.weekday()
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}[grain]
    return date(day.year, month, 1)


def next_start(grain: str, day: date) -> date:
    days = {"day": 1, "week": 7, "month": 31, "quarter": 93, "year": 366}[grain]
    return start_of(grain, start_of(grain, day) + ONE * days)


class Oracle:
    """One customer and currency, looked at as often as needed."""

    def __init__(self, rows: list[Row], asked: Question) -> None:
        self.rows, self.asked = [row for row in rows if row.start != row.end], asked
        self.instants = sorted(
            {row.start for row in self.rows} | {row.end for row in self.rows if row.end}
        )

    def mrr(self, at):
        return sum(row.amount for row in self.rows if row.live(at))

    def counts(self, at):
        """Whether a customer: with MRR, or free without a gap since having had some."""
        if self.mrr(at) > 0:
            return True
        if self.asked.free == "churn" or not any(row.live(at) for row in self.rows):
            return False
        for instant in reversed([one for one in self.instants if one <= at]):
            if not any(row.live(instant) for row in self.rows):
                return False
            if self.mrr(instant) > 0:
                return True
        return False

    def turns(self, after, until):
        """Instants in (after, until] at which the customer comes (True) or goes (False)."""
        was = self.before(after)
        for instant in self.instants:
            if (after is None or instant > after) and instant <= until:
                now = self.counts(instant)
                if now != was:
                    yield instant, now
                was = now

    def before(self, at):
        return False if at is None else self.counts(at)

    def cause(self, after, until):
        """Why it ended: the subscription that was worth most at its last end; free if still there."""
        if any(row.live(until) for row in self.rows):
            return "to_free"
        last = {}
        for row in self.rows:
            is_here = row.end is not None and (after is None or row.end > after)
            is_replaced = any(
                other.start == row.end and other.subscription == row.subscription
                for other in self.rows
            )
            if is_here and row.end <= until and not is_replaced:
                last.setdefault(row.subscription, {}).setdefault(row.end, []).append(row)
        ended = []
        for by_end in last.values():
            rows = by_end[max(by_end)]
            ended.append((-sum(row.amount for row in rows), min(row.reason for row in rows)))
        return min(ended)[1] if ended else "unknown"

    def slots(self, looks):
        """(period, after, until): what is compared, periods or single changes."""
        for (_, after), (number, until) in pairwise(looks):
            if self.asked.mode == "snapshot":
                yield number, after, until
                continue
            before = after
            for instant in self.instants:
                if (after is None or instant > after) and instant <= until:
                    yield number, before, instant
                    before = instant

    def movements(self, looks):
        """(period, movement, cause, amount) of every movement."""
        left = None  # day, cause of the last time the customer went
        for number, after, until in self.slots(looks):
            a, b = (0 if after is None else self.mrr(after)), self.mrr(until)
            was, now = self.before(after), self.counts(until)
            turned = list(self.turns(after, until))
            cause = self.cause(after, until) if any(not came for _, came in turned) else None
            if not was and now:
                came = local(next(at for at, it in turned if it), self.asked.zone)
                yield number, self.entry(left, came), None, b - a
            elif was and not now:
                yield number, "paused" if cause == "paused" else "churn", cause, b - a
            elif was and a != b:
                yield number, "expansion" if b > a else "contraction", None, b - a
            gone = [at for at, it in turned if not it]
            if gone:
                left = local(gone[-1], self.asked.zone), cause

    def entry(self, left, came):
        if left is None:
            return "new"
        if left[1] == "paused":
            return "resumed"
        window = self.asked.reactivation
        return "new" if window is not None and (came - left[0]).days > window else "reactivation"

    def lost(self, opened, closed, looks):
        """(opening, closing, opening left, entered, entered and left)."""
        was, now = self.before(opened), self.counts(closed)
        came = any(it for _, it in self.turns(opened, closed))
        paused = False
        if not now and not self.asked.paused:
            paused = self.left_by_pause(opened, closed)
        gone = not now and not paused
        entered = not was and came
        return (was, now, was and gone, entered, entered and gone)

    def left_by_pause(self, opened, closed):
        if self.asked.window is None:
            gone = any(not it for _, it in self.turns(opened, closed))
            return gone and self.cause(opened, closed) == "paused"
        last = [at for at, it in self.turns(None, closed) if not it]
        if not last:
            return False
        before = max((one for one in self.instants if one < last[-1]), default=None)
        return self.cause(before, last[-1]) == "paused"


def local(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def rate(part, whole):
    if whole == 0:
        return None
    exact = Fraction(part) / Fraction(whole)
    # 60 digits are exact enough to see every tie at the seventh decimal of these sizes.
    quotient = Decimal(exact.numerator) / Decimal(exact.denominator)
    return float(quotient.quantize(Decimal("0.000001"), ROUND_HALF_EVEN))


def expected(rows: list[Row], asked: Question, as_of: datetime) -> dict[Any, dict[str, Any]]:
    zone = asked.zone
    known = [row for row in rows if row.start < as_of]
    for row in known:
        if row.end is not None and row.end >= as_of:
            row.end = None
    looks, windows, states = looks_of(known, asked, as_of)
    groups = defaultdict(list)
    for row in known:
        groups[row.currency, row.key].append(row)
    told = {}
    for currency in {row.currency for row in known}:
        people = [
            Oracle(group, asked) for (code, _), group in sorted(groups.items()) if code == currency
        ]
        for index in range(1, len(looks)):
            told[looks[index][0], currency] = figures(people, asked, looks, windows, index)
            told[looks[index][0], currency]["state"] = states[index]
    assert zone
    return told


def looks_of(rows, asked, as_of):
    first = start_of(asked.grain, min(local(row.start, asked.zone) for row in rows))
    last = local(as_of - timedelta(microseconds=1), asked.zone)
    looks, windows, states, day = [(None, None)], [None], [None], first
    tick = timedelta(microseconds=1)
    while day <= last:
        begins = midnight(day, asked.zone)
        following = next_start(asked.grain, day)
        end = min(midnight(following, asked.zone), as_of)
        look = begins if asked.snapshot == "first" else end - tick
        looks.append((day, look))
        if asked.window:
            if asked.snapshot == "first":
                opened = midnight(day - ONE * asked.window, asked.zone)
            else:
                past = min(following, last + ONE)
                opened = midnight(past - ONE * asked.window, asked.zone) - tick
            windows.append(opened)
        else:
            windows.append(looks[-2][1])
        states.append("closed" if midnight(following, asked.zone) <= as_of else "open")
        day = following
    return looks, windows, states


def figures(people, asked, looks, windows, index):
    after, until = looks[index - 1][1], looks[index][1]
    moved = defaultdict(lambda: [0, set(), 0])
    causes = defaultdict(lambda: [0, set(), 0])
    for place, person in enumerate(people):
        for number, movement, cause, amount in person.movements(looks):
            if number != looks[index][0]:
                continue
            targets = [moved[movement]]
            if movement == "churn":
                targets.append(causes[cause])
            for target in targets:
                target[0] += amount
                target[1].add(place)
                target[2] += 1
    parted = [person.lost(windows[index], until, looks) for person in people]
    lost = [sum(part) for part in zip(*parted, strict=True)]
    start = sum(p.mrr(after) for p in people) if after else 0
    end = sum(p.mrr(until) for p in people)
    found = {
        "start": start,
        "end": end,
        "customers": sum(p.counts(until) for p in people),
        "moved": {name: (m[0], len(m[1]), m[2]) for name, m in moved.items()},
        "causes": {name: (m[0], len(m[1])) for name, m in causes.items()},
        "logo_churn": logo(asked.denominator, *lost),
        "quick_ratio": rate(
            sum(moved[name][0] for name in GAINS), -sum(moved[name][0] for name in LOSSES)
        ),
    }
    for size in SIZES:
        opened = looks[index - size][1] if index >= size else None
        nrr, grr = kept(people, asked, [at for _, at in looks[1 : index + 1]], opened, until)
        suffix = "" if size == 1 else f"_{size}"
        found[f"nrr{suffix}"], found[f"grr{suffix}"] = nrr, grr
    return found


def kept(people, asked, instants, opened, until):
    base = now = least = 0
    for person in people:
        then = person.mrr(opened) if opened else 0
        if not then:
            continue
        value = person.mrr(until)
        if asked.returned == "exclude" and any(
            person.mrr(at) == 0 for at in instants if opened < at <= until
        ):
            value = 0
        base, now, least = base + then, now + value, least + min(then, value)
    return rate(now, base), rate(least, base)


def logo(denominator, opening, closing, left, entered, entered_left):
    if denominator == "start_plus_new":
        return rate(left + entered_left, opening + entered)
    base = {"start": opening, "end": closing, "average": Fraction(opening + closing, 2)}
    return rate(left, base[denominator])


def seen(answer: dict[str, Any], period: dict[str, Any]) -> dict[str, Any]:
    rows = [
        row
        for row in answer["movements"]
        if row["period_start"] == period["period_start"] and row["currency"] == period["currency"]
    ]
    return {
        "start": Decimal(period["starting_mrr"]),
        "end": Decimal(period["ending_mrr"]),
        "customers": period["ending_customers"],
        "moved": {
            row["movement"]: (Decimal(row["amount"]), row["customers"], row["changes"])
            for row in rows
            if row["changes"]
        },
        "causes": {
            name: (Decimal(one["amount"]), one["customers"])
            for name, one in period["churn_by_cause"].items()
        },
        **{
            name: period[name]
            for name in ("logo_churn", "quick_ratio", "nrr", "grr", "nrr_3", "grr_3")
        },
        "nrr_12": period["nrr_12"],
        "grr_12": period["grr_12"],
        "state": period["state"],
    }


# 24 histories in a run, 300 in one with --full.
@pytest.mark.parametrize(
    "round_", [*range(24), *(pytest.param(n, marks=pytest.mark.full) for n in range(24, 300))]
)
def test_movements_of_random_histories_are_those_of_plain_loops(seed, round_, tmp_path):
    dice = random.Random(f"{seed}:{round_}")
    asked = Question(dice)
    path, rows = random_file(dice, asked, tmp_path)

    done = CliRunner().invoke(app, asked.words(path), catch_exceptions=False)
    answer = json.loads(done.stdout)

    truth = expected(rows, asked, datetime.fromisoformat(answer["as_of"]))
    told = {
        (date.fromisoformat(one["period_start"]), one["currency"] or ""): one
        for one in answer["periods"]
    }
    assert set(told) == set(truth), (seed, round_)
    for key, figures_of in truth.items():
        if figures_of["state"] == "open" and asked.open_cells == "null":
            assert told[key]["ending_mrr"] is None
            continue
        assert seen(answer, told[key]) == figures_of, (seed, round_, key, vars(asked))
