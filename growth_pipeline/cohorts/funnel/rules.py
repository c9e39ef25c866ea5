"""How far one unit gets through the stages of a funnel. Pure.

An event is an instant and the stages that it can serve, as bits: stage 1 is bit 0. Each event
serves one stage of an attempt at most; events of one instant stand in no order among each other.
Contract: docs/metrics.md, "Funnels".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Instant = tuple[int, tuple[int, ...]]
"""(Unix microsecond, the stages that each of its events can serve)."""


@dataclass(frozen=True)
class Plan:
    """The rules of attempts. Units: microseconds.

    `window_us`: from an attempt's first stage, its last instant inside. `first_us` and `last_us`:
    `[first, last)`, where stage 1 lies. `as_of_us`: nothing at it or later is known.
    """

    stages: int
    order: str = "ordered"
    ties: bool = True
    window_us: int | None = None
    first_us: int | None = None
    last_us: int | None = None
    as_of_us: int | None = None

    def holds_first(self, at_us: int) -> bool:
        """Whether stage 1 may lie at an instant."""
        after = self.first_us is None or at_us >= self.first_us
        return after and (self.last_us is None or at_us < self.last_us)

    def is_open(self, at_us: int) -> bool:
        """Whether an attempt from an instant has less than its window left before as_of."""
        if self.window_us is None or self.as_of_us is None:
            return False
        return self.as_of_us - at_us < self.window_us

    def last_instant(self, at_us: int) -> int | None:
        """The last instant inside the window of an attempt, None without end."""
        return None if self.window_us is None else at_us + self.window_us


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `reached`: the instants at which its stages were reached, the first one first.

    `entered_us`: the instant of the event that is stage 1, by which the attempt is broken down.
    """

    start_us: int
    reached: tuple[int, ...]
    entered_us: int
    is_open: bool = False


def best_attempt(instants: Sequence[Instant], plan: Plan) -> Attempt | None:
    """The attempt of a unit that gets farthest, of equals the earliest; None without stage 1.

    Closed attempts come before open ones, however far these got. `instants`: in order of time, each
    once; for `strict` with every event of the unit, bits 0 for those of no stage.
    """
    events = _Events(instants)
    best: dict[bool, Attempt] = {}
    for attempt in _ATTEMPTS[plan.order](events, plan):
        known = best.get(attempt.is_open)
        if known is None or len(attempt.reached) > len(known.reached):
            best[attempt.is_open] = attempt
        if not attempt.is_open and len(attempt.reached) == plan.stages:
            break
    return best.get(False) or best.get(True)


def stages_served(instants: Sequence[Instant], plan: Plan) -> int:
    """The stages, as bits, of which the unit has an event in the range, each by itself."""
    served = 0
    for at_us, bits in instants:
        if plan.holds_first(at_us):
            for one in bits:
                served |= one
    return served


@dataclass
class _Events:
    """A unit's events, and where those of a stage are."""

    instants: Sequence[Instant]

    @cached_property
    def times(self) -> list[int]:
        return [at_us for at_us, _ in self.instants]

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """Stage -> places of the instants that have an event of it."""
        found: dict[int, list[int]] = {}
        for place, (_, bits) in enumerate(self.instants):
            whole = 0
            for one in bits:
                whole |= one
            stage = 0
            while whole:
                if whole & 1:
                    found.setdefault(stage, []).append(place)
                whole, stage = whole >> 1, stage + 1
        return found

    def following(self, stage: int, place: int) -> int | None:
        """The first place from `place` on with an event of a stage."""
        known = self.places.get(stage, [])
        at = bisect_left(known, place)
        return known[at] if at < len(known) else None

    def end(self, last_us: int | None) -> int:
        """The place after the last instant that is inside."""
        return len(self.times) if last_us is None else bisect_right(self.times, last_us)


def _ordered(events: _Events, plan: Plan) -> Iterator[Attempt]:
    for place in events.places.get(0, []):
        at_us = events.times[place]
        if not plan.holds_first(at_us):
            continue
        end = events.end(plan.last_instant(at_us))
        reached: list[int] = []
        following: int | None = place
        while following is not None and following < end:
            bits = events.instants[following][1]
            count = _advance(bits, len(reached), plan)
            reached += [events.times[following]] * count
            if len(reached) == plan.stages:
                break
            following = events.following(len(reached), following + 1)
        yield Attempt(at_us, tuple(reached), at_us, plan.is_open(at_us))
        if plan.window_us is None:
            return  # without a window no later attempt gets farther


