"""Funnels of random histories, through the public command, against trying out every possibility.

The loops below try each order of equal instants and each choice of events; they share no code with
the product.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from growth_pipeline.cli import app

START = datetime(2031, 1, 1, tzinfo=UTC)
STEPS = (
    ("A", "B", "C"),
    ("A", "B"),
    ("A", "A", "B"),
    ("A|B", "B", "C"),
    ("A", "B|C", "C"),
    ("B", "A|B|C", "A", "C"),
)


class Question:
    """Random options. Times are seconds from START."""

    def __init__(self, dice: random.Random) -> None:
        self.steps = dice.choice(STEPS)
        self.stages = [set(step.split("|")) for step in self.steps]
        self.order = dice.choice(("ordered", "ordered", "strict", "strict", "any", "independent"))
        self.ties = dice.choice(("allow", "forbid"))
        self.window = dice.choice((None, 0, 3, 6, 15))
        self.first, self.last = dice.choice(((None, None), (3, 14), (None, 9), (5, None)))
        self.as_of = dice.choice((None, 12, 18))
        self.include_open = dice.random() < 0.3

    def words(self, path: Path) -> list[str]:
        said = ["funnel", "--events", str(path), "--steps", ",".join(self.steps)]
        said += ["--order", self.order, "--ties", self.ties, "--breakdown", "plan"]
        for option, second in (
            ("--from", self.first),
            ("--to", self.last),
            ("--as-of", self.as_of),
        ):
            if second is not None:
                said += [option, (START + timedelta(seconds=second)).isoformat()]
        if self.window is not None:
            said += ["--window", f"{self.window}s"]
        return [*said, "--open-attempts", "include"] if self.include_open else said

    def may_begin(self, second: int) -> bool:
        after = self.first is None or second >= self.first
        return after and (self.last is None or second < self.last)

    def is_inside(self, begun: int, second: int) -> bool:
        return self.window is None or second - begun <= self.window

    def is_open(self, begun: int) -> bool:
        # Without --as-of the file ends with its day, long after the last second of these events.
        end = 86_400 if self.as_of is None else self.as_of
        return self.window is not None and not self.include_open and end - begun < self.window


Event = tuple[int, str, str]
Walk = tuple[tuple[int, ...], int]


def random_events(dice: random.Random) -> dict[str, list[Event]]:
    return {
        f"u{user}": [
            (dice.randrange(20), dice.choice("AABBCX"), dice.choice(("", "pro", "free")))
            for _ in range(dice.randint(1, 7))
        ]
        for user in range(dice.randint(1, 12))
    }


def walk_in_order(events: list[Event], asked: Question, begin: int) -> tuple[int, ...]:
    """The farthest way from one stage-1 event: every event may be taken or not."""
    begun = events[begin][0]

    @cache
    def farthest(stage: int, now: int, used: frozenset[int]) -> tuple[int, ...]:
        best: tuple[int, ...] = ()
        if stage == len(asked.stages):
            return best
        for place, (second, name, _) in enumerate(events):
            later = second > now or (second == now and asked.ties == "allow")
            if place in used or not later or not asked.is_inside(begun, second):
                continue
            if name in asked.stages[stage]:
                way = (second, *farthest(stage + 1, second, used | {place}))
                best = better(best, way)
        return best

    return (begun, *farthest(1, begun, frozenset({begin})))


def better(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """The longer way, of equals the one that is earlier at its first difference."""
    return min((one, other), key=lambda way: (-len(way), way))


def walk_strictly(events: list[Event], asked: Question, begin: int) -> tuple[int, ...]:
    """The farthest way with nothing in between, over every order of events of one instant."""
    begun = events[begin][0]
    by_second = defaultdict(list)
    for place, (second, name, _) in enumerate(events):
        if second >= begun and place != begin and asked.is_inside(begun, second):
            by_second[second].append(name)
    ways: set[tuple[tuple[int, ...], bool]] = {((begun,), False)}  # way so far, has ended
    for second in sorted(by_second):
        names = by_second[second]
        ways = {
            end
            for way, ended in ways
            for end in (
                [(way, True)]
                if ended
                else [
                    instant(way, ordered, second, asked, is_first=second == begun)
                    for ordered in set(permutations(names))
                ]
            )
        }
        # What has ended at the same or a lesser stage cannot become the best any more.
    best: tuple[int, ...] = ()
    for way, _ in ways:
        best = better(best, way)
    return best


def instant(way, names, second, asked, *, is_first):
    """One order of the events of an instant. At the beginning some may come before the start."""
    if is_first:
        # Any of them may lie before the attempt: those that do not help do.
        ways = [step(way, names[skip:], second, asked) for skip in range(len(names) + 1)]
        return min(ways, key=lambda one: (one[1], -len(one[0])))
    return step(way, names, second, asked)


def step(way, names, second, asked):
    for name in names:
        reached = len(way)
        if reached == len(asked.stages):
            return way, False
        may = second > way[-1] or asked.ties == "allow"
        if may and name in asked.stages[reached]:
            way = (*way, second)
        elif not any(name in stage for stage in asked.stages[:reached]):
            return way, True
    return way, False


def walk_any(events: list[Event], asked: Question, begun: int) -> Walk:
    """Stages complete from the start of a window on, whatever the order, and when stage 1 came."""
    inside = sorted(e for e in events if e[0] >= begun and asked.is_inside(begun, e[0]))
    reached: list[int] = []
    for stage in range(1, len(asked.stages) + 1):
        done = next(
            (
                second
                for second in sorted({event[0] for event in inside})
                if complete([e for e in inside if e[0] <= second], asked, stage)
            ),
            None,
        )
        if done is None:
            break
        reached.append(done)
    entered = [e[0] for e in inside if e[1] in asked.stages[0] and asked.may_begin(e[0])]
    return tuple(reached), min(entered, default=0)


def complete(events: list[Event], asked: Question, stages: int) -> bool:
    """Whether events can be given to the first stages, one each."""
    if stages == 0:
        return True
    stage = stages - 1
    return any(
        complete(events[:place] + events[place + 1 :], asked, stage)
        for place, (second, name, _) in enumerate(events)
        if name in asked.stages[stage] and (stage or asked.may_begin(second))
    )


def best_walk(events: list[Event], asked: Question) -> tuple[Walk, bool] | None:
    """(instants of the stages, instant of stage 1), whether it is open; None: never enters."""
    found: list[tuple[bool, int, int, Walk]] = []
    if asked.order == "any":
        for begun in sorted({e[0] for e in events if any(e[1] in s for s in asked.stages)}):
            walk = walk_any(events, asked, begun)
            if walk[0]:
                found.append((asked.is_open(begun), -len(walk[0]), begun, walk))
            if asked.window is None:
                break
    else:
        walker = walk_in_order if asked.order == "ordered" else walk_strictly
        for place, (second, name, _) in enumerate(events):
            if name in asked.stages[0] and asked.may_begin(second):
                way = walker(events, asked, place)
                found.append((asked.is_open(second), -len(way), second, (way, second)))
    if not found:
        return None
    is_open, _, _, walk = min(found)
    return walk, is_open


def expected(history: dict[str, list[Event]], asked: Question) -> dict[str, Any]:
    counts: dict[Any, list[int]] = defaultdict(lambda: [0] * len(asked.stages))
    gaps: dict[int, list[int]] = defaultdict(list)
    units = opened = 0
    for events in history.values():
        known = [e for e in events if asked.as_of is None or e[0] < asked.as_of]
        units += any(asked.may_begin(second) for second, _, _ in known)
        if asked.order == "independent":
            for place, stage in enumerate(asked.stages):
                served = [e for e in known if e[1] in stage and asked.may_begin(e[0])]
                counts["all"][place] += bool(served)
                for plan in {e[2] for e in served}:
                    counts[plan][place] += 1
            continue
        best = best_walk(known, asked)
        if best is None:
            continue
        (way, entered), is_open = best
        plans = [p for second, name, p in known if second == entered and name in asked.stages[0]]
        plan = min(plans, key=lambda word: (not word, word))
        opened += is_open
        for place, second in enumerate(() if is_open else way):
            counts["all"][place] += 1
            counts[plan][place] += 1
            if place:
                gaps[place].append(second - way[place - 1])
    return {"counts": counts, "units": units, "open": opened, "gaps": gaps}


def middle(numbers: list[int]) -> float | None:
    ranked = sorted(numbers)
    if not ranked:
        return None
    half = len(ranked) // 2
    return float(Fraction(ranked[half] + ranked[-half - 1], 2))


# 24 histories in a run, 300 in one with --full.
@pytest.mark.parametrize(
    "round_", [*range(24), *(pytest.param(n, marks=pytest.mark.full) for n in range(24, 300))]
)
def test_funnels_of_random_histories_are_those_of_trying_everything(seed, round_, tmp_path):
    dice = random.Random(f"{seed}:{round_}")
    asked = Question(dice)
    history = random_events(dice)
    path = write(tmp_path, history, dice)

    done = CliRunner().invoke(app, asked.words(path), catch_exceptions=False)
    answer = json.loads(done.stdout)

    truth = expected(history, asked)
    about = (seed, round_, vars(asked), history)
    told: dict[Any, list[int]] = defaultdict(lambda: [0] * len(asked.stages))
    for row in answer["stages"]:
        key = "all" if row["breakdown"] is None else row["value"] or ""
        told[key][row["stage"] - 1] = row["count"]
    counted = {key: numbers for key, numbers in told.items() if any(numbers)}
    assert counted == {k: v for k, v in truth["counts"].items() if any(v)}, about
    assert (answer["units"], answer["open"]) == (truth["units"], truth["open"]), about
    medians = [
        row["median_seconds"]
        for row in answer["stages"]
        if row["breakdown"] is None and row["stage"] > 1
    ]
    assert medians == [middle(truth["gaps"][n]) for n in range(1, len(asked.stages))], about


def write(folder: Path, history: dict[str, list[Event]], dice: random.Random) -> Path:
    lines = [
        f"{user},{(START + timedelta(seconds=second)).isoformat()},{name},{plan}"
        for user, events in history.items()
        for second, name, plan in events
    ]
    dice.shuffle(lines)
    path = folder / "events.csv"
    path.write_text("\n".join(("user_id,occurred_at,event,plan", *lines)) + "\n")
    return path
