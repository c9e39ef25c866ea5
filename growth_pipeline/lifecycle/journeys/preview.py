"""What journeys would have done in the past: played again with the rule of the hourly run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.journeys.model import Journey, SendingPolicy
from growth_pipeline.lifecycle.journeys.plan import advance
from growth_pipeline.lifecycle.journeys.records import Ended, Enrolment, Intent
from growth_pipeline.lifecycle.journeys.views import WholeUser, end_of_day, events_of, read_users
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

_BATCH: Final = 500
_HOUR: Final = timedelta(hours=1)
_NO_CAP: Final = 1_000_000
_MOST_SHOWN: Final = 1_000


@dataclass
class Played:
    """What one set of journeys would have done to the users of a span of days."""

    entered: dict[str, set[int]] = field(default_factory=dict)
    held_out: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
    cap_violations: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "entered": {name: len(users) for name, users in sorted(self.entered.items())},
            "held_out": dict(self.held_out),
            "ended": dict(self.ended),
            "messages": dict(sorted(self.messages.items())),
            "held_back": dict(self.held_back),
            "cap_violations_without_a_cap": self.cap_violations,
            "who_gets_what": self.rows,
        }


@dataclass(frozen=True)
class Preview:
    """What would have been sent from `first` to `last`, and how another definition differs."""

    first: date
    last: date
    users: int
    played: Played
    against: Played | None

    @property
    def differences(self) -> dict[str, dict[str, int]]:
        """Journey -> users who would enter only here, only in the other definition, or in both."""
        if self.against is None:
            return {}
        names = sorted({*self.played.entered, *self.against.entered})
        found = {}
        for name in names:
            here = self.played.entered.get(name, set())
            there = self.against.entered.get(name, set())
            found[name] = {
                "only_new": len(here - there),
                "only_old": len(there - here),
                "both": len(here & there),
            }
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "users": self.users,
            **self.played.to_dict(),
            "against": None if self.against is None else self.against.to_dict(),
            "audience_difference": self.differences,
        }


def preview(
    database: Database,
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    rules: LifecycleRules,
    *,
    first: date,
    last: date,
    against: Sequence[Journey] | None = None,
) -> Preview:
    """Play journeys over local days of the past as if they had begun then; nothing is written.

    Stages are those that are known now; a change of stage is seen at the end of its day. Triggers
    before `first` begin nothing, and `starts_on` of a journey is not looked at.
    Raises: UsageError for days in the wrong order; RemoteUnavailableError.
    """
    if last < first:
        raise UsageError(f"{last} is before {first}", remedy="give the first day first")
    played, other = Played(), None if against is None else Played()
    mine = [replace(journey, starts_on=first) for journey in journeys]
    others = [replace(journey, starts_on=first) for journey in against or ()]
    every = (*mine, *others)
    with clear_errors():
        users = _users(database, every, rules, first, last)
        for part in range(0, len(users), _BATCH):
            with database.connection() as connection:
                found = read_users(
                    connection,
                    users[part : part + _BATCH],
                    every,
                    rules,
                    oldest=end_of_day(first - timedelta(days=1), rules.tz),
                    cap_days=policy.cap_days,
                    now=end_of_day(last, rules.tz),
                )
            for user in found:
                span = (first, last)
                _play(user, mine, policy, rules, span, played)
                if other is not None:
                    _play(user, others, policy, rules, span, other)
    return Preview(first, last, len(users), played, other)


def _users(
    database: Database,
    journeys: Sequence[Journey],
    rules: LifecycleRules,
    first: date,
    last: date,
) -> list[int]:
    values = {"first": first, "last": last, "tz": rules.tz, "events": events_of(journeys)}
    with database.connection() as connection:
        rows = connection.execute(load_sql("lifecycle/preview_users"), values).fetchall()
    return [user for (user,) in rows]


def _play(
    user: WholeUser,
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    rules: LifecycleRules,
    span: tuple[date, date],
    into: Played,
) -> None:
    """One user through the days, hour by hour where something happens; and without a cap."""
    run = _Run(user, journeys, policy, rules, span)
    for message, at in run.messages:
        into.messages[message.message] += 1
        if len(into.rows) < _MOST_SHOWN:
            told = {"user": user.user_id, "message": message.message, "target": message.target}
            into.rows.append({**told, "at": at.isoformat()})
    for one in run.enrolments:
        into.entered.setdefault(one.journey, set()).add(user.view.user_number)
        if one.is_holdout:
            into.held_out[one.journey] += 1
        if one.state is not Ended.ACTIVE:
            into.ended[str(one.state)] += 1
    into.held_back.update(run.held_back)
    if "cap" not in run.held_back:
        return  # without a cap it would be the same
    free = replace(policy, cap_messages=_NO_CAP)
    sent = [at for _, at in _Run(user, journeys, free, rules, span).messages]
    into.cap_violations += count_violations(sent, policy)


def count_violations(sent: Sequence[datetime], policy: SendingPolicy) -> int:
    """How many of a user's messages are one too many for the cap, in the order of time."""
    cap = timedelta(days=policy.cap_days)
    return sum(
        sum(at - cap < earlier for earlier in sent[: place + 1]) > policy.cap_messages
        for place, at in enumerate(sent)
    )


class _Run:
    """One user, played through a span of days; `advance` decides, as in the hourly run."""

    def __init__(
        self,
        user: WholeUser,
        journeys: Sequence[Journey],
        policy: SendingPolicy,
        rules: LifecycleRules,
        span: tuple[date, date],
    ) -> None:
        self.messages: list[tuple[Intent, datetime]] = []
        self.enrolments: Sequence[Enrolment] = ()
        self.held_back: Counter[str] = Counter()
        self._begins = end_of_day(span[0] - timedelta(days=1), rules.tz)
        self._ends = end_of_day(span[1], rules.tz)
        told = [*(one.at for one in user.view.changes), *(one.at for one in user.view.events)]
        self._hours = sorted(
            {_full_hour(at) for at in told if self._begins < at <= self._ends}, reverse=True
        )
        now = self._begins
        while (following := self._next(now)) is not None:
            now = following
            view = user.as_of(now, rules.tz)
            sent = [at for _, at in self.messages]
            decided = advance(view, self.enrolments, sent, journeys, policy, now)
            self.enrolments = decided.enrolments
            self.messages += [(message, now) for message in decided.messages]
            self.held_back.update(one.reason for one in decided.held_back)

    def _next(self, now: datetime) -> datetime | None:
        """The next full hour at which there is something to look at; None: none before the end."""
        while self._hours and self._hours[-1] <= now:
            self._hours.pop()
        hours = [
            max(_full_hour(one.next_at), now + _HOUR)
            for one in self.enrolments
            if one.state is Ended.ACTIVE and one.next_at is not None
        ]
        hours += self._hours[-1:]
        return min((hour for hour in hours if hour <= self._ends), default=None)


def _full_hour(at: datetime) -> datetime:
    whole = at.replace(minute=0, second=0, microsecond=0)
    return whole if whole == at else whole + _HOUR
