"""Invoices, how they were paid, and the credit notes on them: Stripe against the mirror.

The rules are pure; `examine_invoices` reads what they need.
Contract: docs/metrics.md, "Revenue audit", invoice classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any, Final, Protocol

import orjson
import polars as pl

from growth_pipeline.audit.causes import Key, cause_of_object
from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.queries import Row, Table, wanted_ids
from growth_pipeline.audit.sections import Section, View
from growth_pipeline.audit.sources import covers
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.engine import Spool, SpoolFile

LISTED_EXPLAINED: Final = 1_000  # invoices without a charge that are listed one by one
# Since then money from outside Stripe is a payment record, whichever way it was entered.
RECORDED_FROM: Final = date(2026, 5, 27)
_NO_MIRROR: Final = pl.DataFrame(
    schema={"id": pl.String, "status": pl.String, "amount": pl.Int64}
    | dict.fromkeys(("amount_paid", "paid_minor"), pl.Int64)
    | {"is_paid": pl.Boolean}
)


class Mirror(Protocol):
    """What these parts of the audit ask of the database."""

    def spooled(self, statement: str, parameters: Mapping[str, Any], spool: Spool) -> SpoolFile:
        """Result of a statement of sql/audit/ as a file of the spool."""
        ...

    def is_mirrored(self, scope: Scope) -> bool:
        """Whether the mirror holds anything of a scope."""
        ...

    def payments_of_ids(self, *, invoices: Iterable[str]) -> pl.DataFrame:
        """Booked rows that are matched by one of the ids, in whatever scope and month."""
        ...


def examine_invoices(view: View) -> Section:
    """Invoices and credit notes of the month. Reads only."""
    if not view.has("invoices"):
        return Section("invoices", not_judged=("The month's invoices were not extracted.",))
    is_mirrored = view.store.is_mirrored(view.scope)
    with view.engine.spool() as spool:
        part = _Part(view, spool, is_mirrored=is_mirrored)
        findings = [*part.wrong_sums(), *part.without_charge(), *part.credit_notes()]
        sides, judged = part.sides()
    return Section(
        "invoices",
        judged=judged,
        findings=tuple(findings),
        sides=sides,
        not_judged=tuple(part.not_judged),
        unjudged=part.unjudged,
    )


def how_it_was_paid(invoice: Mapping[str, Any]) -> str:
    """Why a paid invoice has no charge, from the invoice itself.

    Shapes: "total_zero", "payment_record", "customer_balance", "moved_to_balance",
    "credit_notes" or "out_of_band".
    Source: docs/stripe.md, "Money objects".
    """
    starting, ending = invoice["starting_balance"] or 0, invoice["ending_balance"] or 0
    if invoice["is_recorded"]:
        return "payment_record"
    if invoice["amount_paid"]:
        return "out_of_band"
    if (invoice["total"] or 0) <= 0:
        return "total_zero"
    if starting < 0:
        return "customer_balance"
    return "moved_to_balance" if ending > starting else "credit_notes"


def is_out_of_band(invoice: Mapping[str, Any]) -> bool | None:
    """Whether an invoice without any known payment was paid outside Stripe; None: nobody can tell.

    Before basil a flag says so. From 2026-05-27 on a payment record stands for such money, and this
    invoice has none; of what was paid or told before, that cannot be known.
    Source: Stripe's changelog, 2025-03-31.basil (flag removed) and 2026-05-27.dahlia (off Stripe).
    """
    raw = orjson.loads(invoice["raw"])
    if raw.get("paid_out_of_band") is not None:
        return bool(raw["paid_out_of_band"]) or (None if raw.get("charge") else False)
    is_recorded = (
        invoice["api_version"][:10] >= RECORDED_FROM.isoformat()
        and (invoice["paid_at"] or 0)
        >= datetime.combine(RECORDED_FROM, time(), tzinfo=UTC).timestamp()
    )
    return False if is_recorded else None


def counted_credit(status: str | None, amount: int | None) -> int:
    """What a credit note gives the customer: its amount while issued, 0 once void or unknown."""
    return (amount or 0) if status == "issued" else 0


def _key(payment: Row) -> Key:
    return ("invoice_payment", payment["id"])


def _is_unheard(invoice: Row) -> bool:
    """Whether an invoice brought money and the mirror has no row of it."""
    return bool(invoice["amount_paid"]) and not invoice["is_mirrored"]


class _Part:
    def __init__(self, view: View, spool: Spool, *, is_mirrored: bool) -> None:
        self._view = view
        self._is_mirrored = is_mirrored
        self._cutoff = {"cutoff": view.window.cutoff}
        self._invoices: Table = self._mirrored("invoices_paid_in_mirror", spool)
        self._notes: Table = self._mirrored("credit_notes_in_mirror", spool)
        self.not_judged: list[str] = []
        if not is_mirrored:
            self.not_judged.append(
                "The database mirrors nothing of this account and mode: credit notes, and the "
                "mirror's invoice payments, were not judged."
            )
        # Later months are read moments before the month itself. Up to the grace no gap counts:
        # younger invoices are not judged, and a wrong sum is read again before anything is said.
        self._knows_payments = covers(view.sources, "invoice_payments", view.window.cutoff)
        if not self._knows_payments:
            self.not_judged.append(
                "The invoice payments are not extracted up to the audit's instant: how invoices "
                "were paid was not judged."
            )

    @property
    def unjudged(self) -> frozenset[str]:
        """Classes that cannot be judged without the mirror, or without all invoice payments."""
        without_mirror = () if self._is_mirrored else ("credit_note_unapplied",)
        sums = ("invoice_payment_sum", "invoice_paid_no_charge")
        return frozenset((*without_mirror, *(() if self._knows_payments else sums)))

    # --- findings ---------------------------------------------------------------------------

    @cached_property
    def _sums(self) -> list[Row]:
        """What is known of the month's invoices by currency, in one pass over the files."""
        params = {**self._cutoff, "most": LISTED_EXPLAINED}
        return self._view.rows("invoices_and_payments", self._tables(), params)

    def wrong_sums(self) -> Iterator[Finding]:
        """Invoices whose paid invoice payments are not what the invoice says was paid."""
        rows = [row for one in self._sums for row in one["wrong"] or ()]
        if not self._knows_payments or not rows:
            return
        payments = self._payments_of({row["id"] for row in rows})
        trace = self._view.trace(_key(one) for some in payments.values() for one in some)
        for row in rows:
            is_stripes_own = row["paid_minor"] != row["amount_paid"]
            fresh = self._read_again(row) if is_stripes_own else row
            if fresh is None:
                continue
            paid_by = payments[row["id"]]
            told = cause_of_object("invoice_payment_sum", [_key(one) for one in paid_by], trace)
            booked = fresh["paid_minor"] if is_stripes_own else fresh["mirrored_minor"]
            yield self._finding(
                "invoice_payment_sum",
                fresh,
                booked - fresh["amount_paid"],
                {
                    "side": "stripe" if is_stripes_own else "database",
                    "amount_paid_minor": fresh["amount_paid"],
                    "payments_minor": booked,
                    "invoice_payments": [one["id"] for one in paid_by],
                    "paid_through": [
                        {"payment": one["payment"], "amount_minor": one["amount_paid"]}
                        for one in paid_by
                    ],
                    **told.evidence,
                },
                cause=Cause.AT_STRIPE if is_stripes_own else told.cause,
            )

    def without_charge(self) -> Iterator[Finding]:
        """Paid invoices that no charge paid, each with how it was paid."""
        if not self._knows_payments:
            return
        for one in self._sums:
            listed = one["uncharged"] or ()
            booked = self._booked({row["id"] for row in listed if _is_unheard(row)})
            if one["uncharged_count"] > len(listed):
                self.not_judged.append(
                    f"{one['uncharged_count']} invoices in {one['currency']} are paid without a "
                    f"charge; the largest {len(listed)} are listed."
                )
            yield from filter(None, (self._uncharged(row, booked) for row in listed))

    def _uncharged(self, told: Row, booked: set[str]) -> Finding | None:
        """What is said of a paid invoice without a charge; None if Stripe knows of one by now.

        `booked`: invoices that the mirror lacks and the books hold.
        """
        row = {name: told[name] for name in told if name not in {"raw", "paid_at", "is_mirrored"}}
        paid_by = {"paid_by": how_it_was_paid(row), "amount_paid_minor": row["amount_paid"]}
        if paid_by["paid_by"] == "out_of_band":
            is_outside = is_out_of_band(told)
            if is_outside is False:
                return self._never_paid(row)
            paid_by["is_told_by_stripe"] = is_outside is not None
        if self._is_mirrored and _is_unheard(told) and told["id"] not in booked:
            return self._unheard(row, paid_by)
        return self._finding("invoice_paid_no_charge", row, 0, paid_by, cause=Cause.AT_STRIPE)

    def _unheard(self, row: Row, paid_by: Mapping[str, Any]) -> Finding:
        """A paid invoice that neither the mirror nor the books know: its money is nowhere."""
        key = ("invoice", row["id"])
        told = cause_of_object("missing_in_db", [key], self._view.trace([key]))
        return self._finding(
            "missing_in_db",
            row,
            -row["amount_paid"],
            {**paid_by, **told.evidence},
            cause=told.cause,
        )

    def _booked(self, invoices: set[str]) -> set[str]:
        """Those of some invoices that a row of the books stands for."""
        if not invoices or not self._is_mirrored:
            return set()
        rows = self._view.store.payments_of_ids(invoices=invoices)
        account, livemode = self._view.scope
        own = rows.filter(account_id=account, livemode=livemode)
        return set(own["invoice_id"])

    def _never_paid(self, row: Row) -> Finding | None:
        """An invoice that says it was paid, not outside Stripe, and has no payment at all."""
        fresh = self._read_again({**row, "paid_minor": 0})
        if fresh is None:
            return None
        evidence = {
            "side": "stripe",
            "amount_paid_minor": fresh["amount_paid"],
            "payments_minor": fresh["paid_minor"],
            "invoice_payments": [],
            "reason": "it is paid, not outside Stripe, and no payment of it exists",
        }
        difference = fresh["paid_minor"] - fresh["amount_paid"]
        return self._finding(
            "invoice_payment_sum", fresh, difference, evidence, cause=Cause.AT_STRIPE
        )

    def credit_notes(self) -> Iterator[Finding]:
        """Credit notes that the mirror lacks, or that it still counts though they are void."""
        if not self._is_mirrored or not self._view.has("credit_notes"):
            return
        tables = {"credit_notes": self._view.of_month("credit_notes"), "mirrored": self._notes}
        rows = self._view.rows("unapplied_credit_notes", tables, self._cutoff)
        trace = self._view.trace(("credit_note", row["id"]) for row in rows)
        for row in filter(None, map(self._note_now, rows)):
            stripes = counted_credit(row["status"], row["amount"])
            booked = counted_credit(row["mirrored_status"], row["mirrored_minor"])
            if stripes == booked:
                continue
            told = cause_of_object("credit_note_unapplied", [("credit_note", row["id"])], trace)
            evidence = {"booked_minor": booked, "stripe_minor": stripes, **told.evidence}
            yield self._finding(
                "credit_note_unapplied",
                row,
                stripes - booked,
                evidence,
                thing="credit_note",
                cause=told.cause,
            )

    # --- both sides -------------------------------------------------------------------------

    def sides(self) -> tuple[dict[str, dict[str, Any]], int]:
        """Figures of both sides by measure, and how many objects were compared."""
        figures: dict[str, dict[str, Any]] = {}
        judged = 0
        for row in self._sums:
            judged += row["invoices"]
            has_mirror = self._is_mirrored and row["mirrored"]
            figures |= self._side(
                "invoices paid",
                row,
                row["paid_minor"],
                row["mirrored_minor"] if has_mirror else None,
            )
            figures |= self._side(
                "invoice payments",
                row,
                row["payments_minor"] if self._knows_payments else None,
                row["mirrored_payments_minor"] if has_mirror else None,
            )
        if self._view.has("credit_notes"):
            tables = {"credit_notes": self._view.of_month("credit_notes"), "mirrored": self._notes}
            for row in self._view.rows("credit_note_sides", tables, self._cutoff):
                judged += row["credit_notes"]
                booked = row["mirrored_minor"] if self._is_mirrored else None
                figures |= self._side("credit notes", row, row["issued_minor"], booked)
        return figures, judged

    # --- inside -----------------------------------------------------------------------------

    def _side(
        self, measure: str, row: Row, stripe: int | None, database: int | None
    ) -> dict[str, dict[str, Any]]:
        currency = row["currency"]
        side = {"stripe": stripe, "database": database, "currency": currency, "measure": measure}
        return {f"{measure} {currency}": side}

    def _finding(
        self,
        code: str,
        row: Row,
        impact: int,
        evidence: Mapping[str, Any],
        *,
        cause: Cause,
        thing: str = "invoice",
    ) -> Finding:
        frame = self._view.frame
        link = dashboard_link(frame.scope, "invoice", row.get("invoice") or row["id"])
        return frame.finding(
            code,
            thing,
            row["id"],
            currency=row["currency"],
            impacts={row["currency"]: impact} if impact else {},
            evidence={"stripe": dict(row), **evidence, "link": link},
            cause=cause,
        )

    def _read_again(self, row: Row) -> Row | None:
        """The invoice's sums as Stripe has them now; None when they agree after all.

        Invoice and payments lie in two files of two instants; where nobody answers, they decide.
        """
        asker = self._view.asker
        invoice = asker.found("invoice", row["id"], allowance="invoice_payment_sum")
        paid = asker.total_of(
            "invoice_payments",
            {"invoice": row["id"]},
            lambda one: one["amount_paid"] if one["status"] == "paid" else 0,
        )
        if invoice is None or isinstance(paid, NoAnswer):
            return row
        fresh = {**row, "amount_paid": invoice["amount_paid"], "paid_minor": paid.minor}
        return None if fresh["amount_paid"] == fresh["paid_minor"] else fresh

    def _note_now(self, row: Row) -> Row | None:
        """The credit note as Stripe has it now, because the mirror may be newer than the file.

        None when it may be, and Stripe does not answer.
        """
        now = self._view.asker.ask(
            "credit_note", row["id"], is_payment=False, allowance="credit_note_unapplied"
        )
        if isinstance(now, NoAnswer):
            is_newer = self._view.asker.can_ask and row["mirrored_status"] is not None
            return None if is_newer else row
        return row if now is None else {**row, "status": now["status"], "amount": now["amount"]}

    def _payments_of(self, invoices: set[str]) -> dict[str, list[Row]]:
        tables = {
            "invoice_payments": self._view.from_month_on("invoice_payments"),
            "wanted": wanted_ids(invoices),
        }
        found: dict[str, list[Row]] = {invoice: [] for invoice in invoices}
        for row in self._view.rows("payments_of_invoices", tables):
            found[row["invoice"]].append(row)
        return found

    def _tables(self) -> dict[str, Table]:
        return {
            "invoices": self._view.of_month("invoices"),
            "invoice_payments": self._view.from_month_on("invoice_payments"),
            "mirrored": self._invoices,
        }

    def _mirrored(self, statement: str, spool: Spool) -> Table:
        if not self._is_mirrored:
            return _NO_MIRROR
        window = self._view.window
        range_of = {
            **self._view.scope._asdict(),
            "start": datetime.fromtimestamp(window.start, UTC),
            "end": datetime.fromtimestamp(window.end, UTC),
        }
        return [self._view.store.spooled(statement, range_of, spool).path]
