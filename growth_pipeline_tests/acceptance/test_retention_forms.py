"""Every form of an answer tells the same cells; what follows from them is recomputed by hand."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline.cli import app
from growth_pipeline_tests.acceptance import oracle_retention as oracle
from growth_pipeline_tests.acceptance.test_active_users_oracle import KINDS, WITH_GRAINS
from growth_pipeline_tests.acceptance.test_retention_oracle import (
    ZONES,
    History,
    a_history,
    ask,
    options_of,
    write_activity,
    write_users,
)
from growth_pipeline_tests.fakes.command_line import CliRunner

Row = dict[str, Any]


@pytest.mark.timeout(3600)
def test_csv_markdown_and_parquet_tell_the_cells_of_json(
    tmp_path: Path, seed: int, full: bool
) -> None:
    for number in range(50 if full else 4):
        chance = random.Random(f"{seed} forms {number}")
        history = a_history(chance, chance.choice(ZONES))
        words = ["retention", *options_of(tmp_path, history, chance)]
        assert_every_form_is_the_same(words, "cells", tmp_path)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_every_form_tells_the_same_active_users(
    kind: str, tmp_path: Path, seed: int, full: bool
) -> None:
    for number in range(10 if full else 1):
        chance = random.Random(f"{seed} {kind} forms {number}")
        history = a_history(chance, chance.choice(ZONES))
        words = ["active-users", "--activity", str(write_activity(tmp_path, history, chance))]
        words += ["--kind", kind, "--timezone", history.question.tz]
        words += ["--grain", "week"] if kind in WITH_GRAINS else []
        if history.users is not None:
            words += ["--users", str(write_users(tmp_path, history, chance)), "--segment", "plan"]
        assert_every_form_is_the_same(words, "rows", tmp_path)


def assert_every_form_is_the_same(words: list[str], key: str, folder: Path) -> None:
    rows: list[Row] = json.loads(face(words, "json"))[key]
    path = folder / "answer.csv"
    assert face([*words, "--output", str(path)], "csv") == b""
    text = path.read_bytes()
    assert [
        {name: as_text(value) for name, value in row.items()} for row in rows
    ] == [
        {name: number_as_text(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text.decode()))
    ]  # fmt: skip
    frame = pl.read_parquet(io.BytesIO(face(words, "parquet")))
    assert [
        {name: as_text(value) for name, value in row.items()} for row in frame.iter_rows(named=True)
    ] == [{name: as_text(value) for name, value in row.items()} for row in rows]
    if key == "cells":
        assert_grids_say_the_cells(face(words, "md").decode(), rows)
        return
    told = markdown_rows(face(words, "md").decode())
    assert len(told) == len(rows)
    for given, row in zip(told, rows, strict=True):
        assert {name: number_as_text(value) for name, value in given.items()} == {
            name: as_text(row[name]) for name in given
        }


def assert_grids_say_the_cells(text: str, rows: list[Row]) -> None:
    """Each segment's first grid has its cohorts down and its columns across, as percents."""
    wanted: dict[str | None, dict[str, dict[str, str]]] = {}
    for row in rows:
        percent = "n/a"
        if row["rate"] is not None:
            share = Decimal(str(row["rate"])) * 100
            percent = f"{share.quantize(Decimal('0.1'), ROUND_HALF_EVEN)} %"
        mark = "*" if row["state"] == "open" else ""
        cohort = wanted.setdefault(row["segment"], {}).setdefault(row["cohort_start"], {})
        cohort["Size"] = f"{row['cohort_size']:,}"
        cohort[str(row["period_index"])] = mark if row["users"] is None else percent + mark
    told: list[dict[str, dict[str, str]]] = []
    for part in text.split("\n\n\\* is in progress")[1:]:
        lines = part.split("\n\n")[1].splitlines()
        grid = [[one.strip().replace("\\", "") for one in line[1:-1].split("|")] for line in lines]
        names = ["Size", *(name[1:] for name in grid[0][2:])]  # `M3` is column 3
        told.append({row[0]: dict(zip(names, row[1:], strict=True)) for row in grid[3:]})
    # A segment without the oldest cohort comes later in the rows than on the page.
    assert sorted(told, key=json_text) == sorted(wanted.values(), key=json_text)


