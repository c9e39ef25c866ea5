"""Lifecycle stages `stages@1`: one stage per user and local day, decided at the day's end. Pure.

A function of the facts alone: of the rows of the table the first that is true holds, so that a
replay from the start gives what day after day gave. Contract: docs/lifecycle.md, "Stages".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import DaySpan, Stage, UserFacts
from growth_pipeline.lifecycle.scoring import days_since, scores_over

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Whole = np.ndarray[Any, np.dtype[np.int64]]

STAGES_1: Final = "stages@1"
WON_BACK_DAYS: Final = 90
DORMANT_DAYS: Final = 30
FADED_BELOW: Final = 20
FADED_FROM: Final = 40
FADED_MEAN_DAYS: Final = 28
FADED_DAYS: Final = 28
RECOVERED_FROM: Final = 30
RECOVERED_DAYS: Final = 3
# Nothing that fades takes longer to reach its end than this, from the last fact on.
_LOOK_AHEAD: Final = timedelta(days=400)

ROWS: Final[tuple[tuple[str, Stage, str], ...]] = (
    ("1", Stage.DELETED, "the user was deleted or erased"),
    ("2a", Stage.AT_RISK, "pays, and a payment is past due"),
    ("2b", Stage.AT_RISK, "pays, and a cancellation is scheduled"),
    ("2c", Stage.AT_RISK, "pays, and the score fell below 20 after a 28-day mean of 40 or more"),
    ("2d", Stage.AT_RISK, "pays, and a dispute is open"),
    ("3", Stage.WON_BACK, "pays, had churned, and came back less than 90 days ago"),
    ("4", Stage.PAYING, "pays: MRR above 0"),
    ("5", Stage.PAUSED, "no MRR, and a subscription is paused"),
    ("6", Stage.TRIALING, "a trial runs"),
    ("7", Stage.CHURNED, "no MRR, had MRR before"),
    ("8", Stage.DORMANT, "never paid, signed up 30 days ago or longer, not active for 30 days"),
    ("9", Stage.TRIAL_ENDED, "had a trial, never paid"),
    ("10", Stage.ACTIVATED, "did every activation event once"),
    ("11", Stage.SIGNED_UP, "none of the above"),
)
"""Row, stage and when it is true; in order, the first that is true holds."""
_STAGES: Final = tuple(stage for _, stage, _ in ROWS)


@dataclass(frozen=True, slots=True)
class StageSpell:
    """Grain: one user while the stage stays the same; from a local day on.

    `row` is the row of the table that was true first on that day, `evidence` the facts behind it.
    """

    stage: Stage
    row: str
    from_on: date
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowTold:
    """Whether one row of the table is true on a day, and by which facts (empty where it is not)."""

    row: str
    stage: Stage
    what: str
    is_true: bool
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """The stages of a user up to a day, and when to look again.

    `next_on`: the first later day on which the stage differs if nothing new is told, or an earlier
    one where that lies far ahead; None: never.
    """

    spells: list[StageSpell]
    next_on: date | None


def decide(facts: UserFacts, last_on: date) -> Decision:
    """Every change of stage up to the end of a local day, and the day of the next one.

    Shapes: no spell, and `first_on` to look again, where nothing is known up to that day.
    """
    if last_on < facts.first_on:
        return Decision([], facts.first_on)
    end, later = _horizon(facts, last_on)
    days = _Days(facts, end)
    changes = days.changes
    known = (last_on - facts.first_on).days
    spells = [days.spell(place) for place in changes if place <= known]
    following = next((days.day(place) for place in changes if place > known), later)
    return Decision(spells, following)


def stage_history(facts: UserFacts, last_on: date) -> list[StageSpell]:
    """One spell for each change of stage up to the end of a local day, in order of time."""
    return decide(facts, last_on).spells


def next_change_on(facts: UserFacts, last_on: date) -> date | None:
    """The first day after another on which the stage differs if nothing new is told.

    Where that lies more than a year ahead, an earlier day on which to look again; None: never.
    """
    return decide(facts, last_on).next_on


def explain_stage(facts: UserFacts, day: date) -> list[RowTold]:
    """Every row of the table as it is on a local day; the first that is true is the stage.

    Raises: UsageError for a day before the first of which anything is known.
    """
    if day < facts.first_on:
        raise UsageError(
            f"nothing is known of the user before {facts.first_on}", remedy="ask for a later day"
        )
    days = _Days(facts, day)
    place = (day - facts.first_on).days
    return [
        RowTold(
            row,
            stage,
            what,
            is_true := bool(days.conditions[number][place]),
            days.evidence(number, place) if is_true else {},
        )
        for number, (row, stage, what) in enumerate(ROWS)
    ]


# --- inside --------------------------------------------------------------------------------------


def _horizon(facts: UserFacts, last_on: date) -> tuple[date, date | None]:
    """Up to which day to compute so that no change is missed, and where to look on after it."""
    edges = list(_edges(facts))
    end = last_on + _LOOK_AHEAD
    later = min((edge for edge in edges if edge > end), default=None)
    if later is not None:
        return end, end
    # What fades is over a year after the last thing that happened, whatever it was.
    newest = max([*edges, facts.first_on, *facts.active_days[-1:]])
    return min(end, max(last_on, newest + _LOOK_AHEAD)), None


def _edges(facts: UserFacts) -> Iterator[date]:
    """Days on which a fact begins or ends."""
    for spans in (
        *(facts.paying, facts.past_due, facts.cancel_scheduled),
        *(facts.disputed, facts.paused, facts.trialing),
    ):
        for span in spans:
            yield span.from_on
            if span.until_on is not None:
                yield span.until_on
    for day in (facts.deleted_on, facts.activated_on, facts.signed_up_on):
        if day is not None:
            yield day


class _Days:
    """The rows of the table on each local day of a user, from the first that is known on."""

    def __init__(self, facts: UserFacts, last_on: date) -> None:
        self._facts = facts
        self._count = (last_on - facts.first_on).days + 1
        self._paying = _merged(facts.paying)

    def day(self, place: int) -> date:
        """The day at a place."""
        return self._facts.first_on + timedelta(days=place)

    def spell(self, place: int) -> StageSpell:
        """What begins at a place."""
        number = int(self._deciding[place])
        return StageSpell(
            _STAGES[number], ROWS[number][0], self.day(place), self.evidence(number, place)
        )

    @cached_property
    def changes(self) -> list[int]:
        """Places at which the stage is another than the day before, the first included."""
        import numpy as np

        ranks = np.array([list(Stage).index(stage) for stage in _STAGES])
        stages = ranks[self._deciding]
        return [0, *(int(place) + 1 for place in np.flatnonzero(np.diff(stages)))]

    @cached_property
    def conditions(self) -> list[Mask]:
        """Row by row of the table, whether it is true on each day."""
        import numpy as np

        facts = self._facts
        pays = self._mask(facts.paying)
        had_mrr = self._since(min((span.from_on for span in facts.paying), default=None))
        ended = [one.until_on for one in facts.trialing if one.until_on is not None]
        return [
            self._since(facts.deleted_on),
            pays & self._mask(facts.past_due),
            pays & self._mask(facts.cancel_scheduled),
            self._faded[0],
            pays & self._mask(facts.disputed),
            self._mask(self._returns),
            pays,
            ~pays & self._mask(facts.paused),
            self._mask(facts.trialing),
            ~pays & had_mrr,
            ~had_mrr & self._dormant(),
            ~had_mrr & self._since(min(ended, default=None)),
            self._since(facts.activated_on),
            np.ones(self._count, bool),
        ]

    @cached_property
    def _deciding(self) -> Whole:
        """The number of the first row that is true, day by day."""
        import numpy as np

        found: Whole = np.argmax(np.stack(self.conditions), axis=0)
        return found

    def _place(self, day: date) -> int:
        return min(max((day - self._facts.first_on).days, 0), self._count)

    def _mask(self, spans: Sequence[DaySpan]) -> Mask:
        import numpy as np

        found = np.zeros(self._count, bool)
        for span in spans:
            until = self._count if span.until_on is None else self._place(span.until_on)
            found[self._place(span.from_on) : until] = True
        return found

    def _since(self, day: date | None) -> Mask:
        return self._mask([] if day is None else [DaySpan(day, None)])

    def _dormant(self) -> Mask:
        """Signed up 30 days ago or longer, and nothing in the last 30 days, this one included."""
        long_ago = self._since(
            (self._facts.signed_up_on or self._facts.first_on) + timedelta(days=DORMANT_DAYS)
        )
        ages = days_since(self._facts.active_days, self._facts.first_on, self._count)
        return long_ago & (ages >= DORMANT_DAYS)

    @cached_property
    def _returns(self) -> list[DaySpan]:
        """Paying again after a churn: the first 90 days of it."""
        found = []
        for before, now in pairwise(self._paying):
            if before.until_on is not None and self._churned_between(before.until_on, now.from_on):
                until = now.from_on + timedelta(days=WON_BACK_DAYS)
                ends = until if now.until_on is None else min(until, now.until_on)
                found.append(DaySpan(now.from_on, ends))
        return found

    def _churned_between(self, first: date, until: date) -> bool:
        """Whether a day of a gap in paying was not one of a pause."""
        covered = first
        for span in sorted(self._facts.paused, key=lambda one: one.from_on):
            if span.from_on > covered:
                break
            covered = max(covered, until if span.until_on is None else span.until_on)
        return covered < until

    @cached_property
    def _scores(self) -> Whole:
        return scores_over(self._facts, self.day(0), self.day(self._count - 1))

    @cached_property
    def _faded(self) -> tuple[Mask, list[int]]:
        """Days of row 2c, and the places at which it was entered."""
        import numpy as np

        found = np.zeros(self._count, bool)
        entered: list[int] = []
        pays = self._mask(self._facts.paying)
        if self._count <= FADED_MEAN_DAYS or not pays.any() or not self._facts.active_days:
            return found, entered
        sums = np.concatenate([[0], np.cumsum(self._scores)])
        before = sums[FADED_MEAN_DAYS:-1] - sums[: -FADED_MEAN_DAYS - 1]
        enters = np.zeros(self._count, bool)
        enters[FADED_MEAN_DAYS:] = before >= FADED_FROM * FADED_MEAN_DAYS
        enters &= pays & (self._scores < FADED_BELOW)
        until = 0
        for place in map(int, np.flatnonzero(enters)):
            if place >= until:
                until = self._left(place, pays)
                found[place:until] = True
                entered.append(place)
        return found, entered

    def _left(self, entered: int, pays: Mask) -> int:
        """The place at which row 2c is left that was entered at one."""
        recovered = 0
        for place in range(entered + 1, min(entered + FADED_DAYS, self._count)):
            recovered = recovered + 1 if self._scores[place] >= RECOVERED_FROM else 0
            if recovered == RECOVERED_DAYS or not pays[place]:
                return place
        return min(entered + FADED_DAYS, self._count)

    # --- evidence ---

    def evidence(self, number: int, place: int) -> dict[str, Any]:
        """The facts that make a row of the table true on a day, as plain values."""
        row, day = ROWS[number][0], self.day(place)
        if row in self._spans_of_rows:
            name, spans = self._spans_of_rows[row]
            told: dict[str, Any] = {f"{name}_since": _since(spans, day), "why": _why(spans, day)}
        elif row == "2c":
            told = self._faded_told(place)
        else:
            told = self._other_rows[row](day)
        return {"row": row, **{name: _plain(value) for name, value in told.items()}}

    @property
    def _spans_of_rows(self) -> Mapping[str, tuple[str, Sequence[DaySpan]]]:
        """Rows told by since when and by what; never by an end, which may still move."""
        facts = self._facts
        return {
            "2a": ("past_due", facts.past_due),
            "2b": ("cancel_scheduled", facts.cancel_scheduled),
            "2d": ("disputed", facts.disputed),
            "5": ("paused", facts.paused),
            "6": ("trial", facts.trialing),
        }

    @property
    def _other_rows(self) -> Mapping[str, Callable[[date], dict[str, Any]]]:
        facts = self._facts
        return {
            "1": lambda _: {"deleted_on": facts.deleted_on},
            "3": self._returned_told,
            "4": lambda day: {
                "paying_since": _since(self._paying, day),
                "why": _why(facts.paying, day),
            },
            "7": self._churned_told,
            "8": self._dormant_told,
            "9": self._trial_told,
            "10": lambda _: {"activated_on": facts.activated_on},
            "11": lambda _: {"signed_up_on": facts.signed_up_on},
        }

    def _faded_told(self, place: int) -> dict[str, Any]:
        entered = max(one for one in self._faded[1] if one <= place)
        before = int(self._scores[entered - FADED_MEAN_DAYS : entered].sum())
        return {
            "entered_on": self.day(entered),
            "score_on_entry": int(self._scores[entered]),
            "sum_of_28_scores_before": before,
            "score": int(self._scores[place]),
        }

    def _returned_told(self, day: date) -> dict[str, Any]:
        returned = _since(self._paying, day)
        before = [one.until_on for one in self._paying if one.from_on < returned]
        return {
            "returned_on": returned,
            "paid_until": before[-1],
            "why": _why(self._facts.paying, day),
        }

    def _churned_told(self, day: date) -> dict[str, Any]:
        until = [one.until_on for one in self._paying if one.from_on <= day][-1]
        whys = {one.why for one in self._facts.paying if one.until_on == until}
        return {"paid_until": until, "why": ",".join(sorted(whys))}

    def _dormant_told(self, day: date) -> dict[str, Any]:
        active = [one for one in self._facts.active_days if one <= day]
        return {
            "signed_up_on": self._facts.signed_up_on,
            "known_since": self._facts.first_on,
            "last_active_on": active[-1] if active else None,
        }

    def _trial_told(self, day: date) -> dict[str, Any]:
        ended = [one for one in self._facts.trialing if one.until_on and one.until_on <= day]
        until = max(one.until_on or day for one in ended)
        whys = {one.why for one in ended if one.until_on == until}
        return {"trial_ended_on": until, "why": ",".join(sorted(whys))}


def _since(spans: Sequence[DaySpan], day: date) -> date:
    return min(span.from_on for span in spans if span.holds_on(day))


def _why(spans: Sequence[DaySpan], day: date) -> str:
    return ",".join(sorted({span.why for span in spans if span.holds_on(day)}))


def _merged(spans: Sequence[DaySpan]) -> list[DaySpan]:
    """Spans that touch or overlap as one, without what is behind them."""
    found: list[DaySpan] = []
    for span in sorted(spans, key=lambda one: one.from_on):
        last = found[-1] if found else None
        if last is None or (last.until_on is not None and last.until_on < span.from_on):
            found.append(DaySpan(span.from_on, span.until_on))
        elif last.until_on is not None:
            ends = None if span.until_on is None else max(last.until_on, span.until_on)
            found[-1] = DaySpan(last.from_on, ends)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
