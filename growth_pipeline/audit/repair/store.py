"""Statements of repairs: plans that were shown, what was carried out, and rows of the books.

No rule lives here; which rows change is decided in `repair/rules.py`. The mirror is written by
`billing/ledger.py` in the same transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from growth_pipeline.audit.repair.plan import Plan, Step, Stored, contents_of
from growth_pipeline.billing.store import MirrorTurn
from growth_pipeline.billing.tables import ObjectKey, as_arrays
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.postgres import Connection, Database, lock_partition, raw_json
from growth_pipeline.storage.sql import load_sql

_ROWS_AT_ONCE: Final = 5_000
_LATER: Final = timedelta(microseconds=1)


class BookedImage(NamedTuple):
    """One row of billing.payments as JSON. `charge`: key of its charge, None without one."""

    payment_id: int
    is_mirror: bool
    charge: ObjectKey | None
    image: dict[str, Any]


class CarriedOut(NamedTuple):
    """One repair that was carried out."""

    repair_id: str
    applied_at: datetime
    applied_by: str
    undone_at: datetime | None
    undone_by: str | None


class Found(NamedTuple):
    """The repair of an id, with the scope, month and zone it was of."""

    scope: Scope
    month: str
    tz: str
    done: CarriedOut


class ChangedRow(NamedTuple):
    """One booked row that a repair changed; None: there is no such row."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True)
class Place:
    """What a plan is of: one month in a zone, of one account and mode."""

    scope: Scope
    month: Month
    tz: str

    def parameters(self) -> dict[str, Any]:
        """For statements."""
        return {**self.scope._asdict(), "month": self.month.first_day, "tz": self.tz}


