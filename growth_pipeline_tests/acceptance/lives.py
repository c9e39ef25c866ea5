"""Random lives of users: what they did and what their customer was, so that every rule is met."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

from growth_pipeline_tests.acceptance.oracle_lifecycle import Life, Span

BEGIN = date(2023, 11, 20)
KINDS = ("steady", "fading", "loyal", "silent", "new", "rare", "many features", "gone")


def a_life(chance: random.Random, kind: str) -> tuple[Life, date]:
    """A life and the last day that is over; facts may lie after it."""
    first = BEGIN + timedelta(days=chance.randrange(700))
    if kind == "gone":
        return gone(chance, first)
    length = chance.choice((0, 3, 27, 55, 56)) if kind == "new" else chance.randrange(40, 460)
    last = first + timedelta(days=length)
    active = sorted(days_of_use(chance, kind, first, last + timedelta(days=chance.randrange(30))))
    life = Life(
        first=first,
        signed_up=chance.choice((first, first, first, None)),
        active=frozenset(active),
        uses=uses_of(chance, kind, active),
        activated=chance.choice((None, *active[:8])),
    )
    if chance.random() < 0.85:
        life = replace(life, **billing(chance, kind, first, last))
    if chance.random() < 0.15:
        life = replace(life, deleted=first + timedelta(days=chance.randrange(length + 20)))
    if life.signed_up is not None and chance.random() < 0.1:  # was seen before the sign-up
        life = replace(life, signed_up=first + timedelta(days=chance.randrange(40)))
    return life, last


def gone(chance: random.Random, first: date) -> tuple[Life, date]:
    """Daily use, then none; paid for some weeks more, or used again."""
    used, quiet = chance.randrange(40, 90), chance.randrange(28, 50)
    active = [first + timedelta(days=n) for n in range(used)]
    end = active[-1] + timedelta(days=quiet)
    back = [end + timedelta(days=n) for n in range(chance.choice((0, 0, 2, 5)))]
    paid_until = None if back else chance.choice((end, end + timedelta(days=9), None))
    life = Life(
        first=first,
        signed_up=first,
        active=frozenset([*active, *back]),
        uses=uses_of(chance, "gone", active),
        paying=((first, paid_until),),
    )
    return life, end + timedelta(days=chance.randrange(5, 60))


def days_of_use(chance: random.Random, kind: str, first: date, last: date) -> set[date]:
    """Stretches of days, each used with its own probability."""
    shares = {
        "steady": (0.7, 0.9, 0.5),
        "fading": (1, 0.75, 0, 0.05),
        "loyal": (1, 0, 1, 0),
        "silent": (0,),
        "new": (0.9, 0.3),
        "rare": (0.05, 0, 0.02),
        "many features": (0.8, 0.4, 0),
    }[kind]
    found: set[date] = set()
    day, turn = first, 0
    while day <= last:
        share = shares[turn % len(shares)]
        turn += 1
        stretch = chance.randrange(20, 80)
        for number in range(stretch):
            if chance.random() < share and day + timedelta(days=number) <= last:
                found.add(day + timedelta(days=number))
        day += timedelta(days=stretch)
    return found


def uses_of(chance: random.Random, kind: str, active: list[date]) -> dict[str, frozenset[date]]:
    count = 10 if kind == "many features" else chance.randrange(5)
    used = {}
    for number in range(count):
        share = chance.choice((0.02, 0.3, 0.9))
        days = frozenset(day for day in active if chance.random() < share)
        if days:
            used[f"feature {number}"] = days
    return used


def billing(
    chance: random.Random, kind: str, first: date, last: date
) -> dict[str, tuple[Span, ...]]:
    """Trials, payment, pauses and gaps after each other; some touch, some overlap, some are short."""
    spans: dict[str, list[Span]] = {"paying": [], "paused": [], "trialing": []}
    day = first + timedelta(days=chance.choice((0, 0, 1, 10)))
    if kind in ("fading", "loyal") and chance.random() < 0.8:
        end = chance.choice((None, None, last - timedelta(days=chance.randrange(60))))
        spans["paying"].append((first, end if end and end > first else None))
        day = end if end and end > first else last + timedelta(days=400)
    if chance.random() < 0.15:  # a trial and nothing after it
        return {"trialing": ((day, day + timedelta(days=14)),)}
    while day <= last + timedelta(days=20):
        what = chance.choice(("paying", "paying", "paying", "paused", "trialing", None, None))
        end = day + timedelta(days=chance.choice((1, 2, 14, 30, 88, 89, 90, 91, 150)))
        if what and chance.random() < 0.15:
            spans[what].append((day, None))
            break
        if what:
            add_spans(chance, spans, what, (day, end))
        day = end
    return {
        **{name: tuple(sorted(found, key=str)) for name, found in spans.items()},
        **{name: risks(chance, first, last) for name in RISKS},
    }


def add_spans(
    chance: random.Random, spans: dict[str, list[Span]], what: str, span: tuple[date, date]
) -> None:
    """One span, and perhaps others beside it."""
    day, end = span
    spans[what].append(span)
    if chance.random() < 0.1:  # a second subscription, over the end of the first
        spans[what].append((day + (end - day) // 2, end + timedelta(days=9)))
    if chance.random() < 0.03:  # a second one that began at once and goes on
        spans[what].append((day, None))
    if what == "paying" and chance.random() < 0.3:  # a pause of collection, while MRR may last
        spans["paused"].append((end - (end - day) // 3, end + timedelta(days=5)))


RISKS = ("past_due", "cancel_scheduled", "disputed")


def risks(chance: random.Random, first: date, last: date) -> tuple[Span, ...]:
    found: list[Span] = []
    while chance.random() < 0.35:
        start = first + timedelta(days=chance.randrange((last - first).days + 10))
        found.append(
            (start, chance.choice((None, start + timedelta(days=chance.randrange(1, 40)))))
        )
    return tuple(sorted(found, key=str))
