"""A company whose books somebody spoiled: a Stripe on loopback, a database, audits and repairs.

Everything is real but Stripe: webhooks are received and applied, lists are extracted over HTTP. What
is planted is done with plain SQL. Its clock is passed in; nothing of a run depends on when it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from growth_pipeline.audit.audit import Audit, run_audit
from growth_pipeline.audit.months.freeze import ClosedMonths
from growth_pipeline.audit.months.history import History
from growth_pipeline.audit.repair.run import Repair, Stores, repair_month
from growth_pipeline.audit.repair.store import Place, RepairStore
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.extract import Part, extract_lists
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.billing.refetch import fetch
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes import stripe_events as shapes
from growth_pipeline_tests.fakes.fast_access import fast_access
from growth_pipeline_tests.fakes.living_stripe import Account, LivingStripe

SCOPE = Scope("acct_1", False)
MONTH = Month(2030, 1)
PLACE = Place(SCOPE, MONTH, "UTC")
DAY = 86_400
NOON = shapes.NOON + 10 * DAY  # of the 11th: what is older than the grace by far
AS_OF = datetime(2030, 2, 20, tzinfo=UTC)
LATER = AS_OF + timedelta(hours=3)


def open_reader(url: str) -> StripeReader:
    """A reader of a Stripe on loopback, without limits, whose clock is the company's."""
    return StripeReader(access(url), clock=lambda: AS_OF)


def access(url: str) -> StripeAccess:
    """Key and address of the company's Stripe."""
    return fast_access(url, timeout_seconds=20, retry_seconds=5)


def stores(database: Database) -> Stores:
    """All that a repair reads and writes."""
    return Stores(AuditStore(database), BillingStore(database), RepairStore(database))


def audit_month(
    database: Database,
    reader: StripeReader,
    folder: Path,
    *,
    run_id: str,
    now: datetime,
    tz: str = "UTC",
) -> Audit:
    """One audit of the month with everything that belongs to it, stored and written up."""
    store, lake = AuditStore(database), Lake(str(folder / "lake"))
    audit = run_audit(
        MONTH,
        scope=SCOPE,
        lake=lake,
        store=store,
        engine=Engine(memory_limit="512MiB", threads=1, temp_dir=folder / "spill"),
        confirm=reader.retrieve,
        as_of=now,
        started_at=now,
        now=now,
        run_id=run_id,
        history=History(
            store.previous(SCOPE, MONTH, tz=tz),
            ClosedMonths(store.history, lake, close_after_days=5),
        ),
        tz=tz,
    )
    store.publish(audit)
    return audit


def repair(
    database: Database, reader: StripeReader, *, now: datetime, tz: str = "UTC", **options: Any
) -> Repair:
    """A plan of the month's repair, or the repair."""
    place = Place(SCOPE, MONTH, tz)
    return repair_month(place, stores=stores(database), reader=reader, now=now, **options)


