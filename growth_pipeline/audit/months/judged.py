"""Which classes an audit judged, and what becomes of findings of the others: they stay open. Pure.

A finding closes itself only when its class was judged and it was not there. Contract:
docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding, in_table_order
from growth_pipeline.billing.objects import AUDITED_OBJECTS

NOT_JUDGED: Final = "not_judged_since"  # the key in a finding's evidence
_PAYMENTS: Final = frozenset(
    {"charges", "payment_intents", "invoices", "invoice_payments", "refunds", "disputes"}
)
_RESTS_ON: Final[Mapping[str, frozenset[str]]] = {
    **{
        code.name: _PAYMENTS
        for code in CODES.values()
        if code.section in {"payments", "refunds", "disputes"}
    },
    **dict.fromkeys(("fee_mismatch", "net_mismatch"), _PAYMENTS | {"balance_transactions"}),
    **{
        code.name: frozenset({"subscriptions"})
        for code in CODES.values()
        if code.section == "subscriptions"
    },
    **dict.fromkeys(("paid_not_provisioned",), frozenset({"subscriptions", "invoices"})),
    **{
        code.name: frozenset({"customers", "subscriptions"})
        for code in CODES.values()
        if code.section == "customers"
    },
    **dict.fromkeys(
        ("invoice_payment_sum", "invoice_paid_no_charge"),
        frozenset({"invoices", "invoice_payments"}),
    ),
    "credit_note_unapplied": frozenset({"credit_notes", "invoices"}),
    "balance_unlinked": frozenset(
        {"balance_transactions", "charges", "refunds", "disputes", "payouts"}
    ),
    **dict.fromkeys(("payout_failed", "payout_late"), frozenset({"payouts"})),
    "payout_unbalanced": frozenset({"payouts", "balance_transactions"}),
    "orphan_row": _PAYMENTS,
    "period_cutoff": _PAYMENTS,
    "bridge_nonzero": _PAYMENTS | {"balance_transactions", "payouts"},
    "stale_row": frozenset(AUDITED_OBJECTS),
    "event_gap": frozenset({"events"}),
    "unknown_version": frozenset(),
    "source_incomplete": frozenset(),
}


PAYMENT_CLASSES: Final = frozenset(
    code for code, needed in _RESTS_ON.items() if needed >= _PAYMENTS and code != "stale_row"
)
"""Classes that are judged from a payment and its booked rows."""


def unjudged_without(resources: Collection[str]) -> set[str]:
    """Classes that rest on one of these lists, which were not read to their end."""
    missing = frozenset(resources)
    return {code for code, needed in _RESTS_ON.items() if needed & missing}


def classes_of(section: str) -> frozenset[str]:
    """All classes of a section of the report."""
    return frozenset(code.name for code in CODES.values() if code.section == section)


def in_order(codes: Iterable[str]) -> tuple[str, ...]:
    """The classes once each, in the order of the contract's table."""
    return tuple(in_table_order(codes))


def still_open(
    before: Iterable[Finding],
    found: Iterable[Finding],
    unjudged: Collection[str],
    as_of: datetime,
    *,
    silent: Collection[str] = (),
) -> list[Finding]:
    """Open findings of the audit before whose class was not judged now; they go on counting.

    Each says since which instant it was not judged. What was found again is left out. `silent`:
    sections of which the application told nothing; what rests on its word was not judged either.
    """
    known = {one.fingerprint for one in found}
    return [
        _kept_open(one, as_of)
        for one in before
        if one.fingerprint not in known and (one.code in unjudged or _rests_on(silent, one))
    ]


def _rests_on(silent: Collection[str], finding: Finding) -> bool:
    is_told = bool(finding.evidence.get("application"))
    return is_told and CODES[finding.code].section in silent


def is_not_judged(finding: Finding) -> bool:
    """Whether a finding is open only because its class was not judged."""
    return NOT_JUDGED in finding.evidence


def as_judged(finding: Finding) -> Finding:
    """The finding without the mark: its pair was looked at."""
    if not is_not_judged(finding):
        return finding
    evidence = {name: one for name, one in finding.evidence.items() if name != NOT_JUDGED}
    return replace(finding, evidence=evidence)


def _kept_open(finding: Finding, as_of: datetime) -> Finding:
    """Dates, owner and suppression are the store's and people's to say; see earlier.py."""
    evidence = {NOT_JUDGED: as_of.isoformat(), **finding.evidence}
    return replace(
        finding,
        evidence=evidence,
        first_seen_at=None,
        last_seen_at=None,
        owner=None,
        suppression=None,
    )
