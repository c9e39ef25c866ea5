"""What an audit looks like: findings by class, and both sides by currency. Pure; rows to specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.core.charts import QUIET, Spec, bar_chart, stack
from growth_pipeline.core.display import format_money, format_number

# Told apart in grey too; every bar also has its severity in words.
_COLOURS: Final[Mapping[str, str]] = {
    str(Severity.HIGH): "#b42318",
    str(Severity.MEDIUM): "#e8a33d",
    str(Severity.LOW): QUIET,
}
_SIDES: Final[Mapping[str, str]] = {"Stripe": "#635bff", "books": "#2e7d6b"}
_CURRENCIES_SHOWN: Final = 6


def audit_picture(audit: Audit) -> Spec:
    """The audit in one picture: the answer, findings by class, both sides by currency."""
    accounts = f"{audit.month} · {audit.scope.mode} mode · as of {audit.as_of:%Y-%m-%d %H:%M} UTC"
    parts = [findings_chart(audit)] if audit.findings else []
    parts += [sides_chart(audit)] if audit.totals else []
    return stack(*parts, title=f"Revenue audit: {audit.verdict}", subtitle=accounts)


def findings_chart(audit: Audit) -> Spec:
    """Findings per class, in the order of the contract's table."""
    rows = [
        {
            "class": code,
            "findings": count,
            "severity": str(CODES[code].severity),
            "label": f"{format_number(count)} {CODES[code].severity}",
        }
        for code, count in audit.counts.items()
    ]
    return bar_chart(
        rows,
        category="class",
        value="findings",
        colour="severity",
        colours=_COLOURS,
        label="label",
        title="Findings by class",
    )


def sides_chart(audit: Audit) -> Spec:
    """Net of both sides by currency, as parts of the larger side: currencies never share a scale.

    Only the currencies with the most payments are drawn; the report lists all.
    """
    largest = sorted(audit.totals.items(), key=lambda item: (-item[1].stripe.count, item[0]))
    rows: list[dict[str, Any]] = []
    for currency, totals in largest[:_CURRENCIES_SHOWN]:
        nets = {"Stripe": totals.stripe.net_minor, "books": totals.booked.net_minor}
        longest = max(1, *map(abs, nets.values()))
        rows += [
            {
                "side": f"{currency.upper()} {side}",
                "part": max(0, net) / longest,
                "who": side,
                "label": format_money(net, currency),
            }
            for side, net in nets.items()
        ]
    return bar_chart(
        rows,
        category="side",
        value="part",
        colour="who",
        colours=_SIDES,
        label="label",
        title="Net of the month: Stripe against the books, each currency on its own scale",
    )