class Spoiled:
    """The company. `stripe` is the truth, `database` what became of it here."""

    def __init__(self, stripe: LivingStripe, database: Database, folder: Path) -> None:
        self.stripe = stripe
        self.account: Account = stripe.account
        self.database = database
        self.lake = Lake(str(folder / "lake"))
        self.folder = folder
        self.store = BillingStore(database)
        self.stores = stores(database)

    # --- Stripe -----------------------------------------------------------------------------

    def charge(self, number: int, amount: int = 1000, **fields: Any) -> None:
        """A settled payment with intent, fee and invoice payment; each is told by an event."""
        self.account.now = NOON + number
        charge = f"ch_{number}"
        intent = {
            "id": f"pi_{number}",
            "object": "payment_intent",
            "amount": amount,
            "amount_received": amount,
            "currency": fields.get("currency", "usd"),
            "customer": "cus_1",
            "latest_charge": charge,
            "status": "succeeded",
        }
        if ("customer", "cus_1") not in self.account.objects:
            self.account.create(shapes.a_customer())
        self.account.create(intent)
        told = {
            "amount": amount,
            "amount_captured": amount,
            "payment_intent": f"pi_{number}",
            "balance_transaction": f"txn_{number}",
            **fields,
        }
        balance = self._balance(number, amount, told)  # Stripe has no event of it
        self.account.objects["balance_transaction", balance["id"]] = balance
        self.account.create(shapes.a_charge(charge, **told), "charge.succeeded")

    def refund(self, number: int, amount: int, *, of: int, **fields: Any) -> None:
        """A refund, and the charge that says so."""
        self.account.now = NOON + of + 60
        charge = self.account.objects["charge", f"ch_{of}"]
        told = {"amount": amount, "payment_intent": f"pi_{of}", **fields}
        refund = shapes.a_refund(f"re_{number}", f"ch_{of}", **told)
        counted = refund["status"] in {"succeeded", "pending"}
        if counted:
            self.move_money(f"txn_re_{number}", -amount, "refund", source=refund["id"])
        sum_now = charge["amount_refunded"] + (amount if counted else 0)
        self.account.create(refund, "refund.created")
        self.account.change("charge", f"ch_{of}", "charge.refunded", amount_refunded=sum_now)

    def dispute(self, number: int, *, of: int, withdrawn: int) -> None:
        """A dispute whose funds were withdrawn, and the charge that says so."""
        self.account.now = NOON + of + 90
        told = {"amount": withdrawn, "payment_intent": f"pi_{of}"}
        dispute = shapes.a_dispute(f"dp_{number}", f"ch_{of}", -withdrawn, **told)
        self.move_money(f"txn_dp_{number}_0", -withdrawn, "dispute", source=dispute["id"])
        self.account.create(dispute, "charge.dispute.created")
        self.account.change("charge", f"ch_{of}", "charge.updated", disputed=True)

    def move_money(self, name: str, amount: int, category: str, *, source: str) -> None:
        """A balance transaction of a refund or a dispute; Stripe has no event of it."""
        self.account.objects["balance_transaction", name] = {
            "id": name,
            "object": "balance_transaction",
            "amount": amount,
            "created": self.account.now,
            "available_on": self.account.now + 7 * DAY,
            "currency": "usd",
            "fee": 0,
            "net": amount,
            "reporting_category": category,
            "source": source,
            "status": "available",
            "type": "refund" if category == "refund" else "adjustment",
        }

    def silent(self, tell: bool) -> None:
        """Whether webhooks arrive from now on."""
        self.account.receiver_is_on = tell

    def _balance(self, number: int, amount: int, charge: dict[str, Any]) -> dict[str, Any]:
        fee = amount * 3 // 100
        return {
            "id": f"txn_{number}",
            "object": "balance_transaction",
            "amount": amount,
            "created": self.account.now,
            "available_on": self.account.now + 7 * DAY,
            "currency": charge.get("currency", "usd"),
            "fee": fee,
            "net": amount - fee,
            "reporting_category": "charge",
            "source": f"ch_{number}",
            "status": "available",
            "type": "charge",
        }

    # --- here -------------------------------------------------------------------------------

    def receive(self) -> None:
        """Store and apply every event that was delivered; fees are fetched, no event tells them."""
        at = datetime.fromtimestamp(self.account.now, UTC)
        bodies = self.account.take_delivered()
        events = [
            received_event(parse_envelope(b), b, account_id=SCOPE.account_id, received_at=at)
            for b in bodies
        ]
        self.store.insert_events(events)
        apply_waiting(self.store, now=at)
        told = {json.loads(body)["data"]["object"].get("balance_transaction") for body in bodies}
        with open_reader(self.stripe.url) as reader:
            keys = [ObjectKey(*SCOPE, "balance_transaction", one) for one in sorted(told - {None})]
            apply_fetched(self.store, [fetch(reader, key) for key in keys], source="relist", now=at)
        self.account.now = int(AS_OF.timestamp())

    def sql(self, statement: str, *parameters: Any) -> None:
        """What somebody does to the books by hand."""
        with self.database.connection() as connection:
            connection.execute(statement, parameters)

    def copy_row(self, number: int, **values: Any) -> None:
        """A second row like a charge's own, written by hand."""
        with self.database.connection() as connection:
            columns = _COLUMNS
            chosen = ", ".join(f"%({c})s" if c in values else c for c in columns)
            connection.execute(
                f"insert into billing.payments ({', '.join(columns)}, written_by, written_at)"
                f" select {chosen}, 'hand', %(_at)s from billing.payments"
                " where charge_id = %(_charge)s and written_by = 'mirror'",
                {**values, "_charge": f"ch_{number}", "_at": AS_OF - timedelta(days=3)},
            )

    def extract(self, resources: Iterable[str] = AUDITED_OBJECTS) -> None:
        """The lists of the month and of the one after it, certified."""
        parts = [Part(name, month) for name in resources for month in (MONTH, MONTH.next)]
        for done in extract_lists(
            parts, accesses=[access(self.stripe.url)], lake=self.lake, now=AS_OF
        ):
            assert done.error is None, done.error

    def audit(self, run_id: str = "first", *, now: datetime = AS_OF, tz: str = "UTC") -> Audit:
        """Audit the month and publish what it found."""
        with open_reader(self.stripe.url) as reader:
            return audit_month(self.database, reader, self.folder, run_id=run_id, now=now, tz=tz)

    def repair(self, *, now: datetime = LATER, **options: Any) -> Repair:
        """Plan a repair, or carry it out."""
        with open_reader(self.stripe.url) as reader:
            return repair(self.database, reader, now=now, **options)

    def books(self) -> list[dict[str, Any]]:
        """All booked rows, without what the database gives them."""
        with self.database.connection() as connection:
            rows = connection.execute(
                "select to_jsonb(p) - 'payment_id' - 'written_at' from billing.payments p"
                " order by charge_id, written_by, amount_minor, p.livemode"
            ).fetchall()
        return [row[0] for row in rows]


