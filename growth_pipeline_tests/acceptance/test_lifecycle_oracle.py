"""Stages and scores of random lives, every day, against plain loops; the half of them on Postgres.

Rules: growth_pipeline_tests/acceptance/oracle_lifecycle.py. What is read of the product is what it
decided: the row and stage of days, the day of the next change, scores with their points.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from growth_pipeline_tests.acceptance.lives import KINDS, a_life
from growth_pipeline_tests.acceptance.oracle_lifecycle import (
    ONE,
    Days,
    Life,
    Span,
    history_of,
    next_change,
    score_of,
)

ROWS = {"1", "2a", "2b", "2c", "2d", "3", "4", "5", "6", "7", "8", "9", "10", "11"}
WAYS_OUT = {"3 days", "28 days", "MRR 0"}


@pytest.mark.timeout(3600)
def test_stages_and_scores_of_random_lives_are_what_plain_loops_find(
    seed: int, full: bool, acceptance_line: Callable[..., str]
) -> None:
    met: Counter[str] = Counter()
    differences: list[str] = []
    lives = 5000 if full else 300
    for number in range(lives):
        chance = random.Random(f"{seed} life {number}")
        life, last = a_life(chance, KINDS[number % len(KINDS)])
        loops = Days(life, last)
        note(met, loops)
        found = [*of_stages(life, last), *of_days(loops, chance), *of_scores(loops, chance)]
        differences += [f"life {number} until {last}: {one}" for one in found[:3]]
    sys.stdout.write("\n".join(differences[:10]) + "\n")
    missed = (ROWS | WAYS_OUT | {"again", "young", "unknown sign-up"}) - met.keys()
    assert not missed, f"the lives never met {sorted(missed)}: another seed, or richer lives"
    acceptance_line("stages", violations=len(differences), lives=lives, days=met["days"])


def test_score_of_the_contract_s_own_example() -> None:
    day = date(2026, 6, 30)
    ages = (2, 3, 9, 16, 30)
    life = Life(
        first=date(2025, 1, 1),
        active=frozenset(day - age * ONE for age in ages),
        uses={f"f{age}": frozenset({day - age * ONE}) for age in (2, 9, 30)},
    )
    found = score_of(life, day)
    parts = [round(float(part), 4) for part in (found.frequency, found.recency, found.breadth)]
    assert parts == [0.2227, 0.8203, 0.5570]
    assert (found.score, found.points) == (52, (9, 29, 14))


def test_stages_of_the_contract_s_own_example() -> None:
    may, june = date(2026, 5, 1), date(2026, 6, 15)
    life = Life(
        first=may,
        signed_up=may,
        trialing=((may, date(2026, 5, 15)),),
        paying=((date(2026, 5, 15), date(2026, 7, 15)), (date(2026, 9, 1), None)),
        past_due=((june, date(2026, 8, 1)),),
    )
    assert history_of(life, date(2026, 12, 1)) == [
        (may, "trialing", "6"),
        (date(2026, 5, 15), "paying", "4"),
        (june, "at_risk", "2a"),
        (date(2026, 7, 15), "churned", "7"),
        (date(2026, 9, 1), "won_back", "3"),
        (date(2026, 11, 30), "paying", "4"),
    ]


def note(met: Counter[str], loops: Days) -> None:
    """What a life met, so that a rule that no life meets is noticed."""
    rows = loops.rows()
    met["days"] += len(rows)
    met.update({row for row, _ in rows.values()})
    met.update(loops.ways_out)
    stages = [stage for _, stage, _ in history_of(loops.life, loops.last)]
    met["again"] += len(stages) > len(set(stages))
    met["young"] += len(rows) < 56
    met["unknown sign-up"] += loops.life.signed_up is None


def of_stages(life: Life, last: date) -> Iterator[str]:
    """Where the spells or the day of the next change differ."""
    from growth_pipeline.lifecycle.stages import decide, next_change_on, stage_history

    facts = as_facts(life)
    wanted = history_of(life, last)
    decision = decide(facts, last)
    for spells in (decision.spells, stage_history(facts, last)):
        found = [(one.from_on, str(one.stage), one.row) for one in spells]
        if found != wanted:
            yield f"spells {first_difference(found, wanted)}"
    due = next_change(life, last)
    for found_due in (decision.next_on, next_change_on(facts, last)):
        # Where a fact begins or ends far ahead, one look on the way may find nothing changed.
        looks = found_due is not None and found_due >= last + timedelta(days=400)
        if found_due != due and not (looks and (due is None or due > found_due)):
            yield f"the next change is on {due}, the product says {found_due}"
    before = life.first - ONE
    if decide(facts, before).spells or decide(facts, before).next_on != life.first:
        yield "there is a stage before the first day"


def first_difference(
    found: list[tuple[date, str, str]], wanted: list[tuple[date, str, str]]
) -> str:
    for given, right in zip(found, wanted, strict=False):
        if given != right:
            return f"of the product: {given}, of the loops: {right}"
    return f"of the product: {found[len(wanted) :]} more, of the loops: {wanted[len(found) :]} more"


def of_days(loops: Days, chance: random.Random) -> Iterator[str]:
    """Where the product's own explanation of a day names another row."""
    from growth_pipeline.lifecycle.stages import explain_stage

    facts, rows = as_facts(loops.life), loops.rows()
    for day in days_to_ask(loops, chance):
        told = next(one for one in explain_stage(facts, day) if one.is_true)
        if (told.row, str(told.stage)) != rows[day]:
            yield f"{day}: row {rows[day]}, the product says {(told.row, str(told.stage))}"


