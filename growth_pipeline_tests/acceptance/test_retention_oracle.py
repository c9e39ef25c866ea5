"""`growth retention` against plain loops, over random histories."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline.cli import app
from growth_pipeline_tests.acceptance import oracle_retention as oracle
from growth_pipeline_tests.fakes.command_line import CliRunner

ZONES = (
    *("UTC", "Europe/Berlin", "Europe/Lisbon", "Europe/Moscow", "America/New_York"),
    *("America/Los_Angeles", "America/St_Johns", "America/Havana", "America/Santiago"),
    *("America/Asuncion", "Africa/Cairo", "Africa/Casablanca", "Asia/Kolkata", "Asia/Kathmandu"),
    *("Asia/Beirut", "Asia/Tokyo", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia"),
    "Pacific/Kiritimati",
)
STARTS = (
    *(date(2023, 3, 20), date(2023, 10, 20), date(2024, 2, 20), date(2024, 12, 29)),
    *(date(2025, 1, 28), date(2025, 10, 25), date(2028, 2, 27), date(2031, 1, 30)),
    date(2011, 12, 20),
)
"""Days before DST changes, leap days, month ends, turns of the year, and Apia's missing day."""
EVENTS = ("use", "pay", "invite")
BRACKETS = ("0", "1-3", "4-7")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class History:
    """Users, events and a question about them."""

    users: list[oracle.User] | None
    events: list[oracle.Event]
    question: oracle.Question


def test_the_example_of_the_contract_comes_out_by_plain_loops() -> None:
    def at(month: int, day: int) -> datetime:
        return datetime(2031, month, day, 10, tzinfo=UTC)

    users = [oracle.User(f"u{n}", at(1, day)) for n, day in ((1, 1), (2, 3), (3, 30))]
    seen = (("u1", 1, 5), ("u1", 2, 2), ("u1", 3, 1), ("u2", 3, 3), ("u3", 2, 1))
    events = [oracle.Event(user, at(month, day)) for user, month, day in seen]
    question = oracle.Question(as_of=datetime(2031, 3, 15, tzinfo=UTC), max_period=2)

    def column(number: int, asked: oracle.Question) -> oracle.Cell:
        return oracle.retention(users, events, asked)[date(2031, 1, 1), None, number]

    so_far = replace(question, open_cells="so_far")
    assert [column(n, question).users for n in range(3)] == [1, 2, None]
    assert [column(n, so_far).users for n in range(3)] == [1, 2, 2]
    assert column(1, replace(question, retention="on_or_after")).users == 3
    thirty = replace(question, periods="since_entry", period_days=30)
    assert [column(n, thirty).users for n in range(2)] == [2, None]
    assert column(1, replace(thirty, open_cells="so_far")).users == 2


@pytest.mark.timeout(3600)
def test_retention_of_random_histories_is_what_plain_loops_count(
    tmp_path: Path,
    seed: int,
    full: bool,
    acceptance_line: Callable[..., None],
) -> None:
    cells = 0
    differences: list[str] = []
    histories = 500 if full else 20
    for number in range(histories):
        chance = random.Random(f"{seed} {number}")
        history = a_history(chance, ZONES[number % len(ZONES)])
        answer = ask(tmp_path, history, chance)
        expected = oracle.retention(history.users, history.events, history.question)
        found = told(answer)
        for key in expected.keys() | found.keys():
            if expected.get(key) != found.get(key):
                differences.append(
                    f"history {number}: {history.question}\ncell {key}\n"
                    f"plain loops: {expected.get(key)}\nthe command: {found.get(key)}\n"
                )
        if pooled(answer) != oracle.averages(expected):
            differences.append(f"history {number}, averages: {history.question}")
        differences.extend(f"history {number}, {fault}" for fault in wrong_derived(answer))
        cells += len(expected)
    sys.stdout.write("\n".join(differences[:5]))
    acceptance_line("R19", violations=len(differences), histories=histories, cells=cells)


def test_parquet_files_and_a_process_of_its_own_give_the_cells_of_csv_in_this_process(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(f"{seed} forms")
    history = a_history(chance, "America/Havana")
    question = replace(history.question, as_of=datetime(2033, 1, 1, tzinfo=UTC))
    activity = write_activity(tmp_path, history, chance)
    options = ["--timezone", question.tz, "--grain", "week", "--week-start", question.week_start]
    options += ["--as-of", question.as_of.isoformat(), "--max-period", "5"]
    here = run(["retention", "--activity", str(activity), *options])

    parquet = tmp_path / "activity.parquet"
    frame = pl.read_csv(activity, infer_schema=False)
    instants = pl.Series([event.occurred_at for event in history.events])
    frame.with_columns(occurred_at=instants).write_parquet(parquet)
    other = run(["retention", "--activity", str(parquet), *options])
    assert other["data_version"] != here["data_version"]  # other bytes
    assert {**other, "data_version": here["data_version"]} == here

    command = [sys.executable, "-m", "growth_pipeline.cli", "retention", "--activity"]
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    outside = subprocess.run(
        [*command, str(activity), *options, "--format", "csv"],
        capture_output=True, check=True, text=True, env=bare, timeout=200,
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(outside.stdout)))
    names = ("cohort_start", "cohort_size", "period_index", "users", "events", "state")
    assert [[row[name] for name in names] for row in rows] == [
        ["" if cell[name] is None else str(cell[name]) for name in names] for cell in here["cells"]
    ]


