"""Judges one pair: a Stripe payment and every row the books have for it. Pure, no I/O, no clock.

Which pairs are looked at, and what was read for them, is decided in matching.py and evidence.py.
Contract: docs/metrics.md, "Payments" and "Revenue audit".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import in_table_order, worst_severity
from growth_pipeline.audit.payments.sides import BookedRow, Pair, StripePayment

FINAL_STATUSES: Final = frozenset({"succeeded", "failed"})
PENDING_BOOKED_SECONDS: Final = 24 * 3600

_SUBSETS_LIMIT: Final = 10  # refunds of one charge whose every sum is tried; Stripe allows more


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with one pair: the primary code first, and what it does to the money."""

    codes: tuple[str, ...]
    severity: Severity
    currency: str
    impacts: dict[str, int]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The primary code."""
        return self.codes[0]


Details = dict[str, Any]
_RowRule = Callable[[StripePayment, BookedRow, int], Details | None]


def classify_pair(pair: Pair) -> Diagnosis | None:
    """The finding of a pair, or None when both sides agree in full.

    Impact: booked - Stripe per currency, settled net money. One primary code, the first of the
    contract's table that fits; the others follow it in `codes`. Severity: the worst of all.
    """
    row = kept_row(pair)
    found = _pair_codes(pair, row)
    if row is not None and pair.stripe is not None:
        found |= _row_codes(pair.stripe, row, pair.as_of)
    if not found:
        return None
    codes = tuple(in_table_order(found))
    return Diagnosis(
        codes=codes,
        severity=worst_severity(_severity(code, pair.stripe) for code in codes),
        currency=row.currency if row else _stripe_of(pair).currency,
        impacts=_impacts(pair, codes[0], found),
        details={code: found[code] for code in codes if found[code]},
    )


def kept_row(pair: Pair) -> BookedRow | None:
    """The row that stands for the payment when several do: the one that fits Stripe best.

    Ties go to the audited month, then to our own pipeline's row, then to the oldest.
    """
    if not pair.rows:
        return None

    def rank(row: BookedRow) -> tuple[int, bool, bool, int]:
        wrong = len(_row_codes(pair.stripe, row, pair.as_of)) if pair.stripe else 0
        return wrong, not pair.in_month(row), row.written_by != "mirror", row.payment_id

    return min(pair.rows, key=rank)


def net_impacts(stripe: StripePayment | None, rows: Iterable[BookedRow]) -> dict[str, int]:
    """Booked - Stripe of one payment by currency, settled net money, zeros left out."""
    impacts: dict[str, int] = {}
    for row in rows:
        impacts[row.currency] = impacts.get(row.currency, 0) + row.counted_minor
    if stripe is not None:
        impacts[stripe.currency] = impacts.get(stripe.currency, 0) - stripe.net_minor
    return {currency: impacts[currency] for currency in sorted(impacts) if impacts[currency]}


# --- the pair as a whole -------------------------------------------------------------------------


def _pair_codes(pair: Pair, row: BookedRow | None) -> dict[str, Details]:
    found: dict[str, Details] = {}
    if pair.leak is not None:
        found[pair.leak] = {"rows_elsewhere": [one.payment_id for one in pair.leaked_rows]}
    if pair.stripe is None and pair.leak is None:
        found["missing_in_stripe"] = {}
    if row is None:
        found["missing_in_db"] = {}
    if len(pair.rows) > 1:
        kept = row.payment_id if row else None
        extra = [one.payment_id for one in pair.rows if one.payment_id != kept]
        found["duplicate_row"] = {"kept_payment_id": kept, "extra_payment_ids": extra}
    if pair.orphans:
        found["orphan_row"] = {"unknown": list(pair.orphans)}
    if row is not None and pair.stripe is not None and _cut_off(pair, row):
        found["period_cutoff"] = {"booked_created": row.created, "moved_minor": row.counted_minor}
    return found


def _cut_off(pair: Pair, row: BookedRow) -> bool:
    return not pair.in_month(row) and _stripe_of(pair).settled and row.settled


def _severity(code: str, stripe: StripePayment | None) -> Severity:
    """Severity of the table; a status counts as HIGH only against a final state of Stripe."""
    if code == "status_mismatch" and stripe is not None and stripe.status not in FINAL_STATUSES:
        return Severity.MEDIUM
    return CODES[code].severity


def _impacts(pair: Pair, primary: str, found: Mapping[str, Details]) -> dict[str, int]:
    """Money of the primary code. Fees lie in the settlement currency, outside the payments."""
    if primary in ("fee_mismatch", "net_mismatch"):
        detail = found[primary]
        return {detail["currency"]: detail["booked_minor"] - detail["stripe_minor"]}
    return net_impacts(pair.stripe, pair.rows)


def _stripe_of(pair: Pair) -> StripePayment:
    if pair.stripe is None:
        raise ValueError(f"pair {pair.object_id} has no Stripe side")
    return pair.stripe


# --- one row against Stripe ----------------------------------------------------------------------


def _row_codes(stripe: StripePayment, row: BookedRow, as_of: int) -> dict[str, Details]:
    found = {}
    for code, rule in _ROW_RULES.items():
        details = rule(stripe, row, as_of)
        if details is not None:
            found[code] = details
    return found


def _status_mismatch(stripe: StripePayment, row: BookedRow, as_of: int) -> Details | None:
    if _uncaptured_booked(stripe, row, as_of) is not None:
        return None
    differs = stripe.status != row.status and not _neither_counts(stripe, row)
    if not differs and stripe.settled == row.settled:
        return None
    return {
        "stripe": stripe.status,
        "booked": row.status,
        "stripe_captured": stripe.captured,
        "booked_captured": row.captured,
    }


def _neither_counts(stripe: StripePayment, row: BookedRow) -> bool:
    """An intent without a charge has no charge status: only whether money counts can differ."""
    return stripe.object != "charge" and not stripe.settled and not row.settled


def _uncaptured_booked(stripe: StripePayment, row: BookedRow, as_of: int) -> Details | None:
    if not row.settled or stripe.settled:
        return None
    authorised = stripe.status in ("succeeded", "requires_capture")
    pending = stripe.status == "pending" and as_of - stripe.created > PENDING_BOOKED_SECONDS
    if not authorised and not pending:
        return None
    return {"stripe": stripe.status, "stripe_captured": stripe.captured}


def _both_settled(stripe: StripePayment, row: BookedRow) -> bool:
    return stripe.settled and row.settled


def _comparable(stripe: StripePayment, row: BookedRow) -> bool:
    """Amounts can be compared where both sides count the money and name one currency."""
    return _both_settled(stripe, row) and stripe.currency == row.currency


def _currency_mismatch(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    if not _both_settled(stripe, row) or stripe.currency == row.currency:
        return None
    return {"stripe": stripe.currency, "booked": row.currency}


def _amount_mismatch(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    if not _both_settled(stripe, row) or abs(row.amount_minor - stripe.captured_minor) <= 1:
        return None
    return {
        "stripe_minor": stripe.captured_minor,
        "booked_minor": row.amount_minor,
        "factor": amount_factor(stripe, row),
    }


def _amount_rounding(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    if not _both_settled(stripe, row) or abs(row.amount_minor - stripe.captured_minor) != 1:
        return None
    return {"stripe_minor": stripe.captured_minor, "booked_minor": row.amount_minor}


def _refund_missing(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    if not _comparable(stripe, row) or row.refunded_minor >= stripe.refunded_minor:
        return None
    return _amounts(stripe.refunded_minor, row.refunded_minor)


def _refund_excess(stripe: StripePayment, row: BookedRow, as_of: int) -> Details | None:
    if not _comparable(stripe, row) or row.refunded_minor <= stripe.refunded_minor:
        return None
    if _refund_failed_booked(stripe, row, as_of) is not None:
        return None
    return _amounts(stripe.refunded_minor, row.refunded_minor)


def _refund_failed_booked(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    excess = row.refunded_minor - stripe.refunded_minor
    if not _comparable(stripe, row) or excess <= 0:
        return None
    if excess not in subset_sums(stripe.failed_refunds):
        return None
    return _amounts(stripe.refunded_minor, row.refunded_minor)


def _dispute_missing(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    """Withdrawn and not booked; where funds also came back, the dispute's state differs."""
    if not _comparable(stripe, row) or row.disputed_minor >= stripe.disputed_minor:
        return None
    if stripe.reinstated_minor:
        return None
    return _amounts(stripe.disputed_minor, row.disputed_minor)


