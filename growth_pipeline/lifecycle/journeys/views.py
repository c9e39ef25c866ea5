"""Users as the planner sees them, from the tables; for the hourly run and for a preview."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.facts import Stage, UserFacts
from growth_pipeline.lifecycle.journeys.model import DoesEvent, Journey
from growth_pipeline.lifecycle.journeys.records import (
    Done,
    Ended,
    Enrolment,
    StageChange,
    Standing,
    UserView,
)
from growth_pipeline.lifecycle.refresh.fact_store import read_facts
from growth_pipeline.lifecycle.refresh.refresh import last_closed_day
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.lifecycle.scoring import score_on
from growth_pipeline.storage.postgres import Connection
from growth_pipeline.storage.sql import load_sql


@dataclass(frozen=True)
class WholeUser:
    """One user with everything that is known, from which a view of any instant is cut."""

    view: UserView
    user_id: str | None
    facts: UserFacts | None
    enrolments: tuple[Enrolment, ...] = ()
    sent: tuple[datetime, ...] = ()

    def as_of(self, now: datetime, tz: str) -> UserView:
        """The user as they were known at an instant: nothing later is in it."""
        return replace(
            self.view,
            changes=tuple(one for one in self.view.changes if one.at <= now),
            events=tuple(one for one in self.view.events if one.at <= now),
            standing=partial(_standing, self.facts, now, tz),
        )


def events_of(journeys: Iterable[Journey]) -> list[str]:
    """Events that begin a journey or are its goal."""
    told = {
        part.event
        for journey in journeys
        for part in (journey.trigger, journey.goal)
        if isinstance(part, DoesEvent)
    }
    return sorted(told)


def read_users(
    connection: Connection,
    users: Sequence[int],
    journeys: Sequence[Journey],
    rules: LifecycleRules,
    *,
    oldest: datetime,
    cap_days: int,
    now: datetime,
) -> list[WholeUser]:
    """Users who have a stage. `oldest`: events before it matter to nobody."""
    values = {"users": list(users)}
    needs_facts = any(journey.audience.needs_facts for journey in journeys)
    facts = read_facts(connection, users, rules) if needs_facts else {}
    changes = _by_user(connection, "plan_changes", values)
    events = _events(connection, values, events_of(journeys), oldest)
    enrolments = _by_user(connection, "plan_enrolments", values)
    since = now - timedelta(days=cap_days)
    sent = _by_user(connection, "plan_sent", {**values, "since": since})
    rows = connection.execute(load_sql("lifecycle/plan_identities"), values).fetchall()
    return [
        WholeUser(
            UserView(
                user_number=user,
                user_key=bytes(key),
                changes=tuple(_change(row, rules.tz) for row in changes.get(user, ())),
                events=tuple(Done(row[1], row[2]) for row in events.get(user, ())),
                zone=zone,
            ),
            user_id,
            facts.get(user),
            tuple(_enrolment(row) for row in enrolments.get(user, ())),
            tuple(row[1] for row in sent.get(user, ())),
        )
        for user, key, user_id, zone in rows
    ]


def end_of_day(day: date, tz: str) -> datetime:
    """The instant at which a local day is over."""
    following = day + timedelta(days=1)
    local = datetime(following.year, following.month, following.day, tzinfo=zone_of(tz))
    return local.astimezone(UTC)


def _events(
    connection: Connection, values: Mapping[str, Any], events: Sequence[str], oldest: datetime
) -> dict[int, list[tuple[Any, ...]]]:
    if not events:
        return {}
    keys = connection.execute(load_sql("lifecycle/keys_of_users"), values).fetchall()
    asked = {
        "numbers": [row[0] for row in keys],
        "keys": [row[1] for row in keys],
        "events": list(events),
        "oldest": oldest,
    }
    return _by_user(connection, "plan_events", asked)


def _by_user(
    connection: Connection, statement: str, values: Mapping[str, Any]
) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in connection.execute(load_sql(f"lifecycle/{statement}"), values).fetchall():
        found[row[0]].append(row)
    return found


def _change(row: Sequence[Any], tz: str) -> StageChange:
    _, day, before, now = row
    return StageChange(end_of_day(day, tz), Stage(before) if before else None, Stage(now))


def _enrolment(row: Sequence[Any]) -> Enrolment:
    (_, journey, version, entered_at, is_holdout, trigger, step, next_at, due_at, state, *rest) = (
        row
    )
    return Enrolment(
        journey, version, entered_at, is_holdout, trigger or "", step, next_at, due_at,
        Ended(state), *rest,
    )  # fmt: skip


def _standing(facts: UserFacts | None, now: datetime, tz: str) -> Standing | None:
    day = last_closed_day(now, tz)
    if facts is None or day < facts.first_on:
        return None
    score = score_on(facts, day)
    active = [one for one in facts.active_days if one <= day]
    return Standing(score.value, score.band, (day - active[-1]).days if active else None)
