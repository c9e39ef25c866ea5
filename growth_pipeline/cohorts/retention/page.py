"""An answer about retention as a page for people: grids of percents, then how they were computed.

Machines take the long form (faces.py). No number is made here. Contract: docs/metrics.md, "Cohorts
and retention".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from growth_pipeline.cohorts.definition import PERIOD_DAYS
from growth_pipeline.cohorts.retention.result import (
    ColumnAverage,
    RetentionCell,
    RetentionResult,
    exact_digits,
)
from growth_pipeline.core.display import format_instant, format_number
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Data,
    Document,
    Facts,
    Heading,
    Paragraph,
    Table,
    Words,
    quoted,
)
from growth_pipeline.core.markdown import render_markdown
from growth_pipeline.core.money import to_major
from growth_pipeline.core.periods import PeriodState

NO_BASE: Final = "n/a"
OPEN: Final = "*"
_TENTH: Final = Decimal("0.1")
_LETTERS: Final = {1: "D", 7: "W", 30: "M"}
_ENTERED: Final = {
    "signup": "sign-up",
    "first_activity": "first activity",
    "first_event": "first event",
    "first_payment": "first payment",
    "first_mrr": "first MRR",
}
_CAME_BACK: Final = {
    "on": "was active in each period",
    "on_or_after": "was active in each period or a later one",
    "bracket": "was active in any period of each range",
}


def to_markdown(answer: RetentionResult) -> str:
    """The page as Markdown: for each segment a grid of rates and averages, and money by currency.

    Shapes: a closed cell has a percent (`n/a` without base), `*` is in progress (with what there is
    so far if that was asked for), an empty cell has not begun. Oldest cohort first.
    """
    blocks: list[Block] = [Paragraph(_question(answer))]
    for segment in dict.fromkeys(average.segment for average in answer.averages):
        name = answer.definition["segment"]
        if name is not None:  # users without a value have a heading too: they are not everybody
            told = f"Without {name}" if segment is None else f"{name} {segment or '(empty)'}"
            blocks.append(Heading(2, told))
        averages = [one for one in answer.averages if one.segment == segment]
        cells = [cell for cell in answer.cells if cell.segment == segment]
        blocks += _blocks(answer, averages, cells)
    blocks += _how(answer)
    return render_markdown(Document("Retention", tuple(blocks)), captions=True)


def _question(answer: RetentionResult) -> str:
    asked = answer.definition
    periods = f"{asked['grain']}s of the calendar"
    if asked["periods"] == "since_entry":
        days = asked["period_days"]
        periods = "days since entry" if days == 1 else f"{days} days since entry"
    base = "cohort's size" if asked["basis"] == "first" else "users of the column before"
    return (
        f"Share of each cohort (by {asked['grain']} of {_ENTERED[asked['entry']]}) that "
        f"{_CAME_BACK[asked['retention']]}. Periods are {periods}, rates are of the {base}, local "
        f"days are those of {asked['tz']}. As of {format_instant(answer.as_of)}, exclusive."
    )


def _blocks(
    answer: RetentionResult, averages: list[ColumnAverage], cells: list[RetentionCell]
) -> Iterator[Block]:
    if not cells:
        yield Paragraph("No cohort yet.")
        return
    yield _rates(answer, averages, cells)
    yield _average_table(answer, averages)
    for currency in dict.fromkeys(cell.currency for cell in cells if _amount(cell) is not None):
        yield _money(answer, averages, [cell for cell in cells if cell.currency == currency])


def _rates(
    answer: RetentionResult, averages: list[ColumnAverage], cells: list[RetentionCell]
) -> Table:
    pooled = (_strong(_average_in_words(one)) for one in averages)
    whole: tuple[Cell, ...] = (_strong("Average"), "", *pooled)
    caption = (
        f"{OPEN} is in progress, an empty cell has not begun, {NO_BASE} has no base; the average "
        "is pooled over closed cells"
    )
    return _grid(answer, averages, cells, caption, _rate, first=(whole,))


def _money(
    answer: RetentionResult, averages: list[ColumnAverage], cells: list[RetentionCell]
) -> Table:
    what = "MRR at the end of each period" if answer.definition["money"] == "mrr" else "Paid"
    currency = cells[0].currency
    caption = f"{what}, by cohort, {currency.upper() if currency else 'no currency'}"
    return _grid(answer, averages, cells, caption, _amount_in_words)


def _grid(
    answer: RetentionResult,
    averages: list[ColumnAverage],
    cells: Iterable[RetentionCell],
    caption: str,
    say: Any,
    first: tuple[tuple[Cell, ...], ...] = (),
) -> Table:
    """Cohorts down, periods across. Of a cell's rows by currency the first stands for all."""
    rows: dict[Any, dict[int | str, RetentionCell]] = {}
    for cell in cells:
        rows.setdefault(cell.cohort_start, {}).setdefault(cell.period_index, cell)
    names = tuple(_column(answer, one.period_index) for one in averages)
    body = tuple(
        (
            start.isoformat(),
            format_number(next(iter(row.values())).cohort_size),
            *(say(row[one.period_index]) if one.period_index in row else "" for one in averages),
        )
        for start, row in rows.items()
    )
    numbers = frozenset(range(1, len(names) + 2))
    return Table(caption, ("Cohort", "Size", *names), (*first, *body), numbers)