def _dispute_state(stripe: StripePayment, row: BookedRow, as_of: int) -> Details | None:
    if not _comparable(stripe, row) or row.disputed_minor == stripe.disputed_minor:
        return None
    if _dispute_missing(stripe, row, as_of) is not None:
        return None
    return _amounts(stripe.disputed_minor, row.disputed_minor)


def _fee_mismatch(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    if stripe.fee_minor is None or row.fee_minor is None or not _both_settled(stripe, row):
        return None
    if row.fee_minor == stripe.fee_minor and _one_settlement_currency(stripe, row):
        return None
    return _settlement(stripe, row, stripe.fee_minor, row.fee_minor)


def _net_mismatch(stripe: StripePayment, row: BookedRow, _: int) -> Details | None:
    expected = stripe.net_after_fee_minor
    if expected is None or row.net_minor is None or not _both_settled(stripe, row):
        return None
    if row.net_minor == expected and _one_settlement_currency(stripe, row):
        return None
    return _settlement(stripe, row, expected, row.net_minor)


def _one_settlement_currency(stripe: StripePayment, row: BookedRow) -> bool:
    return row.settlement_currency in (None, stripe.settlement_currency)


def _settlement(stripe: StripePayment, row: BookedRow, expected: int, booked: int) -> Details:
    return {
        **_amounts(expected, booked),
        "currency": stripe.settlement_currency,
        "booked_currency": row.settlement_currency,
    }


def _amounts(stripe_minor: int, booked_minor: int) -> Details:
    return {"stripe_minor": stripe_minor, "booked_minor": booked_minor}


_ROW_RULES: Final[dict[str, _RowRule]] = {
    "status_mismatch": _status_mismatch,
    "uncaptured_booked": _uncaptured_booked,
    "currency_mismatch": _currency_mismatch,
    "amount_mismatch": _amount_mismatch,
    "amount_rounding": _amount_rounding,
    "refund_missing": _refund_missing,
    "refund_excess": _refund_excess,
    "refund_failed_booked": _refund_failed_booked,
    "dispute_missing": _dispute_missing,
    "dispute_state": _dispute_state,
    "fee_mismatch": _fee_mismatch,
    "net_mismatch": _net_mismatch,
}


# --- hints ---------------------------------------------------------------------------------------


def amount_factor(stripe: StripePayment, row: BookedRow) -> str:
    """Name of the likely bug behind a wrong amount, as a hint; "unexplained" if none fits.

    Shapes: "x1000", "x100", "/1000", "/100", "sign", "partial capture", "refund netted", "fee",
    "tax", "unexplained". The first that fits.
    """
    booked, expected = row.amount_minor, stripe.captured_minor
    fits = {
        "x1000": booked == expected * 1000,
        "x100": booked == expected * 100,
        "/1000": booked * 1000 == expected,
        "/100": booked * 100 == expected,
        "sign": booked == -expected,
        "partial capture": booked == stripe.asked_minor,
        "refund netted": booked == expected - stripe.refunded_minor,
        "fee": _less(stripe, expected, booked, stripe.fee_minor)
        and stripe.settlement_currency == stripe.currency,
        "tax": _less(stripe, expected, booked, stripe.tax_minor),
    }
    return next((name for name, fit in fits.items() if fit), "unexplained")


def _less(stripe: StripePayment, expected: int, booked: int, part: int | None) -> bool:
    """Whether the two amounts differ by exactly one known part, left out or added twice."""
    return bool(part) and stripe.settled and abs(expected - booked) == part


def subset_sums(amounts: Iterable[int]) -> frozenset[int]:
    """Every sum that some of the amounts make; of many amounts only the single ones and the total.

    Shapes: without the empty sum.
    """
    parts = list(amounts)
    if len(parts) > _SUBSETS_LIMIT:
        return frozenset(parts) | {sum(parts)}
    sums: set[int] = set()
    for part in parts:
        sums |= {part} | {part + other for other in sums}
    return frozenset(sums)