def days_to_ask(loops: Days, chance: random.Random) -> set[date]:
    """Days on which the row changes, those before them, and some others."""
    rows = loops.rows()
    edges = {day for day in loops.all[1:] if rows[day] != rows[day - ONE]}
    some = chance.sample(loops.all, min(len(loops.all), 5))
    return edges | {day - ONE for day in edges} | set(some)


def of_scores(loops: Days, chance: random.Random) -> Iterator[str]:
    """Where a score, its parts or its points differ: every day's score, some days in full."""
    from growth_pipeline.lifecycle.scoring import score_on, scores_over

    life, facts = loops.life, as_facts(loops.life)
    over = [int(one) for one in scores_over(facts, life.first, loops.last)]
    wanted = [loops.scores[day] for day in loops.all]
    if over != wanted:
        place = next(n for n, pair in enumerate(zip(over, wanted, strict=True)) if len({*pair}) > 1)
        yield f"{loops.all[place]}: score {wanted[place]}, the product says {over[place]}"
    for day in sorted(days_to_ask(loops, chance)):
        right, one = score_of(life, day), score_on(facts, day)
        yield from unlike(day, right.points, one.points)
        yield from unlike(day, (right.score, right.band), (one.value, str(one.band)))
        yield from unlike(day, right.young, one.young)
        exact = (right.frequency, right.recency, right.breadth)
        parts = (one.frequency, one.recency, one.breadth)
        if max(abs(float(a) - b) for a, b in zip(exact, parts, strict=True)) > 1e-12:
            yield f"{day}: parts {exact}, the product says {parts}"
        yield from of_frame(life, day, one)


def of_frame(life: Life, day: date, one: Any) -> Iterator[str]:
    """Where the score of many users at once is not that of one."""
    from growth_pipeline.lifecycle.scoring import score_many

    past = [active for active in life.active if active <= day]
    bits = sum(1 << (day - active).days for active in past if (day - active).days < 56)
    used = [[at for at in used if at <= day] for used in life.uses.values()]
    frame = pl.DataFrame(
        {
            "user_number": [1],
            "active_bits": [bits],
            "last_age": [(day - max(past)).days if past else None],
            "lived": [(day - life.first).days + 1],
            "feature_ages": [[(day - max(days)).days for days in used if days]],
        },
        schema={
            "user_number": pl.Int32,
            "active_bits": pl.Int64,
            "last_age": pl.Int64,
            "lived": pl.Int64,
            "feature_ages": pl.List(pl.Int64),
        },
    )
    row = score_many(frame).row(0, named=True)
    points = tuple(row[f"points_{name}"] for name in ("frequency", "recency", "breadth"))
    told = (points, row["score"], row["young"], row["band"])
    yield from unlike(day, (one.points, one.value, one.young, str(one.band)), told)
    for name in ("frequency", "recency", "breadth"):  # sums of floats in another order
        if abs(row[name] - getattr(one, name)) > 1e-12:
            yield f"{day}: {name} {getattr(one, name)}, of many at once {row[name]}"


def unlike(day: date, wanted: object, found: object) -> Iterator[str]:
    if wanted != found:
        yield f"{day}: {wanted}, the product says {found}"


def as_facts(life: Life):  # type: ignore[no-untyped-def]
    """What the product is given: a life in its own words."""
    from growth_pipeline.lifecycle.facts import DaySpan, UserFacts

    def spans(kind: tuple[Span, ...]) -> tuple[DaySpan, ...]:
        return tuple(DaySpan(start, end, f"sub_{place}") for place, (start, end) in enumerate(kind))

    return UserFacts(
        user_number=1,
        first_on=life.first,
        signed_up_on=life.signed_up,
        deleted_on=life.deleted,
        active_days=tuple(sorted(life.active)),
        feature_days={name: tuple(sorted(days)) for name, days in life.uses.items()},
        activated_on=life.activated,
        paying=spans(life.paying),
        past_due=spans(life.past_due),
        cancel_scheduled=spans(life.cancel_scheduled),
        disputed=spans(life.disputed),
        paused=spans(life.paused),
        trialing=spans(life.trialing),
    )