def a_history(chance: random.Random, tz: str) -> History:
    """Up to 25 users; half of all instants within two seconds of a local midnight."""
    start = chance.choice(STARTS)
    span = chance.choice((4, 12, 45, 150))

    def instant() -> datetime:
        day = start + timedelta(days=chance.randrange(span))
        midnight = oracle.first_instant(day, tz)
        if chance.random() < 0.5:
            return midnight + chance.randint(-2, 2) * SECOND
        return midnight + timedelta(microseconds=chance.randrange(86_400 * 10**6))

    names = [f"u{n}" for n in range(chance.choice((1, 3, 10, 25)))]
    users = [oracle.User(name, instant(), chance.choice(("a", "b", None))) for name in names]
    with_money = chance.random() < 0.5
    active = [*names, "stranger"]
    events = [
        an_event(chance, active, instant(), with_money) for _ in range(chance.randint(1, 120))
    ]
    last = oracle.first_instant(start + timedelta(days=span + 1), tz)
    as_of = chance.choice((last, instant(), last + timedelta(days=chance.randint(1, 90))))
    question = a_question(chance, tz, as_of, start)
    if chance.random() < 0.6:  # a cell of someone's cohort is over now, a second ago, or nearly
        entered = chance.choice([*events, *events, *users])
        at = entered.occurred_at if isinstance(entered, oracle.Event) else entered.signed_up_at
        cohort = oracle.floor_day(oracle.local_day(at, tz), question)
        _, over = oracle.cell_bounds(cohort, chance.choice((0, 1, 1, 2)), question)
        edge = oracle.first_instant(over, tz) + chance.choice((-1, 0, 0, 1)) * SECOND
        question = replace(question, as_of=edge)
    file_of_users = question.entry == "signup" or question.by_segment or chance.random() < 0.5
    return History(users if file_of_users else None, events, question)


def an_event(
    chance: random.Random, names: list[str], at: datetime, with_money: bool
) -> oracle.Event:
    user, event = chance.choice(names), chance.choice(EVENTS)
    if not with_money or chance.random() < 0.5:
        return oracle.Event(user, at, event)
    minor = chance.choice((0, 1, 1999, 250_000, -500))
    return oracle.Event(user, at, event, minor, chance.choice(("usd", "eur", "usd")))


def a_question(chance: random.Random, tz: str, as_of: datetime, start: date) -> oracle.Question:
    anchors = [None, None, date(2024, 2, 29), date(2031, 1, 30), date(2023, 3, 31), start]
    return oracle.Question(
        as_of=as_of,
        tz=tz,
        entry=chance.choice(("signup", "signup", "first_activity", "first_event", "first_payment")),
        grain=chance.choice(("day", "week", "month")),
        retention=chance.choice(("on", "on_or_after", "bracket")),
        brackets=((0, 0), (1, 3), (4, 7)),
        periods=chance.choice(("calendar", "since_entry")),
        period_days=chance.choice((1, 7, 30)),
        week_start=chance.choice(oracle.WEEKDAYS),
        anchor=chance.choice(anchors),
        max_period=chance.choice((0, 1, 5, 12, 40)),
        events=chance.choice((None, None, ("use",), ("use", "invite"))),
        target_events=("pay",),
        min_events=chance.choice((1, 1, 2, 3)),
        open_cells=chance.choice(("null", "so_far")),
        basis=chance.choice(("first", "first", "previous")),
        money=chance.choice(("net", "gross")),
        mode=chance.choice(("first_ever", "first_ever", "recurring")),
        by_segment=chance.random() < 0.3,
    )


def ask(folder: Path, history: History, chance: random.Random) -> dict[str, Any]:
    """The answer of the public command as JSON."""
    return run(["retention", *options_of(folder, history, chance), "--format", "json"])