_COLUMNS = (
    *("account_id", "livemode", "charge_id", "payment_intent_id", "invoice_id", "customer_id"),
    *("status", "captured", "currency", "amount_minor", "refunded_minor", "disputed_minor"),
    *("fee_minor", "net_minor", "settlement_currency", "created_at"),
)


def codes(audit: Audit) -> list[tuple[str, str]]:
    """Findings as (class, id), sorted."""
    return sorted((one.code, one.object_id) for one in audit.findings)


def booked(company: Spoiled) -> dict[str, tuple[int, int, int]]:
    """One row a charge, settled, in dollars, of the mode and month of the company."""
    rows = company.books()
    assert {row["livemode"] for row in rows} == {False}
    assert {(row["status"], row["captured"], row["currency"]) for row in rows} == {
        ("succeeded", True, "usd")
    }
    assert len(rows) == len({row["charge_id"] for row in rows})
    names = ("amount_minor", "refunded_minor", "disputed_minor")
    return {row["charge_id"]: tuple(row[name] for name in names) for row in rows}


UPDATE = "update billing.payments set {} where charge_id = %s and written_by = 'mirror'"


def spoil(company: Spoiled) -> list[tuple[str, str]]:
    """One payment of each class of the books; what the audit must find, by hand."""
    for number in range(1, 15):
        company.charge(number, 1000 * number)
    company.refund(1, 300, of=8)
    company.refund(2, 200, of=9, status="failed")
    company.receive()
    company.silent(False)
    company.charge(20, 5000)
    company.refund(3, 700, of=10)
    company.dispute(1, of=11, withdrawn=1100)
    company.receive()
    company.copy_row(1)
    company.copy_row(1, amount_minor=1)
    company.sql(UPDATE.format("status = 'failed'"), "ch_2")
    company.sql(UPDATE.format("currency = 'eur'"), "ch_3")
    company.sql(UPDATE.format("amount_minor = amount_minor * 100"), "ch_4")
    company.sql(UPDATE.format("amount_minor = amount_minor - 1"), "ch_5")
    company.sql(UPDATE.format("charge_id = 'ch_invented'"), "ch_6")
    company.sql(UPDATE.format("livemode = true"), "ch_7")
    company.sql(UPDATE.format("refunded_minor = 900"), "ch_8")
    company.sql(UPDATE.format("refunded_minor = 200"), "ch_9")
    company.sql(UPDATE.format("customer_id = 'cus_nobody'"), "ch_12")
    company.sql(UPDATE.format("created_at = created_at + interval '1 month'"), "ch_13")
    return sorted(
        [
            ("amount_mismatch", "ch_4"),
            ("amount_rounding", "ch_5"),
            ("currency_mismatch", "ch_3"),
            ("dispute_missing", "ch_11"),
            ("duplicate_row", "ch_1"),
            ("livemode_leak", "ch_7"),
            ("missing_in_db", "ch_20"),
            ("missing_in_db", "ch_6"),
            ("missing_in_stripe", "ch_invented"),
            ("orphan_row", "ch_12"),
            ("period_cutoff", "ch_13"),
            ("refund_excess", "ch_8"),
            ("refund_failed_booked", "ch_9"),
            ("refund_missing", "ch_10"),
            ("status_mismatch", "ch_2"),
        ]
    )


def spoil_a_little(company: Spoiled) -> None:
    """A lost payment, a doubled one, a wrong one, an invented one: rows come, go and change."""
    for number in (1, 2, 3):
        company.charge(number, 1000 * number)
    company.receive()
    company.silent(False)
    company.charge(20, 5000)
    company.receive()
    company.copy_row(1)
    company.sql(UPDATE.format("amount_minor = amount_minor * 100"), "ch_2")
    company.sql(UPDATE.format("charge_id = 'ch_invented'"), "ch_3")


# What the books must say in the end: gross, refunded, disputed of each charge, by hand.
TRUTH = {
    **{f"ch_{number}": (1000 * number, 0, 0) for number in range(1, 15)},
    "ch_8": (8000, 300, 0),
    "ch_10": (10_000, 700, 0),
    "ch_11": (11_000, 0, 1100),
    "ch_20": (5000, 0, 0),
}
