"""The finding of one subscription: its classes, how bad they are, what they do to MRR. Pure.

What changed too lately to be judged, and who is asked again, is not decided here.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import in_table_order, worst_severity
from growth_pipeline.audit.parts.subscription_classes import (
    Found,
    application_codes,
    mirror_codes,
    missing_codes,
)
from growth_pipeline.audit.parts.subscription_impacts import currency_of, impacts_of
from growth_pipeline.audit.parts.subscription_sides import ENDED, RUNNING, Pair, State, Subscribed

# Of the older ones Stripe is asked about each until one still runs; a customer may have thousands.
_OLDER_ASKED: Final = 10


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one subscription: the primary code first, and what it does to MRR.

    `impacts`: minor units by currency, without zeros; None is unknown. `details`: what each side
    says, by code.
    """

    codes: tuple[str, ...]
    severity: Severity
    currency: str
    impacts: dict[str, int] | None
    details: Found

    @property
    def code(self) -> str:
        """The primary code."""
        return self.codes[0]


def judge(pair: Pair) -> Diagnosis | None:
    """The finding of one subscription, or None when all sides agree.

    One primary code, the first of the contract's table that fits; the others follow it. Severity:
    the worst of all. Impact: the database's MRR - Stripe's, of the first code that has any.
    """
    found = missing_codes(pair)
    if pair.doubled:
        found["duplicate_subscription"] = {"with": list(pair.doubled)}
    if pair.stripe is not None:
        if pair.mirror is not None:
            found |= mirror_codes(pair.stripe, pair.mirror, pair.at)
        if pair.is_told:
            found |= application_codes(pair.stripe, pair)
    if not found:
        return None
    codes = tuple(in_table_order(found))
    return Diagnosis(
        codes=codes,
        severity=worst_severity(_severity(code, pair) for code in codes),
        currency=currency_of(pair),
        impacts=impacts_of(pair, codes),
        details={code: found[code] for code in codes},
    )


def runs_on(state: State) -> bool:
    """Whether a subscription runs and no cancellation of it is set."""
    return state.status in RUNNING and state.cancel_at is None


def surplus_subscriptions(running: Iterable[Subscribed]) -> dict[str, list[Subscribed]]:
    """Running subscriptions that are one too many for their customer and product.

    Shapes: the surplus one's id -> up to 10 older ones that it may double, oldest first; the
    oldest of all is no surplus. One that will be cancelled is being replaced: leave it out.
    """
    groups: dict[tuple[str, str], list[Subscribed]] = defaultdict(list)
    for one in running:
        for product in one.products:
            groups[one.customer, product].append(one)
    surplus: dict[str, set[Subscribed]] = defaultdict(set)
    for some in groups.values():
        by_age = sorted(some, key=_age)
        for place, one in enumerate(by_age[1:], 1):
            surplus[one.id].update(by_age[: min(place, _OLDER_ASKED)])
    return {key: sorted(older, key=_age) for key, older in surplus.items()}


def _age(one: Subscribed) -> tuple[int, str]:
    return one.created, one.id


def _severity(code: str, pair: Pair) -> Severity:
    if code == "subscription_status" and pair.stripe and pair.mirror:
        is_final = (pair.stripe.status in ENDED) != (pair.mirror.status in ENDED)
        return Severity.HIGH if is_final else Severity.MEDIUM
    return CODES[code].severity
