"""Words and numbers of the oracle: what an audit must find, and what normal companies look like.

Nothing in this folder shares code with the product or imports anything of it. Severities are read
off the contract's table (docs/metrics.md, "Revenue audit"), once more and by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

VERSION = "2026-10-28.endive"
RESOURCES = (
    "payment_intents", "charges", "invoices", "subscriptions", "customers", "refunds", "disputes",
    "balance_transactions", "invoice_payments", "credit_notes", "payouts",
)  # fmt: skip
MINUTE, HOUR, DAY = 60, 3600, 86_400
EVENT_DAYS = 30  # so far back Stripe lists events
GRACE = HOUR
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (
    int(datetime(2025, month, 1, tzinfo=UTC).timestamp()) for month in (9, 10, 11, 12)
)
# Minor units an amount must be a multiple of: three-decimal ones end in 0, ISK has no cents.
CURRENCIES = {"usd": 1, "eur": 1, "gbp": 1, "jpy": 1, "krw": 1, "kwd": 10, "bhd": 10, "isk": 100}

Object = dict[str, Any]
Row = dict[str, Any]

SEVERITY = {
    **dict.fromkeys(
        (
            "source_incomplete", "livemode_leak", "account_leak", "missing_in_stripe", "missing_in_db",
            "duplicate_row", "status_mismatch", "currency_mismatch", "amount_mismatch", "refund_missing",
            "refund_excess", "refund_failed_booked", "dispute_missing", "dispute_state",
            "invoice_payment_sum", "payout_unbalanced", "payout_failed", "subscription_missing",
            "subscription_status", "paid_not_provisioned", "provisioned_not_paid", "tier_mismatch",
            "quantity_mismatch", "mrr_drift", "bridge_nonzero",
        ),
        "HIGH",
    ),
    **dict.fromkeys(
        (
            "uncaptured_booked", "amount_rounding", "refund_stuck", "credit_note_unapplied",
            "fee_mismatch", "net_mismatch", "balance_unlinked", "payout_late", "duplicate_subscription",
            "period_mismatch", "customer_unmapped", "customer_shared", "customer_deleted", "event_gap",
            "unknown_version", "orphan_row", "stale_row",
        ),
        "MEDIUM",
    ),
    **dict.fromkeys(("invoice_paid_no_charge", "email_differs", "period_cutoff"), "LOW"),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Expected:
    """One finding that must come, exactly once, in the audit of the month that begins at `month`.

    `impact` in minor units by currency, without zeros. `cause` is empty where several are true.
    """

    code: str
    object_id: str
    impact: tuple[tuple[str, int], ...] = ()
    severity: str = ""
    cause: str = ""
    month: int = OCTOBER


def impact(**by_currency: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((currency, minor) for currency, minor in by_currency.items() if minor))


def drop(listed: list[Any], thing: object) -> None:
    """Take one thing, and no other that equals it, out of a list; it was added lately."""
    place = next(at for at in range(len(listed) - 1, -1, -1) if listed[at] is thing)
    del listed[place]


def month_after(start: int, months: int = 1) -> int:
    """First second of the month some months after the one that begins at `start`."""
    first = datetime.fromtimestamp(start, UTC)
    index = first.year * 12 + first.month - 1 + months
    return int(first.replace(year=index // 12, month=index % 12 + 1).timestamp())


def month_of(at: int) -> int:
    """First second of the month that holds an instant."""
    day = datetime.fromtimestamp(at, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())


def instant(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
