"""Cohorts by first MRR, and their MRR at the end of periods, against loops over days."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

ONE = timedelta(days=1)
FIRST = date(2032, 1, 28)
SPAN = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True)
class Period:
    """One subscription period; `ends_on` None: still running."""

    user: str
    starts_on: date
    ends_on: date | None
    minor: int
    currency: str


def ask(folder: Path, subscriptions: str, *words: str) -> dict[str, Any]:
    """The answer of the command; activity is one visit of u0, who is among the subscribers."""
    (folder / "mrr.csv").write_text(subscriptions)
    (folder / "activity.csv").write_text("user_id,occurred_at\nu0,2032-02-01T10:00:00Z\n")
    files = ["--activity", str(folder / "activity.csv"), "--mrr", str(folder / "mrr.csv")]
    command = ["retention", *files, "--entry", "first_mrr", "--money", "mrr", *words]
    return json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)


HEAD = "user_id,starts_on,ends_on,monthly_amount,currency\n"


def test_a_period_counts_in_the_months_on_whose_last_day_it_is_live(tmp_path):
    periods = HEAD + "u0,2031-03-02,2031-03-31,50.00,usd\nu1,2031-03-31,,7.00,usd\n"
    words = ("--grain", "month", "--max-period", "1", "--as-of", "2031-05-01")

    live = {
        ends: [row["revenue_minor"] for row in ask(tmp_path, periods, *words, *extra)["cells"]]
        for ends, extra in (("exclusive", ()), ("inclusive", ("--end-dates", "inclusive")))
    }

    assert live == {"exclusive": [700, 700], "inclusive": [5700, 700]}


def test_churn_and_nrr_compare_with_the_mrr_at_the_end_of_the_first_period(tmp_path):
    # Ana 5000 -> 5000, Cy 4000 -> 7000, Di 6000 -> 2500, Ed and Gus 2000 and 3000 -> 0.
    periods = HEAD + "".join(
        f"{user},2031-03-01,{end},{amount},usd\n"
        for user, end, amount in (
            *(("ana", "", "50"), ("cy", "2031-04-10", "40"), ("di", "2031-04-02", "60")),
            *(("ed", "2031-04-30", "20"), ("gus", "2031-04-01", "30")),
        )
    )
    periods += "cy,2031-04-10,,70,usd\ndi,2031-04-02,,25,usd\n"

    words = ("--grain", "month", "--max-period", "1", "--as-of", "2031-05-01")
    row = ask(tmp_path, periods, *words)["cells"][1]

    assert (row["revenue_minor"], row["cohort_size"]) == (14500, 5)
    assert (row["nrr"], row["logo_churn"]) == (0.725, 0.4)
    assert row["revenue_churn"] == 0.425  # GRR (5000 + 4000 + 2500) / 20000


def test_without_currency_mrr_is_an_exact_decimal(tmp_path):
    periods = "user_id,starts_on,ends_on,monthly_amount\nu0,2031-03-01,,0.333\n"
    words = ("--grain", "month", "--max-period", "0", "--as-of", "2031-05-01")
    row = ask(tmp_path, periods, *words)["cells"][0]
    assert (row["revenue"], row["revenue_minor"], row["currency"]) == ("0.333", None, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("u0,2031-03-02,2031-03-01,5,usd", "falls below 0 on 2031-03-01"),
        ("u0,2031-03-02,,-5,usd", "falls below 0 on 2031-03-02"),
        ("u0,2031-03-02,,5.005,usd", "line 2: monthly_amount '5.005' has more decimals"),
        ("u0,,,5,usd", "line 2: starts_on is empty"),
        ("u0,2031-03-02,soon,5,usd", "line 2: ends_on 'soon' is not an instant"),
    ],
)
def test_a_wrong_period_is_refused(tmp_path, line, said):
    with pytest.raises(UsageError, match=r"mrr\.csv") as caught:
        ask(tmp_path, f"{HEAD}{line}\n", "--as-of", "2031-05-01")
    assert said in caught.value.message


@pytest.mark.parametrize("words", [("--money", "mrr"), ("--entry", "first_mrr")])
def test_mrr_without_its_file_is_told(tmp_path, words):
    (tmp_path / "activity.csv").write_text("user_id,occurred_at\nu0,2032-02-01\n")
    command = ["retention", "--activity", str(tmp_path / "activity.csv"), *words]
    with pytest.raises(UsageError, match="subscription periods"):
        CliRunner().invoke(app, command, catch_exceptions=False)


# --- random histories against loops over days ----------------------------------------------------


@dataclass(frozen=True)
class Loops:
    """MRR day by day; nothing of the product is used."""

    periods: list[Period]
    grain: str
    kind: str
    ends_in: bool
    last: date
    recurring: bool = False

    def mrr(self, user: str, currency: str, day: date) -> int:
        return sum(
            period.minor
            for period in self.periods
            if (period.user, period.currency) == (user, currency)
            and period.starts_on <= day
            and (period.ends_on is None or day < period.ends_on + self.ends_in * ONE)
        )

    def entries(self, user: str) -> list[date]:
        """The first day with MRR; recurring: one for every period in which it rises from nothing."""
        found: dict[date, date] = {}
        day = FIRST
        while day <= self.last:
            for currency in ("usd", "jpy"):
                before, now = (self.mrr(user, currency, at) for at in (day - ONE, day))
                if before == 0 < now:
                    found.setdefault(self.floor(day), day)
            day += ONE
        return list(found.values()) if self.recurring else list(found.values())[:1]

    def floor(self, day: date) -> date:
        if self.grain == "month":
            return day.replace(day=1)
        return day - day.weekday() * ONE if self.grain == "week" else day

    def snapshot(self, entry: date, n: int) -> date | None:
        """The day on which period n of a member is looked at, None before it begins."""
        if self.kind == "since_entry":
            begins = entry + n * SPAN[self.grain] * ONE
            ends = begins + (SPAN[self.grain] - 1) * ONE
        else:
            begins = self.floor(entry)
            for _ in range(n):
                begins = self.following(begins)
            ends = self.following(begins) - ONE
        return None if begins > self.last else min(ends, self.last)

    def following(self, start: date) -> date:
        if self.grain == "month":
            return (start + 31 * ONE).replace(day=1)
        return start + (7 if self.grain == "week" else 1) * ONE

    def cells(self, last_period: int) -> dict[tuple[str, int, str], int]:
        """(cohort, n, currency) -> minor units; only what is not 0."""
        found: dict[tuple[str, int, str], int] = defaultdict(int)
        for user in {period.user for period in self.periods}:
            for entry, n in product(self.entries(user), range(last_period + 1)):
                day = self.snapshot(entry, n)
                for currency in ("usd", "jpy") if day else ():
                    key = self.floor(entry).isoformat(), n, currency
                    found[key] += self.mrr(user, currency, day)
        return {key: minor for key, minor in found.items() if minor}


@pytest.mark.parametrize("part", range(20))
def test_random_subscriptions_give_the_mrr_of_loops_over_days(tmp_path, seed, part):
    chance = random.Random(f"{seed}/mrr/{part}")
    zone = chance.choice(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"])
    last = FIRST + chance.randrange(60, 100) * ONE
    over = datetime(last.year, last.month, last.day, tzinfo=ZoneInfo(zone)) + ONE
    ends_in, kind = chance.random() < 0.5, chance.choice(["calendar", "since_entry"])
    periods, grain = some_periods(chance), chance.choice(["day", "week", "month"])
    recurring = kind == "calendar" and chance.random() < 0.5
    loops = Loops(periods, grain, kind, ends_in, last, recurring)
    words = ["--grain", loops.grain, "--periods", kind, "--open-cells", "so_far"]
    words += ["--as-of", over.astimezone(UTC).isoformat(), "--timezone", zone]
    words += ["--end-dates", "inclusive" if ends_in else "exclusive", "--max-period", "9"]
    words += ["--mode", "recurring"] if recurring else []

    rows = ask(tmp_path, HEAD + "".join(map(line, periods)), *words)["cells"]

    sizes = {row["cohort_start"]: row["cohort_size"] for row in rows}
    assert sum(sizes.values()) == sum(
        len(loops.entries(user)) for user in {period.user for period in periods}
    )
    assert all(row["revenue_minor"] is None for row in rows if row["state"] == "not_begun")
    assert {
        (row["cohort_start"], row["period_index"], row["currency"]): row["revenue_minor"]
        for row in rows
        if row["revenue_minor"]
    } == loops.cells(9)


def some_periods(chance: random.Random) -> list[Period]:
    found = []
    for number in range(chance.randint(1, 12)):
        start = FIRST + chance.randrange(40) * ONE
        # As often as not it ends around the day on which a period since entry is looked at.
        end = chance.choice([None, *(start + days * ONE for days in (0, 1, 6, 7, 29, 30, 45))])
        user, currency = f"u{number % 6}", chance.choice(["usd", "usd", "jpy"])
        found.append(Period(user, start, end, chance.choice([0, 990, 2500, 12_000]), currency))
    return found


def line(period: Period) -> str:
    amount = period.minor if period.currency == "jpy" else f"{period.minor / 100:.2f}"
    end = period.ends_on or ""
    return f"{period.user},{period.starts_on},{end},{amount},{period.currency}\n"
