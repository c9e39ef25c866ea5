"""Facts of users as they are stored: one object a user, for stages, scores and explanations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from growth_pipeline.lifecycle.facts import DaySpan, UserFacts
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.storage.postgres import Connection, Database, clear_errors
from growth_pipeline.storage.sql import load_sql


def read_facts(
    connection: Connection, users: Sequence[int], rules: LifecycleRules
) -> dict[int, UserFacts]:
    """Facts of those of some users that count; whoever does not has none.

    Raises: psycopg's own errors; the caller's connection translates them.
    """
    values = {"users": list(users), "tz": rules.tz}
    identities = connection.execute(load_sql("lifecycle/identities"), values).fetchall()
    days = _by_user(connection.execute(load_sql("lifecycle/days_of_users"), values))
    spans = _by_user(connection.execute(load_sql("lifecycle/spans_of_users"), values))
    return {
        row[0]: _facts(row, days.get(row[0], ()), spans.get(row[0], ()), rules)
        for row in identities
        if row[4]
    }


def find_user(database: Database, user_id: str) -> int | None:
    """The number of a user, by the id or an anonymous id of theirs; None: nobody knows it."""
    with clear_errors(), database.connection() as connection:
        row = connection.execute(load_sql("lifecycle/find_user"), {"user_id": user_id}).fetchone()
    return None if row is None else int(row[0])


def _by_user(rows: Iterable[Sequence[Any]]) -> dict[int, list[Sequence[Any]]]:
    found: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found


def _facts(
    identity: Sequence[Any],
    days: Sequence[Sequence[Any]],
    spans: Sequence[Sequence[Any]],
    rules: LifecycleRules,
) -> UserFacts:
    user, signed_up_on, numbered_on, deleted_on, _ = identity
    features: dict[str, list[date]] = defaultdict(list)
    firsts: dict[str, date] = {}
    for _, day, used, done in days:
        for feature in used:
            features[feature].append(day)
        for milestone in done:
            firsts.setdefault(milestone, day)
    by_kind: dict[str, list[DaySpan]] = defaultdict(list)
    for _, kind, from_on, until_on, why in spans:
        by_kind[kind].append(DaySpan(from_on, until_on, why))
    known = [day for day in (signed_up_on, *(row[1] for row in days[:1])) if day is not None]
    known += [span[2] for span in spans]
    return UserFacts(
        user_number=user,
        first_on=min(known, default=numbered_on),
        signed_up_on=signed_up_on,
        deleted_on=deleted_on,
        active_days=tuple(row[1] for row in days),
        feature_days={name: tuple(found) for name, found in sorted(features.items())},
        activated_on=_activated_on(firsts, rules.activation),
        **{kind: tuple(found) for kind, found in by_kind.items()},
    )


def _activated_on(firsts: Mapping[str, date], activation: Sequence[str]) -> date | None:
    """The day of the last of all activation events; None while one is missing, or none is named."""
    if not activation or not all(event in firsts for event in activation):
        return None
    return max(firsts[event] for event in activation)
