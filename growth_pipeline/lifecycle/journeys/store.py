"""The hourly look at journeys: only users of whom something is new, or a step is due.

What is decided is written in one transaction a batch: enrolments and the messages of the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from growth_pipeline.lifecycle.journeys.model import LATEST, Journey, SendingPolicy
from growth_pipeline.lifecycle.journeys.plan import advance
from growth_pipeline.lifecycle.journeys.quiet import quiet_from, quiet_until
from growth_pipeline.lifecycle.journeys.records import (
    Decisions,
    Ended,
    Enrolment,
    Intent,
    UserView,
)
from growth_pipeline.lifecycle.journeys.views import WholeUser, events_of, read_users
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    lock_partition,
    raw_json,
)
from growth_pipeline.storage.sql import load_sql

PLAN: Final = "plan"
_SEEN_LATE: Final = timedelta(hours=1)
_OLDEST_EVENT: Final = timedelta(days=120)
_BATCH: Final = 500
Tell = Callable[[str], None]


@dataclass
class Planned:
    """What a look decided. `is_dry`: nothing of it was written.

    Counters by journey, messages by journey/step, held back by reason. `shown`: the first messages.
    """

    is_dry: bool
    looked_at: int = 0
    entered: Counter[str] = field(default_factory=Counter)
    held_out: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
    shown: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }

    def in_words(self) -> str:
        """For a person."""
        how = "dry run, nothing is kept or sent: " if self.is_dry else ""
        held = ", ".join(f"{reason} {count}" for reason, count in sorted(self.held_back.items()))
        return (
            f"{how}{self.looked_at:,} users looked at, {self.entered.total():,} entered a journey "
            f"({self.held_out.total():,} of them held out), {self.messages.total():,} messages; "
            f"held back: {held or 'none'}"
        )


def plan_messages(
    database: Database,
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    rules: LifecycleRules,
    *,
    now: datetime,
    send: bool,
    batch: int = _BATCH,
    tell: Tell = lambda _: None,
) -> Planned:
    """Decide what is due now, and put it into the outbox; without `send` only tell of it.

    Raises: RemoteUnavailableError.
    """
    planned = Planned(is_dry=not send)
    with clear_errors():
        if send:
            _look_at_waiting(database, policy, now)
        users = _users(database, journeys, rules, now)
        for first in range(0, len(users), batch):
            with database.connection() as connection:
                lock_partition(connection, "lifecycle", PLAN)
                for user in read_users(
                    connection,
                    users[first : first + batch],
                    journeys,
                    rules,
                    oldest=now - _OLDEST_EVENT,
                    cap_days=policy.cap_days,
                    now=now,
                ):
                    _plan(connection, user, journeys, policy, rules, now, planned)
        if send:
            with database.connection() as connection:
                values = {"what": PLAN, "until": now - _SEEN_LATE, "told": None}
                connection.execute(load_sql("lifecycle/set_reading"), values)
    tell(planned.in_words())
    return planned


def _look_at_waiting(database: Database, policy: SendingPolicy, now: datetime) -> None:
    """Messages that could not be sent yet keep out of quiet hours; excluded users get none."""
    with database.connection() as connection:
        lock_partition(connection, "lifecycle", PLAN)
        connection.execute(load_sql("lifecycle/plan_excluded"), {"now": now})
        rows = connection.execute(load_sql("lifecycle/plan_waiting"), {"now": now}).fetchall()
        moved: dict[str, list[Any]] = {"messages": [], "due_at": [], "quiet_at": []}
        for message, zone, known in rows:
            until = quiet_until(now, policy, zone)
            following = quiet_from(until or now, policy, zone)
            if until is not None or following != known:
                moved["messages"].append(message)
                moved["due_at"].append(until)
                moved["quiet_at"].append(following)
        if moved["messages"]:
            connection.execute(load_sql("lifecycle/plan_move"), moved)


def _users(
    database: Database, journeys: Sequence[Journey], rules: LifecycleRules, now: datetime
) -> list[int]:
    with database.connection() as connection:
        row = connection.execute(load_sql("lifecycle/read_reading"), {"what": PLAN}).fetchone()
        # What is older begins nothing any more; and a clock that was ahead once hides nothing.
        since = min(row[0], now - _SEEN_LATE) if row else now - LATEST
        since = max(since, now - LATEST - timedelta(days=1))
        values = {
            "since": since,
            "oldest": (now - LATEST - timedelta(days=2)).date(),
            "now": now,
            "events": events_of(journeys),
        }
        found = connection.execute(load_sql("lifecycle/plan_users"), values).fetchall()
    return [user for (user,) in found]


def _plan(
    connection: Connection,
    user: WholeUser,
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    rules: LifecycleRules,
    now: datetime,
    planned: Planned,
) -> None:
    view = user.as_of(now, rules.tz)
    decided = advance(view, user.enrolments, user.sent, journeys, policy, now)
    planned.looked_at += 1
    planned.entered.update(one.journey for one in decided.entered)
    planned.held_out.update(one.journey for one in decided.entered if one.is_holdout)
    planned.messages.update(one.message for one in decided.messages)
    planned.held_back.update(one.reason for one in decided.held_back)
    for intent in decided.messages[: max(0, 20 - len(planned.shown))]:
        planned.shown.append({"user": user.user_id, "message": intent.message})
    if not planned.is_dry:
        _write(connection, view, user.enrolments, decided)


def _write(
    connection: Connection, view: UserView, before: Sequence[Enrolment], decided: Decisions
) -> None:
    for enrolment in decided.enrolments:
        if enrolment not in before:
            connection.execute(load_sql("lifecycle/plan_enrol"), _enrol(view, enrolment))
            if enrolment.state in (Ended.GOAL, Ended.EXITED):
                told = {"user_key": view.user_key, "journey": enrolment.journey}
                connection.execute(load_sql("lifecycle/plan_cancel"), told)
    for intent in decided.messages:
        connection.execute(load_sql("lifecycle/plan_message"), _message(view, intent))


def _enrol(view: UserView, enrolment: Enrolment) -> dict[str, Any]:
    told = {"told": enrolment.trigger, "due_at": enrolment.due_at}
    return {
        "user_number": view.user_number,
        "journey": enrolment.journey,
        "version": enrolment.version,
        "entered_at": enrolment.entered_at,
        "trigger": raw_json(orjson.dumps(told)),
        "is_holdout": enrolment.is_holdout,
        "state": str(enrolment.state),
        "next_step": enrolment.next_step,
        "next_at": enrolment.next_at,
        "goal_at": enrolment.goal_at,
        "ended_at": enrolment.ended_at,
        "end_reason": enrolment.end_reason,
    }


def _message(view: UserView, intent: Intent) -> dict[str, Any]:
    return {
        "user_key": view.user_key,
        "user_number": view.user_number,
        "message": intent.message,
        "journey": intent.journey,
        "version": intent.version,
        "step": intent.step,
        "action": intent.action,
        "target": intent.target,
        "priority": intent.priority,
        "basis": intent.basis,
        "trigger_at": intent.trigger_at,
        "due_at": intent.due_at,
        "late_at": intent.late_at,
        "quiet_at": intent.quiet_at,
    }