def _average_table(answer: RetentionResult, averages: list[ColumnAverage]) -> Table:
    rows = tuple(
        (
            _column(answer, one.period_index),
            _average_in_words(one),
            "" if one.users is None else format_number(one.users),
            "" if one.base is None else format_number(one.base),
            format_number(one.cohorts),
            ""
            if one.rate_low is None or one.rate_high is None
            else f"{one.rate_low * 100:.1f} % to {one.rate_high * 100:.1f} %",
        )
        for one in averages
    )
    caption = "Average of each period: users of all cohorts whose cell is closed, by their base"
    head = ("Period", "Average", "Users", "Of", "Cohorts", "95 % interval")
    return Table(caption, head, rows, frozenset({1, 2, 3, 4}))


def _rate(cell: RetentionCell) -> str:
    mark = OPEN if cell.state is PeriodState.OPEN else ""
    return mark if cell.users is None else _rate_in_words(cell.rate) + mark


def _average_in_words(average: ColumnAverage) -> str:
    return "" if average.rate is None else _rate_in_words(average.rate)


def _rate_in_words(rate: Decimal | None) -> str:
    return NO_BASE if rate is None else f"{(rate * 100).quantize(_TENTH, ROUND_HALF_EVEN)} %"


def _amount(cell: RetentionCell) -> int | Decimal | None:
    return cell.revenue if cell.currency is None else cell.revenue_minor


def _amount_in_words(cell: RetentionCell) -> str:
    amount = _amount(cell)
    mark = OPEN if cell.state is PeriodState.OPEN else ""
    if amount is None:
        return mark
    if cell.currency is None or isinstance(amount, Decimal):
        return exact_digits(Decimal(amount)) + mark
    return f"{to_major(amount, cell.currency):,f}{mark}"


def _column(answer: RetentionResult, index: int | str) -> str:
    """`M3`: the first letter of the period's kind and its number."""
    days = answer.definition["period_days"] or PERIOD_DAYS[answer.definition["grain"]]
    return f"{_LETTERS[days]}{index}"


def _strong(text: str) -> Words:
    return Words(text, strong=True)


def _how(answer: RetentionResult) -> list[Block]:
    options = tuple(
        (name, Data(", ".join(map(str, value)) if isinstance(value, list) else str(value)))
        for name, value in answer.definition.items()
        if value not in (None, [])
    )
    dropped = tuple((name, format_number(count)) for name, count in answer.dropped.items())
    return [
        Heading(2, "What was left out"),
        Facts(dropped),
        *(Paragraph(quoted(f"{note}.")) for note in answer.notes),
        Heading(2, "How it was computed"),
        Facts((*options, ("as_of", Data(answer.as_of.isoformat())))),
    ]
