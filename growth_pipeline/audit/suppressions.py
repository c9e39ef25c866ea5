"""Which findings do not count, because somebody decided so for a while. Pure.

Contract: docs/metrics.md, "Suppressions and owners".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

LONGEST: Final = timedelta(days=366)
TEXT_LIMIT: Final = 500
# They say that the audit itself cannot be relied on.
ALWAYS_COUNT: Final = frozenset({"source_incomplete", "bridge_nonzero"})


@dataclass(frozen=True, slots=True)
class Suppression:
    """One decision not to count some findings of one account and mode.

    Grain: one decision. Either `fingerprint` names one finding, or `code` a class, then `month`
    one month or, None, every one. `until`: the day in UTC from which they count again.
    """

    suppression_id: UUID
    scope: Scope
    fingerprint: str | None
    code: str | None
    month: Month | None
    reason: str
    suppressed_by: str
    suppressed_at: datetime
    until: date
    lifted_at: datetime | None = None
    lifted_by: str | None = None

    def is_in_force(self, today: date) -> bool:
        """Whether it holds on a day, in UTC."""
        return self.lifted_at is None and today < self.until

    def fits(self, code: str, fingerprint: str, month: Month) -> bool:
        """Whether a finding of a month is one of those it is about."""
        if code in ALWAYS_COUNT:
            return False
        if self.fingerprint is not None:
            return self.fingerprint == fingerprint
        return self.code == code and self.month in (None, month)

    @property
    def said(self) -> dict[str, str]:
        """What a finding says of it: reason, by, until."""
        return {
            "reason": self.reason,
            "by": self.suppressed_by,
            "until": self.until.isoformat(),
        }

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON knows it."""
        return {
            "suppression_id": str(self.suppression_id),
            "account_id": self.scope.account_id,
            "livemode": self.scope.livemode,
            "fingerprint": self.fingerprint,
            "code": self.code,
            "month": self.month.key if self.month else None,
            "reason": self.reason,
            "by": self.suppressed_by,
            "suppressed_at": self.suppressed_at.isoformat(),
            "until": self.until.isoformat(),
            "lifted_at": self.lifted_at.isoformat() if self.lifted_at else None,
            "lifted_by": self.lifted_by,
        }


def checked(suppression: Suppression) -> Suppression:
    """The decision, if it may be taken.

    Raises: UsageError for an unknown class or one that always counts, an end that has passed or is
    more than a year away, or an empty or endless text.
    """
    _check_texts(suppression)
    if suppression.code is not None and suppression.code not in CODES:
        raise UsageError(
            f"{suppression.code!r} is no class of findings",
            remedy="docs/metrics.md lists them, growth findings list shows those that are open",
        )
    if suppression.code in ALWAYS_COUNT:
        raise UsageError(
            f"{suppression.code} always counts: it says that the audit itself cannot be relied on",
            remedy="do what the finding says instead",
        )
    today = suppression.suppressed_at.date()
    if not today < suppression.until <= today + LONGEST:
        raise UsageError(
            f"a suppression until {suppression.until} would not end within a year from now",
            remedy=f"choose a day after {today} and not after {today + LONGEST}",
        )
    return suppression


def _check_texts(suppression: Suppression) -> None:
    texts = {"--reason": suppression.reason, "--by": suppression.suppressed_by}
    for option, text in texts.items():
        if not text.strip() or len(text) > TEXT_LIMIT or "\0" in text:
            raise UsageError(
                f"{option} must hold some words, {TEXT_LIMIT} characters at most",
                remedy="say why the finding need not be mended, for whoever reads it in a year",
            )


def suppress(
    findings: Iterable[Finding], suppressions: Iterable[Suppression], month: Month, today: date
) -> list[Finding]:
    """The findings in their order, those that do not count on that day marked as such."""
    in_force = last_first(suppressions, today)
    return [
        replace(
            one,
            suppression=found.said
            if (found := fitting(in_force, one.code, one.fingerprint, month))
            else None,
        )
        for one in findings
    ]


def last_first(suppressions: Iterable[Suppression], today: date) -> list[Suppression]:
    """Decisions that hold on a day, the one that ends last first."""
    return sorted(
        (one for one in suppressions if one.is_in_force(today)),
        key=lambda one: (one.until, one.suppressed_at, str(one.suppression_id)),
        reverse=True,
    )


def fitting(
    in_force: Iterable[Suppression], code: str, fingerprint: str, month: Month
) -> Suppression | None:
    """The first of the decisions that a finding of a month falls under."""
    return next((one for one in in_force if one.fits(code, fingerprint, month)), None)


def moved_in_sight(moved: Mapping[str, int], findings: Iterable[Finding]) -> dict[str, int]:
    """Money that agreeing pairs move between months, without that of suppressed findings.

    Units: minor units by currency, absolute.
    """
    left = dict(moved)
    for finding in findings:
        if finding.counts or finding.code != "period_cutoff" or finding.currency is None:
            continue
        detail = finding.evidence.get("details", {}).get("period_cutoff", {})
        left[finding.currency] = left.get(finding.currency, 0) - abs(detail.get("moved_minor", 0))
    return left