class RepairStore:
    """Plans, repairs and booked rows in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def turn(self) -> Iterator[RepairTurn]:
        """One transaction in which nobody else changes the mirror or carries out a repair.

        Committed when the block ends, rolled back when it raises.
        """
        with self._database.connection() as connection:
            lock_partition(connection, "billing", "mirror")
            yield RepairTurn(connection)

    def images(
        self, payment_ids: Iterable[int], charges: Iterable[ObjectKey]
    ) -> dict[int, BookedImage]:
        """Committed rows of these numbers, and rows that the mirror booked of these charges.

        What an open turn has written is not among them.
        """
        with self._database.connection() as connection:
            return _images(connection, payment_ids, charges)

    def keep_plan(self, plan: Plan, now: datetime) -> Plan:
        """The plan as it was shown: stored, or known already under an earlier name.

        A plan that was shown last, and not carried out since, keeps its name. The newest is the
        last that was shown, also where the clock was set back.
        """
        place = Place(plan.scope, plan.month, plan.tz)
        with self._database.connection() as connection:
            lock_partition(connection, "repair", *map(str, place.parameters().values()))
            newest = _newest_plan(connection, place)
            if newest is not None and newest.hash == plan.hash and not newest.carried_out:
                return plan.named(newest.plan_id, newest.shown_at)
            plan = plan.shown(now if newest is None else max(now, newest.shown_at + _LATER))
            connection.execute(
                load_sql("audit/repair_insert_plan"),
                {
                    **place.parameters(),
                    "plan_id": plan.plan_id,
                    "hash": plan.hash,
                    "audit_id": plan.audit_id,
                    "only": list(plan.only),
                    "contents": raw_json(_json(contents_of(plan.steps))),
                    "shown_at": plan.shown_at,
                },
            )
        return plan

    def newest_plan(self, place: Place) -> Stored | None:
        """The plan of a month that was shown last."""
        with self._database.connection() as connection:
            return _newest_plan(connection, place)

    def repairs(self, place: Place) -> list[CarriedOut]:
        """Repairs of a month that were carried out, the newest first."""
        with self._database.connection() as connection:
            rows = connection.execute(
                load_sql("audit/repairs_of_month"), place.parameters()
            ).fetchall()
        return [CarriedOut(*row) for row in rows]


class RepairTurn:
    """What the holder of the turn may read and write; one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.mirror = MirrorTurn(connection)

    def newest_plan(self, place: Place) -> Stored | None:
        """The plan of a month that was shown last."""
        return _newest_plan(self._connection, place)

    def images(
        self, payment_ids: Iterable[int], charges: Iterable[ObjectKey]
    ) -> dict[int, BookedImage]:
        """Rows of these numbers, and rows that the mirror booked of these charges, as of now."""
        return _images(self._connection, payment_ids, charges)

    def hold_rows(self, payment_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Booked rows of these numbers; nobody else changes them until the turn ends."""
        asked = {"payment_ids": sorted(set(payment_ids))}
        rows = self._connection.execute(load_sql("audit/repair_lock_rows"), asked).fetchall()
        return dict(rows)

    def delete_rows(self, payment_ids: Iterable[int]) -> int:
        """Take rows out of the books; how many."""
        asked = {"payment_ids": sorted(set(payment_ids))}
        return self._connection.execute(load_sql("audit/repair_delete_rows"), asked).rowcount

    def correct_row(self, payment_id: int, values: Mapping[str, Any], *, now: datetime) -> None:
        """Make a row of a payment without a charge say what Stripe says."""
        parameters = {**values, "payment_id": payment_id, "now": now}
        self._connection.execute(load_sql("audit/repair_correct_row"), parameters)

    def record(self, plan: Plan, *, now: datetime, by: str) -> None:
        """Write down that a plan was carried out, with every row that it changed."""
        document = {name: value for name, value in plan.to_dict().items() if name != "steps"}
        key = {"plan_id": plan.plan_id}
        self._connection.execute(
            load_sql("audit/repair_insert_repair"),
            {**key, "plan": raw_json(_json(document)), "now": now, "by": by},
        )
        rows = [_trail_row(place, step) for place, step in enumerate(plan.steps, start=1)]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            self._connection.execute(
                load_sql("audit/repair_insert_rows"), {**key, "steps": raw_json(_json(some))}
            )

    def find(self, repair_id: str) -> Found | None:
        """The repair of an id, held until the turn ends; None for an unknown one."""
        row = self._connection.execute(
            load_sql("audit/repair_find"), {"repair_id": repair_id}
        ).fetchone()
        if row is None:
            return None
        account_id, livemode, month, tz, *done = row
        return Found(Scope(account_id, livemode), month, tz, CarriedOut(repair_id, *done))

    def rows_of(self, repair_id: str) -> list[ChangedRow]:
        """Booked rows that a repair changed, the last first."""
        rows = self._connection.execute(
            load_sql("audit/repair_rows_of"), {"repair_id": repair_id}
        ).fetchall()
        return [ChangedRow(before, after) for _, before, after in rows]

    def restore_rows(self, images: Sequence[Mapping[str, Any]]) -> None:
        """Put rows back as they were, under their own numbers.

        Raises: RowsRefusedError when another row took their place.
        """
        if images:
            rows = [raw_json(_json(image)) for image in images]
            with self.mirror.savepoint():
                self._connection.execute(load_sql("audit/repair_restore_rows"), {"rows": rows})

    def mark_undone(self, repair_id: str, *, now: datetime, by: str) -> None:
        """Write down that a repair's booked rows were put back."""
        self._connection.execute(
            load_sql("audit/repair_mark_undone"), {"repair_id": repair_id, "now": now, "by": by}
        )


def _newest_plan(connection: Connection, place: Place) -> Stored | None:
    row = connection.execute(load_sql("audit/repair_newest_plan"), place.parameters()).fetchone()
    return None if row is None else Stored(*row)


def _images(
    connection: Connection, payment_ids: Iterable[int], charges: Iterable[ObjectKey]
) -> dict[int, BookedImage]:
    asked = [(key.account_id, key.livemode, key.id) for key in charges]
    rows = connection.execute(
        load_sql("audit/repair_images"),
        {
            "payment_ids": sorted(set(payment_ids)),
            **as_arrays(("account_ids", "livemodes", "charge_ids"), asked),
        },
    ).fetchall()
    return {
        payment_id: BookedImage(
            payment_id,
            is_mirror,
            ObjectKey(account, livemode, "charge", charge) if charge else None,
            image,
        )
        for payment_id, is_mirror, account, livemode, charge, image in rows
    }


def _trail_row(place: int, step: Step) -> dict[str, Any]:
    return {
        "place": place,
        "table_name": step.table,
        "row_key": step.key,
        "change": step.change,
        "before": step.before,
        "after": step.after,
        "fingerprints": list(step.fingerprints),
        "codes": list(step.codes),
    }


def _json(value: Any) -> str:
    """JSON for Postgres, which refuses the zero character that Stripe's texts may hold."""
    return json.dumps(value, default=str).replace("\\u0000", "\\ufffd")