def json_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def face(words: list[str], form: str) -> bytes:
    done = CliRunner().invoke(app, [*words, "--format", form], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout_bytes


def as_text(value: Any) -> str:
    """A value in one spelling: numbers without zeros at their end, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return number_as_text(f"{value:f}")
    return number_as_text(str(value))


def number_as_text(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def markdown_rows(text: str) -> list[Row]:
    """Rows of the last table of a page; none where it says there are none."""
    _, _, table = text.rpartition("\n\n")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip().replace("\\", "") for cell in line[1:-1].split("|")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


@pytest.mark.timeout(3600)
def test_money_of_cohorts_follows_from_what_each_member_paid(
    tmp_path: Path, seed: int, full: bool, acceptance_line: Callable[..., None]
) -> None:
    wrong: list[str] = []
    checked = 0
    for number in range(200 if full else 10):
        chance = random.Random(f"{seed} money {number}")
        history = a_history(chance, chance.choice(ZONES))
        history = replace(history, events=[*history.events, *many_payments(chance, history)])
        question = replace(
            history.question,
            as_of=max(event.occurred_at for event in history.events) + timedelta(days=40),
            retention="on",
            open_cells="so_far",
            max_period=12,
        )
        history = replace(history, question=question)
        purses = payments(history)
        for row in ask(tmp_path, history, chance)["cells"]:
            if row["currency"] is None or row["users"] is None:
                continue
            key = date.fromisoformat(row["cohort_start"]), row["segment"]
            expected = money_of(purses.get(key, {}), row)
            checked += 1
            if {name: row[name] for name in expected} != expected:
                wrong.append(f"history {number}: {question}\n{row}\nexpected {expected}")
    acceptance_line("R19", money_cells=checked, violations=wrong[:3])


def many_payments(chance: random.Random, history: History) -> list[oracle.Event]:
    """Up to eight payments of each active user, more and less than the first, at times of events."""
    times = [event.occurred_at for event in history.events]
    amounts = (-300, 900, 1999, 2000, 5000)
    return [
        oracle.Event(user, chance.choice(times), "pay", chance.choice(amounts), "usd")
        for user in sorted({event.user for event in history.events})
        for _ in range(chance.randrange(9))
    ]


Purses = dict[tuple[str, date], dict[tuple[int, str], int]]


def payments(history: History) -> dict[tuple[date, str | None], Purses]:
    """By cohort, and by member and entry: minor units by period and currency."""
    question = history.question
    found: dict[tuple[date, str | None], Purses] = defaultdict(dict)
    for user, entry, segment in oracle.entries(history.users, history.events, question):
        paid: dict[tuple[int, str], int] = defaultdict(int)
        for event in history.events:
            if event.user == user and event.minor is not None and event.currency is not None:
                day = oracle.local_day(event.occurred_at, question.tz)
                counts = question.money == "net" or event.minor > 0
                if event.occurred_at < question.as_of and counts:
                    paid[oracle.period_index(entry, day, question), event.currency] += event.minor
        found[oracle.floor_day(entry, question), segment][user, entry] = paid
    return found


def money_of(members: Purses, row: Row) -> Row:
    """What the columns of money say, by whole numbers of each member."""
    n, currency, size = row["period_index"], row["currency"], row["cohort_size"]
    now = {who: paid.get((n, currency), 0) for who, paid in members.items()}
    then = {who: paid.get((0, currency), 0) for who, paid in members.items()}
    opening = {who: minor for who, minor in then.items() if minor > 0}
    base = sum(opening.values())
    total = sum(
        minor
        for paid in members.values()
        for (index, code), minor in paid.items()
        if code == currency and 0 <= index <= n
    )
    is_closed = row["state"] == "closed"
    kept = sum(now[who] for who in opening)
    held = sum(min(now[who], opening[who]) for who in opening)
    lost = sum(now[who] <= 0 for who in opening)
    return {
        "revenue_minor": sum(now.values()),
        "revenue_per_customer_minor": each(sum(now.values()), size),
        "cumulative_revenue_minor": total if is_closed else None,
        "cumulative_per_customer_minor": each(total, size) if is_closed else None,
        "logo_churn": share(lost, len(opening)),
        "revenue_churn": share(base - held, base),
        "nrr": share(kept, base),
        "grr": share(held, base),
    }


def each(minor: int, size: int) -> int:
    return round(Fraction(minor, size))  # of two equally near, the even one


def share(part: int, whole: int) -> float | None:
    return None if whole == 0 else round(Fraction(part, whole) * 10**6) / 10**6
