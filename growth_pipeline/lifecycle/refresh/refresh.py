"""Stages brought up to date: only users of whom something is new, or whose time has come.

What is to be done stands in lifecycle.news and goes when it was done, so a run that dies loses
nothing and the next one repeats nothing. Contract: docs/lifecycle.md, "How a run works".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.facts import UserFacts
from growth_pipeline.lifecycle.refresh.activity import (
    add_told_days,
    learn_zones,
    number_told,
    read_days_again,
)
from growth_pipeline.lifecycle.refresh.billing import BillingFacts
from growth_pipeline.lifecycle.refresh.fact_store import read_facts
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.lifecycle.stages import STAGES_1, StageSpell, decide
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    clear_errors,
    copy_in,
    lock_partition,
    raw_json,
    upsert,
)
from growth_pipeline.storage.sql import load_sql

RULES: Final = "rules"
EVENTS: Final = "events"
BILLING: Final = "billing"
ZONES: Final = "zones"
# Rows become visible later than the instant they bear.
_SEEN_LATE: Final = timedelta(hours=1)
_ZONES_FROM: Final = timedelta(days=90)
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)
_BATCH: Final = 2000
_TOLD_EVERY: Final = 20
_USER_COLUMNS: Final = {
    "user_number": "int4",
    "stage": "text",
    "since_on": "date",
    "first_on": "date",
    "decided_on": "date",
    "next_due_on": "date",
    "decided_at": "timestamptz",
}
_TRANSITION_COLUMNS: Final = {
    "user_number": "int4",
    "day": "date",
    "from_stage": "text",
    "to_stage": "text",
    "evidence": "jsonb",
    "definition": "text",
    "decided_at": "timestamptz",
}
Tell = Callable[[str], None]


@dataclass
class Refreshed:
    """What a refresh did. `decided_on`: the last local day that is over.

    `looked_at`: users, of whom `due` only because their time had come; `written` and `superseded`:
    transitions; `removed`: users who do not count any more.
    """

    decided_on: date
    anew: bool = False
    looked_at: int = 0
    due: int = 0
    written: int = 0
    superseded: int = 0
    removed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {**asdict(self), "decided_on": self.decided_on.isoformat()}

    def in_words(self) -> str:
        """For a person."""
        how = "everything read anew; " if self.anew else ""
        return (
            f"{how}stages up to {self.decided_on}: {self.looked_at:,} users looked at "
            f"({self.due:,} only because their time had come), {self.written:,} transitions "
            f"written, {self.superseded:,} superseded, {self.removed:,} users removed"
        )


def last_closed_day(now: datetime, tz: str) -> date:
    """The last local day that is over."""
    return now.astimezone(zone_of(tz)).date() - timedelta(days=1)


def refresh_stages(
    database: Database,
    scopes: Sequence[Scope],
    rules: LifecycleRules,
    *,
    now: datetime,
    anew: bool = False,
    batch: int = _BATCH,
    tell: Tell = lambda _: None,
) -> Refreshed:
    """Bring the stage of every user up to the last local day that is over.

    `anew`: read everything from the sources again; the result is the same. It happens by itself
    the first time, and when the rules are others than before.
    Raises: GrowthError when the clock is behind what was read; RemoteUnavailableError;
    UnknownValueError for an API version that is not known.
    """
    run = _Run(database, scopes, rules, now=now, batch=batch, tell=tell)
    with clear_errors():
        return run.refresh(anew=anew)


class _Run:
    """One refresh."""

    def __init__(
        self,
        database: Database,
        scopes: Sequence[Scope],
        rules: LifecycleRules,
        *,
        now: datetime,
        batch: int,
        tell: Tell,
    ) -> None:
        self._database = database
        self._rules = rules
        self._now = now
        self._batch = batch
        self._tell = tell
        self._fingerprint = rules.fingerprint(scopes)
        self._billing = BillingFacts(database, scopes, rules)
        self._done = Refreshed(last_closed_day(now, rules.tz))

    def refresh(self, *, anew: bool) -> Refreshed:
        """Everything in its order."""
        with self._database.connection() as connection:
            told = _reading(connection, RULES)[1]
            read_until = _reading(connection, EVENTS)[0]
        self._done.anew = anew or told != self._fingerprint
        if self._done.anew:
            self._begin_anew()
        else:
            self._check_clock(read_until)
            self._read_events()
            self._read_billing()
        self._look_at_users()
        with self._database.connection() as connection:
            self._learn_zones(connection)
        return self._done

    def _check_clock(self, read_until: datetime | None) -> None:
        """A clock that was set back would make stages of days untrue that are over."""
        if read_until is not None and self._now < read_until:
            raise GrowthError(
                f"the clock says {self._now.isoformat(timespec='minutes')}, but news were read up "
                f"to {read_until.isoformat(timespec='minutes')} already",
                remedy="correct the clock; if it was ahead before, growth lifecycle run --anew "
                "decides everything again",
            )

    def _begin_anew(self) -> None:
        """Forget the facts, read activity of all, and note every user; the queue does the rest."""
        number_told(self._database, since=_BEGINNING, now=self._now)
        with self._database.connection() as connection:
            lock_partition(connection, "lifecycle", "refresh")
            # First: what is noted from here on may be younger than what is read below.
            connection.execute(load_sql("lifecycle/forget_all_news"))
            connection.execute(load_sql("lifecycle/forget_facts"))
            connection.execute(load_sql("lifecycle/forget_readings"))
            self._tell("reading the activity of all users")
            add_told_days(connection, self._rules, since=_BEGINNING)
            connection.execute(load_sql("lifecycle/note_all_users"))
            self._set(connection, EVENTS, self._now - _SEEN_LATE)
            self._set(connection, BILLING, self._now - _SEEN_LATE)
            self._set(connection, RULES, None, self._fingerprint)

    def _read_events(self) -> None:
        with self._database.connection() as connection:
            since = _reading(connection, EVENTS)[0] or _BEGINNING
        number_told(self._database, since=since, now=self._now)
        with self._database.connection() as connection:
            lock_partition(connection, "lifecycle", "refresh")
            add_told_days(connection, self._rules, since=since)
            self._set(connection, EVENTS, self._now - _SEEN_LATE)

    def _read_billing(self) -> None:
        with self._database.connection() as connection:
            since = _reading(connection, BILLING)[0] or _BEGINNING
        users = self._billing.users_with_news(since)
        with self._database.connection() as connection:
            lock_partition(connection, "lifecycle", "refresh")
            connection.execute(load_sql("lifecycle/note_users"), {"users": users})
            self._set(connection, BILLING, self._now - _SEEN_LATE)

    def _look_at_users(self) -> None:
        rounds = 0
        while self._look_at_some():
            rounds += 1
            if rounds % _TOLD_EVERY == 0:
                self._tell(f"{self._done.looked_at:,} users looked at")

    def _look_at_some(self) -> bool:
        """One batch, in one transaction; whether there was any."""
        with self._database.connection() as connection:
            lock_partition(connection, "lifecycle", "refresh")
            values = {"last_on": self._done.decided_on, "batch": self._batch}
            news = connection.execute(load_sql("lifecycle/users_with_news"), values).fetchall()
            users = [row[0] for row in news]
            if not users:
                due = connection.execute(load_sql("lifecycle/users_due"), values).fetchall()
                users = sorted(row[0] for row in due)
                self._done.due += len(users)
            if not users:
                return False
            self._read_facts_again(connection, news)
            self._decide(connection, users)
            notes = [note for row in news for note in row[3]]
            if notes:
                connection.execute(load_sql("lifecycle/forget_news"), {"notes": notes})
            self._done.looked_at += len(users)
            return True

    def _read_facts_again(self, connection: Connection, news: Sequence[Sequence[Any]]) -> None:
        again = [row[0] for row in news if row[1]]
        if again:
            read_days_again(connection, again, self._rules)
        billed = [row[0] for row in news if row[2]]
        if billed:
            self._billing.write(connection, billed)

    def _decide(self, connection: Connection, users: Sequence[int]) -> None:
        facts = read_facts(connection, users, self._rules)
        before = _transitions(connection, users)
        rows: list[tuple[Any, ...]] = []
        gone: list[int] = []
        superseded: list[int] = []
        added: list[tuple[Any, ...]] = []
        later = {user: one.first_on for user, one in facts.items() if self._is_later(one)}
        if later:
            told = {"users": list(later), "days": list(later.values())}
            connection.execute(load_sql("lifecycle/note_later"), told)
        for user in users:
            found, row = self._decide_user(user, facts.get(user))
            if row is None:
                gone.append(user)
            else:
                rows.append(row)
            kept = before.get(user, [])
            same = _same(kept, found)
            superseded += [one[0] for one in kept[same:]]
            added += found[same:]
        self._write(connection, rows, gone, superseded, added)

    def _is_later(self, facts: UserFacts) -> bool:
        return facts.first_on > self._done.decided_on

    def _decide_user(
        self, user: int, facts: UserFacts | None
    ) -> tuple[list[tuple[Any, ...]], tuple[Any, ...] | None]:
        """Transitions and the row of a user; no row for who does not count or is not there yet."""
        if facts is None:
            return [], None
        decision = decide(facts, self._done.decided_on)
        if not decision.spells:
            return [], None
        last = decision.spells[-1]
        row = (
            *(user, str(last.stage), last.from_on, facts.first_on),
            *(self._done.decided_on, decision.next_on, self._now),
        )
        return _as_transitions(user, decision.spells, self._now), row

    def _write(
        self,
        connection: Connection,
        rows: Sequence[tuple[Any, ...]],
        gone: Sequence[int],
        superseded: Sequence[int],
        added: Sequence[tuple[Any, ...]],
    ) -> None:
        if rows:
            columns, types = list(_USER_COLUMNS), list(_USER_COLUMNS.values())
            upsert(connection, "lifecycle.users", columns, types, rows, key=["user_number"])
        if gone:
            forgotten = connection.execute(load_sql("lifecycle/forget_users"), {"users": gone})
            self._done.removed += forgotten.rowcount
        if superseded:
            values = {"ids": superseded, "now": self._now}
            connection.execute(load_sql("lifecycle/supersede"), values)
            self._done.superseded += len(superseded)
        if added:
            columns, types = list(_TRANSITION_COLUMNS), list(_TRANSITION_COLUMNS.values())
            copy_in(connection, "lifecycle.transitions", columns, types, added)
            self._done.written += len(added)

    def _learn_zones(self, connection: Connection) -> None:
        since = _reading(connection, ZONES)[0] or self._now - _ZONES_FROM
        learn_zones(connection, since=since)
        self._set(connection, ZONES, self._now - _SEEN_LATE)

    def _set(
        self, connection: Connection, what: str, until: datetime | None, told: str | None = None
    ) -> None:
        values = {"what": what, "until": until, "told": told}
        connection.execute(load_sql("lifecycle/set_reading"), values)


def _reading(connection: Connection, what: str) -> tuple[datetime | None, str | None]:
    row = connection.execute(load_sql("lifecycle/read_reading"), {"what": what}).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def _transitions(connection: Connection, users: Sequence[int]) -> dict[int, list[Sequence[Any]]]:
    found: dict[int, list[Sequence[Any]]] = {}
    rows = connection.execute(load_sql("lifecycle/transitions_of_users"), {"users": list(users)})
    for row in rows.fetchall():
        found.setdefault(row[1], []).append(row)
    return found


def _as_transitions(
    user: int, spells: Sequence[StageSpell], now: datetime
) -> list[tuple[Any, ...]]:
    before = [None, *(str(spell.stage) for spell in spells)]
    return [
        (
            *(user, spell.from_on, earlier, str(spell.stage)),
            *(_json(spell.evidence), STAGES_1, now),
        )
        for earlier, spell in zip(before, spells, strict=False)
    ]


def _json(evidence: Mapping[str, Any]) -> Any:
    return raw_json(orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS))


def _same(kept: Sequence[Sequence[Any]], found: Sequence[tuple[Any, ...]]) -> int:
    """How many transitions, from the first on, are as they were."""
    for place, (old, new) in enumerate(zip(kept, found, strict=False)):
        if tuple(old[2:5]) != new[1:4] or old[6] != new[5]:
            return place
        if old[5] != orjson.loads(new[4].obj):
            return place
    return min(len(kept), len(found))
