"""Finds out what booked rows without a charge in the month are about.

The order of looking: other months' files, intents and invoices without a charge, other scopes'
files and mirrors, and last Stripe itself. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from growth_pipeline.audit.confirm import LIST_OF, Asker, FreshPayments, NoAnswer
from growth_pipeline.audit.payments.earlier import Earlier, pair_digest
from growth_pipeline.audit.payments.lists import Reference
from growth_pipeline.audit.payments.matching import Matcher
from growth_pipeline.audit.payments.shapes import intent_payment, invoice_payment, paid_outside
from growth_pipeline.audit.payments.side_rows import Extracted
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment
from growth_pipeline.audit.payments.totals import Ledger
from growth_pipeline.audit.sources import Problem, Sources
from growth_pipeline.audit.window import Window
from growth_pipeline.core.ids import Scope

if TYPE_CHECKING:
    import polars as pl

# By whether it is the same account in another mode.
LEAKS: Final = {True: "livemode_leak", False: "account_leak"}


class Records(Protocol):
    """What is asked of the database while the audit goes on."""

    def payments_of_ids(
        self,
        *,
        charges: Iterable[str] = (),
        payment_intents: Iterable[str] = (),
        invoice_payments: Iterable[str] = (),
        invoices: Iterable[str] = (),
    ) -> pl.DataFrame:
        """Booked rows of these ids in whatever scope and month."""
        ...

    def mirrored(self, objects: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """Mirrored objects of these (object, id) pairs in whatever scope."""
        ...

    def mirrored_parts(self, scope: Scope, charges: Iterable[str]) -> list[dict[str, Any]]:
        """Refunds and disputes that the mirror knows of these charges."""
        ...


@dataclass
class Case:
    """One payment under examination: what files and books say, and what else was found."""

    rows: list[BookedRow]
    extracted: Extracted | None = None
    payment: StripePayment | None = None
    leak: str | None = None
    leaked_rows: list[BookedRow] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    confirmed: bool = False
    is_open: bool = False  # nobody could tell what it is about: no verdict, no finding
    state: str = ""  # name of what the files and the books say of it; see earlier.py


@dataclass
class Desk:
    """Everything one examination works with; ledger, problems and `judged` fill up on the way.

    `judged`: payments that were judged as something else than the month's charges say, by id.
    """

    scope: Scope
    window: Window
    sources: Sources
    matcher: Matcher
    store: Records
    asker: Asker
    fresh: FreshPayments
    ledger: Ledger = field(default_factory=Ledger)
    problems: list[Problem] = field(default_factory=list)
    earlier: Earlier = field(default_factory=Earlier)
    judged: dict[str, StripePayment] = field(default_factory=dict)

    def parts_of(self, charge: str) -> list[tuple[str, str]]:
        """Refunds and disputes of a charge, as (object, id), that the files or the mirror know."""
        mirrored = self.store.mirrored_parts(self.scope, [charge])
        parts = {(part["object"], part["id"]) for part in mirrored}
        return sorted(parts.union(self.matcher.parts({charge})[charge]))

    def unknown_anywhere(self, objects: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those (object, id) pairs that exist in no file, not in the mirror, and not at Stripe.

        When there is nobody to ask, files and mirror decide. An object whose list was not
        extracted, or that Stripe could not answer about, is not called unknown.
        """
        left: set[tuple[str, str]] = set()
        for kind in {kind for kind, _ in objects}:
            ids = {one for name, one in objects if name == kind}
            if LIST_OF[kind] in self.sources.month:
                absent = self.matcher.lists.unknown(ids, [LIST_OF[kind]])
                left |= {(kind, one) for one in absent}
        left -= self.mirrored_here(left)
        return {key for key in left if self._is_unknown_to_stripe(*key)}

    def mirrored_here(self, objects: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those (object, id) pairs that the mirror knows in this account and mode."""
        found = self.store.mirrored(objects) if objects else []
        return {
            (one["object"], one["id"])
            for one in found
            if (one["account_id"], one["livemode"]) == self.scope
        }

    def _is_unknown_to_stripe(self, kind: str, object_id: str) -> bool:
        answer = self.asker.ask(kind, object_id, is_payment=False, allowance=f"orphan_row {kind}")
        if isinstance(answer, NoAnswer):
            return not self.asker.can_ask
        return answer is None


def locate(
    desk: Desk, rows: Mapping[str, list[BookedRow]]
) -> tuple[list[Case], dict[str, list[BookedRow]]]:
    """Cases of rows that no charge of the month matches, and rows by charge that was found late.

    Rows in their grace period, and rows of other months, are left alone. Money of payments that
    Stripe has in another month is cut-off: its findings belong to that month.
    """
    waiting = {
        key: judged
        for key, some in rows.items()
        if (judged := [one for one in some if desk.window.judged(one.created)])
    }
    search = _Search(desk, waiting)
    steps = (
        search.in_other_months,
        search.as_intents_and_invoices,
        search.in_other_scopes,
        search.as_before,
        search.at_stripe,
    )
    for step in steps:
        if search.waiting:
            step()
    return search.cases, search.linked


def unmatched_state(rows: Sequence[BookedRow]) -> str:
    """Name of the state of rows that are about nothing Stripe's files know."""
    return pair_digest(None, rows)


class _Search:
    """`waiting` holds rows by match id until a step knows them."""

    def __init__(self, desk: Desk, waiting: dict[str, list[BookedRow]]) -> None:
        self._desk = desk
        self.waiting = waiting
        self.cases: list[Case] = []
        self.linked: dict[str, list[BookedRow]] = {}

    def in_other_months(self) -> None:
        """Charges in the files of other months."""
        references = [
            Reference(
                match_id=key,
                charge_id=row.charge_id,
                payment_intent_id=row.payment_intent_id,
                invoice_payment_id=row.invoice_payment_id,
                invoice_id=row.invoice_id,
            )
            for key, (row, *_) in self.waiting.items()
        ]
        found = self._desk.matcher.lists.charges_in_other_months(references)
        for key in set(found) & set(self.waiting):
            self._cut_off(key)

    def as_intents_and_invoices(self) -> None:
        """Intents, invoice payments and invoices that have no charge, from files of all months."""
        for key, row in self._desk.matcher.lists.intents(self._ids("payment_intent")).items():
            if row["latest_charge"] is None:
                self._settle(key, intent_payment(row), confirmed=False)
        payments = self._desk.matcher.lists.invoice_payments(self._ids("invoice_payment"))
        for key, row in payments.items():
            if row["payment_intent"] is None and row["charge"] is None:
                self._settle(key, paid_outside(row), confirmed=False)
        for key, row in self._desk.matcher.lists.invoices(self._ids("invoice")).items():
            if row["payment_intent"] is None:
                self._settle(key, invoice_payment(row), confirmed=False)

    def in_other_scopes(self) -> None:
        """Ids that another account or mode has: the row is marked with the wrong scope."""
        for kind in ("charge", "payment_intent", "invoice_payment", "invoice"):
            found = self._desk.matcher.lists.foreign_scopes(LIST_OF[kind], self._ids(kind))
            for key, scope in found.items():
                self._leak(key, scope)
        asked = [(rows[0].object, key) for key, rows in self.waiting.items()]
        for one in self._desk.store.mirrored(asked):
            scope = Scope(one["account_id"], one["livemode"])
            if scope != self._desk.scope and one["id"] in self.waiting:
                self._leak(one["id"], scope)

    def as_before(self) -> None:
        """Ids that Stripe was asked about before: it never gives an id to something new."""
        states = {key: unmatched_state(rows) for key, rows in self.waiting.items()}
        kept = self._desk.earlier.take({state: [key] for key, state in states.items()})
        for key, state in states.items():
            if state in kept:
                del self.waiting[key]

    def at_stripe(self) -> None:
        """Ask Stripe about each id that is left; where there is nobody to ask, the files decide."""
        own = self._desk.scope
        for key, rows in list(self.waiting.items()):
            answer = self._desk.asker.ask(rows[0].object, key)
            if isinstance(answer, NoAnswer):
                is_open = self._desk.asker.can_ask
                self.cases.append(Case(rows=self.waiting.pop(key), is_open=is_open))
            elif answer is None:
                self.cases.append(Case(rows=self.waiting.pop(key), confirmed=True))
            elif answer.get("livemode", own.livemode) != own.livemode:
                self._leak(key, Scope(own.account_id, not own.livemode))
            else:
                self._follow(key, rows[0].object, answer)

    def _follow(self, key: str, kind: str, answer: Mapping[str, Any]) -> None:
        """Judge the payment that Stripe answered with, or the charge that it names."""
        named = self._desk.fresh.of(kind, answer)
        payment = self._desk.fresh.charge(named, ()) if isinstance(named, str) else named
        if payment is None:
            self.cases.append(Case(rows=self.waiting.pop(key), is_open=True))
        elif self._is_listed(payment, named):
            self.linked.setdefault(payment.id, []).extend(self.waiting.pop(key))
        else:
            self._settle(key, self._with_parts(payment), confirmed=True)

    def _is_listed(self, payment: StripePayment, named: StripePayment | str) -> bool:
        """Whether the month's charges hold the charge that an intent or invoice led to."""
        if not isinstance(named, str) or not self._desk.window.holds(payment.created):
            return False
        return bool(self._desk.matcher.charges({payment.id}))

    def _with_parts(self, payment: StripePayment) -> StripePayment:
        if payment.object != "charge" or not self._desk.window.holds(payment.created):
            return payment
        parts = self._desk.parts_of(payment.id)
        return self._desk.fresh.charge(payment.id, parts) or payment

    def _settle(self, key: str, payment: StripePayment, *, confirmed: bool) -> None:
        """Let the rows be judged against a payment that the month's charges do not hold."""
        window = self._desk.window
        if not window.holds(payment.created):
            self._cut_off(key)
            return
        if payment.object == "charge" and window.judged(payment.created):
            self._desk.problems.append(
                Problem("charges", f"Stripe knows {payment.id}, but its list did not hold it")
            )
        rows = self.waiting.pop(key)
        self.cases.append(Case(rows=rows, payment=payment, confirmed=confirmed))

    def _cut_off(self, key: str) -> None:
        for row in self.waiting.pop(key):
            self._desk.ledger.of(row.currency).cut_off += row.counted_minor

    def _leak(self, key: str, scope: Scope) -> None:
        leak = LEAKS[scope.account_id == self._desk.scope.account_id]
        self.cases.append(Case(rows=self.waiting.pop(key), leak=leak))

    def _ids(self, kind: str) -> set[str]:
        return {key for key, rows in self.waiting.items() if rows[0].object == kind}
