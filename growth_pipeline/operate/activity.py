"""`growth adopt` and `growth events rollup`: a company's own tables into the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.activity.adopt import (
    events_view,
    read_source,
    segments_view,
    signup_trigger,
    users_view,
)
from growth_pipeline.events.activity.rollup import QualifyingSet, Rolled, roll_up, roll_up_news
from growth_pipeline.operate.home import check_home, migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database


@dataclass(frozen=True)
class Adopted:
    """The statements, in order, whether they ran, and what a person should know."""

    statements: tuple[str, ...]
    done: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {"done": self.done, "statements": list(self.statements), "notes": list(self.notes)}

    def lines(self) -> list[str]:
        """For a person: SQL that can be pasted."""
        shown = [f"{statement};" for statement in self.statements]
        notes = [f"-- note: {note}" for note in self.notes]
        return [*shown, *notes, "-- done" if self.done else "-- dry run: nothing was changed"]


def adopt(
    *,
    users: str | None,
    id: str,
    created: str,
    email: str | None,
    activity: Sequence[str],
    segments: Sequence[str] = (),
    trigger: bool,
    dry_run: bool,
    say: Callable[[str], None],
) -> Adopted:
    """Point the pipeline at the company's own users and activity; a dry run only shows the SQL.

    Raises: UsageError for tables or columns that are not there; ConfigurationError for rights.
    """
    if users is None and not activity:
        raise UsageError("nothing to adopt", remedy="give --users TABLE or --activity TABLE?...")
    for option, is_given in (("--trigger", trigger), ("--segment", bool(segments))):
        if is_given and users is None:
            raise UsageError(f"{option} needs --users", remedy="name the table of users")
    with _store(say, dry_run=dry_run) as store:
        plan, notes = _plan(store, users, (id, created, email), activity, segments, trigger=trigger)
        if not dry_run:
            store.execute(plan)
    return Adopted(tuple(plan), not dry_run, tuple(notes))


def roll_up_activity(
    *,
    since: str | None,
    anew: bool = False,
    qualifying: QualifyingSet,
    now: datetime,
    say: Callable[[str], None],
) -> Rolled:
    """Bring the lake's activity up to date; with `since`, every day from that one on.

    `anew`: every day, whatever zone or events it was made with before.

    Raises: UsageError for a day that is none; RemoteUnavailableError; LakeWriteError.
    """
    if anew and since is not None:
        raise UsageError("--anew makes every day again", remedy="leave --since out")
    with _store(say, dry_run=False) as store:
        settings = load_settings()
        lake, engine = Lake(settings.resolved_lake_url), Engine(**settings.engine_bounds)
        segments = settings.cohorts.segments
        if since is None:
            return roll_up_news(
                store,
                lake,
                engine,
                as_of=now,
                now=now,
                qualifying=qualifying,
                segments=segments,
                anew=anew,
            )
        first = _day(since)
        count = (now.date() - first).days + 2  # the zone may be a day ahead; the rest is left out
        days = [first + timedelta(days=n) for n in range(count)]
        return roll_up(
            store, lake, engine, days, as_of=now, qualifying=qualifying, segments=segments
        )


def chosen_set(name: str | None, events: tuple[str, ...] | None, tz: str | None) -> QualifyingSet:
    """Which events count, by days of a zone; None: that of the settings.

    Raises: UsageError for a zone or name that is none, and for events without a name.
    """
    return QualifyingSet(name, events, tz or load_settings().events.timezone)


def exclude_user(user_id: str, reason: str, *, say: Callable[[str], None]) -> None:
    """Leave an internal or test user out of every number; the next rollup reads the days again."""
    with _store(say, dry_run=False) as store:
        store.exclude(user_id, reason)


def merge_user(anonymous_id: str, user_id: str, *, say: Callable[[str], None]) -> None:
    """Count what an id did as a user's; the next rollup reads the days again.

    Raises: UsageError when both are one.
    """
    if anonymous_id == user_id:
        raise UsageError("an id cannot be merged with itself", remedy="name two different ids")
    with _store(say, dry_run=False) as store:
        store.merge(anonymous_id, user_id)


def _plan(
    store: ActivityStore,
    users: str | None,
    columns: tuple[str, str, str | None],
    activity: Sequence[str],
    segments: Sequence[str],
    *,
    trigger: bool,
) -> tuple[list[str], list[str]]:
    plan: list[str] = []
    relations = []
    if users is not None:
        relation = store.relation(users)
        relations.append(relation)
        plan.append(users_view(relation, *columns))
        if segments:
            plan.append(segments_view(relation, columns[0], segments))
        if trigger:
            plan += signup_trigger(relation, *columns[:2])
    sources = [(source, store.relation(source.table)) for source in map(read_source, activity)]
    if sources:
        plan.append(events_view(sources))
    notes = [
        f"row security hides rows of {relation.quoted} from this role: users and activity may be "
        "missing. Remedy: a policy for the role, or BYPASSRLS"
        for relation in [*relations, *(relation for _, relation in sources)]
        if relation.restricted
    ]
    return plan, notes


@contextmanager
def _store(say: Callable[[str], None], *, dry_run: bool) -> Iterator[ActivityStore]:
    log_for_a_person(say)
    with open_home() as home:
        (check_home if dry_run else migrate_home)(home)
        with Database(home.database_url, application_name="growth command") as database:
            yield ActivityStore(database)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", remedy="write it as 2026-10-05") from None
