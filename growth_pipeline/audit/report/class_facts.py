"""What alerts are told of an audit: one entry a class of findings, and the money at risk. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Finding, worst_severity
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import to_major


def class_facts(
    codes: Iterable[str], findings: Sequence[Finding], unjudged: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """Code -> findings that count, severity, their money in words, action, suppressed findings.

    Severity is the worst one found, or the class's where nothing was found.

    Every code has its entry: a class without findings is good, and an alert about it is over,
    unless it is not `certain`: then the audit did not judge it.
    """
    return {
        code: {
            **_facts(code, [one for one in findings if one.code == code]),
            "certain": code not in unjudged,
        }
        for code in codes
    }


def risk_in_words(findings: Sequence[Finding]) -> str:
    """`45.00 usd, 12.00 eur a month`: money at risk by currency, as the report's summary has it."""
    from growth_pipeline.audit.report.summary import money_at_risk

    parts = []
    for currency, risk in money_at_risk(findings).items():
        once = risk.payments + risk.beside
        parts += [_major(once, currency)] if once else []
        parts += [f"{_major(risk.monthly, currency)} a month"] if risk.monthly else []
    return ", ".join(parts)


def signed_money(minor: int, currency: str) -> str:
    """`-45.00 usd`; minor units of a currency that is not known."""
    try:
        return f"{to_major(minor, currency):+f} {currency}"
    except UnknownValueError:
        return f"{minor:+d} minor units {currency}"


def _major(minor: int, currency: str) -> str:
    return signed_money(minor, currency).removeprefix("+")


def _facts(code: str, findings: Sequence[Finding]) -> dict[str, Any]:
    counted = [finding for finding in findings if finding.counts]
    money = [signed_money(minor, name) for name, minor in _sums(counted).items() if minor]
    return {
        "findings": len(counted),
        "severity": str(
            worst_severity(one.severity for one in counted) if counted else CODES[code].severity
        ),
        "money": ", ".join(money),
        "action": counted[0].action if counted else "",
        "suppressed": len(findings) - len(counted),
    }


def _sums(findings: Sequence[Finding]) -> Mapping[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for finding in findings:
        for currency, minor in (finding.impacts or {}).items():
            sums[currency] += minor
    return dict(sorted(sums.items()))
