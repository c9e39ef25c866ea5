"""Findings of the audit before that may be kept without looking again, because nothing moved.

A pair is as it was when Stripe's side, the booked rows and the rules are the same, and the ledger
heard nothing new of it. Nothing here judges. Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, Final

from growth_pipeline import __version__
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.months.changes import Previous
from growth_pipeline.audit.months.judged import as_judged
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment
from growth_pipeline.audit.payments.totals import Ledger

KEPT: Final = "kept"  # the key in a finding's evidence under which its pair is remembered
# It rests on objects beside the pair, which may turn up without the pair moving.
_NEVER_KEPT: Final = "orphan_row"
_PAYMENT_FIELDS: Final = StripePayment.__dataclass_fields__

Heard = Callable[[Iterable[str]], set[str]]
"""Those of these Stripe ids that the ledger heard of since the audit before."""


def pair_digest(payment: StripePayment | None, rows: Sequence[BookedRow], *facts: object) -> str:
    """Name of a pair's state: equal sides, facts and rules give an equal name.

    Shapes: 32 hexadecimal digits. `facts` are what else the judgement rests on.
    """
    sides = [
        None if payment is None else astuple(payment),
        sorted(astuple(row) for row in rows),
        facts,
        __version__,  # other rules may judge the same pair otherwise
    ]
    return hashlib.sha256(json.dumps(sides, default=str).encode()).hexdigest()[:32]


def remembered(finding: Finding, digest: str, effects: Ledger) -> Finding:
    """The finding, knowing the state of its pair and what judging it did to the totals."""
    kept = {"digest": digest, "effects": effects.to_dict()}
    return replace(finding, evidence={**finding.evidence, KEPT: kept})


class Earlier:
    """Open findings of the audit before, by the state of their pairs; `taken` are those kept."""

    def __init__(self, previous: Previous | None = None, heard: Heard = lambda ids: set()) -> None:
        self._by_digest: dict[str, Finding] = {}
        for finding in previous.findings if previous else ():
            kept = finding.evidence.get(KEPT)
            if kept and _NEVER_KEPT not in (finding.code, *finding.also):
                self._by_digest[kept["digest"]] = _as_found(finding)
        self._heard = heard
        self.taken: list[Finding] = []

    def knows(self, state: str) -> bool:
        """Whether a finding of a pair in this state is at hand."""
        return state in self._by_digest

    def take(self, digests: Mapping[str, Sequence[str]]) -> set[str]:
        """Keep the findings of pairs in these states; which states they were.

        `digests`: Stripe ids of a pair by its state; a pair of which the ledger heard is left out.
        """
        known = {digest: ids for digest, ids in digests.items() if digest in self._by_digest}
        if not known:
            return set()
        news = self._heard({one for ids in known.values() for one in ids})
        kept = {digest for digest, ids in known.items() if not news.intersection(ids)}
        self.taken += [self._by_digest[digest] for digest in sorted(kept)]
        return kept

    def effects(self) -> list[Ledger]:
        """What judging the kept pairs did to the totals, when they were judged."""
        return [Ledger.from_dict(one.evidence[KEPT]["effects"]) for one in self.taken]

    def judged_payments(self) -> list[StripePayment]:
        """Payments of kept findings that the month's charges do not tell, or told otherwise."""
        sides = [one.evidence for one in self.taken if one.evidence.get("stripe")]
        return [
            _payment(one["stripe"])
            for one in sides
            if one.get("confirmed_by_stripe") or one["stripe"]["object"] != "charge"
        ]


def _as_found(finding: Finding) -> Finding:
    """The finding without what the store knows of it: dates, owner, suppression."""
    finding = as_judged(finding)
    return replace(finding, first_seen_at=None, last_seen_at=None, owner=None, suppression=None)


def _payment(stored: Mapping[str, Any]) -> StripePayment:
    """A payment of a finding's evidence."""
    known = {name: stored[name] for name in _PAYMENT_FIELDS if name in stored}
    return StripePayment(**{**known, "failed_refunds": tuple(known.get("failed_refunds", ()))})
