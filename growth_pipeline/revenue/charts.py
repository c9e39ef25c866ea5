"""What published revenue looks like on an asset's page: pictures by currency, the newest numbers.

Contract: docs/metrics.md, "Published figures". Never a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.charts import (
    Spec,
    data_uri,
    lines_chart,
    render_png,
    signed_columns,
    stack,
)
from growth_pipeline.core.display import format_money
from growth_pipeline.core.markdown import code_span, table_head, table_row
from growth_pipeline.core.money import to_major
from growth_pipeline.revenue.figures.sheet import PublishedFigure

if TYPE_CHECKING:
    from growth_pipeline.revenue.figures.figure_store import FigureStore

_MOVEMENTS: Final = {
    "new_mrr": "#2f855a",
    "reactivation_mrr": "#68a37d",
    "resumed_mrr": "#9cc5a9",
    "expansion_mrr": "#2b6cb0",
    "contraction_mrr": "#b7791f",
    "paused_mrr": "#98a2b3",
    "churn_mrr": "#c05046",
}
_KEPT: Final = {"nrr": "#2b6cb0", "grr": "#2f855a"}
_SHADES: Final = ("#2b6cb0", "#2f855a", "#b7791f", "#805ad5", "#c05046", "#0987a0")
_MONTHS_DRAWN: Final = (24, 12, 6)  # a picture in an event log must stay small
_MONTHS_SHOWN: Final = 6
_MOST_CURRENCIES: Final = 3
_OTHERS: Final = "(others)"
_NO_PLAN: Final = "(none)"


def describe_revenue(store: FigureStore, policy: str) -> str:
    """Markdown for one policy: of the currencies with most customers a table and a picture each.

    Raises: RemoteUnavailableError.
    """
    metrics = ("mrr", "customers", *_MOVEMENTS, *_KEPT)
    months = max(_MONTHS_DRAWN)
    whole = store.drawn(policy, metrics, months=months)
    plans = store.drawn(policy, ["mrr"], months=months, segment_by="plan")
    told = {key: list(rows) for key, rows in groupby(whole, key=lambda one: one.currency)}
    if not told:
        return f"No month is over yet under {code_span(policy)}."
    lines = [f"Policy {code_span(policy)}; months that are over."]
    for currency in sorted(told, key=lambda name: (-_customers(told[name]), name))[
        :_MOST_CURRENCIES
    ]:
        mine = [one for one in plans if one.currency == currency]
        lines += ["", f"### {currency.upper()}", "", *_table(told[currency], currency)]
        address = _address(told[currency], mine, currency)
        if address is not None:
            words = "MRR by month, what moved it, MRR by plan, and what of it was kept"
            lines += ["", f"![{words}]({address})"]
    return "\n".join(lines)


def revenue_picture(
    figures: Sequence[PublishedFigure], plans: Sequence[PublishedFigure], currency: str
) -> Spec:
    """MRR as a line, its movements as columns, MRR by plan where it is split, NRR and GRR."""
    charts = [
        _lines(figures, {"mrr": _SHADES[0]}, currency, "MRR at the end of each month"),
        _columns(figures, currency),
    ]
    if plans:
        charts.append(_plans(plans, currency))
    charts.append(_lines(figures, _KEPT, None, "Kept of the month before: NRR and GRR"))
    return stack(*charts, title=f"MRR in {currency.upper()}")


def _customers(figures: Sequence[PublishedFigure]) -> Decimal:
    """Customers of the newest month that knows them: amounts of two currencies do not compare."""
    counts = [one.value for one in figures if one.metric == "customers" and one.value is not None]
    return counts[-1] if counts else Decimal(0)


def _lines(
    figures: Sequence[PublishedFigure], colours: dict[str, str], currency: str | None, title: str
) -> Spec:
    rows = [
        {"month": one.period_start.isoformat(), "value": _number(one, currency), "of": one.metric}
        for one in figures
        if one.metric in colours
    ]
    numbers = "," if currency else ".0%"
    return lines_chart(
        rows,
        day="month",
        value="value",
        series="of",
        colours=colours,
        title=title,
        numbers=numbers,
    )


def _columns(figures: Sequence[PublishedFigure], currency: str) -> Spec:
    rows = [
        {"month": f"{one.period_start:%Y-%m}", "value": _number(one, currency), "of": one.metric}
        for one in figures
        if one.metric in _MOVEMENTS and one.value
    ]
    return signed_columns(
        rows,
        category="month",
        value="value",
        part="of",
        colours=_MOVEMENTS,
        title="What moved it: gains above, losses below",
    )


def _plans(plans: Sequence[PublishedFigure], currency: str) -> Spec:
    """The plans with most MRR in the newest month; all others are one."""
    last = max(one.period_start for one in plans)
    newest = [one for one in plans if one.period_start == last]
    ranked = sorted(newest, key=lambda one: (-(one.value or 0), one.segment or ""))
    named = [one.segment or _NO_PLAN for one in ranked[: len(_SHADES) - 1]]
    sums: dict[tuple[str, str], Decimal] = {}
    for one in plans:
        name = one.segment or _NO_PLAN
        key = one.period_start.isoformat(), name if name in named else _OTHERS
        sums[key] = sums.get(key, Decimal(0)) + (one.value or 0)
    series = [*named, *([_OTHERS] if any(name == _OTHERS for _, name in sums) else [])]
    rows = [
        {"month": month, "value": float(to_major(int(value), currency)), "of": name}
        for (month, name), value in sums.items()
    ]
    return lines_chart(
        rows,
        day="month",
        value="value",
        series="of",
        colours=dict(zip(series, _SHADES, strict=False)),
        title="MRR by plan",
    )


def _number(figure: PublishedFigure, currency: str | None) -> float | None:
    if figure.value is None:
        return None
    return float(to_major(int(figure.value), currency) if currency else figure.value)


def _table(figures: Sequence[PublishedFigure], currency: str) -> Iterator[str]:
    months: dict[Any, dict[str, Decimal | None]] = {}
    for one in figures:
        months.setdefault(one.period_start, {})[one.metric] = one.value
    yield from table_head("Month", "MRR", "Customers", "NRR", "GRR")
    for month in sorted(months, reverse=True)[:_MONTHS_SHOWN]:
        told = months[month]
        mrr, customers = told.get("mrr"), told.get("customers")
        yield table_row(
            f"{month:%Y-%m}",
            "unknown" if mrr is None else format_money(int(mrr), currency),
            "unknown" if customers is None else str(int(customers)),
            *(_percent(told.get(name)) for name in _KEPT),
        )


def _percent(rate: Decimal | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.1f} %"


def _address(
    figures: Sequence[PublishedFigure], plans: Sequence[PublishedFigure], currency: str
) -> str | None:
    months = sorted({one.period_start for one in figures})
    for count in _MONTHS_DRAWN:
        since = months[-count:][0]
        drawn = [one for one in figures if one.period_start >= since]
        split = [one for one in plans if one.period_start >= since]
        with suppress(ValueError):
            return data_uri(render_png(revenue_picture(drawn, split, currency)))
    return None
