"""What can be mended for each class of finding, and what only a person can do. Pure.

Which rows that changes is found out by carrying it out (`repair/run.py`); nothing here guesses it.
Contract: docs/metrics.md, "Repair"; docs/decisions/0025.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from growth_pipeline.audit.codes import CODES, Cause
from growth_pipeline.audit.findings import Finding, in_table_order
from growth_pipeline.audit.payments.sides import StripePayment
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.core.errors import UsageError


class Way(StrEnum):
    """How a class is mended.

    `book`: Stripe is asked for the payment, the mirror books it, other rows of it are taken out.
    `fetch`: Stripe is asked for the object, and the mirror takes it. `person`: only a person can.
    """

    BOOK = "book"
    FETCH = "fetch"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one class is mended: `does` is what a repair does, `person` what is left to somebody."""

    way: Way
    does: str = ""
    person: str = ""


_BOOK_AGAIN: Final = "asks Stripe for the payment and books it again from the mirror"
_REMOVE: Final = (
    "takes the row out of the books, if Stripe still says that it knows no such id in this account"
    " and mode"
)
_FETCH: Final = "asks Stripe for the object again and brings it into the mirror"
_IN_APPLICATION: Final = (
    "The application decides about access: correct it there, then let it write"
    " billing.entitlements again."
)
_MAPPING: Final = (
    "The application owns its users: correct the mapping there, then let it write"
    " billing.user_customers again."
)

RULES: Final[Mapping[str, Rule]] = {
    "source_incomplete": Rule(Way.PERSON, person="Give the key the right, then audit again."),
    "livemode_leak": Rule(Way.BOOK, _REMOVE + "; a payment of this mode is booked where it is"),
    "account_leak": Rule(Way.BOOK, _REMOVE + "; a payment of this account is booked where it is"),
    "missing_in_stripe": Rule(Way.BOOK, _REMOVE),
    "missing_in_db": Rule(Way.BOOK, _BOOK_AGAIN),
    "duplicate_row": Rule(Way.BOOK, _BOOK_AGAIN + ", and takes the surplus rows out"),
    "status_mismatch": Rule(Way.BOOK, _BOOK_AGAIN),
    "uncaptured_booked": Rule(Way.BOOK, _BOOK_AGAIN),
    "currency_mismatch": Rule(Way.BOOK, _BOOK_AGAIN),
    "amount_mismatch": Rule(Way.BOOK, _BOOK_AGAIN),
    "amount_rounding": Rule(Way.BOOK, _BOOK_AGAIN),
    "refund_missing": Rule(Way.BOOK, _BOOK_AGAIN + " with all its refunds"),
    "refund_excess": Rule(Way.BOOK, _BOOK_AGAIN + " with all its refunds"),
    "refund_failed_booked": Rule(Way.BOOK, _BOOK_AGAIN + " with all its refunds"),
    "refund_stuck": Rule(
        Way.PERSON,
        person="Top up the balance, or ask the customer for bank details, in Stripe's dashboard.",
    ),
    "dispute_missing": Rule(Way.BOOK, _BOOK_AGAIN + " with all its disputes"),
    "dispute_state": Rule(Way.BOOK, _BOOK_AGAIN + " with all its disputes"),
    "invoice_payment_sum": Rule(
        Way.FETCH,
        "asks Stripe for the invoice and its payments again and brings them into the mirror",
    ),
    "invoice_paid_no_charge": Rule(Way.PERSON, person="Nothing is wrong: it explains itself."),
    "credit_note_unapplied": Rule(Way.FETCH, _FETCH),
    "fee_mismatch": Rule(Way.BOOK, _BOOK_AGAIN + " with the fee of its balance transaction"),
    "net_mismatch": Rule(Way.BOOK, _BOOK_AGAIN + " with the net of its balance transaction"),
    "balance_unlinked": Rule(
        Way.PERSON, person="Look at the balance transaction's source in Stripe's dashboard."
    ),
    "payout_unbalanced": Rule(
        Way.PERSON, person="Audit the month again; then ask Stripe about the payout's lines."
    ),
    "payout_failed": Rule(
        Way.PERSON,
        person="Correct the bank details in Stripe's dashboard, and book the returned money.",
    ),
    "payout_late": Rule(Way.PERSON, person="Ask the bank, with the payout's trace id."),
    "subscription_missing": Rule(Way.FETCH, _FETCH, _IN_APPLICATION),
    "subscription_status": Rule(Way.FETCH, _FETCH, _IN_APPLICATION),
    "duplicate_subscription": Rule(
        Way.PERSON,
        person="Ask the customer which one to keep; cancel and refund the other in the dashboard.",
    ),
    "paid_not_provisioned": Rule(Way.PERSON, person=_IN_APPLICATION),
    "provisioned_not_paid": Rule(Way.PERSON, person=_IN_APPLICATION),
    "tier_mismatch": Rule(Way.FETCH, _FETCH, _IN_APPLICATION),
    "quantity_mismatch": Rule(Way.FETCH, _FETCH, _IN_APPLICATION),
    "period_mismatch": Rule(Way.FETCH, _FETCH, _IN_APPLICATION),
    "mrr_drift": Rule(Way.FETCH, _FETCH, "Let the application compute its stored MRR again."),
    "customer_unmapped": Rule(Way.PERSON, person=_MAPPING),
    "customer_shared": Rule(Way.PERSON, person=_MAPPING),
    "customer_deleted": Rule(Way.PERSON, person=_MAPPING),
    "event_gap": Rule(
        Way.FETCH, "asks Stripe for the event, puts it into the ledger and applies it"
    ),
    "unknown_version": Rule(
        Way.PERSON, person="Update growth_pipeline, then run: growth webhooks replay --all"
    ),
    "orphan_row": Rule(Way.BOOK, _BOOK_AGAIN + ", with the references that Stripe gives it"),
    "stale_row": Rule(Way.FETCH, _FETCH),
    "email_differs": Rule(Way.PERSON, person="Choose one of the two addresses; both may be right."),
    "period_cutoff": Rule(
        Way.BOOK,
        _BOOK_AGAIN + ", in the month of its charge; only when it is asked for by --only",
    ),
    "bridge_nonzero": Rule(Way.PERSON, person="Report it as a bug, with this finding's evidence."),
}

