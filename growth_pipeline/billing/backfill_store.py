"""Statements of backfills: what the mirror holds of a span. What it changes: `ledger.py`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from growth_pipeline.billing.backfill import Part
from growth_pipeline.billing.objects import BY_OBJECT, BY_RESOURCE, WHOLE_OBJECTS
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.postgres import Connection, Database
from growth_pipeline.storage.sql import load_sql


class BackfillStore:
    """The mirror as a backfill looks at it before it begins. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def living(self, scope: Scope, resource: str, start: datetime, end: datetime) -> set[str]:
        """Ids of the objects created in `[start, end)` that the mirror does not hold deleted."""
        asked = {**scope._asdict(), "object": BY_RESOURCE[resource].object}
        with self._database.connection() as connection:
            rows = connection.execute(
                load_sql("billing/list_living_objects"), {**asked, "start": start, "end": end}
            ).fetchall()
        return {id_ for (id_,) in rows}

    def count_parts(self, parts: Collection[Part]) -> dict[Part, int]:
        """Number of objects that an extract would bring; absent where the mirror has none."""
        months = sorted(part.month for part in parts if part.month)
        counted: dict[Part, int] = {}
        with self._database.connection() as connection:
            for scope in {part.scope for part in parts}:
                counted |= _count_whole(connection, scope)
                if months:
                    counted |= _count_months(connection, scope, months[0], months[-1])
        return {part: counted[part] for part in parts if part in counted}


_WHOLE_KINDS: Final = [BY_RESOURCE[name].object for name in WHOLE_OBJECTS]


def _count_whole(connection: Connection, scope: Scope) -> dict[Part, int]:
    asked = {**scope._asdict(), "objects": _WHOLE_KINDS}
    rows = connection.execute(load_sql("billing/count_objects"), asked).fetchall()
    return {Part(scope, BY_OBJECT[name].resource, None): objects for name, objects in rows}


def _count_months(
    connection: Connection, scope: Scope, first: Month, last: Month
) -> dict[Part, int]:
    asked = {**scope._asdict(), "start": first.start, "end": last.end}
    rows = connection.execute(load_sql("billing/count_objects_of_months"), asked).fetchall()
    return {
        Part(scope, BY_OBJECT[name].resource, Month.parse(month)): objects
        for name, month, objects in rows
    }
