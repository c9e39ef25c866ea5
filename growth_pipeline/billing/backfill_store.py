"""Statements of backfills: what the mirror holds of a span. What it changes: `ledger.py`."""

from __future__ import annotations

from datetime import datetime

from growth_pipeline.billing.objects import BY_OBJECT, BY_RESOURCE
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.postgres import Database
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

    def count_months(
        self, scope: Scope, start: datetime, end: datetime
    ) -> dict[tuple[str, str], int]:
        """Number of objects by resource and month key; absent where the mirror has none."""
        asked = {**scope._asdict(), "start": start, "end": end}
        with self._database.connection() as connection:
            rows = connection.execute(load_sql("billing/count_objects_of_months"), asked).fetchall()
        return {
            (BY_OBJECT[name].resource, month): objects
            for name, month, objects in rows
            if name in BY_OBJECT
        }