def options_of(folder: Path, history: History, chance: random.Random) -> list[str]:
    """The files of a history, written, and its question as options of the command."""
    question = history.question
    options = ["--activity", str(write_activity(folder, history, chance))]
    if history.users is not None:
        options += ["--users", str(write_users(folder, history, chance))]
    for name in ("entry", "grain", "retention", "periods", "week_start", "basis", "money", "mode"):
        options += [f"--{name.replace('_', '-')}", str(getattr(question, name))]
    options += ["--min-events", str(question.min_events), "--open-cells", question.open_cells]
    options += ["--timezone", question.tz, "--as-of", question.as_of.isoformat()]
    options += [] if question.anchor is None else ["--anchor", question.anchor.isoformat()]
    options += [] if question.events is None else ["--events", ",".join(question.events)]
    options += ["--segment", "plan"] if question.by_segment else []
    if question.entry == "first_event":
        options += ["--target-events", ",".join(question.target_events or ())]
    if question.retention == "bracket":
        options += ["--brackets", "0,1-3,4-7"]
    else:
        options += ["--max-period", str(question.max_period)]
    if question.periods == "since_entry":
        options += ["--period-days", str(question.period_days)]
    return options


def run(options: list[str]) -> dict[str, Any]:
    result = CliRunner().invoke(app, options, catch_exceptions=False)
    assert result.exit_code == 0, f"{options}\n{result.output}"
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def write_users(folder: Path, history: History, chance: random.Random) -> Path:
    rows = [
        {
            "Signed_Up_At": written(user.signed_up_at, chance),
            "plan": user.segment or "",
            "USER_ID": user.user,
        }
        for user in history.users or ()
    ]
    return write(folder / "users.csv", rows, ["Signed_Up_At", "plan", "USER_ID"], chance)


def write_activity(folder: Path, history: History, chance: random.Random) -> Path:
    rows = [
        {
            "user_id": event.user,
            "occurred_at": written(event.occurred_at, chance),
            "event": event.event,
            "revenue": "" if event.minor is None else f"{event.minor / 100:.2f}",
            "currency": event.currency or "",
        }
        for event in history.events
    ]
    names = ["user_id", "occurred_at", "event", "revenue", "currency"]
    return write(folder / "activity.csv", rows, names, chance)


def write(path: Path, rows: list[dict[str, str]], names: list[str], chance: random.Random) -> Path:
    zipped = chance.random() < 0.3
    path = path.with_suffix(".csv.gz") if zipped else path
    text = io.StringIO(newline="")
    lines = csv.DictWriter(text, names)
    lines.writeheader()
    lines.writerows(rows)
    path.write_bytes(
        gzip.compress(text.getvalue().encode()) if zipped else text.getvalue().encode()
    )
    return path


def written(instant: datetime, chance: random.Random) -> str:
    """The same instant with Z, or at an offset."""
    if chance.random() < 0.5:
        return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
    offset = timezone(timedelta(minutes=chance.choice((-570, -180, 0, 330, 765))))
    return instant.astimezone(offset).isoformat()


def told(answer: dict[str, Any]) -> dict[oracle.CellKey, oracle.Cell]:
    """The cells of an answer in the oracle's words; brackets are numbered in their order."""
    grid: dict[oracle.CellKey, oracle.Cell] = {}
    for row in answer["cells"]:
        key = (
            date.fromisoformat(row["cohort_start"]),
            row["segment"],
            column_of(row["period_index"]),
        )
        rate = None if row["rate"] is None else oracle.Decimal(f"{row['rate']:.6f}")
        known = grid.get(key)
        money = {} if known is None else known.money
        if row["revenue_minor"]:
            money = {**money, row["currency"]: row["revenue_minor"]}
        cell = oracle.Cell(
            row["cohort_size"], row["users"], rate, row["events"], money, row["state"]
        )
        assert known is None or replace(known, money=money) == cell
        grid[key] = cell
    return grid


def column_of(index: int | str) -> int:
    """Brackets are named by their range; the oracle numbers columns."""
    return index if isinstance(index, int) else BRACKETS.index(index)


def pooled(answer: dict[str, Any]) -> dict[Any, tuple[int, int, int]]:
    return {
        (row["segment"], column_of(row["period_index"])): (
            row["users"],
            row["base"],
            row["cohorts"],
        )
        for row in answer["averages"]
        if row["cohorts"]
    }


def wrong_derived(answer: dict[str, Any]) -> list[str]:
    """Intervals and running totals that do not follow from the row's own whole numbers."""
    wrong: list[str] = []
    totals: dict[Any, int] = {}
    for row in answer["cells"]:
        if row["rate"] is not None and answer["basis"] == "first":
            low, high = oracle.wilson(row["users"], row["cohort_size"])
            if abs(low - row["rate_low"]) > 1e-6 or abs(high - row["rate_high"]) > 1e-6:
                wrong.append(f"Wilson: {row}")
        if isinstance(row["period_index"], int) and row["revenue_minor"] is not None:
            key = row["cohort_start"], row["segment"], row["currency"]
            totals[key] = totals.get(key, 0) + row["revenue_minor"]
            expected = totals[key] if row["state"] == "closed" else None
            if row["cumulative_revenue_minor"] != expected:
                wrong.append(f"cumulative, not {expected}: {row}")
    return wrong
