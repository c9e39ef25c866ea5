"""Active days of users, from events that were received lately or from all that a user ever did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import zone_of
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.storage.postgres import Connection, Database, lock_partition
from growth_pipeline.storage.sql import load_sql


def number_told(database: Database, *, since: datetime, now: datetime) -> None:
    """Number the users whom calls received since an instant tell of, and learn who they are.

    The nightly numbering does the same for everybody; this one reads the news only.
    """
    values = {"since": since, "now": now}
    with database.connection() as connection:
        lock_partition(connection, "activity", "user_numbers")
        for statement in ("events/learn_users", "lifecycle/number_told", "events/learn_merges"):
            connection.execute(load_sql(statement), values)
        connection.execute(load_sql("lifecycle/correct_told"), values)


def add_told_days(connection: Connection, rules: LifecycleRules, *, since: datetime) -> None:
    """Add active days of events received since an instant; notes the users of whom it is news."""
    connection.execute(load_sql("lifecycle/stage_told_days"), _values(rules, since=since))
    for statement in ("add_days", "add_uses"):
        connection.execute(load_sql(f"lifecycle/{statement}"))


def read_days_again(connection: Connection, users: Sequence[int], rules: LifecycleRules) -> None:
    """Replace the active days of users by all that the source has of them."""
    values = {"users": list(users)}
    for statement in ("forget_days", "forget_uses"):
        connection.execute(load_sql(f"lifecycle/{statement}"), values)
    told = connection.execute(load_sql("lifecycle/keys_of_users"), values).fetchall()
    numbers, keys = [row[0] for row in told], [row[1] for row in told]
    asked = _values(rules, numbers=numbers, keys=keys)
    connection.execute(load_sql("lifecycle/stage_user_days"), asked)
    for statement in ("copy_days", "add_uses"):
        connection.execute(load_sql(f"lifecycle/{statement}"))
    connection.execute("drop table growth_told_days")


def learn_zones(connection: Connection, *, since: datetime) -> None:
    """Keep the zone that users' own calls told last; a name that is no zone is left out."""
    rows = connection.execute(load_sql("lifecycle/told_zones"), {"since": since}).fetchall()
    told = {user: zone for user, zone in rows if zone and _is_zone(zone)}
    values = {"users": list(told), "zones": list(told.values())}
    connection.execute(load_sql("lifecycle/set_zones"), values)


def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except UsageError:
        return False
    return True


def _values(rules: LifecycleRules, **told: Any) -> dict[str, Any]:
    return {
        **told,
        "tz": rules.tz,
        "features": list(rules.features),
        "milestones": list(rules.activation),
    }
