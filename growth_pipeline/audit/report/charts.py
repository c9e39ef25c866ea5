"""What an audit looks like: findings by class, and both sides by currency. Pure; rows to specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.findings import count_by_severity, worst_severity
from growth_pipeline.audit.report.page import Pictures
from growth_pipeline.audit.report.summary import TrendPoint, counted
from growth_pipeline.core.charts import (
    QUIET,
    Spec,
    bar_chart,
    column_chart,
    data_uri,
    in_dark,
    render_png,
    render_svg,
    stack,
)
from growth_pipeline.core.display import format_money, format_number
from growth_pipeline.core.documents import Picture
from growth_pipeline.core.periods import PeriodState

# Told apart in grey too; every bar also has its severity in words.
_COLOURS: Final[Mapping[str, str]] = {
    str(Severity.HIGH): "#b42318",
    str(Severity.MEDIUM): "#e8a33d",
    str(Severity.LOW): QUIET,
}
_SIDES: Final[Mapping[str, str]] = {"Stripe": "#635bff", "books": "#2e7d6b"}
_CURRENCIES_SHOWN: Final = 6
_TREND_WIDTH: Final = 760  # a column must be wider than the word WARNING
Draw: TypeAlias = Callable[[Spec, str], Picture]


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
            "severity": str(worst_severity(one.severity for one in of_class)),
            "label": ", ".join(
                f"{format_number(number)} {severity}"
                for severity, number in count_by_severity(of_class).items()
                if number
            ),
        }
        for code, count in audit.counts.items()
        for of_class in [[one for one in counted(audit) if one.code == code]]
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


def trend_chart(trend: Sequence[TrendPoint]) -> Spec:
    """Findings of the newest audit of each month, by severity, with the verdict on top.

    A month that is not over is pale, and its verdict says so.
    """
    rows = [
        {
            "month": point.month,
            "findings": point.severities.get(severity, 0),
            "severity": severity,
            "open": point.state is not PeriodState.CLOSED,
        }
        for point in trend
        for severity in _COLOURS
    ]
    tops = [
        {
            "month": point.month,
            "findings": sum(point.severities.values()),
            "label": point.verdict if point.state is PeriodState.CLOSED else f"{point.verdict}*",
            "open": False,
        }
        for point in trend
    ]
    return column_chart(
        rows,
        tops,
        category="month",
        value="findings",
        colour="severity",
        colours=_COLOURS,
        label="label",
        open_field="open",
        title="Findings of the newest audit of each month (* the month is not over)",
        width=_TREND_WIDTH,
    )


# --- drawn ---------------------------------------------------------------------------------------


def drawings(audit: Audit, trend: Sequence[TrendPoint]) -> Pictures:
    """Pictures for a page that can hold drawings, each for a light and a dark screen."""
    return _pictures(
        audit,
        trend,
        lambda spec, alt: Picture(alt, svg=render_svg(spec), dark_svg=render_svg(in_dark(spec))),
    )


def addresses(audit: Audit, trend: Sequence[TrendPoint]) -> Pictures:
    """Pictures for Markdown that may load nothing: each in a data URI, small enough for an event.

    Raises: ValueError for a picture that is too large for an event log.
    """
    return _pictures(
        audit, trend, lambda spec, alt: Picture(alt, address=data_uri(render_png(spec)))
    )


def _pictures(audit: Audit, trend: Sequence[TrendPoint], draw: Draw) -> Pictures:
    overview = None
    if audit.findings or audit.totals:
        said = f"Findings by class and both sides of {audit.month}; the tables below say the same"
        overview = draw(audit_picture(audit), said)
    if not trend:
        return Pictures(overview)
    said = f"Findings by severity of {len(trend)} months; the table below says the same"
    return Pictures(overview, draw(trend_chart(trend), said))
