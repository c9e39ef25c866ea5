"""The classes of findings: severity, section, meaning, what to do. A table, no rule.

Which class an object belongs to is decided by each section's own module.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad one finding is; HIGH fails the audit, MEDIUM warns, LOW is listed."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Cause(StrEnum):
    """Why the sides differ, as far as event ledger, Stripe's events and the row can tell."""

    NEVER_DELIVERED = "never_delivered"
    FAILED = "delivered_and_failed"
    QUARANTINED = "delivered_and_quarantined"
    HANDLED_WRONG = "handled_wrong"
    STALE = "stale"
    UNIT_FACTOR = "unit_factor"
    WRITTEN_BY_HAND = "written_by_hand"
    CUT_OFF = "timing_at_the_cut_off"
    AT_STRIPE = "happened_at_stripe"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Code:
    """One class of finding.

    `section`: the part of the report it stands in. `bridged`: its impact is part of booked net -
    Stripe net of the month. The impact of the others (fees, balance movements, MRR) lies outside
    the payments and never enters the bridge.
    """

    name: str
    severity: Severity
    meaning: str
    action: str
    bridged: bool = True
    section: str = "payments"


def _codes(*rows: Code) -> dict[str, Code]:
    return {row.name: row for row in rows}


# In the order of the contract's table: the first class that fits is the primary one.
CODES: dict[str, Code] = _codes(
    Code(
        "source_incomplete",
        Severity.HIGH,
        "a source was not read to its end; there is no verdict on that part",
        "Check the Stripe key's rights and the network, then extract and audit the month again.",
        bridged=False,
        section="sources",
    ),
    Code(
        "livemode_leak",
        Severity.HIGH,
        "a booked row is marked with another mode (test or live) than its Stripe object has",
        "Move the row to the right mode and give each mode its own key and webhook endpoint.",
    ),
    Code(
        "account_leak",
        Severity.HIGH,
        "a booked row is marked with another account than its Stripe object has",
        "Move the row to the right account and give each account its own key and webhook endpoint.",
    ),
    Code(
        "missing_in_stripe",
        Severity.HIGH,
        "a booked id is unknown to Stripe in this account and mode",
        "Find out who wrote the row; void it if the payment never happened.",
    ),
    Code(
        "missing_in_db",
        Severity.HIGH,
        "a settled payment has no row in the books",
        "Open the payment in the Stripe dashboard and resend its event to the webhook endpoint.",
    ),
    Code(
        "duplicate_row",
        Severity.HIGH,
        "one Stripe payment is booked in several rows",
        "Keep one row, remove the others, and let the writer insert by the Stripe id.",
    ),
    Code(
        "status_mismatch",
        Severity.HIGH,
        "Stripe and the books disagree about whether the payment succeeded",
        "Correct the row's status from Stripe; resend the payment's newest event.",
    ),
    Code(
        "uncaptured_booked",
        Severity.MEDIUM,
        "a payment is booked before it was captured, or while it is pending for over a day",
        "Book the payment at its capture, not at its authorisation.",
    ),
    Code(
        "currency_mismatch",
        Severity.HIGH,
        "the currencies differ",
        "Correct the row's currency; look for a default currency in the code that wrote it.",
    ),
    Code(
        "amount_mismatch",
        Severity.HIGH,
        "the amounts differ by more than one minor unit",
        "Correct the row's amount from Stripe; the named factor hints at the bug that wrote it.",
    ),
    Code(
        "amount_rounding",
        Severity.MEDIUM,
        "the amounts differ by exactly one minor unit",
        "Correct the row's amount; calculate money in whole minor units, never in floats.",
    ),
    Code(
        "refund_missing",
        Severity.HIGH,
        "the books have less refunded than Stripe",
        "Recompute the row's refunds from Stripe's refund objects; resend the refund's event.",
        section="refunds",
    ),
    Code(
        "refund_excess",
        Severity.HIGH,
        "the books have more refunded than Stripe",
        "Recompute the row's refunds from Stripe's refund objects; a resent event may count twice.",
        section="refunds",
    ),
    Code(
        "refund_failed_booked",
        Severity.HIGH,
        "a refund failed or was canceled and is still booked",
        "Take the failed refund out of the row; handle the events of failed refunds.",
        section="refunds",
    ),
    Code(
        "refund_stuck",
        Severity.MEDIUM,
        "a refund is pending or waits for an action for more than 10 days",
        "Top up the Stripe balance or ask the customer for bank details, in the Stripe dashboard.",
        bridged=False,
        section="refunds",
    ),
    Code(
        "dispute_missing",
        Severity.HIGH,
        "disputed funds were withdrawn and are not booked",
        "Book the withdrawal; handle the dispute events of the account.",
        section="disputes",
    ),
    Code(
        "dispute_state",
        Severity.HIGH,
        "the books hold another amount of disputed funds than Stripe",
        "Correct the row's disputed funds from Stripe; resend the dispute's closing event.",
        section="disputes",
    ),
    Code(
        "invoice_payment_sum",
        Severity.HIGH,
        "an invoice's paid invoice payments do not add up to its amount paid, at Stripe or in the "
        "mirror",
        "Read all payments of the invoice: one invoice may be paid by several.",
        bridged=False,
        section="invoices",
    ),
    Code(
        "invoice_paid_no_charge",
        Severity.LOW,
        "an invoice is paid without a charge: by balance, out of band, or with a total of 0",
        "None needed: the evidence explains how it was paid.",
        bridged=False,
        section="invoices",
    ),
    Code(
        "credit_note_unapplied",
        Severity.MEDIUM,
        "a credit note of Stripe is not booked, or a void one still is",
        "Book the credit note; handle the credit note events of the account.",
        bridged=False,
        section="invoices",
    ),
    Code(
        "fee_mismatch",
        Severity.MEDIUM,
        "the booked fee is not the balance transaction's",
        "Take the fee from the balance transaction instead of an estimate.",
        bridged=False,
        section="balance",
    ),
    Code(
        "net_mismatch",
        Severity.MEDIUM,
        "the booked net after fees is not the balance transaction's",
        "Take the net from the balance transaction instead of an estimate.",
        bridged=False,
        section="balance",
    ),
    Code(
        "balance_unlinked",
        Severity.MEDIUM,
        "a balance transaction has no known source, or money settled a week ago has no balance "
        "transaction",
        "Look the object up in the Stripe dashboard; the source may be of a new type, or the money "
        "never reached the balance.",
        bridged=False,
        section="balance",
    ),
    Code(
        "payout_unbalanced",
        Severity.HIGH,
        "an automatic payout is not the sum of its balance transactions",
        "List the payout's balance transactions again; some lines are missing.",
        bridged=False,
        section="payouts",
    ),
    Code(
        "payout_failed",
        Severity.HIGH,
        "a payout failed or was canceled, also after it was paid",
        "Correct the bank details in the Stripe dashboard and book the returned money.",
        bridged=False,
        section="payouts",
    ),
    Code(
        "payout_late",
        Severity.MEDIUM,
        "a payout is in transit for more than 5 days after its arrival date",
        "Ask the bank; the payout's trace id is in the Stripe dashboard.",
        bridged=False,
        section="payouts",
    ),
    Code(
        "subscription_missing",
        Severity.HIGH,
        "a live subscription stands on one side only",
        "Ask Stripe for the subscription again.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "subscription_status",
        Severity.HIGH,
        "the subscription's statuses differ",
        "Ask Stripe for the subscription again.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "duplicate_subscription",
        Severity.MEDIUM,
        "a customer has more than one live subscription to a product",
        "Ask the customer, cancel the surplus one and refund it.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "paid_not_provisioned",
        Severity.HIGH,
        "a customer pays for a subscription and has no access",
        "Grant the access; look at the handler of the subscription's events.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "provisioned_not_paid",
        Severity.HIGH,
        "a customer has access without a subscription that is paid",
        "Revoke the access, or find out why the subscription ended.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "tier_mismatch",
        Severity.HIGH,
        "the plans differ",
        "Take the plan from Stripe; an update of the subscription was lost.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "quantity_mismatch",
        Severity.HIGH,
        "the numbers of seats differ",
        "Take the quantity from Stripe; an update of the subscription was lost.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "period_mismatch",
        Severity.MEDIUM,
        "access ends at another time than the paid period",
        "Take the period from the subscription's items, where newer API versions keep it.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "mrr_drift",
        Severity.HIGH,
        "the stored MRR is not the MRR recomputed from a fresh list",
        "Compute the stored MRR again from Stripe's state.",
        bridged=False,
        section="subscriptions",
    ),
    Code(
        "customer_unmapped",
        Severity.MEDIUM,
        "a paying customer belongs to no user of the application",
        "Map the customer to its user.",
        bridged=False,
        section="customers",
    ),
    Code(
        "customer_shared",
        Severity.MEDIUM,
        "a customer belongs to several users of the application",
        "Keep the right user and unmap the others.",
        bridged=False,
        section="customers",
    ),
    Code(
        "customer_deleted",
        Severity.MEDIUM,
        "a user is mapped to a customer that was deleted in Stripe",
        "Map the user to a living customer, or unmap it.",
        bridged=False,
        section="customers",
    ),
    Code(
        "event_gap",
        Severity.MEDIUM,
        "an event of Stripe's list is not in the event ledger",
        "growth repair fetches it; many of them: the hourly sweep (billing/event_sweep in "
        "Dagster), or growth backfill over their months.",
        bridged=False,
        section="events",
    ),
    Code(
        "unknown_version",
        Severity.MEDIUM,
        "events of an unknown API version wait in quarantine",
        "Update growth_pipeline, then replay the events.",
        bridged=False,
        section="events",
    ),
    Code(
        "orphan_row",
        Severity.MEDIUM,
        "a row points at a customer, invoice or charge that exists on neither side",
        "Correct the reference, or find out which account the object belongs to.",
        bridged=False,
    ),
    Code(
        "stale_row",
        Severity.MEDIUM,
        "a mirrored row differs from Stripe in fields that no other class names",
        "Ask Stripe for the object again.",
        bridged=False,
        section="events",
    ),
    Code(
        "email_differs",
        Severity.LOW,
        "the customer's e-mail address differs from the user's",
        "Choose one; both may be right.",
        bridged=False,
        section="customers",
    ),
    Code(
        "period_cutoff",
        Severity.LOW,
        "both sides agree in full, but book the payment in different months",
        "None needed: this month's total differs by it, and the other month's the other way.",
    ),
    Code(
        "bridge_nonzero",
        Severity.HIGH,
        "the totals differ by more than the findings explain",
        "This is a bug of the audit: report it with this finding's evidence.",
        bridged=False,
        section="sources",
    ),
)

ORDER: dict[str, int] = {name: place for place, name in enumerate(CODES)}

# Sections of the report, in its order.
SECTIONS: tuple[str, ...] = (
    *("sources", "payments", "refunds", "disputes", "invoices", "balance", "payouts"),
    *("subscriptions", "customers", "events"),
)

# The row itself is the mistake: who wrote it matters, not what Stripe sent.
MADE_BY_ROW = frozenset(
    {"livemode_leak", "account_leak", "missing_in_stripe", "duplicate_row", "orphan_row"}
)