MOST_FINDINGS: Final = 2_000
"""Findings that one repair mends: what is asked of Stripe, and what one person can read."""

PAYMENTS: Final = frozenset({"charge", "payment_intent", "invoice_payment", "invoice"})
# Both sides agree about these payments; whoever books them in another month may mean it.
_ON_REQUEST: Final = frozenset({"period_cutoff"})
# They explain what somebody may wonder about; nothing is wrong.
_EXPLAINED: Final = frozenset({"invoice_paid_no_charge"})
# Their rows may be taken out because Stripe knows no such id here. For no other class is that an
# answer: there Stripe knew the payment when it was audited.
LEAKS: Final = frozenset({"livemode_leak", "account_leak"})
UNKNOWN_IS_AN_ANSWER: Final = LEAKS | {"missing_in_stripe"}

_BY_CAUSE: Final[Mapping[Cause, str]] = {
    Cause.QUARANTINED: (
        " Its event waits in quarantine and stays there: growth webhooks list says why."
    ),
    Cause.WRITTEN_BY_HAND: " A row written by hand gives way to the row of the pipeline.",
    Cause.NEVER_DELIVERED: " The event itself stays missing until the next sweep.",
}


def outlook(code: str, cause: Cause) -> str:
    """What `growth repair` would do about a finding, or why it cannot, in a sentence or two.

    Raises: KeyError for a class outside the table.
    """
    rule = RULES[code]
    if rule.way is Way.PERSON:
        return f"growth repair cannot mend this. {rule.person}"
    said = f"growth repair {rule.does}."
    if rule.way is Way.BOOK:
        said += _BY_CAUSE.get(cause, "")
    return f"{said} {rule.person}".rstrip()


def repairable() -> tuple[str, ...]:
    """Classes that a repair does something about, in table order."""
    return tuple(code for code in CODES if RULES[code].way is not Way.PERSON)


def chosen_codes(names: Sequence[str]) -> tuple[str, ...]:
    """Classes named by a person, in table order; empty for all.

    Raises: UsageError for a word that is no class.
    """
    unknown = sorted(set(names) - set(CODES))
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is no class of finding",
            remedy=f"repairs know {', '.join(repairable())}",
        )
    return tuple(in_table_order(names))


# --- what is mended, what is not -----------------------------------------------------------------


class Note(NamedTuple):
    """One finding that a repair does not mend, or not alone, with what a person may do."""

    code: str
    object: str
    object_id: str
    fingerprint: str
    said: str
    command: str = ""

    @classmethod
    def of(cls, finding: Finding, said: str) -> Note:
        """About a finding."""
        return cls(
            finding.code,
            finding.object,
            finding.object_id,
            finding.fingerprint,
            said,
            finding.command,
        )


