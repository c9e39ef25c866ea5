"""What is new since the audit before: findings and payments counted, and one sentence of it. Pure.

Which findings may be taken over without looking again is decided in earlier.py; what is frozen when
a month is closed, in closing.py. Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.months.judged import NOT_JUDGED, is_not_judged
from growth_pipeline.core.periods import UTC_NAME

# What moves with the clock alone, or that somebody decided about the finding: no news about it.
_NO_NEWS: Final = frozenset({"first_seen_at", "last_seen_at", "owner", "suppression"})
_CLOCK_EVIDENCE: Final = frozenset({"waiting_days", "days", NOT_JUDGED})


@dataclass(frozen=True)
class Previous:
    """The audit before, of the same month, account, mode and zone, with its open findings."""

    audit_id: str
    definition: str
    as_of: datetime
    started_at: datetime
    findings: tuple[Finding, ...]
    sources: tuple[Mapping[str, Any], ...]
    verdict: str = ""


@dataclass(frozen=True)
class PaymentChanges:
    """Payments touched since the audit before; None is unknown.

    `judged`: pairs that were judged by this audit. `taken_over`: pairs that were as they had been,
    whose finding was kept without looking again.
    """

    at_stripe: int | None = None
    in_books: int | None = None
    judged: int = 0
    taken_over: int = 0

    def to_dict(self) -> dict[str, int | None]:
        """The counts as JSON knows them."""
        return {
            "changed_at_stripe": self.at_stripe,
            "changed_in_books": self.in_books,
            "judged_again": self.judged,
            "taken_over": self.taken_over,
        }


def content_of(finding: Finding) -> str:
    """Hash of what a finding says, whenever it is said: equal text, money and evidence, equal hash.

    Shapes: 32 hexadecimal digits.
    """
    told = {name: value for name, value in finding.to_dict().items() if name not in _NO_NEWS}
    told["evidence"] = {
        name: value for name, value in told["evidence"].items() if name not in _CLOCK_EVIDENCE
    }
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def count_findings(before: Iterable[Finding], now: Iterable[Finding]) -> dict[str, int]:
    """How many findings are new, say something else, are gone, or are as they were.

    `not_judged`: those that are open because nobody looked; they are in no other count.
    """
    now = list(now)
    held = {one.fingerprint for one in now if is_not_judged(one)}
    known = {one.fingerprint: content_of(one) for one in before}
    seen = {one.fingerprint: content_of(one) for one in now}
    both = (known.keys() & seen.keys()) - held
    changed = sum(known[name] != seen[name] for name in both)
    return {
        "new": len(seen.keys() - known.keys()),
        "changed": changed,
        "closed": len(known.keys() - seen.keys()),
        "unchanged": len(both) - changed,
        "not_judged": len(held),
    }


def describe_changes(
    previous: Previous | None,
    now: Iterable[Finding],
    payments: PaymentChanges,
    *,
    verdict: str = "",
    tz: str = UTC_NAME,
) -> dict[str, Any]:
    """What is new since the audit before, as the report and JSON carry it.

    `verdict` is this audit's, in words; `tz` the zone of the month.
    Shapes: since, previous_audit_id (None for a first audit), findings, payments, said.
    """
    now = list(now)
    findings = count_findings(previous.findings if previous else (), now)
    return {
        "since": previous.as_of.isoformat() if previous else None,
        "previous_audit_id": previous.audit_id if previous else None,
        "findings": findings,
        "payments": payments.to_dict(),
        "said": (
            f"This is the first audit of this month in {tz}."
            if previous is None
            else _said(previous, findings, payments, _decided(previous, now, verdict))
        ),
    }


def _said(
    previous: Previous, findings: Mapping[str, int], payments: PaymentChanges, decided: str
) -> str:
    since = f"Since the audit as of {previous.as_of:%Y-%m-%d %H:%M:%S} UTC"
    if not _is_anything_new(findings, payments):
        same = _findings(findings["unchanged"])
        if decided:
            return f"{since}: {decided} No finding and no payment changed: {same}."
        return f"{since} nothing changed: {same}."
    held = findings["not_judged"]
    more = f", {held} still open and not judged this time" if held else ""
    new = "1 finding is new" if findings["new"] == 1 else f"{findings['new']} findings are new"
    as_before = findings["unchanged"]
    kept = "1 is as it was" if as_before == 1 else f"{as_before} are as they were"
    return (
        f"{since}: {decided}{' ' * bool(decided)}{new}, {findings['changed']} changed, "
        f"{findings['closed']} closed, {kept}{more}. Payments: "
        f"{_known(payments.at_stripe)} changed at Stripe, {_known(payments.in_books)} in the "
        f"books; {payments.judged} judged, {payments.taken_over} taken over without looking again."
    )


def _decided(previous: Previous, now: Iterable[Finding], verdict: str) -> str:
    """How verdict and suppressions moved, in sentences; empty where neither did."""
    hidden = {one.fingerprint for one in previous.findings if not one.counts}
    seen = {one.fingerprint: one.counts for one in now}
    newly = sum(not counts and name not in hidden for name, counts in seen.items())
    again = sum(counts and name in hidden for name, counts in seen.items())
    said = []
    if previous.verdict and verdict and previous.verdict != verdict:
        said.append(f"the verdict went from {previous.verdict} to {verdict}")
    if newly:
        said.append(f"{newly} {'is' if newly == 1 else 'are'} newly suppressed")
    if again:
        said.append(f"{again} {'counts' if again == 1 else 'count'} again")
    return ", ".join(said) + "." if said else ""


def _is_anything_new(findings: Mapping[str, int], payments: PaymentChanges) -> bool:
    """Whether a finding or a payment changed; unknown counts as changed."""
    moved = sum(findings[name] for name in ("new", "changed", "closed", "not_judged"))
    return bool(moved) or payments.at_stripe != 0 or payments.in_books != 0


def _findings(number: int) -> str:
    return "1 finding is as it was" if number == 1 else f"{number} findings are as they were"


def _known(number: int | None) -> str:
    return "an unknown number" if number is None else str(number)
