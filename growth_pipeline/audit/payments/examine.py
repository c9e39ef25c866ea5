"""Collects what is known of every payment that differs, and has it judged.

The rule of judging is compare.py's; where rows without a charge belong is found in whereabouts.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.payments.compare import (
    PENDING_BOOKED_SECONDS,
    Diagnosis,
    classify_pair,
    kept_row,
)
from growth_pipeline.audit.payments.earlier import pair_digest
from growth_pipeline.audit.payments.side_rows import Extracted, booked_row, tax_of
from growth_pipeline.audit.payments.sides import BookedRow, Pair, StripePayment
from growth_pipeline.audit.payments.totals import Ledger
from growth_pipeline.audit.payments.whereabouts import LEAKS, Case, Desk, locate, unmatched_state
from growth_pipeline.audit.sources import Problem

_READING_SECONDS = 10  # a page's state is a little older than the instant it is stamped with


@dataclass(frozen=True)
class Judged:
    """One payment with a finding: the pair as judged and the diagnosis.

    `state` names what files and books said of it before anybody was asked; `effects`: what judging
    it did to the totals.
    """

    pair: Pair
    diagnosis: Diagnosis
    confirmed: bool
    state: str = ""
    effects: Ledger = field(default_factory=Ledger)


class Examination:
    """Examines one month; the desk's ledger ends with the totals of both sides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._unknown_invoices: set[str] = set()
        self._counted: set[int] = set()
        self._stale_before = int(
            desk.sources.fetched_from(("charges", "refunds", "disputes")).timestamp()
        )
        self.not_judged = 0

    def run(self) -> list[Judged]:
        """Every payment with a finding, in any order."""
        desk = self._desk
        desk.ledger.add_sums("stripe", desk.matcher.stripe_totals())
        desk.ledger.add_sums("booked", desk.matcher.booked_totals())
        cases = self._collect()
        self._find_rows_elsewhere(cases)
        cases = self._without_known(cases)
        self._find_orphans(cases)
        self._find_taxes(cases)
        judged = (self._judge(case) for case in cases)
        return [one for one in judged if one is not None]

    # --- collecting -------------------------------------------------------------------------

    def _collect(self) -> list[Case]:
        """Cases of all payments whose two sides differ, or that stand on one side alone."""
        matcher = self._desk.matcher
        invoices = matcher.unknown_invoices()
        self._unknown_invoices = set(invoices.values())
        keys = matcher.differing() | matcher.differing_fees() | set(invoices)
        rows = self._rows_of(keys)
        extracted = matcher.charges(keys)
        cases, linked = locate(self._desk, {key: rows[key] for key in keys - set(extracted)})
        late = set(linked) - set(extracted)
        rows |= self._rows_of(late)
        extracted |= matcher.charges(late)
        for key, found in extracted.items():
            own = rows.get(key, []) + linked.get(key, [])
            cases.append(Case(rows=own, extracted=found, payment=found.payment))
        return cases

    def _rows_of(self, keys: set[str]) -> dict[str, list[BookedRow]]:
        rows = self._desk.matcher.rows_of(keys) if keys else {}
        self._counted |= {one.payment_id for some in rows.values() for one in some}
        return rows

    def _find_rows_elsewhere(self, cases: Iterable[Case]) -> None:
        """Look in other months and scopes for the rows of settled charges that the month lacks."""
        asking = {case.payment.id: case for case in cases if case.payment and self._lacks(case)}
        payments = [case.payment for case in asking.values() if case.payment]
        if not payments:
            return
        by_intent = {one.payment_intent: one.id for one in payments if one.payment_intent}
        by_invoice = {one.invoice: one.id for one in payments if one.invoice}
        paid = self._desk.matcher.lists.invoice_payments_of(set(by_intent))
        by_payment = {one["id"]: by_intent[one["payment_intent"]] for one in paid}
        found = self._desk.store.payments_of_ids(
            charges=asking,
            payment_intents=by_intent,
            invoice_payments=by_payment,
            invoices=by_invoice,
        )
        known = self._desk.matcher.known_rows(found["payment_id"].to_list())
        charges = {**{one: one for one in asking}, **by_intent, **by_payment, **by_invoice}
        for row in map(booked_row, found.iter_rows(named=True)):
            charge = charges.get(row.object_id)
            if charge in asking and row.payment_id not in known:
                self._add_row(asking[charge], row)

    def _lacks(self, case: Case) -> bool:
        """Settled, and no row in the month but linked ones: then others may exist elsewhere."""
        own = [row for row in case.rows if self._desk.window.holds(row.created)]
        settled = case.payment is not None and case.payment.settled
        return settled and (not own or any(row.charge_id is None for row in own))

    def _add_row(self, case: Case, row: BookedRow) -> None:
        if (row.account_id, row.livemode) != self._desk.scope:
            case.leaked_rows.append(row)
        else:
            case.rows.append(row)

    def _find_orphans(self, cases: Iterable[Case]) -> None:
        """Mark references that exist neither in the files, nor in the mirror, nor at Stripe."""
        asked = [(case, self._orphan_candidates(case)) for case in cases]
        unknown = self._desk.unknown_anywhere({one for _, some in asked for one in some})
        for case, candidates in asked:
            case.orphans = sorted({one for kind, one in candidates if (kind, one) in unknown})

    def _orphan_candidates(self, case: Case) -> list[tuple[str, str]]:
        """References of the rows that Stripe's payment does not vouch for."""
        payment = case.payment
        if payment is None:
            return []
        customers = {row.customer_id for row in case.rows} - {payment.customer, None}
        invoices = {row.invoice_id for row in case.rows} & self._unknown_invoices
        return [("customer", one) for one in customers if one] + [
            ("invoice", one) for one in invoices - {payment.invoice} if one
        ]

    def _find_taxes(self, cases: Iterable[Case]) -> None:
        """Tax of the invoices of wrong amounts: a hint at the bug, no part of the judgement."""
        asking: dict[str, Case] = {}
        for case in cases:
            amounts = {row.amount_minor for row in case.rows}
            if case.payment is not None and amounts - {case.payment.captured_minor}:
                named = [case.payment.invoice, *(row.invoice_id for row in case.rows)]
                asking |= {invoice: case for invoice in named if invoice}
        for invoice, row in self._desk.matcher.lists.invoices(set(asking)).items():
            case = asking[invoice]
            if case.payment is not None:
                case.payment = replace(case.payment, tax_minor=tax_of(row["raw"]))

    # --- what is as it was ------------------------------------------------------------------

    def _without_known(self, cases: list[Case]) -> list[Case]:
        """Cases that moved since the audit before; of the others the finding is kept as it is."""
        for case in cases:
            case.state = self._state_of(case)
        able = [case for case in cases if self._may_be_kept(case)]
        charges = {case.payment.id for case in able if case.extracted and case.payment}
        parts = self._desk.matcher.parts(charges) if charges else {}
        kept = self._desk.earlier.take({case.state: _ids_of(case, parts) for case in able})
        for effects in self._desk.earlier.effects():
            self._desk.ledger.merge(effects)
        self._desk.judged |= {one.id: one for one in self._desk.earlier.judged_payments()}
        return [case for case in cases if case.state not in kept]

    def _state_of(self, case: Case) -> str:
        if case.payment is None and case.leak is None:
            return unmatched_state(case.rows)
        extracted, payment = case.extracted, case.payment
        facts = (
            case.leak,
            extracted and (extracted.touched, extracted.is_dispute_unknown),
            payment and self._desk.window.as_of - payment.created > PENDING_BOOKED_SECONDS,
            [row.payment_id for row in case.leaked_rows],
        )
        return pair_digest(payment, [*case.rows, *case.leaked_rows], *facts)

    def _may_be_kept(self, case: Case) -> bool:
        """Whether an earlier finding of the case may stand for a look at it.

        Not while it is in grace, and not where nobody can tell the disputed funds: that is said.
        """
        window, extracted = self._desk.window, case.extracted
        if not self._desk.earlier.knows(case.state):
            return False
        if extracted and (
            extracted.is_dispute_unknown or (extracted.touched or 0) >= window.cutoff
        ):
            return False
        return case.payment is None or window.judged(case.payment.created)

    # --- judging ----------------------------------------------------------------------------

    def _judge(self, case: Case) -> Judged | None:
        """The case's finding; its money is brought into the ledger as it was judged."""
        payment = case.payment
        if case.is_open or not (payment is None or self._desk.window.judged(payment.created)):
            self._leave_out(case)
            return None
        pair = self._pair(case, payment)
        diagnosis = classify_pair(pair)
        if payment and case.extracted and self._is_doubtful(case.extracted, diagnosis):
            newest = self._newest(case, case.extracted, payment)
            if newest is None:
                self._leave_out(case)
                return None
            if newest is not payment:
                pair = self._pair(case, newest)
                diagnosis = classify_pair(pair)
        effects = Ledger()
        if payment is not None:
            self._account(case, pair, effects)
        if diagnosis is not None:
            _note_moved(pair, diagnosis, effects)
        self._desk.ledger.merge(effects)
        if diagnosis is None:
            return None
        return Judged(pair, diagnosis, case.confirmed, case.state, effects)

    def _pair(self, case: Case, payment: StripePayment | None) -> Pair:
        leak = case.leak
        if leak is None and not case.rows and case.leaked_rows:
            leak = LEAKS[case.leaked_rows[0].account_id == self._desk.scope.account_id]
        window = self._desk.window
        return Pair(
            stripe=payment,
            rows=tuple(case.rows),
            month_start=window.start,
            month_end=window.end,
            as_of=window.as_of,
            leak=leak,
            leaked_rows=tuple(case.leaked_rows if leak else ()),
            orphans=tuple(case.orphans),
        )

    def _is_doubtful(self, extracted: Extracted, diagnosis: Diagnosis | None) -> bool:
        """Whether a second look is due: the sides differ, or the file cannot know a dispute."""
        return diagnosis is not None or extracted.is_dispute_unknown

    def _newest(
        self, case: Case, extracted: Extracted, payment: StripePayment
    ) -> StripePayment | None:
        """The payment as of now, if the books know of something after the file was read.

        None when it cannot be judged now: a part of it is in its grace period, or the books are
        newer than the file and Stripe does not answer.
        """
        if extracted.touched is not None and extracted.touched >= self._desk.window.cutoff:
            return None
        known_from = min(self._stale_before, extracted.fetched - _READING_SECONDS)
        is_newer_booked = any(row.written >= known_from for row in case.rows)
        if is_newer_booked or extracted.is_dispute_unknown:
            fresh = self._read_again(payment, needs_dispute=extracted.is_dispute_unknown)
            if fresh is not None:
                case.confirmed = True
                return fresh
        if is_newer_booked and self._is_unanswered(payment):
            return None
        return self._assume_dispute(case, payment) if extracted.is_dispute_unknown else payment

    def _is_unanswered(self, payment: StripePayment) -> bool:
        """Whether there is somebody to ask, who does not answer; then files do not decide."""
        asker = self._desk.asker
        return asker.can_ask and isinstance(asker.ask("charge", payment.id), NoAnswer)

    def _read_again(self, payment: StripePayment, *, needs_dispute: bool) -> StripePayment | None:
        parts = self._desk.parts_of(payment.id)
        if needs_dispute and not any(kind == "dispute" for kind, _ in parts):
            return None
        fresh = self._desk.fresh.charge(payment.id, parts)
        if fresh is None:
            return None
        return replace(
            fresh,
            tax_minor=payment.tax_minor,
            fee_minor=payment.fee_minor,
            net_after_fee_minor=payment.net_after_fee_minor,
            settlement_currency=payment.settlement_currency,
        )

    def _assume_dispute(self, case: Case, payment: StripePayment) -> StripePayment:
        """Nobody can tell the disputed funds: they are no verdict, and the source is incomplete."""
        self._desk.problems.append(
            Problem(
                "disputes",
                f"{payment.id} is disputed, but its dispute is in no extract: "
                "extract the disputes of the following months",
            )
        )
        row = kept_row(self._pair(case, payment))
        return replace(payment, disputed_minor=row.disputed_minor if row else 0)

    # --- money ------------------------------------------------------------------------------

    def _leave_out(self, case: Case) -> None:
        """Take a payment that is not judged out of both totals; it has no finding."""
        self.not_judged += 1
        extracted = case.extracted
        if extracted is not None and self._desk.window.judged(extracted.payment.created):
            self._desk.ledger.add_payment(extracted.payment, -1)
        for row in case.rows:
            if self._is_counted(row):
                self._desk.ledger.add_row(row, -1)

    def _account(self, case: Case, pair: Pair, ledger: Ledger) -> None:
        """Bring totals to the state that was judged, and name money of other months."""
        listed = case.extracted.payment if case.extracted else None
        if pair.stripe is not None and pair.stripe != listed:
            self._desk.judged[pair.stripe.id] = pair.stripe
        ledger.add_payment(listed, -1)
        ledger.add_payment(pair.stripe, +1)
        for row in case.rows:
            if not self._desk.window.holds(row.created):
                ledger.of(row.currency).cut_off -= row.counted_minor
            elif not self._is_counted(row):
                ledger.add_row(row, +1)

    def _is_counted(self, row: BookedRow) -> bool:
        """Whether the sums over the whole table hold the row."""
        return row.payment_id in self._counted and self._desk.window.judged(row.created)


def _note_moved(pair: Pair, diagnosis: Diagnosis, ledger: Ledger) -> None:
    row = kept_row(pair)
    if diagnosis.code == "period_cutoff" and row is not None:
        ledger.of(row.currency).moved += abs(row.counted_minor)


def _ids_of(case: Case, parts: Mapping[str, Iterable[tuple[str, str]]]) -> list[str]:
    """Stripe ids that news about a case would name: its payment, refunds, disputes, rows."""
    named = [case.payment.id] if case.payment else []
    named += [part for one in named for _, part in parts.get(one, ())]
    return [*named, *(row.object_id for row in (*case.rows, *case.leaked_rows))]
