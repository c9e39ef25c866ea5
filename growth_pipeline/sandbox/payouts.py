"""Weekly payouts of each currency's balance, made after all customers have lived."""

from __future__ import annotations

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.journal import Journal, Json
from growth_pipeline.sandbox.life import World
from growth_pipeline.sandbox.names import DAY, HOUR, Names, midnight
from growth_pipeline.sandbox.store import Store

_WEEK = 7 * DAY
_TRANSIT_DAYS = 2
# This payout of each currency comes back after it was paid: the bank account was closed.
_RETURNED = 20
# This one of each currency is called back before it leaves.
_CANCELED = 7


def pay_out(store: Store, world: World) -> None:
    """Pays out, week by week, what became available; its sum is the payout's amount exactly."""
    store.execute("create index payable on balance_transactions (currency, payout, available_on)")
    rows = store.execute("select distinct currency from balance_transactions order by currency")
    for (currency,) in rows.fetchall():
        run = _Run(store, world, currency)
        for at in range(_first_monday(world.start) + 5 * HOUR, world.as_of, _WEEK):
            run.week(at)
    store.execute("drop index payable")


def _first_monday(at: int) -> int:
    day = midnight(at)
    return day + (4 * DAY - day) % _WEEK  # the epoch began on a Thursday


class _Run:
    """The payouts of one currency."""

    def __init__(self, store: Store, world: World, currency: str) -> None:
        self._store = store
        self._world = world
        self._names = Names(world.seed, "payouts", currency)
        self._currency = currency
        self._count = 0

    def week(self, at: int) -> None:
        """One payout of all that is available and not paid out; none where nothing is left."""
        ready = "currency = ? and payout is null and available_on <= ? and created < ?"
        values = (self._currency, at, at)
        amount = self._store.execute(
            f"select sum(net) from balance_transactions where {ready}",  # noqa: S608 own names
            values,
        ).fetchone()[0]
        if not amount or amount <= 0:
            return
        self._count += 1
        payout_id = self._names.new("po")
        self._store.execute(
            f"update balance_transactions set payout = ? where {ready}",  # noqa: S608 own names
            (payout_id, *values),
        )
        journal = Journal(self._world.account, self._names, self._world.events_from)
        payout = self._pay(journal, payout_id, at, amount)
        self._store.write(journal)
        self._store.flush()
        self._store.execute(
            "update balance_transactions set payout = ? where id = ?",
            (payout_id, payout["balance_transaction"]),
        )

    def _pay(self, journal: Journal, payout_id: str, at: int, amount: int) -> Json:
        arrival = midnight(at) + _TRANSIT_DAYS * DAY
        moved = self._transaction(journal, at, payout_id, amount=-amount, available=arrival)
        payout = shapes.payout(
            payout_id,
            amount=amount,
            currency=self._currency,
            transaction_id=moved["id"],
            created=at,
            arrival=arrival,
            livemode=self._world.account.livemode,
        )
        journal.add(payout, at, "payout.created")
        if self._count == _CANCELED:
            self._take_back(journal, payout, at + HOUR, {"status": "canceled"})
            return payout
        if at + 7 * HOUR < self._world.as_of:
            journal.change(payout, at + 7 * HOUR, {"status": "in_transit"}, "payout.updated")
        if arrival + 9 < self._world.as_of:
            trace = {"status": "supported", "value": payout_id[-12:]}
            changes = {"status": "paid", "trace_id": trace}
            journal.change(payout, arrival, changes, "payout.updated", "payout.paid")
            journal.change(
                payout,
                arrival + 9,
                {"reconciliation_status": "completed"},
                "payout.updated",
                "payout.reconciliation_completed",
            )
        returned_at = arrival + DAY
        if self._count == _RETURNED:
            changes = {
                "status": "failed",
                "failure_code": "account_closed",
                "failure_message": "The bank account has been closed.",
            }
            self._take_back(journal, payout, returned_at, changes)
        return payout

    def _take_back(self, journal: Journal, payout: Json, at: int, changes: Json) -> None:
        """The money is on the balance again, because the payout was canceled or has failed."""
        if at >= self._world.as_of:
            return
        back = self._transaction(
            journal,
            at,
            payout["id"],
            amount=payout["amount"],
            available=at,
            kind="payout_cancel" if changes["status"] == "canceled" else "payout_failure",
        )
        types = ("payout.updated", f"payout.{changes['status']}")
        known = {**changes, "failure_balance_transaction": back["id"]}
        journal.change(payout, at, known, *types)

    def _transaction(
        self,
        journal: Journal,
        at: int,
        payout_id: str,
        *,
        amount: int,
        available: int,
        kind: str = "payout",
    ) -> Json:
        """Money out, or (above 0) back in."""
        made = shapes.balance_transaction(
            self._names.new("txn"),
            kind=kind,
            category="payout" if amount < 0 else "payout_reversal",
            amount=amount,
            fee=0,
            currency=self._currency,
            source=payout_id,
            description="STRIPE PAYOUT",
            exchange_rate=None,
            created=at,
            available_on=available,
        )
        made["status"] = "available" if available <= self._world.as_of else "pending"
        return journal.add(made, at)
