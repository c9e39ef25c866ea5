"""R19: every local day edge puts each event into exactly one day, cell and month.

At each midnight one user acts a second before, two act at it and four a second after. So a local day
holds 2 + 4 users of its own edge and 1 of the next, and no misplaced event leaves all sums right.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.recurring import Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.spell_store import TYPES as SPELL_TYPES
from growth_pipeline.revenue.spell_store import row_of
from growth_pipeline.revenue.spells import spells_of
from growth_pipeline_tests.acceptance import oracle_retention as oracle
from growth_pipeline_tests.acceptance.test_retention_oracle import ZONES
from growth_pipeline_tests.fakes.command_line import CliRunner

AROUND = ((-1, 1), (0, 2), (1, 4))
PRICES = {29: 1, 30: 1_000, 31: 1_000_000}
"""Day of the month on which a customer is billed -> minor units; price n + 1 times in month n."""
MONTHLY = {**PRICES, 1: 1_000_000_000}
ODDITIES = (
    ("Pacific/Apia", date(2011, 12, 20), date(2012, 1, 10)),
    ("Pacific/Kwajalein", date(1993, 8, 10), date(1993, 9, 10)),
    ("America/Sao_Paulo", date(2018, 10, 25), date(2018, 11, 12)),
    ("America/Havana", date(2024, 10, 28), date(2024, 11, 10)),
    ("Africa/Cairo", date(2024, 4, 20), date(2024, 5, 2)),
    ("Asia/Almaty", date(2024, 2, 20), date(2024, 3, 10)),
    ("Australia/Lord_Howe", date(2024, 3, 31), date(2024, 4, 12)),
    ("Asia/Pyongyang", date(2018, 4, 25), date(2018, 5, 12)),
)
"""Days that zones skipped or began late, half-hour steps, midnights that come twice; last day out."""


@pytest.mark.timeout(3600)
def test_each_event_at_a_day_edge_is_in_one_day_one_cell_and_one_month(
    tmp_path: Path, seed: int, full: bool, acceptance_line: Callable[..., str]
) -> None:
    chance = random.Random(seed)
    zones = ZONES if full else chance.sample(ZONES, 4)
    last = date(2033, 1, 1) if full else date(2025, 1, 1)
    spans = [(zone, date(2023, 1, 1), last) for zone in zones] + list(ODDITIES)
    misplaced: list[str] = []
    edges = events = 0
    for zone, start, end in spans:
        instants = edge_instants(zone, start, end)
        expected = Counter(oracle.local_day(at, zone) for at in instants)
        path = write_edges(tmp_path, instants)
        for name, found, wanted in counted(path, zone, end, expected):
            if found != wanted:
                wrong = sorted(
                    day for day in found.keys() | wanted.keys() if found[day] != wanted[day]
                )
                misplaced.append(f"{zone} {name}: {[str(day) for day in wrong[:3]]}")
        edges += (end - start).days
        events += len(instants)
    acceptance_line("R19", edges=edges, events=events, zones=len(spans), violations=misplaced)


@pytest.mark.timeout(3600)
def test_the_mrr_of_a_month_is_that_of_its_last_day_for_anchors_beyond_the_month(
    tmp_path: Path, seed: int, full: bool, acceptance_line: Callable[..., str]
) -> None:
    """Each price holds for one billing month of an anchor, so each month end shows its own price."""
    chance = random.Random(seed)
    zones = ZONES if full else chance.sample(ZONES, 4)
    months = 120 if full else 26
    misplaced: list[str] = []
    for zone in zones:
        path = write_subscriptions(tmp_path, zone, months)
        activity = write_edges(tmp_path, [oracle.first_instant(date(2023, 1, 29), zone)])
        options = ["--mrr", str(path), "--entry", "first_mrr", "--money", "mrr"]
        options += ["--grain", "month", "--max-period", str(months - 1)]
        end = date(2023 + months // 12 + 1, 1, 1)
        found = {
            (cell["cohort_start"], cell["period_index"]): cell["cumulative_revenue_minor"]
            for cell in ask("retention", activity, zone, end, *options)["cells"]
        }
        each = sum(PRICES.values())
        expected = {
            ("2023-01-01", n): each * (n + 1) * (n + 2) // 2  # 1 + 2 + ... + (n + 1)
            for n in range(months)
        }
        misplaced += [f"{zone} {key}" for key in expected if found.get(key) != expected[key]]
        misplaced += [f"{zone} {key} is no cohort" for key in found.keys() - expected.keys()]
    acceptance_line("R19", zones=len(zones), month_ends=months, violations=misplaced[:5])


@pytest.mark.timeout(3600)
def test_spells_and_movements_of_billing_months_end_with_the_price_of_that_month(
    tmp_path: Path, seed: int, full: bool, acceptance_line: Callable[..., str]
) -> None:
    """Anchors 29, 30, 31 and 1: published days of spells, and movements of a file, month by month.

    Each price begins a second before, at, or a second after the local midnight of its billing day.
    """
    chance = random.Random(seed)
    zones = [*(ZONES if full else chance.sample(ZONES, 4)), "Pacific/Apia"]
    months = 120 if full else 26
    misplaced: list[str] = []
    for zone in zones:
        seconds = chance.choice((-1, 0, 1))
        bills = {
            anchor: [
                oracle.first_instant(billing_day(n, anchor), zone) + timedelta(seconds=seconds)
                for n in range(months + 1)
            ]
            for anchor in MONTHLY
        }
        expected = month_ends(bills, zone, months - 1)
        path = write_periods(tmp_path, bills)
        end = billing_day(months - 1, 1) - timedelta(days=60)
        for name, found in (
            ("spells", ends_of_spells(bills, zone, months - 1)),
            ("movements", ends_of_movements(path, zone, end)),
        ):
            shared = expected.keys() & found.keys()
            misplaced += [f"{zone} {name} {m}" for m in shared if found[m] != expected[m]]
            misplaced += [] if len(shared) >= months - 4 else [f"{zone} {name}: months are missing"]
    acceptance_line("R19", zones=len(zones), month_ends=months, violations=misplaced[:5])


@pytest.mark.parametrize("anchor", [date(2024, 2, 29), date(2031, 1, 30), date(2023, 3, 31)])
def test_weeks_from_an_anchor_start_on_every_seventh_day_before_and_after_it(
    tmp_path: Path, anchor: date
) -> None:
    zone, start, end = "Europe/Berlin", date(2024, 2, 1), date(2024, 4, 10)
    path = write_edges(tmp_path, edge_instants(zone, start, end))
    options = ["--grain", "week", "--anchor", anchor.isoformat(), "--max-period", "0"]
    cells = ask("retention", path, zone, end, *options)["cells"]
    starts = [date.fromisoformat(cell["cohort_start"]) for cell in cells]
    assert starts
    assert all((day - anchor).days % 7 == 0 for day in starts)
    assert sum(cell["cohort_size"] for cell in cells) == 7 * (end - start).days


def edge_instants(zone: str, start: date, end: date) -> list[datetime]:
    """Instants around the first instant of each local day of [start, end), one user each.

    A day that the zone skips shares its edge with the next.
    """
    return [
        oracle.first_instant(start + timedelta(days=n), zone) + timedelta(seconds=seconds)
        for n in range((end - start).days)
        for seconds, times in AROUND
        for _ in range(times)
    ]


def write_edges(folder: Path, instants: list[datetime]) -> Path:
    path = folder / "edges.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["user_id", "occurred_at", "event", "revenue", "currency"])
        for number, at in enumerate(instants):
            lines.writerow([f"u{number}", at.isoformat(), "use", "0.01", "usd"])
    return path


def write_subscriptions(folder: Path, zone: str, months: int) -> Path:
    """One customer for each anchor, with a new price each month from the local midnight on.

    A month without the anchor's day is billed on its last one.
    """
    path = folder / "mrr.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["user_id", "starts_on", "ends_on", "monthly_amount", "currency"])
        for anchor, price in PRICES.items():
            for n in range(months):
                starts, ends = (
                    oracle.first_instant(billing_day(month, anchor), zone) for month in (n, n + 1)
                )
                amount = f"{price * (n + 1)}"
                lines.writerow([f"u{anchor}", starts.isoformat(), ends.isoformat(), amount, "jpy"])
    return path


def month_ends(bills: dict[int, list[datetime]], zone: str, months: int) -> dict[date, int]:
    """MRR at the last instant of each local month, by looking at every price: a plain loop."""
    found = {}
    for n in range(months):
        following = oracle.first_instant(billing_day(n + 1, 1), zone)
        found[billing_day(n, 1)] = sum(
            MONTHLY[anchor] * (number + 1)
            for anchor, instants in bills.items()
            for number, (starts, ends) in enumerate(pairwise(instants))
            if starts < following <= ends
        )
    return found


def ends_of_spells(bills: dict[int, list[datetime]], zone: str, months: int) -> dict[date, int]:
    """The same from the days that spells are published with."""
    rows = []
    for anchor, instants in bills.items():
        states = [
            SubscriptionState(
                subscription_id=f"sub_{anchor}",
                customer_id=f"cus_{anchor}",
                from_at=int(starts.timestamp()),
                until_at=int(ends.timestamp()),
                terms=a_subscription_at(MONTHLY[anchor] * (number + 1)),
            )
            for number, (starts, ends) in enumerate(pairwise(instants))
        ]
        rows += [
            row_of(spell, PRESETS["growth"], zone) for spell in spells_of(states, PRESETS["growth"])
        ]
    place = {name: number for number, name in enumerate(SPELL_TYPES)}
    found = {}
    for n in range(months):
        last = billing_day(n + 1, 1) - timedelta(days=1)
        found[billing_day(n, 1)] = sum(
            row[place["mrr_minor"]]
            for row in rows
            if row[place["from_on"]] <= last
            and (row[place["until_on"]] is None or last < row[place["until_on"]])
        )
    return found


def a_subscription_at(amount: int) -> Subscription:
    price = Price("price_1", "jpy", interval="month", unit_amount=Fraction(amount))
    return Subscription("active", "jpy", (Item("si_1", price),))


def ends_of_movements(path: Path, zone: str, end: date) -> dict[date, int]:
    """The same from `growth mrr movements` of the file."""
    words = ["mrr", "movements", "--periods", str(path), "--timezone", zone, "--format", "json"]
    words += ["--as-of", f"{end.isoformat()}T00:00:00Z"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return {
        date.fromisoformat(row["period_start"]): row["ending_mrr_minor"]
        for row in json.loads(result.stdout)["periods"]
        if row["ending_mrr_minor"] is not None
    }


def write_periods(folder: Path, bills: dict[int, list[datetime]]) -> Path:
    path = folder / "periods.csv"
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["customer_id", "starts_on", "ends_on", "monthly_amount", "currency"])
        for anchor, instants in bills.items():
            for number, (starts, ends) in enumerate(pairwise(instants)):
                amount = MONTHLY[anchor] * (number + 1)
                lines.writerow([f"c{anchor}", starts.isoformat(), ends.isoformat(), amount, "jpy"])
    return path


def billing_day(month: int, anchor: int) -> date:
    """The day of a month (0 is January 2023) on which an anchor bills."""
    start = date(2023 + month // 12, month % 12 + 1, 1)
    following = date(2023 + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return min(start + timedelta(days=anchor - 1), following - timedelta(days=1))


def counted(
    path: Path, zone: str, end: date, days: Counter[date]
) -> list[tuple[str, Counter[date], Counter[date]]]:
    """What the public commands count, beside what plain loops do: days, months, money of months."""
    months = Counter[date]()
    for day, users in days.items():
        months[day.replace(day=1)] += users
    rolling = ask("active-users", path, zone, end, "--windows", "1")["rows"]
    daily = ask("retention", path, zone, end, "--grain", "day", "--max-period", "0")["cells"]
    monthly = ask("retention", path, zone, end, "--grain", "month", "--max-period", "0")["cells"]
    return [
        ("active users", summed(rolling, "day", "users"), days),
        ("day cohorts", summed(daily, "cohort_start", "cohort_size"), days),
        ("day cells", summed(daily, "cohort_start", "users"), days),
        ("month cells", summed(monthly, "cohort_start", "users"), months),
        ("month money", summed(monthly, "cohort_start", "revenue_minor"), months),
    ]


def summed(rows: list[dict[str, Any]], start: str, value: str) -> Counter[date]:
    return Counter({date.fromisoformat(row[start]): row[value] for row in rows if row[value]})


def ask(command: str, path: Path, zone: str, end: date, *options: str) -> dict[str, Any]:
    """The answer in JSON, as of a time at which every day and month of the file is over."""
    as_of = (end + timedelta(days=40)).isoformat() + "T00:00:00Z"
    words = [command, "--activity", str(path), "--timezone", zone, "--as-of", as_of, *options]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer
