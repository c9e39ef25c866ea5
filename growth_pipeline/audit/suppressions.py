"""Which findings do not count, because somebody decided so for a while. Pure.

Contract: docs/metrics.md, "Suppressions and owners".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import Finding, in_table_order
from growth_pipeline.core.display import format_money
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

LONGEST: Final = timedelta(days=366)
TEXT_LIMIT: Final = 500
OUTGROWN: Final = "outgrown"  # of a finding's evidence
# They say that the audit itself cannot be relied on.
ALWAYS_COUNT: Final = frozenset({"source_incomplete", "bridge_nonzero"})


@dataclass(frozen=True, slots=True)
class Extent:
    """How bad a finding is: what somebody looked at when they decided that it does not count.

    `codes`: the primary class and those under `also`. `impacts`: minor units by currency, without
    zeros; None is unknown.
    """

    severity: Severity
    codes: frozenset[str]
    impacts: Mapping[str, int] | None

    @classmethod
    def of(cls, finding: Finding) -> Extent:
        """Of a finding as it is now."""
        codes = frozenset({finding.code, *finding.also})
        return cls(finding.severity, codes, finding.impacts)

    def growth_since(self, decided: Extent) -> str | None:
        """What became worse since a decision, in words; None if nothing did."""
        return "; ".join(self._worse_than(decided)) or None

    def _worse_than(self, decided: Extent) -> Iterator[str]:
        order = list(Severity)
        if order.index(self.severity) < order.index(decided.severity):
            yield f"it is {self.severity} now and was {decided.severity}"
        joined = in_table_order(self.codes - decided.codes)
        if joined:
            yield f"{', '.join(joined)} joined it"
        if self.impacts is None or decided.impacts is None:
            yield from self._known_otherwise(decided)
            return
        for currency, minor in sorted(self.impacts.items()):
            before = abs(decided.impacts.get(currency, 0))
            if abs(minor) > before:
                was, now = format_money(before, currency), format_money(abs(minor), currency)
                yield f"its impact grew from {was} to {now}"

    def _known_otherwise(self, decided: Extent) -> Iterator[str]:
        """An unknown impact is no 0: nobody accepted what it turns out to be."""
        if self.impacts is None and decided.impacts is not None:
            yield "its impact is unknown now"
        elif self.impacts and decided.impacts is None:
            yield "its impact is known now and was not"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One decision not to count some findings of one account and mode.

    Grain: one decision. Either `fingerprint` names one finding, which it covers up to the `extent`
    that it had then; or `code` a class, however bad, then `month` one month or, None, every one.
    `until`: the day in UTC from which they count again.
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
    extent: Extent | None = None

    def is_in_force(self, today: date) -> bool:
        """Whether it holds on a day, in UTC."""
        return self.lifted_at is None and today < self.until

    def is_about(self, code: str, fingerprint: str, month: Month) -> bool:
        """Whether a finding of a month is one of those it names, however bad it is by now."""
        if code in ALWAYS_COUNT:
            return False
        if self.fingerprint is not None:
            return self.fingerprint == fingerprint
        return self.code == code and self.month in (None, month)

    def outgrown_by(self, now: Extent) -> str | None:
        """Why a finding that it names no longer falls under it, in words; None if it does."""
        return now.growth_since(self.extent) if self.extent is not None else None

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
            "severity": str(self.extent.severity) if self.extent else None,
            "codes": in_table_order(self.extent.codes) if self.extent else None,
            "impacts_minor": _as_dict(self.extent.impacts) if self.extent else None,
        }


def _as_dict(impacts: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if impacts is None else dict(impacts)


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
    """The findings in their order, those that do not count on that day marked as such.

    One that has outgrown the decision about it counts, and its evidence says why (`outgrown`).
    """
    in_force = last_first(suppressions, today)
    return [_marked(one, in_force, month) for one in findings]


def _marked(finding: Finding, in_force: list[Suppression], month: Month) -> Finding:
    decided = decision_on(in_force, finding.code, finding.fingerprint, month, Extent.of(finding))
    evidence = {name: one for name, one in finding.evidence.items() if name != OUTGROWN}
    if decided.outgrown is not None:
        evidence[OUTGROWN] = decided.outgrown
    return replace(finding, suppression=decided.suppression, evidence=evidence)


def last_first(suppressions: Iterable[Suppression], today: date) -> list[Suppression]:
    """Decisions that hold on a day, the one that ends last first."""
    return sorted(
        (one for one in suppressions if one.is_in_force(today)),
        key=lambda one: (one.until, one.suppressed_at, str(one.suppression_id)),
        reverse=True,
    )


class Decided(NamedTuple):
    """What the decisions in force say of one finding: at most one of both is there.

    `suppression`: reason, by, until. `outgrown`: the same of the decision that covered less than
    the finding is now, with `why`.
    """

    suppression: dict[str, str] | None = None
    outgrown: dict[str, str] | None = None


def decision_on(
    in_force: Iterable[Suppression], code: str, fingerprint: str, month: Month, extent: Extent
) -> Decided:
    """Whether a finding of a month counts, by the first of the decisions that covers it."""
    outgrown = None
    for one in in_force:
        if not one.is_about(code, fingerprint, month):
            continue
        why = one.outgrown_by(extent)
        if why is None:
            return Decided(suppression=one.said)
        outgrown = outgrown or {**one.said, "why": why}
    return Decided(outgrown=outgrown)


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
