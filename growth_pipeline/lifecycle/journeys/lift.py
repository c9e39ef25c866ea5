"""What journeys are worth: how many reach the goal with messages, and how many without.

Everybody who entered counts, as they were drawn: whoever got messages against whoever was held out.
Only enrolments in the version that is loaded, and whose time for the goal is over, are looked at;
goals are read from stages and events for both sides alike. The interval is Newcombe's for the
difference of two independent shares (1998, method 10), from Wilson's for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Any, Final

from growth_pipeline.lifecycle.journeys.model import Journey
from growth_pipeline.lifecycle.journeys.plan import goal_reached
from growth_pipeline.lifecycle.journeys.records import UserView
from growth_pipeline.lifecycle.journeys.views import read_users
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.storage.postgres import Connection, Database, clear_errors
from growth_pipeline.storage.sql import load_sql

TOO_FEW: Final = 20
_Z: Final = 1.959963984540054  # 95 %
_BATCH: Final = 2000


@dataclass(frozen=True)
class Lift:
    """Grain: one journey. Rates 0 to 1; None where nobody entered.

    `low` and `high`: 95 % interval of the difference; None, with `too_few`, where one side has
    fewer than 20 users.
    """

    journey: str
    treated: int
    treated_goals: int
    holdout: int
    holdout_goals: int
    open: int
    difference: float | None
    low: float | None
    high: float | None
    too_few: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


@dataclass
class _Counted:
    treated: int = 0
    treated_goals: int = 0
    holdout: int = 0
    holdout_goals: int = 0
    open: int = 0

    def add(self, *, is_holdout: bool, has_goal: bool) -> None:
        if is_holdout:
            self.holdout += 1
            self.holdout_goals += has_goal
        else:
            self.treated += 1
            self.treated_goals += has_goal


def measure_lift(
    database: Database, journeys: Sequence[Journey], rules: LifecycleRules, *, now: datetime
) -> list[Lift]:
    """One row for each journey with a goal. Raises: RemoteUnavailableError."""
    known = {one.definition: one for one in journeys if one.goal is not None}
    counted = {name: _Counted() for name in known}
    with clear_errors(), database.connection() as connection:
        rows = [
            (user, f"{name}@{version}", is_holdout, entered_at)
            for user, name, version, is_holdout, entered_at in connection.execute(
                load_sql("lifecycle/lift_rows")
            ).fetchall()
        ]
        rows = [row for row in rows if row[1] in known]
        for first in range(0, len(rows), _BATCH):
            part = rows[first : first + _BATCH]
            users = _users(connection, part, journeys, rules, now)
            for user, name, is_holdout, entered_at in part:
                if user not in users:
                    continue  # excluded since
                if now < entered_at + timedelta(days=known[name].goal_days):
                    counted[name].open += 1
                    continue
                goal_at = goal_reached(users[user], known[name], entered_at)
                counted[name].add(is_holdout=is_holdout, has_goal=goal_at is not None)
    return [lift_of(known[name].name, *astuple(one)) for name, one in counted.items()]


def _users(
    connection: Connection,
    rows: Sequence[tuple[int, str, bool, datetime]],
    journeys: Sequence[Journey],
    rules: LifecycleRules,
    now: datetime,
) -> dict[int, UserView]:
    found = read_users(
        connection,
        sorted({row[0] for row in rows}),
        journeys,
        rules,
        oldest=min(row[3] for row in rows),
        cap_days=1,
        now=now,
    )
    return {one.view.user_number: one.as_of(now, rules.tz) for one in found}


def lift_of(
    journey: str, treated: int, treated_goals: int, holdout: int, holdout_goals: int, open_: int = 0
) -> Lift:
    """The difference of two shares with its interval."""
    too_few = min(treated, holdout) < TOO_FEW
    if not treated or not holdout:
        return Lift(
            journey, treated, treated_goals, holdout, holdout_goals, open_, None, None, None, True
        )
    one, other = treated_goals / treated, holdout_goals / holdout
    low_1, high_1 = _wilson(treated_goals, treated)
    low_2, high_2 = _wilson(holdout_goals, holdout)
    difference = one - other
    return Lift(
        journey,
        treated,
        treated_goals,
        holdout,
        holdout_goals,
        open_,
        difference,
        None if too_few else difference - sqrt((one - low_1) ** 2 + (high_2 - other) ** 2),
        None if too_few else difference + sqrt((high_1 - one) ** 2 + (other - low_2) ** 2),
        too_few,
    )


def _wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's interval of a share. Source: Wilson 1927."""
    share, square = hits / count, _Z**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * sqrt(share * (1 - share) / count + square / (4 * count**2))
    return middle - half, middle + half
