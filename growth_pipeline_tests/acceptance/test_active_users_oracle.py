"""`growth active-users`, every kind and option, against plain loops over random histories."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from growth_pipeline_tests.acceptance import oracle_retention as oracle
from growth_pipeline_tests.acceptance.oracle_active_users import Asked, Loops
from growth_pipeline_tests.acceptance.test_retention_oracle import (
    ZONES,
    History,
    a_history,
    run,
    write_activity,
    write_users,
)

KINDS = (
    *("rolling", "calendar", "lifecycle", "stickiness"),
    *("stickiness_rolling", "days_active", "silence"),
)
WITH_GRAINS = ("calendar", "lifecycle")


@pytest.mark.timeout(3600)
def test_active_users_of_random_histories_are_what_plain_loops_count(
    tmp_path: Path, seed: int, full: bool, acceptance_line: Callable[..., None]
) -> None:
    differences: list[str] = []
    rows = 0
    histories = 300 if full else 42
    for number in range(histories):
        chance = random.Random(f"{seed} active {number}")
        history = a_history(chance, chance.choice(ZONES))
        asked = what_is_asked(chance, history, KINDS[number % len(KINDS)])
        loops = Loops(history.users, history.events, asked)
        if asked.kind == "days_active" and not is_any_day_over(loops):
            continue
        words = [*files(tmp_path, history, chance), *options(asked)]
        expected = loops.rows()
        if history.users is not None and chance.random() < 0.3:
            words += ["--segment", "plan"]
            expected = rows_by_segment(loops)
        found = run(words)["rows"]
        rows += len(expected)
        if found != expected:
            differences.append(f"history {number}: {asked}\n{first_difference(found, expected)}\n")
    sys.stdout.write("\n".join(differences[:5]))
    acceptance_line("R19", violations=len(differences), histories=histories, rows=rows)


def rows_by_segment(loops: Loops) -> list[Any]:
    """Rows of each segment in which anybody counts, users without one last."""
    plans = {user.user: user.segment for user in loops.users or ()}
    done = {
        plans[event.user]
        for event in loops.events
        if event.user in plans
        and event.user not in loops.asked.excluded
        and event.occurred_at < loops.asked.as_of
    }
    found: list[Any] = []
    for plan in sorted(done, key=lambda name: (name is None, name or "")):
        others = tuple(user for user in plans if plans[user] != plan)
        alone = replace(loops.asked, excluded=(*loops.asked.excluded, *others))
        rows = Loops(loops.users, loops.events, alone).rows()
        found += [{**row, "segment": plan} for row in rows]
    return found


def first_difference(found: list[Any], expected: list[Any]) -> str:
    for given, wanted in zip(found, expected, strict=False):
        if given != wanted:
            return f"the command: {given}\nplain loops: {wanted}"
    return f"the command has {len(found)} rows, plain loops {len(expected)}"


def is_any_day_over(loops: Loops) -> bool:
    """Whether the range of a histogram holds a day; without one the command refuses."""
    over = [day for day in loops.all_days if loops.state(day + oracle.DAY) == "closed"]
    first, last = loops.asked.first or loops.first_day, loops.asked.last
    return bool(loops.all_days) and (last or (over[-1] if over else date.min)) >= first


def what_is_asked(chance: random.Random, history: History, kind: str) -> Asked:
    question = history.question
    grains = chance.choice((("day",), ("week",), ("month",), ("week", "month")))
    if kind not in WITH_GRAINS:
        grains = grains[:1]
    a, b = sorted(chance.choice(history.events).occurred_at for _ in range(2))
    first, last = (oracle.local_day(at, question.tz) for at in (a, b))
    latest = max(event.occurred_at for event in history.events)
    low = chance.choice((1, 1, 3))
    entries = ("first_activity", "signup") if history.users else ("first_activity",)
    return Asked(
        as_of=chance.choice((question.as_of, latest + timedelta(days=40))),
        kind=kind,
        tz=question.tz,
        grains=grains,
        windows=chance.choice(((1, 7, 30), (28,), (2, 1))),
        week_start=question.week_start,
        anchor=question.anchor,
        events=question.events,
        min_events=chance.choice((1, 1, 2)),
        new_by=chance.choice(entries),
        silent_days=chance.choice((1, 2, 3, 7)),
        retained=(low, low + chance.choice((0, 3, 30))),
        first=chance.choice((None, None, None, first)),
        last=chance.choice((None, None, None, last + timedelta(days=chance.choice((0, 3))))),
        open_cells=question.open_cells,
        excluded=chance.choice(((), (), ("u0",))),
    )


def files(folder: Path, history: History, chance: random.Random) -> list[str]:
    words = ["active-users", "--activity", str(write_activity(folder, history, chance))]
    if history.users is not None:
        words += ["--users", str(write_users(folder, history, chance))]
    return words


def options(asked: Asked) -> list[str]:
    given: dict[str, object] = {
        "--kind": asked.kind,
        "--as-of": asked.as_of.isoformat(),
        "--timezone": asked.tz,
        "--windows": ",".join(map(str, asked.windows)),
        "--week-start": asked.week_start,
        "--anchor": asked.anchor,
        "--events": None if asked.events is None else ",".join(asked.events),
        "--min-events": asked.min_events,
        "--new-by": asked.new_by,
        "--silent-days": asked.silent_days,
        "--retained": f"{asked.retained[0]}-{asked.retained[1]}",
        "--from": asked.first,
        "--to": asked.last,
        "--open-cells": asked.open_cells,
        "--exclude": ",".join(asked.excluded) or None,
        "--grain": ",".join(asked.grains) if "stickiness" not in asked.kind else None,
    }
    return [
        word for name, value in given.items() if value is not None for word in (name, str(value))
    ]
