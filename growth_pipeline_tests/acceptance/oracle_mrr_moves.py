"""What moved MRR, by plain loops: every instant at which a contract's worth may change, one by one.

Beside `oracle_mrr`. Rules: docs/metrics.md, "Movements", once more and by hand.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from growth_pipeline_tests.acceptance.oracle_mrr import (
    DAY,
    Book,
    Contract,
    Rules,
    pays,
    worth_of,
)

Key = tuple[str, str]
CAUSES = {
    "cancellation_requested": "voluntary",
    "payment_failed": "delinquent",
    "payment_disputed": "dispute",
}


class Gone(NamedTuple):
    """One contract that stopped paying: when, how much a month that was, and why."""

    at: int
    contract: str
    worth: Fraction
    cause: str


@dataclass(frozen=True)
class Step:
    """A customer's MRR from an instant on. `paying`: contracts that pay, perhaps nothing."""

    at: int
    minor: int | None
    paying: frozenset[str]


@dataclass(frozen=True)
class Move:
    """One movement of a customer and currency within a period. `causes`: any of them is right."""

    period: date
    movement: str
    before: int
    now: int
    causes: frozenset[str] = frozenset()


@dataclass
class Line:
    """One customer's MRR in one currency over time."""

    steps: list[Step]
    gone: list[Gone]

    def at(self, at: int) -> Step:
        """What holds at a second."""
        found = Step(0, 0, frozenset())
        for step in self.steps:
            if step.at > at:
                break
            found = step
        return found


def lines_of(book: Book, rules: Rules, until: int) -> dict[Key, Line]:
    """The line of each customer and currency, from the beginning up to `until` (exclusive)."""
    lines: dict[Key, Line] = {}
    before: dict[str, tuple[Key, Fraction]] = {}
    for at in instants(book, rules, until):
        book.read_until(at)
        worths: dict[str, tuple[Key, Fraction | None]] = {}
        for held in book.contracts.values():
            if pays(held, at, rules):
                parts = worth_of(held, book.gifts[held.customer], at, rules).values()
                known = [part for part in parts if part is not None]
                worth = sum(known, Fraction(0)) if len(known) == len(parts) else None
                worths[held.id] = (held.customer, held.currency), worth
        for name, (key, worth) in before.items():
            if name not in worths:
                why = why_gone(book.contracts[name], rules)
                lines[key].gone.append(Gone(at, name, worth, why))
        before = {name: (key, worth or Fraction(0)) for name, (key, worth) in worths.items()}
        add_steps(lines, worths, at)
    return lines


def add_steps(
    lines: dict[Key, Line], worths: dict[str, tuple[Key, Fraction | None]], at: int
) -> None:
    by_key: dict[Key, list[str]] = defaultdict(list)
    for name, (key, _) in worths.items():
        by_key[key].append(name)
    for key in {*lines, *by_key}:
        line = lines.setdefault(key, Line([], []))
        found = [worths[name][1] for name in by_key[key]]
        known = [one for one in found if one is not None]
        minor = round(sum(known, Fraction(0))) if len(known) == len(found) else None
        step = Step(at, minor, frozenset(by_key[key]))
        last = line.steps[-1] if line.steps else Step(0, 0, frozenset())
        if (last.minor, last.paying) != (step.minor, step.paying):
            line.steps.append(step)


def instants(book: Book, rules: Rules, until: int) -> list[int]:
    """Every second at which something may change, ends of coupons and of patience too."""
    found = set()
    for at, _, _, what, details in book.rows:
        found.add(at)
        if what == "given" and details["until"]:
            found.add(details["until"])
        if what == "billed":
            found.add(details["until"])
        if what == "state" and details["state"] == "past_due" and rules.grace_days:
            found.add(at + rules.grace_days * DAY)
    return sorted(at for at in found if at < until)


def why_gone(held: Contract, rules: Rules) -> str:
    """Why a contract stopped paying just now."""
    if held.state == "ended":
        return CAUSES[held.reason]
    if rules.gone == "asked" and held.asked_at is not None:
        return "voluntary"
    if held.stopped or held.state == "paused":
        return "paused"
    return "delinquent"  # unpaid, or past due for too long


# --- movements -----------------------------------------------------------------------------------


class UnclearError(Exception):
    """Contracts of the same worth ended for a pause and for something else: any name is right."""


def net_moves(line: Line, periods: list[tuple[date, int]]) -> list[Move]:
    """One movement of each period between snapshots.

    `periods`: first day and the second after the last. Raises: UnclearError.
    """
    moves = []
    spans = spans_of(periods)
    before = 0
    for number, (start, after) in enumerate(periods):
        now = line.at(after - 1).minor or 0
        if now != before:
            moves.append(named(line, start, before, now, spans[: number + 1]))
        before = now
    return moves


def spans_of(periods: list[tuple[date, int]]) -> list[tuple[int, int]]:
    """The seconds of periods, the first from the beginning of all times."""
    ends = [0, *(after for _, after in periods)]
    return list(pairwise(ends))


def every_move(line: Line, periods: list[tuple[date, int]]) -> list[Move]:
    """Each change by itself, in the period in which it happens. Raises: UnclearError."""
    moves = []
    before, place = 0, 0
    spans: list[tuple[int, int]] = []
    for step in line.steps:
        while place < len(periods) and step.at >= periods[place][1]:
            place += 1
        if place == len(periods):
            break
        spans.append((step.at, step.at + 1))
        now = step.minor or 0
        if now != before:
            moves.append(named(line, periods[place][0], before, now, spans))
        before = now
    return moves


def named(line: Line, period: date, before: int, now: int, spans: list[tuple[int, int]]) -> Move:
    """What a change from one number to another within the last of some spans is called."""
    if before and now:
        return Move(period, "expansion" if now > before else "contraction", before, now)
    if now:
        return Move(period, return_of(line, spans[:-1]), before, now)
    causes = frozenset(causes_in(line, spans[-1]))
    return Move(period, "paused" if is_pause(causes) else "churn", before, now, causes)


def is_pause(causes: set[str] | frozenset[str]) -> bool:
    if "paused" in causes and len(causes) > 1:
        raise UnclearError
    return "paused" in causes


def causes_in(line: Line, span: tuple[int, int]) -> set[str]:
    """Why a customer has nothing at the end of a span: of the largest contract that is gone.

    More than one where two are worth the same, give or take the rounding of their shares.
    """
    if line.at(span[1] - 1).paying:
        return {"to_free"}
    last: dict[str, Gone] = {}
    for gone in line.gone:
        if span[0] <= gone.at < span[1]:
            last[gone.contract] = gone
    largest = max((gone.worth for gone in last.values()), default=Fraction(0))
    return {gone.cause for gone in last.values() if gone.worth > largest - 2} or {"unknown"}


def return_of(line: Line, spans: list[tuple[int, int]]) -> str:
    """New, back, or resumed: as the fall to nothing was named, in the span in which it was."""
    fell = None
    before = 0
    for step in line.steps:
        if not spans or step.at >= spans[-1][1]:
            break
        now = step.minor or 0
        if before and not now:
            fell = step.at
        before = now
    if fell is None:
        return "new"
    span = next(one for one in spans if one[0] <= fell < one[1])
    return "resumed" if is_pause(causes_in(line, span)) else "reactivation"
