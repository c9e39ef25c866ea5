"""What a report says of an audit beyond its findings: money at risk, what to do, the trend. Pure.

Contract: docs/metrics.md, "Revenue audit", "Report".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, Cause, Severity
from growth_pipeline.audit.commands import command_of
from growth_pipeline.audit.findings import Finding, action_of, count_by_severity
from growth_pipeline.audit.payments.totals import CurrencyTotals
from growth_pipeline.core.periods import PeriodState

TREND_MONTHS: Final = 12
# Impact of these sections is worth a month of a subscription, not a payment.
_MONTHLY_SECTIONS: Final = frozenset({"subscriptions", "customers"})


@dataclass(frozen=True)
class Risk:
    """Money at risk in one currency: absolute impacts, so that two mistakes never cancel out.

    Units: minor units. `payments`: findings that explain booked less Stripe; `beside`: fees,
    balance transactions, invoices and payouts; `monthly`: MRR of subscriptions.
    """

    payments: int = 0
    beside: int = 0
    monthly: int = 0


@dataclass(frozen=True)
class TrendPoint:
    """The newest audit of one month.

    Grain: one month of one account, mode and zone. `severities`: open findings that count;
    `difference`: booked - Stripe by currency, minor units.
    """

    month: str
    state: PeriodState
    verdict: str
    severities: Mapping[str, int]
    difference: Mapping[str, int]
    finished_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON knows it."""
        return {
            "month": self.month,
            "state": str(self.state),
            "verdict": self.verdict,
            "severities": dict(self.severities),
            "money_difference_minor": dict(self.difference),
            "finished_at": self.finished_at.isoformat(),
        }


def trend_point(audit: Audit) -> TrendPoint:
    """The audit as a point of the trend."""
    return TrendPoint(
        month=audit.month.key,
        state=audit.state,
        verdict=str(audit.verdict),
        severities=count_by_severity(counted(audit)),
        difference=audit.money_difference,
        finished_at=audit.finished_at,
    )


@dataclass(frozen=True)
class ClosedNet:
    """Net of one side and currency when the month was closed, and now. Units: minor units.

    `changed`: sum of the restatements; `now` is None when this audit had no side to compare with.
    """

    side: str
    currency: str
    frozen: int
    changed: int
    now: int | None


def closed_nets(audit: Audit) -> list[ClosedNet]:
    """Sides and currencies that changed since the close, Stripe's first; empty without a close."""
    frozen = (audit.close or {}).get("totals") or {}
    changes: dict[tuple[str, str], int] = {}
    for one in audit.restatements:
        key = (str(one["side"]), str(one["currency"]))
        changes[key] = changes.get(key, 0) + int(one["difference_minor"])
    return [
        ClosedNet(
            side,
            currency,
            ((frozen.get(side) or {}).get(currency) or {}).get("net_minor", 0),
            changed,
            _net_now(audit, side, currency),
        )
        for (side, currency), changed in sorted(changes.items(), reverse=True)
    ]


def _net_now(audit: Audit, side: str, currency: str) -> int | None:
    if now := (audit.close or {}).get("totals_now"):
        return int(((now.get(side) or {}).get(currency) or {}).get("net_minor", 0))
    if not audit.totals:
        return None
    totals = audit.totals.get(currency, CurrencyTotals())
    return (totals.stripe if side == "stripe" else totals.booked).net_minor


def counted(audit: Audit) -> list[Finding]:
    """Findings that count, in the order of the report."""
    return [finding for finding in audit.findings if finding.counts]


def suppressed(audit: Audit) -> list[Finding]:
    """Findings that somebody decided not to count, in the order of the report."""
    return [finding for finding in audit.findings if not finding.counts]


def money_at_risk(findings: Iterable[Finding]) -> dict[str, Risk]:
    """Money at risk by currency in alphabetical order, over HIGH and MEDIUM findings that count.

    Units: minor units. A finding whose impact is unknown adds nothing: `unknown_impacts` counts it.
    """
    return _risks(finding for finding in findings if finding.counts)


def suppressed_money(findings: Iterable[Finding]) -> dict[str, Risk]:
    """What money at risk would have besides, if the suppressed findings counted."""
    return _risks(finding for finding in findings if not finding.counts)


def _risks(findings: Iterable[Finding]) -> dict[str, Risk]:
    sums: dict[str, dict[str, int]] = {}
    for finding in findings:
        if finding.severity is Severity.LOW:
            continue
        kind = _kind_of_money(finding.code)
        for currency, impact_minor in (finding.impacts or {}).items():
            of_currency = sums.setdefault(currency, {})
            of_currency[kind] = of_currency.get(kind, 0) + abs(impact_minor)
    return {currency: Risk(**kinds) for currency, kinds in sorted(sums.items())}


def unknown_impacts(findings: Iterable[Finding]) -> int:
    """Findings that count and whose money nobody can tell."""
    return sum(finding.counts and finding.impacts is None for finding in findings)


def _kind_of_money(code: str) -> str:
    if CODES[code].bridged:
        return "payments"
    return "monthly" if is_monthly(code) else "beside"


def is_monthly(code: str) -> bool:
    """Whether the impact of a class is MRR, worth that much a month."""
    return CODES[code].section in _MONTHLY_SECTIONS


def recommendations(audit: Audit) -> list[dict[str, Any]]:
    """What to do, one entry a class, the worst first: code, count, severity, text, command."""
    of_class: dict[str, list[Finding]] = {}
    for finding in counted(audit):
        if finding.severity is not Severity.LOW:
            of_class.setdefault(finding.code, []).append(finding)
    return [
        {
            "code": code,
            "count": len(findings),
            "severity": str(findings[0].severity),
            "text": action_of(code, _main_cause(findings), audit.month),
            "repair": findings[0].evidence.get("repair"),
            "command": _command(audit, findings[0]),
        }
        for code, findings in of_class.items()
    ]


def _command(audit: Audit, finding: Finding) -> str:
    """The command that mends a class, or else the one that looks again."""
    return command_of(
        finding.code,
        finding.object,
        also=finding.also,
        month=audit.month,
        tz=audit.tz,
        otherwise=finding.command,
    )


def _main_cause(findings: list[Finding]) -> Cause:
    """The cause that can be acted on at once, if one of them has it; else the first one's."""
    causes = [finding.cause for finding in findings]
    return Cause.HANDLED_WRONG if Cause.HANDLED_WRONG in causes else causes[0]