@dataclass(frozen=True)
class Selection:
    """Open findings by what becomes of them: mended, done by a person, left as they are."""

    mended: tuple[Finding, ...]
    manual: tuple[Note, ...]
    left: tuple[Note, ...]


def select(findings: Iterable[Finding], only: Sequence[str] = ()) -> Selection:
    """Which findings a repair mends. `only`: classes that were asked for; empty for all.

    A finding that somebody suppressed is left alone, unless its class is named. A cut-off is no
    mistake of the books: what would move a row to another month is done only when `period_cutoff`
    is named, also where the row has a mistake besides.
    """
    mended: list[Finding] = []
    manual: list[Note] = []
    left: list[Note] = []
    for finding in findings:
        if only and not _is_named(finding, only):
            continue
        reason = _reason_to_leave(finding, only)
        if reason:
            left.append(Note.of(finding, reason))
            continue
        rule = RULES[finding.code]
        if rule.way is not Way.PERSON and _can_ask_for(finding):
            mended.append(finding)
        if rule.person or finding not in mended:
            manual.append(Note.of(finding, rule.person or CODES[finding.code].action))
    return Selection(tuple(mended), tuple(manual), tuple(left))


def portion(selection: Selection, most: int) -> tuple[Selection, int]:
    """The first of the findings that are mended, and how many are left for later repairs."""
    later = max(0, len(selection.mended) - most)
    return replace(selection, mended=selection.mended[:most]), later


def _is_named(finding: Finding, only: Sequence[str]) -> bool:
    """Whether the class was asked for, or the move to another month that comes with it."""
    return finding.code in only or not _moves(finding).isdisjoint(only)


def _moves(finding: Finding) -> frozenset[str]:
    """Classes of a finding whose repair moves a row to another month."""
    return _ON_REQUEST.intersection((finding.code, *finding.also))


def _reason_to_leave(finding: Finding, only: Sequence[str]) -> str:
    if finding.suppression is not None and finding.code not in only:
        return f"suppressed until {finding.suppression['until']}"
    if finding.code in _EXPLAINED:
        return "nothing is wrong: the finding explains how it was paid"
    unasked = sorted(_moves(finding) - set(only))
    if not unasked:
        return ""
    if finding.code in unasked:
        return f"both sides agree; growth repair --only {finding.code} moves the row"
    return (
        "the row is booked in another month too, so mending it would move it: growth repair "
        f"--only {unasked[0]} does both"
    )


def _can_ask_for(finding: Finding) -> bool:
    if RULES[finding.code].way is Way.BOOK:
        return finding.object in PAYMENTS
    return finding.object in BY_OBJECT


# --- rows of the books ---------------------------------------------------------------------------

_SEEN: Final = (
    *("account_id", "livemode", "charge_id", "payment_intent_id", "invoice_payment_id"),
    *("invoice_id", "customer_id"),
    *("status", "captured", "currency", "amount_minor", "refunded_minor", "disputed_minor"),
    *("fee_minor", "net_minor", "settlement_currency", "written_by"),
)


def rows_seen(finding: Finding) -> dict[int, Mapping[str, Any]]:
    """Booked rows of a finding as the audit saw them, by payment_id; those elsewhere too."""
    evidence = finding.evidence
    rows = [*evidence.get("booked", ()), *evidence.get("booked_elsewhere", ())]
    return {row["payment_id"]: row for row in rows}


def is_as_seen(seen: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a row is still what the audit saw: a null and an absent value are the same."""
    return all(seen.get(name) == row.get(name) for name in _SEEN)


def kept_of(finding: Finding) -> int | None:
    """The row that stands for a payment without a charge; None if there is none."""
    details = finding.evidence.get("details", {})
    kept = details.get("duplicate_row", {}).get("kept_payment_id")
    ids = [row["payment_id"] for row in finding.evidence.get("booked", ())]
    return kept if kept in ids else min(ids, default=None)


def corrected_values(payment: StripePayment) -> dict[str, Any]:
    """What a row of a payment without a charge must say; what Stripe does not tell is not named.

    Units: minor units of `currency`; `created` in Unix seconds.
    """
    return {
        "status": payment.status,
        "captured": payment.captured,
        "currency": payment.currency,
        "amount_minor": payment.captured_minor if payment.captured else payment.asked_minor,
        "refunded_minor": payment.refunded_minor,
        "disputed_minor": payment.disputed_minor,
        "customer_id": payment.customer,
        "created": payment.created,
    }
