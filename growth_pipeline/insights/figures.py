"""Figures of facts as text, and statements with their references filled in. Pure.

The one place where a fact becomes words of a report: the same reference gives the same text in
every face. Contract: docs/insights.md, "Figures".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from growth_pipeline.core.display import format_money, format_number, format_signed_money
from growth_pipeline.insights.facts import Comparison, Digest, Fact, Unit, Value

REFERENCE: Final = re.compile(r"\{([a-z0-9_.]{1,80}):([a-z_]{1,24})\}", re.ASCII)
_PERCENT_PLACES: Final = Decimal("0.1")


class UnknownReferenceError(ValueError):
    """A reference to a fact or field that there is not, or whose figure is not known."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a statement: `{fact_id:field}`."""

    fact_id: str
    field: str

    @property
    def text(self) -> str:
        """As it stands in a statement."""
        return f"{{{self.fact_id}:{self.field}}}"


def references(text: str) -> Iterator[Reference]:
    """References of a statement, in their order."""
    return (Reference(found[1], found[2]) for found in REFERENCE.finditer(text))


def render_statement(text: str, facts: Mapping[str, Fact]) -> str:
    """The statement with each reference replaced by its figure.

    Raises: UnknownReferenceError.
    """
    return REFERENCE.sub(lambda found: figure(facts, found[1], found[2]), text)


def figure(facts: Mapping[str, Fact], fact_id: str, field: str) -> str:
    """One figure as text.

    Raises: UnknownReferenceError for a fact, or a field of it, that there is not.
    """
    fact, written = facts.get(fact_id), FIELDS.get(field)
    if fact is None or written is None:
        raise UnknownReferenceError(f"there is no figure {fact_id}:{field}")
    text = written(fact)
    if text is None:
        raise UnknownReferenceError(f"the figure {fact_id}:{field} is not known")
    return text


def fields_of(fact: Fact) -> list[str]:
    """Fields of a fact that have a figure, in their order."""
    return [name for name, written in FIELDS.items() if written(fact) is not None]


def all_figures(digest: Digest) -> dict[str, str]:
    """Every figure that a report on a digest may hold: `fact_id:field` -> text."""
    return {
        f"{fact.fact_id}:{name}": text
        for fact in digest.facts
        for name, written in FIELDS.items()
        if (text := written(fact)) is not None
    }


def value_text(fact: Fact, value: Value) -> str | None:
    """A value in the unit of a fact, "USD 1,234.56", "1,234", "12.3 %"; None where unknown."""
    return written_value(value, fact.series.unit, fact.series.currency)


def written_value(value: Value, unit: Unit, currency: str = "") -> str | None:
    """A value of a unit as text; None where unknown."""
    if value is None:
        return None
    if unit is Unit.MINOR:
        return format_money(int(value), currency)
    if unit is Unit.RATE:
        return percent_text(Decimal(value))
    if unit is Unit.AVERAGE or isinstance(value, Decimal):
        return _decimal_text(Decimal(value))
    return format_number(value)


def change_text(fact: Fact, change: Value, *, signed: bool = True) -> str | None:
    """A difference in the unit of a fact; of rates in percentage points. None where unknown."""
    if change is None:
        return None
    told = -change if change < 0 and not signed else change
    sign = "+" if signed and told > 0 else ""
    if fact.series.unit is Unit.MINOR:
        written = format_signed_money if signed else format_money
        return written(int(told), fact.series.currency)
    if fact.series.unit is Unit.RATE:
        return f"{sign}{_decimal_text(100 * Decimal(told))} points"
    if fact.series.unit is Unit.AVERAGE or isinstance(told, Decimal):
        return f"{sign}{_decimal_text(Decimal(told))}"
    return f"{sign}{format_number(told)}"


def percent_text(share: Decimal) -> str:
    """A share as "12.3 %", one decimal half-even; a share that is not 0 is never written as 0.0."""
    percent = (100 * share).quantize(_PERCENT_PLACES, ROUND_HALF_EVEN)
    if percent == 0 and share != 0:
        return "less than 0.1 %" if share > 0 else "more than -0.1 %"
    return f"{percent + 0:,} %"


def period_text(start: date, end: date) -> str:
    """Days of a period, both in: "2026-11-15 to 2026-11-21", or the one day."""
    last = end - timedelta(days=1)
    return f"{start}" if start == last else f"{start} to {last}"


def _decimal_text(value: Decimal) -> str:
    return f"{value.quantize(_PERCENT_PLACES, ROUND_HALF_EVEN) + 0:,}"


def _change(which: str, *, signed: bool) -> Callable[[Fact], str | None]:
    return lambda fact: change_text(fact, _of(fact, which).change, signed=signed)


def _percent(which: str, *, signed: bool) -> Callable[[Fact], str | None]:
    def written(fact: Fact) -> str | None:
        percent = _of(fact, which).percent
        if percent is None:
            return None
        text = percent_text(percent if signed else abs(percent))
        return f"+{text}" if signed and percent > 0 and text[0].isdigit() else text

    return written


def _baseline(which: str) -> Callable[[Fact], str | None]:
    return lambda fact: value_text(fact, _of(fact, which).baseline)


def _of(fact: Fact, which: str) -> Comparison:
    return fact.before if which == "before" else fact.usual


def _slope(fact: Fact) -> str | None:
    if fact.trend is None:
        return None
    slope = fact.trend.slope
    if fact.series.unit is Unit.MINOR:
        slope = slope.quantize(Decimal(1), ROUND_HALF_EVEN)
    return change_text(fact, slope)


def _noun(fact: Fact) -> str | None:
    return fact.series.noun or None


# Field of a reference -> its text. `size` and `percent_size` are without a sign, for "fell by".
FIELDS: Final[Mapping[str, Callable[[Fact], str | None]]] = {
    "label": lambda fact: fact.series.label,
    "value": lambda fact: value_text(fact, fact.value),
    "noun": _noun,
    "before": _baseline("before"),
    "change": _change("before", signed=True),
    "size": _change("before", signed=False),
    "percent": _percent("before", signed=True),
    "percent_size": _percent("before", signed=False),
    "usual": _baseline("usual"),
    "usual_change": _change("usual", signed=True),
    "usual_size": _change("usual", signed=False),
    "usual_percent": _percent("usual", signed=True),
    "usual_percent_size": _percent("usual", signed=False),
    "slope": _slope,
    "period": lambda fact: period_text(fact.series.last.start, fact.series.last.end),
}
# Field -> the comparison that it tells of; others tell of none.
COMPARED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("before", "change", "size", "percent", "percent_size"), "before"),
    **dict.fromkeys(
        ("usual", "usual_change", "usual_size", "usual_percent", "usual_percent_size"), "usual"
    ),
    "slope": "trend",
}
