"""Objects whose money no balance transaction moved, and what Stripe says of each now.

Contract: docs/metrics.md, "Revenue audit", `balance_unlinked`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.confirm import NoAnswer
from growth_pipeline.audit.evidence import dashboard_link
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.payments.matching import MISSING_LISTED
from growth_pipeline.audit.queries import Row
from growth_pipeline.audit.sections import View
from growth_pipeline.audit.sources import covers

_OBJECT_OF_PART: Final = {
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "payouts": "payout",
}
_UNMOVED: Final = "balance_unlinked objects"


class Unmoved:
    """Final objects that no balance transaction moved, a week after they were made.

    Stripe is asked again about each: a list may be older than the object's file.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._is_covered = covers(view.sources, "balance_transactions", view.window.cutoff)
        self._unlisted = 0
        self._open = 0
        self.findings: list[Finding] = []

    def look_at(self, row: Row) -> Row:
        """The sum with the missing money of those objects only that Stripe does not clear."""
        if not row["missing_count"]:
            return row
        if not self._is_covered:
            self._open += row["missing_count"]
            return {**row, "missing_minor": 0}
        self._unlisted += row["missing_count"] - len(row["missing"])
        missing_minor = row["missing_minor"]
        for one in row["missing"]:
            reason = self._why(_OBJECT_OF_PART[row["part"]], one)
            if reason is None:
                missing_minor -= one["object_minor"]
            else:
                self.findings.append(_unmoved_finding(self._view, row, one, reason))
        return {**row, "missing_minor": missing_minor}

    def _why(self, kind: str, one: Row) -> str | None:
        """Why the object's money is missing; None if it is not, or if nobody could tell."""
        asker = self._view.asker
        if not asker.can_ask:
            return "no balance transaction names it"
        now = asker.ask(kind, one["id"], is_payment=False, allowance=_UNMOVED)
        if not isinstance(now, Mapping):
            self._open += 1
            return None
        named = transaction_ids(now)
        if not named:
            return "Stripe names no balance transaction of it"
        answers = [
            asker.ask("balance_transaction", named_id, is_payment=False, allowance=_UNMOVED)
            for named_id in named
        ]
        window = self._view.window
        known = [answer for answer in answers if isinstance(answer, Mapping)]
        if any(not window.start <= answer["created"] < window.cutoff for answer in known):
            return None
        if NoAnswer.UNASKED in answers:
            self._open += 1
            return None
        return f"its balance transaction {named[0]} is in no list"

    @property
    def not_judged(self) -> tuple[str, ...]:
        """What was not looked at, in sentences."""
        said = []
        if self._open:
            said.append(
                f"{self._open} objects have no balance transaction in the lists, and nobody could "
                "tell whether one is missing: extract the balance transactions up to now, audit "
                "again."
            )
        if self._unlisted:
            said.append(
                f"{self._unlisted} more objects have no balance transaction; the largest "
                f"{MISSING_LISTED} of each kind are listed."
            )
        return tuple(said)


def transaction_ids(thing: Mapping[str, Any]) -> list[str]:
    """Ids of the balance transactions that an object of Stripe's names."""
    told = [thing.get("balance_transaction"), *(thing.get("balance_transactions") or ())]
    ids = [one.get("id") if isinstance(one, Mapping) else one for one in told]
    return [one for one in ids if one]


def _unmoved_finding(view: View, row: Row, one: Row, reason: str) -> Finding:
    kind, currency = _OBJECT_OF_PART[row["part"]], row["of_currency"]
    return view.frame.finding(
        "balance_unlinked",
        kind,
        one["id"],
        currency=currency,
        impacts={currency: one["object_minor"]},
        evidence={
            "stripe": {name: one[name] for name in ("id", "object_minor", "created")},
            "reason": reason,
            "days": (view.window.as_of - one["created"]) // 86_400,
            "link": dashboard_link(view.scope, kind, one["id"]),
        },
        cause=Cause.AT_STRIPE,
    )
