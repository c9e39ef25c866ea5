"""Control totals of both sides and the bridge between them, per currency. Pure.

The sums over whole tables come from SQL; here they are corrected for pairs that were read again or
are not judged, and set against the findings. Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment


@dataclass
class Side:
    """Settled payments of one side in one currency, in minor units.

    Fees are those settled in this currency, whatever the payments' own; None is unknown: the books
    know them only where a balance transaction came with the event.
    """

    count: int = 0
    gross_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    fees_minor: int | None = None

    @property
    def net_minor(self) -> int:
        """Gross less refunds and disputed funds."""
        return self.gross_minor - self.refunded_minor - self.disputed_minor

    def to_dict(self) -> dict[str, int | None]:
        """The side as JSON knows it."""
        return {
            "count": self.count,
            "gross_minor": self.gross_minor,
            "refunded_minor": self.refunded_minor,
            "disputed_minor": self.disputed_minor,
            "net_minor": self.net_minor,
            "fees_minor": self.fees_minor,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Side:
        """The side of a stored audit."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})


@dataclass
class CurrencyTotals:
    """Both sides of one currency and the bridge: booked - Stripe = explained + cut_off + remainder.

    Units: minor units. `explained`: sum of the findings' impacts. `cut_off`: money that only one
    side gives to this month. `moved`: what pairs that agree in full move out of it (absolute).
    """

    stripe: Side = field(default_factory=Side)
    booked: Side = field(default_factory=Side)
    explained: int = 0
    cut_off: int = 0
    moved: int = 0

    @property
    def difference(self) -> int:
        """Booked net - Stripe net."""
        return self.booked.net_minor - self.stripe.net_minor

    @property
    def remainder(self) -> int:
        """What neither findings nor cut-off explain; must be 0."""
        return self.difference - self.explained - self.cut_off

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON knows them."""
        return {
            "stripe": self.stripe.to_dict(),
            "booked": self.booked.to_dict(),
            "difference": self.difference,
            "explained": self.explained,
            "cut_off": self.cut_off,
            "remainder": self.remainder,
            "moved": self.moved,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CurrencyTotals:
        """The totals of a stored audit."""
        return cls(
            stripe=Side.from_dict(stored["stripe"]),
            booked=Side.from_dict(stored["booked"]),
            explained=stored["explained"],
            cut_off=stored["cut_off"],
            moved=stored["moved"],
        )


class Ledger:
    """Totals while the audit goes on: whole-table sums first, then corrections pair by pair."""

    def __init__(self) -> None:
        self._totals: dict[str, CurrencyTotals] = {}

    def of(self, currency: str) -> CurrencyTotals:
        """Totals of one currency, made at first use."""
        return self._totals.setdefault(currency, CurrencyTotals())

    def add_sums(self, side: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add sums of a whole table: rows with `currency` and some of a Side's fields."""
        for row in rows:
            target = self.of(row["currency"]).__dict__[side]
            for name in Side.__dataclass_fields__:
                if row.get(name) is not None:
                    setattr(target, name, (getattr(target, name) or 0) + row[name])

    def add_payment(self, payment: StripePayment | None, sign: int) -> None:
        """Count a Stripe payment in (+1) or out (-1); one that is not settled counts nothing."""
        if payment is None or not payment.settled:
            return
        side = self.of(payment.currency).stripe
        side.count += sign
        side.gross_minor += sign * payment.captured_minor
        side.refunded_minor += sign * payment.refunded_minor
        side.disputed_minor += sign * payment.disputed_minor

    def add_row(self, row: BookedRow, sign: int) -> None:
        """Count a booked row in (+1) or out (-1); one that is not settled counts nothing."""
        if not row.settled:
            return
        side = self.of(row.currency).booked
        side.count += sign
        side.gross_minor += sign * row.amount_minor
        side.refunded_minor += sign * row.refunded_minor
        side.disputed_minor += sign * row.disputed_minor

    def merge(self, other: Ledger) -> None:
        """Add another ledger's corrections to this one."""
        for currency, totals in other._totals.items():
            mine = self.of(currency)
            for name in ("explained", "cut_off", "moved"):
                setattr(mine, name, getattr(mine, name) + getattr(totals, name))
            self.add_sums("stripe", [{"currency": currency, **totals.stripe.__dict__}])
            self.add_sums("booked", [{"currency": currency, **totals.booked.__dict__}])

    def to_dict(self) -> dict[str, Any]:
        """The corrections as JSON knows them, by currency."""
        return {currency: one.to_dict() for currency, one in self.totals().items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Ledger:
        """Corrections that were stored."""
        ledger = cls()
        ledger._totals = {name: CurrencyTotals.from_dict(one) for name, one in stored.items()}
        return ledger

    def explain(self, findings: Iterable[Finding]) -> None:
        """Add the impacts of the findings that concern payments."""
        for finding in findings:
            if not CODES[finding.code].bridged:
                continue
            for currency, impact_minor in (finding.impacts or {}).items():
                self.of(currency).explained += impact_minor

    def totals(self) -> dict[str, CurrencyTotals]:
        """Totals by currency, in alphabetical order."""
        return dict(sorted(self._totals.items()))