def _strict(events: _Events, plan: Plan) -> Iterator[Attempt]:
    seen_to = -1
    for place in events.places.get(0, []):
        at_us = events.times[place]
        # Without a window an attempt that begins inside another one gets no farther.
        if not plan.holds_first(at_us) or place <= seen_to:
            continue
        end = events.end(plan.last_instant(at_us))
        reached = [at_us] * _advance(events.instants[place][1], 0, plan)
        later = place + 1
        while later < end and len(reached) < plan.stages:
            moment, bits = events.instants[later]
            count = _advance(bits, len(reached), plan)
            reached += [moment] * count
            if _stops(bits, len(reached)):
                break
            later += 1
        if plan.window_us is None:
            seen_to = later - 1
        yield Attempt(at_us, tuple(reached), at_us, plan.is_open(at_us))


def _any(events: _Events, plan: Plan) -> Iterator[Attempt]:
    """Each instant begins an attempt; a stage is reached when it and all before it are there."""
    for place, start_us in enumerate(events.times):
        if not any(events.instants[place][1]):
            continue
        inside = events.instants[place : events.end(plan.last_instant(start_us))]
        reached = tuple(_completed(inside, plan))
        if reached:
            entered_us = next(
                at_us for at_us, bits in inside if plan.holds_first(at_us) and _has_first(bits)
            )
            yield Attempt(start_us, reached, entered_us, plan.is_open(start_us))
        if plan.window_us is None:
            return


def _completed(inside: Sequence[Instant], plan: Plan) -> Iterator[int]:
    """The instants at which stage 1, stages 1 to 2, and so on are all there."""
    matching = _Matching(plan.stages)
    count = 0
    for at_us, bits in inside:
        in_range = plan.holds_first(at_us)
        for one in bits:
            matching.add(one if in_range else one & ~1)
        while count < plan.stages and matching.covers(count + 1):
            count += 1
            yield at_us
        if count == plan.stages:
            return


def _has_first(bits: Sequence[int]) -> bool:
    return any(one & 1 for one in bits)


_ATTEMPTS = {"ordered": _ordered, "strict": _strict, "any": _any}


def _advance(bits: Sequence[int], reached: int, plan: Plan) -> int:
    """How many stages after `reached` the events of one instant serve, one event each."""
    if len(bits) == 1 or not plan.ties:
        return int(reached < plan.stages and any(one >> reached & 1 for one in bits))
    matching = _Matching(plan.stages, first=reached)
    for one in bits:
        matching.add(one)
    count = 0
    while reached + count < plan.stages and matching.covers(reached + count + 1):
        count += 1
    return count


def _stops(bits: Sequence[int], reached: int) -> bool:
    """Whether an instant has an event that is neither used nor a repeat of a stage reached.

    Events of one instant come in the order that is best for the attempt: those that serve a stage
    first, then repeats, then others.
    """
    repeats = (1 << reached) - 1
    return any(not one & repeats for one in bits)


class _Matching:
    """Events given to stages, one each, so that as many first stages as possible have one."""

    def __init__(self, stages: int, first: int = 0) -> None:
        self.first = first
        self.stages = stages
        self.free: dict[int, int] = {}
        self.used: dict[int, int] = {}  # stage -> bits of its event

    def add(self, bits: int) -> None:
        """One more event."""
        if bits:
            self.free[bits] = self.free.get(bits, 0) + 1

    def covers(self, count: int) -> bool:
        """Whether the stages before `count` all have an event; gives them one if possible."""
        return all(
            stage in self.used or self._give(stage, set()) for stage in range(self.first, count)
        )

    def _give(self, stage: int, tried: set[int]) -> bool:
        """Find an event for a stage; an event of another stage may move over."""
        for bits, left in self.free.items():
            if left and bits >> stage & 1:
                self.free[bits] = left - 1
                self.used[stage] = bits
                return True
        for other, bits in list(self.used.items()):
            if other in tried or not bits >> stage & 1:
                continue
            tried.add(other)
            if self._give(other, tried):
                self.used[stage] = bits
                return True
        return False
