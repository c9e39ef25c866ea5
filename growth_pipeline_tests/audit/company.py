"""A company of a few payments: extract files in a lake and rows in a database, written as a test says.

Every default agrees on both sides, so a test shows only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from growth_pipeline.audit.audit import Audit, run_audit
from growth_pipeline.audit.months.freeze import ClosedMonths
from growth_pipeline.audit.months.history import History
from growth_pipeline.audit.sources import LATER_PARTS
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.columns import COLUMNS, SCHEMAS
from growth_pipeline.billing.objects import AUDITED_OBJECTS, BY_OBJECT
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database

VERSION = "2026-10-28.endive"
LIVE = Scope("acct_1", True)
TEST = Scope("acct_1", False)
OCTOBER = Month(2025, 10)
SEPTEMBER = Month(2025, 9)
NOVEMBER = Month(2025, 11)
AS_OF = datetime(2025, 11, 2, tzinfo=UTC)
NOON = datetime(2025, 10, 15, 12, tzinfo=UTC)


def epoch(instant: datetime) -> int:
    return int(instant.timestamp())


class Company:
    """Collects objects and rows; `audit()` writes the files and runs the audit."""

    def __init__(
        self, lake: Lake, database: Database, engine: Engine, *, scope: Scope = LIVE
    ) -> None:
        self.lake = lake
        self.database = database
        self.engine = engine
        self.scope = scope
        self.store = AuditStore(database)
        self.as_of = AS_OF
        self.months = [SEPTEMBER, OCTOBER, NOVEMBER]
        self.objects: dict[str, list[dict[str, Any]]] = {name: [] for name in AUDITED_OBJECTS}
        self.certificates: dict[tuple[str, Month], dict[str, Any]] = {}
        self.unwritten: set[tuple[str, Month]] = set()
        self.extracted: set[Month] = (
            set()
        )  # months of which every list was read, whatever is audited
        self.asked: list[tuple[str, str]] = []

    # --- both sides -------------------------------------------------------------------------

    def payment(
        self, number: int, amount: int, *, booked: Mapping[str, Any] | None = None, **stripe: Any
    ) -> None:
        """A charge and its row; `booked` changes the row, other arguments the charge."""
        charge = self.charge(number, amount, **stripe)
        self.row(number, **{**_row_of(charge), **(booked or {})})

    # --- Stripe -----------------------------------------------------------------------------

    def charge(self, number: int, amount: int, **fields: Any) -> dict[str, Any]:
        status = fields.get("status", "succeeded")
        captured = fields.get("captured", status == "succeeded")
        charge = {
            "id": f"ch_{number}",
            "created": epoch(NOON) + number,
            "payment_intent": f"pi_{number}",
            "customer": "cus_1",
            "currency": "usd",
            "amount": amount,
            "amount_captured": amount if captured else 0,
            "amount_refunded": 0,
            "captured": captured,
            "paid": status == "succeeded",
            "status": status,
            "refunded": False,
            "disputed": False,
            "balance_transaction": f"txn_{number}" if status == "succeeded" and captured else None,
            **fields,
        }
        self.objects["charges"].append(charge)
        if charge["balance_transaction"]:
            self.balance(number, charge)
        return charge

    def balance(self, number: int, charge: Mapping[str, Any], **fields: Any) -> None:
        fee = charge["amount_captured"] * 3 // 100
        self.objects["balance_transactions"].append(
            {
                "id": f"txn_{number}",
                "created": charge["created"],
                "currency": charge["currency"],
                "amount": charge["amount_captured"],
                "fee": fee,
                "net": charge["amount_captured"] - fee,
                "type": "charge",
                "reporting_category": "charge",
                "source": charge["id"],
                "status": "available",
                "available_on": charge["created"],
                **fields,
            }
        )

    def refund(
        self, number: int, amount: int, *, of: int, moved: bool = True, **fields: Any
    ) -> None:
        """A refund; `moved`: with its balance transaction."""
        status = fields.get("status", "succeeded")
        refund = {
            "id": f"re_{number}",
            "created": epoch(NOON) + of + 3600,
            "charge": f"ch_{of}",
            "payment_intent": f"pi_{of}",
            "currency": "usd",
            "amount": amount,
            "status": status,
            **fields,
        }
        self.objects["refunds"].append(refund)
        if moved and status == "succeeded":
            self._move(refund, -amount, "refund")
        if status in {"succeeded", "pending"}:
            for charge in self.objects["charges"]:
                if charge["id"] == refund["charge"]:
                    charge["amount_refunded"] += amount

    def dispute(
        self,
        number: int,
        amount: int,
        *,
        of: int,
        withdrawn: int = 0,
        reinstated: int = 0,
        moved: bool = True,
        **fields: Any,
    ) -> None:
        """A dispute; `moved`: with the balance transaction of its funds."""
        self.objects["disputes"].append(
            {
                "id": f"dp_{number}",
                "created": epoch(NOON) + of + 7200,
                "charge": f"ch_{of}",
                "payment_intent": f"pi_{of}",
                "currency": "usd",
                "amount": amount,
                "status": "needs_response",
                "withdrawn_minor": withdrawn,
                "reinstated_minor": reinstated,
                **fields,
            }
        )
        if moved and withdrawn != reinstated:
            self._move(self.objects["disputes"][-1], reinstated - withdrawn, "adjustment")
        for charge in self.objects["charges"]:
            charge["disputed"] |= charge["id"] == f"ch_{of}"

    def _move(self, thing: Mapping[str, Any], amount: int, kind: str) -> None:
        self.other(
            "balance_transactions",
            id=f"txn_{thing['id']}",
            created=thing["created"],
            currency=thing["currency"],
            amount=amount,
            fee=0,
            net=amount,
            type=kind,
            reporting_category="dispute" if kind == "adjustment" else kind,
            source=thing["id"],
            status="available",
            available_on=thing["created"],
        )

    def other(self, resource: str, **fields: Any) -> None:
        self.objects[resource].append({"created": epoch(NOON), **fields})

    # --- the books --------------------------------------------------------------------------

    def row(self, number: int, **fields: Any) -> None:
        row = {
            "account_id": self.scope.account_id,
            "livemode": self.scope.livemode,
            "charge_id": f"ch_{number}",
            "payment_intent_id": f"pi_{number}",
            "invoice_id": None,
            "customer_id": "cus_1",
            "status": "succeeded",
            "captured": True,
            "currency": "usd",
            "amount_minor": 0,
            "refunded_minor": 0,
            "disputed_minor": 0,
            "fee_minor": None,
            "net_minor": None,
            "settlement_currency": None,
            "created_at": NOON + timedelta(seconds=number),
            "written_by": "mirror",
            "written_at": NOON + timedelta(minutes=5),
            **fields,
        }
        names = ", ".join(row)
        values = ", ".join(f"%({name})s" for name in row)
        with self.database.connection() as connection:
            connection.execute(f"insert into billing.payments ({names}) values ({values})", row)

    def mirrored(
        self, kind: str, object_id: str, *, scope: Scope | None = None, **payload: Any
    ) -> None:
        """An object of the mirror. Columns that the test does not name hold a 0 of their type."""
        from psycopg.types.json import Jsonb

        resource = BY_OBJECT[kind].resource
        told = {**payload, **payload.get("payment", {})}
        row = {
            name: told.get(name, _ZEROS[column.type] if column.required else None)
            for name, column in COLUMNS[resource].items()
        } | {
            **(scope or self.scope)._asdict(),
            "id": object_id,
            "api_version": VERSION,
            "payload": Jsonb({"id": object_id, **payload}),
            "created_at": NOON,
            "state_from": NOON,
            "state_at": NOON,
            "origin": "event",
            "event_id": "evt_m",
            "applied_at": NOON,
        }
        names = ", ".join(row)
        values = ", ".join(f"%({name})s" for name in row)
        with self.database.connection() as connection:
            connection.execute(f"insert into stripe.{resource} ({names}) values ({values})", row)

    def event(self, event_id: str, kind: str, object_id: str, *, state: str = "applied") -> None:
        with self.database.connection() as connection:
            connection.execute(
                "insert into billing.inbox (account_id, livemode, event_id, type, created_at, received_at,"
                " body, state, object, object_id) values (%s, %s, %s, %s, %s, %s, '', %s, %s, %s)",
                [*self.scope, event_id, f"{kind}.updated", NOON, NOON, state, kind, object_id],
            )

    # --- running ----------------------------------------------------------------------------

    def write(self, audited: Month = OCTOBER) -> None:
        """Files of the audited month, of what may come later, and of other months with objects."""
        self.objects["customers"] = self.objects["customers"] or [
            {"id": "cus_1", "created": epoch(NOON)}
        ]
        for resource in self.objects:
            for month in self.months:
                is_later = month > audited and resource in LATER_PARTS
                is_needed = month == audited or is_later or month in self.extracted
                if (resource, month) not in self.unwritten and (
                    is_needed or self._objects(resource, month)
                ):
                    self._write(resource, month)

    def _objects(self, resource: str, month: Month) -> list[dict[str, Any]]:
        lt = min(month.end, self.as_of)
        return [
            one
            for one in self.objects[resource]
            if epoch(month.start) <= one["created"] < epoch(lt)
        ]

    def _write(self, resource: str, month: Month) -> None:
        lt = min(month.end, self.as_of)
        rows = [
            {
                "account_id": self.scope.account_id,
                "livemode": self.scope.livemode,
                "api_version": VERSION,
                "fetched_from": self.as_of,
                "fetched_at": self.as_of,
                "raw": "{}",
                **one,
            }
            for one in self._objects(resource, month)
        ]
        frame = pl.DataFrame(rows, schema=SCHEMAS[resource], orient="row")
        certificate = {
            "resource": resource,
            "window": [epoch(month.start), epoch(lt)],
            "pages": 1,
            "objects": frame.height,
            "request_count": 1,
            "has_more": False,
            "complete": True,
            "api_version": VERSION,
            "as_of": self.as_of.isoformat(),
            "fetched_from": self.as_of.isoformat(),
            "fetched_to": self.as_of.isoformat(),
            **self.certificates.get((resource, month), {}),
        }
        partition = {"account": self.scope.account_id, "mode": self.scope.mode, "month": month.key}
        self.lake.write_partition(f"stripe/{resource}", partition, [frame], certificate)

    def audit(
        self,
        month: Month = OCTOBER,
        *,
        confirm: Callable[[str, str], Mapping[str, Any] | None] | None = None,
        run_id: str = "run-1",
        now: datetime | None = None,
        tz: str = "UTC",
        history: History | None = None,
    ) -> Audit:
        self.write(month)
        return run_audit(
            month,
            scope=self.scope,
            lake=self.lake,
            store=self.store,
            engine=self.engine,
            confirm=confirm,
            as_of=self.as_of,
            started_at=now or self.as_of,
            now=now or self.as_of,
            run_id=run_id,
            tz=tz,
            history=history,
        )

    def audit_and_keep(
        self, month: Month = OCTOBER, *, as_of: datetime | None = None, tz: str = "UTC", **more: Any
    ) -> Audit:
        """An audit among the others of its month: it knows them, and it is published."""
        self.as_of = as_of or self.as_of
        closed = ClosedMonths(self.store.history, self.lake, close_after_days=5)
        history = History(self.store.previous(self.scope, month, tz=tz), closed)
        run_id = f"run-{self.as_of.isoformat()}"
        audit = self.audit(month, run_id=run_id, tz=tz, history=history, **more)
        self.store.publish(audit)
        return audit


_ZEROS: dict[pl.DataType, Any] = {pl.String(): "", pl.Int64(): 0, pl.Boolean(): False}


def _row_of(charge: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "charge_id": charge["id"],
        "payment_intent_id": charge["payment_intent"],
        "customer_id": charge["customer"],
        "status": charge["status"],
        "captured": charge["captured"],
        "currency": charge["currency"],
        "amount_minor": charge["amount_captured"] if charge["captured"] else charge["amount"],
        "created_at": datetime.fromtimestamp(charge["created"], UTC),
    }


def found(audit: Audit) -> list[tuple[str, str, dict[str, int] | None]]:
    """Findings as (code, id, impact by currency), sorted: what tests compare with."""
    return sorted(
        (one.code, one.object_id, None if one.impacts is None else dict(one.impacts))
        for one in audit.findings
    )
