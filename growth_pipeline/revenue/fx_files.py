"""A file of exchange rates: date, currency, rate, and the reporting currency if it names one.

Contract: docs/metrics.md, "Reporting currency".
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from growth_pipeline.core.errors import UnknownValueError, UsageError
from growth_pipeline.core.money import minor_exponent

_NEEDED: Final = ("date", "currency", "rate")
_INTO: Final = "reporting_currency"
_MOST_DIGITS: Final = 18
_FURTHEST: Final = 12  # powers of ten: no two currencies are further apart


class GivenRate(NamedTuple):
    """Major units of `reporting_currency` for one major unit of `currency` on a day."""

    currency: str
    reporting_currency: str
    rate_on: date
    rate: Decimal


def read_rates(path: Path, *, into: str | None) -> list[GivenRate]:
    """The rates of a CSV file, each once. `into`: the reporting currency where no column names it.

    Raises: UsageError with file, line and value for anything that is no rate, for two rates of one
    day, and for a file without rows.
    """
    found: dict[tuple[str, str, date], GivenRate] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in _rows(path, file):
                one = _rate(f"{path}, line {number}", row, into)
                held = found.setdefault(one[:3], one)
                if held.rate != one.rate:
                    _refuse(
                        f"{path}, line {number}",
                        f"{one.currency} has two rates on {one.rate_on}: {held.rate}, {one.rate}",
                        "give one rate for each currency and day",
                    )
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not found:
        raise UsageError(f"{path} has no rows", remedy="give a row for each currency and day")
    return list(found.values())


def _rows(path: Path, file: Iterator[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.DictReader(file, strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in _NEEDED if name not in names]:
        raise UsageError(
            f"{path} has no column {missing[0]!r}",
            remedy="the columns are date, currency, rate and, if it varies, reporting_currency",
        )
    reader.fieldnames = names
    try:
        for row in reader:
            yield reader.line_num, {key: (row[key] or "").strip() for key in names}
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: {error}") from error


def _rate(place: str, row: Mapping[str, str], into: str | None) -> GivenRate:
    currency = _currency(place, row["currency"])
    target = row.get(_INTO) or into
    if not target:
        _refuse(
            place,
            "it is not said into which currency",
            "name it with --reporting-currency, a column reporting_currency, or the setting",
        )
    reporting = _currency(place, target)
    if currency == reporting:
        _refuse(place, f"{currency} is the reporting currency", "its rate is 1: leave it out")
    return GivenRate(currency, reporting, _day(place, row["date"]), _number(place, row["rate"]))


def _currency(place: str, text: str) -> str:
    code = text.lower()
    try:
        minor_exponent(code)
    except UnknownValueError:
        _refuse(place, f"{text!r} is no currency of ISO 4217", "write it as in EUR")
    return code


def _day(place: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        _refuse(place, f"{text!r} is no day", "write it as in 2031-04-30")


def _number(place: str, text: str) -> Decimal:
    try:
        value = Decimal("nan" if "_" in text else text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        _refuse(place, f"rate {text!r} is no number above 0", "write it as in 1.0842")
    if len(value.as_tuple().digits) > _MOST_DIGITS or abs(value.adjusted()) > _FURTHEST:
        _refuse(
            place,
            f"rate {text!r} has more than {_MOST_DIGITS} digits, or is no rate of two currencies",
            "write it as in 1.0842",
        )
    return value


def _refuse(place: str, what: str, remedy: str) -> NoReturn:
    raise UsageError(f"{place}: {what}", remedy=remedy)
