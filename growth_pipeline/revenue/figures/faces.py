"""The figures of a month as a page, CSV or JSON. Never a number of its own.

Contract: docs/metrics.md, "Figures of a month".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from growth_pipeline.core.display import format_money, format_number, format_signed_money
from growth_pipeline.core.markdown import code_span, escaped, table_row
from growth_pipeline.core.row_faces import csv_face, json_face
from growth_pipeline.revenue.figures.sheet import FUNNEL, Line

COLUMNS: Final = (
    *("metric", "currency", "reporting_currency", "segment", "value", "unit", "before", "change"),
    *("change_rate", "numerator", "denominator", "sample_size", "state", "reason", "as_of"),
    *("receipt", "rates"),
)
_PARTS: Final = ("numerator", "denominator")
_VALUES: Final = ("value", "before", "change")
_QUOTIENTS: Final = frozenset({"change_rate"})
_ALWAYS: Final = frozenset(
    {"mrr", "arr", "customers", "nrr", "grr", "logo_churn", "dau_average", "mau", "stickiness"}
)
_REASONS: Final = {
    "not_over": "not over",
    "no_base": "no base",
    "no_churn": "no churn",
    "unknown_price": "a price is unknown",
    "rolling_window": "window not covered",
    "no_rate": "no exchange rate",
    "usage_not_billed_yet": "usage not billed yet",
}
_NOTHING: Final = "-"
_TIMES: Final = "times"
_HEAD: Final = ("Figure", "Value", "Month before", "Change", "Rests on")


@dataclass(frozen=True)
class Sheet:
    """What is told of a month. `definition`: month, policy and view, as pages and JSON show them.

    `details`: every switch and the version of the data, in JSON only.
    """

    definition: Mapping[str, Any]
    lines: Sequence[Line]
    details: Mapping[str, Any] = field(default_factory=dict)

    def face(self, form: str) -> bytes:
        """The figures in one of the forms md, csv, json."""
        if form == "csv":
            return csv_face(COLUMNS, map(_row, self.lines), _QUOTIENTS)
        if form == "json":
            figures = [_typed(line) for line in self.lines]
            document = {**self.definition, **self.details, "figures": figures}
            return json_face(document, _QUOTIENTS)
        return ("\n".join(self._page()) + "\n").encode()

    def _page(self) -> Iterator[str]:
        yield f"# Figures of {self.definition['month']}"
        yield ""
        for name, value in self.definition.items():
            if name != "month" and value is not None:
                yield f"- {name}: {code_span(str(value))}"
        shown = [line for line in self.lines if _says_something(line)]
        for (currency, segment, group), lines in groupby(shown, key=_heading):
            title = " ".join(filter(None, (currency.upper(), segment, group)))
            yield from ("", f"## {escaped(title)}", "")
            yield from _aligned([_HEAD, *map(_cells, lines)])
        if rates := _rates_of(self.lines):
            yield from ("", "## Exchange rates", "")
            yield from _aligned([("Rate", "Value", "Day"), *rates])
        if hidden := len(self.lines) - len(shown):
            yield f"\n{hidden} figures that are 0 or unknown in both months are left out here."


def _rates_of(lines: Sequence[Line]) -> list[tuple[str, str, str]]:
    """Each rate that a figure was converted at, once, in the order of days."""
    used = {
        (
            rate["on"],
            f"1 {currency.upper()} in {line.figure.reporting_currency.upper()}",
            rate["rate"],
        )
        for line in lines
        for end in (line.figure.rates or {}).values()
        for currency, rate in end.items()
        if currency != line.figure.reporting_currency
    }
    return [(name, value, on) for on, name, value in sorted(used)]


def _row(line: Line) -> dict[str, Any]:
    """A line of CSV: its rates as JSON, which name each day."""
    told = _exact(line)
    rates = told["rates"]
    return {**told, "rates": json.dumps(rates, sort_keys=True) if rates else None}


def _exact(line: Line) -> dict[str, Any]:
    """Numbers as they are: whole ones without a point, others with all their decimals."""
    told = line.as_dict()
    return {**told, **{name: _plain(told[name]) for name in (*_VALUES, *_PARTS)}}


def _typed(line: Line) -> dict[str, Any]:
    """Whole numbers, shares as numbers, and parts of a minor unit as text."""
    told = _exact(line)
    if line.figure.unit == "minor":
        return told
    return told | {name: float(told[name]) for name in _VALUES if isinstance(told[name], str)}


def _plain(value: Decimal | None) -> int | str | None:
    if value is None:
        return None
    return int(value) if value == int(value) else f"{value.normalize():f}"


def _says_something(line: Line) -> bool:
    return bool(line.figure.metric in _ALWAYS or line.figure.value or line.before)


def _heading(line: Line) -> tuple[str, str, str]:
    told = line.figure
    return told.currency or told.reporting_currency, told.segment or "", line.group


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table that is straight in a terminal too: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for place, (name, *numbers) in enumerate(rows):
        told = [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True)]
        yield table_row(name.ljust(widths[0]), *told)
        if not place:
            yield table_row("-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:]))


def _cells(line: Line) -> list[str]:
    told, currency = line.figure, line.figure.reporting_currency or line.figure.currency
    unit = _TIMES if told.metric == "quick_ratio" else told.unit
    value = _shown(told.value, unit, currency)
    if told.value is None and told.reason:
        value = f"{_NOTHING} ({_REASONS.get(told.reason, told.reason)})"
    sample = _NOTHING if told.sample_size is None else format_number(told.sample_size)
    before = _shown(line.before, unit, currency)
    # Stages are somebody's text; all other words are ours, and read better as they are.
    name = escaped(told.metric) if told.metric.startswith(FUNNEL) else told.metric
    return [name, value, before, _change(line, unit, currency), sample]


def _shown(value: Decimal | None, unit: str, currency: str) -> str:
    if value is None:
        return _NOTHING
    if unit == "minor":
        return format_money(round(value), currency)
    if unit == "count":
        return format_number(int(value)) if value == int(value) else f"{value:.1f}"
    return f"{value:.2f}" if unit == _TIMES else f"{100 * value:.1f} %"


def _change(line: Line, unit: str, currency: str) -> str:
    change = line.change
    if change is None:
        return _NOTHING
    if unit == _TIMES:
        return f"{change:+.2f}"
    if unit in ("rate", "ratio"):
        return f"{100 * change:+.1f} points"
    told = _signed(change, unit, currency)
    return told if line.change_rate is None else f"{told} ({100 * line.change_rate:+.1f} %)"


def _signed(change: Decimal, unit: str, currency: str) -> str:
    if unit == "minor":
        return format_signed_money(round(change), currency)
    return f"{int(change):+,}" if change == int(change) else f"{change:+.1f}"
