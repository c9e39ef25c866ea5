"""Types of balance transactions: which have a source that must be known, and whose money they move.

A table, no rule. Source: Stripe API reference, "Balance transactions", types.
"""

from __future__ import annotations

from typing import Final

# Types whose source is a charge, refund or payout, which the audit extracts: it must be known.
WITH_SOURCE: Final = frozenset(
    {
        *("charge", "payment", "refund", "payment_refund", "refund_failure"),
        *("payment_failure_refund", "payout", "payout_cancel", "payout_failure"),
    }
)
# Types that move money without such an object: fees, reserves, top-ups, transfers, Connect,
# Issuing, Capital. An adjustment for a dispute has the dispute as its source: its category says so.
WITHOUT_SOURCE: Final = frozenset(
    {
        *("adjustment", "advance", "advance_funding", "anticipation_repayment"),
        *("application_fee", "application_fee_refund", "balance_payment_debit"),
        *("balance_payment_debit_reversal", "climate_order_purchase", "climate_order_refund"),
        *("connect_collection_transfer", "contribution", "fee_credit_funding"),
        *("inbound_transfer", "inbound_transfer_reversal", "issuing_authorization_hold"),
        *("issuing_authorization_release", "issuing_dispute", "issuing_transaction"),
        *("issuing_dispute_provisional_credit", "issuing_dispute_provisional_credit_reversal"),
        *("obligation_outbound", "obligation_reversal_inbound", "payment_network_reserve_hold"),
        *("payment_network_reserve_release", "payment_reversal", "payment_unreconciled"),
        *("payout_minimum_balance_hold", "payout_minimum_balance_release", "reserve_hold"),
        *("reserve_release", "reserve_transaction", "reserved_funds"),
        *("stripe_balance_payment_debit", "stripe_balance_payment_debit_reversal", "stripe_fee"),
        *("stripe_fx_fee", "tax_fee", "tax_fund", "topup", "topup_reversal", "transfer"),
        *("transfer_cancel", "transfer_failure", "transfer_refund"),
    }
)
PARTS: Final = ("charges", "refunds", "disputes", "payouts")
_PART_OF_TYPE: Final = {
    **dict.fromkeys(("charge", "payment"), "charges"),
    **dict.fromkeys(
        ("refund", "payment_refund", "refund_failure", "payment_failure_refund"), "refunds"
    ),
    **dict.fromkeys(("payout", "payout_cancel", "payout_failure"), "payouts"),
}
_DISPUTED: Final = frozenset({"dispute", "dispute_reversal"})


def part_of(kind: str, category: str) -> str | None:
    """Whose money a balance transaction moves; None for a movement without an object of ours."""
    return "disputes" if category in _DISPUTED else _PART_OF_TYPE.get(kind)
