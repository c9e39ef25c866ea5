"""What becomes of questions that Stripe was not asked, or did not answer: their classes wait. Pure.

A class with such a question is not good again: what is open of it stays open. Each part of the
report says how many objects that was. Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from growth_pipeline.audit.confirm import LIST_OF, PAYMENTS
from growth_pipeline.audit.months.judged import PAYMENT_CLASSES, classes_of
from growth_pipeline.audit.sections import Section


class Asks(NamedTuple):
    """Who asks under an allowance: the part of the report, and the classes that rest on it."""

    section: str
    classes: frozenset[str]


_SUBSCRIPTIONS: Final = ("subscription_missing", "duplicate_subscription", "paid_not_provisioned")
_CUSTOMERS: Final = ("customer_unmapped", "customer_deleted")
_INVOICES: Final = ("invoice_payment_sum", "credit_note_unapplied")

ASKS: Final[Mapping[str, Asks]] = {
    PAYMENTS: Asks("payments", PAYMENT_CLASSES),
    **{f"orphan_row {kind}": Asks("payments", frozenset({"orphan_row"})) for kind in LIST_OF},
    **{name: Asks("invoices", frozenset({name})) for name in _INVOICES},
    "balance_unlinked": Asks("balance", frozenset({"balance_unlinked"})),
    "balance_unlinked objects": Asks("balance", frozenset({"balance_unlinked"})),
    "payout_late": Asks("payouts", frozenset({"payout_late"})),
    "subscriptions": Asks("subscriptions", classes_of("subscriptions")),
    **{name: Asks("subscriptions", frozenset({name})) for name in _SUBSCRIPTIONS},
    "customers": Asks("customers", classes_of("customers")),
    **{name: Asks("customers", frozenset({name})) for name in _CUSTOMERS},
    # Rows that stayed behind are asked about by their kind alone.
    **{kind: Asks("events", frozenset({"stale_row"})) for kind in LIST_OF},
}


def with_unasked(sections: Iterable[Section], unasked: Mapping[str, int]) -> list[Section]:
    """The sections, each with its classes that wait for an answer and a sentence with the number.

    `unasked`: by allowance, how many objects Stripe was not asked about or did not answer about.
    A part that leaves all these classes open already has said so itself.
    Raises: KeyError for an allowance that belongs to no part.
    """
    told = {section.name: section for section in sections}
    for allowance, number in sorted(unasked.items()):
        if not number:
            continue
        asks = ASKS[allowance]
        section = told.get(asks.section, Section(asks.section))
        said = () if asks.classes <= section.unjudged else (_sentence(asks, number),)
        told[asks.section] = replace(
            section,
            not_judged=(*section.not_judged, *said),
            unjudged=section.unjudged | asks.classes,
        )
    return list(told.values())


def _sentence(asks: Asks, number: int) -> str:
    classes = (
        f"all classes of {asks.section}"
        if asks.classes >= classes_of(asks.section)
        else ", ".join(sorted(asks.classes))
    )
    objects = "1 object" if number == 1 else f"{number} objects"
    return (
        f"{objects} left open for {classes}: Stripe was not asked, or gave no answer. An audit "
        "asks about a limited number of objects, and what is open of these classes stays open. "
        "Extract the month again, then audit again."
    )
