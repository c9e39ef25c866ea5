"""What the audit found: findings, their order and counts, and the verdict over them.

Pure. The classes are in codes.py; which one a pair belongs to is decided in compare.py; how money
adds up in totals.py.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from growth_pipeline.audit.codes import CODES, MADE_BY_ROW, ORDER, Cause, Severity
from growth_pipeline.core.ids import Scope, fingerprint
from growth_pipeline.core.periods import UTC_NAME, Month


class Verdict(StrEnum):
    """The answer of one audit."""

    PASS = "PASS"  # noqa: S105 - the word of the contract, no password
    WARNING = "WARNING"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One discrepancy of one month.

    Grain: one Stripe object (or source). `impacts` is booked - Stripe by currency in minor units,
    without zeros; None is unknown, not 0. `currency` is the booked currency, else Stripe's.
    `owner` is who looks after it. `suppression` says that somebody decided not to count it, as
    `{"reason", "by", "until"}` with an ISO day until which (exclusive) that holds: such a finding
    is printed and counts neither for the verdict nor for checks and alerts.
    """

    code: str
    severity: Severity
    object: str
    object_id: str
    currency: str | None
    impacts: Mapping[str, int] | None
    also: tuple[str, ...] = ()
    cause: Cause = Cause.UNKNOWN
    action: str = ""
    command: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    owner: str | None = None
    suppression: Mapping[str, Any] | None = None

    @property
    def counts(self) -> bool:
        """Whether it counts for verdict, checks and alerts: not while it is suppressed."""
        return self.suppression is None

    @property
    def impact_minor(self) -> int | None:
        """Impact in `currency`, minor units; None is unknown."""
        if self.impacts is None:
            return None
        return self.impacts.get(self.currency or "", 0)

    @property
    def impacts_in_words(self) -> str:
        """`eur -1710; usd +1710`: impacts of all currencies in minor units, by name."""
        if self.impacts is None:
            return "unknown"
        return "; ".join(f"{name} {minor:+d}" for name, minor in sorted(self.impacts.items()))

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON knows it; the same keys in the report, the API and the CLI."""
        return {
            "fingerprint": self.fingerprint,
            "code": self.code,
            "severity": str(self.severity),
            "object": self.object,
            "object_id": self.object_id,
            "currency": self.currency,
            "impact_minor": self.impact_minor,
            "impacts_minor": None if self.impacts is None else dict(self.impacts),
            "also": list(self.also),
            "cause": str(self.cause),
            "action": self.action,
            "command": self.command,
            "evidence": dict(self.evidence),
            "first_seen_at": _iso(self.first_seen_at),
            "last_seen_at": _iso(self.last_seen_at),
            "owner": self.owner,
            "suppression": None if self.suppression is None else dict(self.suppression),
        }


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def finding_fingerprint(
    scope: Scope, month: Month, code: str, object_id: str, *, tz: str = UTC_NAME
) -> str:
    """Name of one problem: equal in every audit that sees it, so that it can close itself.

    A month of another zone than UTC has problems of its own.
    """
    zone = () if tz == UTC_NAME else (tz,)
    return fingerprint(scope.account_id, scope.mode, month.key, code, object_id, *zone)


def in_table_order(codes: Iterable[str]) -> list[str]:
    """Codes without repeats in the order of the contract's table; the first is the primary one.

    Raises: KeyError for a code outside the table.
    """
    return sorted(set(codes), key=ORDER.__getitem__)


def worst_severity(severities: Iterable[Severity]) -> Severity:
    """Severity of a finding: the worst of its classes', so that none hides another.

    Raises: ValueError for none.
    """
    return min(severities, key=list(Severity).index)


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings as people read them: by severity, then the most money, then table order and id.

    Money of different currencies is compared by digits only, to put large numbers first.
    """
    severities = list(Severity)
    return sorted(
        findings,
        key=lambda finding: (
            severities.index(finding.severity),
            -abs(finding.impact_minor or 0),
            ORDER[finding.code],
            finding.object_id,
        ),
    )


def without_twins(findings: Iterable[Finding]) -> list[Finding]:
    """The findings with one of each fingerprint: the worse one, which names the others.

    A fingerprint is the key under which a finding is stored, so no audit may have one twice.
    """
    by_name: dict[str, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.fingerprint, []).append(finding)
    return [_worst_of(twins) for twins in by_name.values()]


def _worst_of(twins: list[Finding]) -> Finding:
    first, *others = sort_findings(twins)
    if not others:
        return first
    named = [
        {
            "object": one.object,
            "object_id": one.object_id,
            "severity": str(one.severity),
            "impacts_minor": None if one.impacts is None else dict(one.impacts),
        }
        for one in others
    ]
    return replace(first, evidence={**first.evidence, "also_found": named})


def count_by_code(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings per code, in table order; codes without findings are left out."""
    counts = Counter(finding.code for finding in findings)
    return {code: counts[code] for code in in_table_order(counts)}


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings per severity; all three keys, 0 where there are none."""
    counts = Counter(finding.severity for finding in findings)
    return {str(severity): counts[severity] for severity in Severity}


def action_of(code: str, cause: Cause, month: Month) -> str:
    """What to do about a finding, by its class and its cause.

    A row of the books that the mirror could book right is booked again by the asset that does.
    """
    action = CODES[code].action
    if cause is not Cause.HANDLED_WRONG or code in MADE_BY_ROW or not _is_booked(code):
        return action
    return (
        f"{action} The mirror knows the right state: "
        f"materialise billing/payments of {month} in Dagster to book it again."
    )


def _is_booked(code: str) -> bool:
    """Whether a class is about what a row of billing.payments says."""
    in_books = CODES[code].section in {"payments", "refunds", "disputes"}
    return in_books or code in {"fee_mismatch", "net_mismatch"}


# Money that agreeing pairs move between months may not exceed this part of gross: 0.1 %.
MOVED_LIMIT = (1, 1000)


def verdict_of(
    findings: Iterable[Finding],
    *,
    moved: Mapping[str, int],
    gross: Mapping[str, int],
    remainders: Iterable[int],
) -> Verdict:
    """FAIL, WARNING or PASS by the contract's rule.

    `moved` is the money that LOW findings move between months, `gross` Stripe's gross, both by
    currency in minor units. An incomplete source is a HIGH finding. Suppressed findings do not
    count; a remainder of the bridge always does.
    Source: docs/metrics.md, "Revenue audit", "Verdict".
    """
    severities = {finding.severity for finding in findings if finding.counts}
    if Severity.HIGH in severities or any(remainders):
        return Verdict.FAIL
    numerator, denominator = MOVED_LIMIT
    if Severity.MEDIUM in severities or any(
        money * denominator > gross.get(currency, 0) * numerator
        for currency, money in moved.items()
    ):
        return Verdict.WARNING
    return Verdict.PASS
