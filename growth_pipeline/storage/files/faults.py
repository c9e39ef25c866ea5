"""What is wrong with a file, told with its line and value. Never decides what is wrong.

The engine reads fast and knows no lines; a file that it refuses is read again line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from growth_pipeline.core.errors import UnknownValueError, UsageError
from growth_pipeline.core.money import minor_exponent

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.files.sources import SourceFile

_SPACE = " \t\r\n"
_FIELDS = ("user_id", "occurred_at", "revenue", "currency")

Columns = Mapping[str, "str | None"]
"""Name in a query -> the file's spelling of the column, None where it has none."""


def fault_error(
    source: SourceFile, columns: Columns, faulty: pl.DataFrame, currency: str | None
) -> UsageError:
    """The error for the first record of a file that cannot be read.

    Shapes: `faulty` as `faulty_rows.sql` gives it, at least one row.
    """
    by_values = {row[1:5]: row[0] for row in faulty.iter_rows()}
    fault, *fields, row_number = faulty.row(0)
    values = dict(zip(_FIELDS, fields, strict=True))
    place = _place(row_number)
    if not source.is_parquet:
        found = _first_record(source, columns, lambda named: tuple(named.values()) in by_values)
        if found is not None:
            place, values = f"line {found[0]}", found[1]
            fault = by_values[tuple(values.values())]
    return _told(source, columns, place, fault, values, currency)


def missing_currency_error(
    source: SourceFile, columns: Columns, first_row: int | None
) -> UsageError:
    """The error for a payment without currency in a file where others have one."""
    place = _place(first_row)
    if not source.is_parquet:
        found = _first_record(
            source, columns, lambda values: bool(values["revenue"]) and not values["currency"]
        )
        place = place if found is None else f"line {found[0]}"
    return UsageError(
        f"{source.name}, {place}: a revenue without currency, while other rows have one",
        remedy="fill the currency, or name the one of empty fields with --currency",
    )


def contradicted_user_error(source: SourceFile, columns: Columns, user_id: str) -> UsageError:
    """The error for a user whom the users file names twice with different values."""
    lines: list[str] = []
    if not source.is_parquet:
        lines = [
            str(line)
            for line, values in _named_records(source, columns)
            if values["user_id"] == user_id
        ]
    place = f", lines {' and '.join(lines[:2])}" if lines else ""
    return UsageError(
        f"{source.name}{place}: user {user_id!r} is there more than once, with different values",
        remedy="leave one line for each user",
    )


def _first_record(
    source: SourceFile, columns: Columns, fits: Callable[[dict[str, str]], bool]
) -> tuple[int, dict[str, str]] | None:
    """The first record of a CSV file that fits: its line and the fields that were read."""
    for line, values in _named_records(source, columns):
        if fits(values):
            return line, values
    return None


def _named_records(source: SourceFile, columns: Columns) -> Iterator[tuple[int, dict[str, str]]]:
    """Records of a CSV file: line, and the fields that were read by their names in the query."""
    places = {
        name: None if (spelling := columns.get(name)) is None else source.columns.index(spelling)
        for name in _FIELDS
    }
    for line, fields in source.records():
        yield (
            line,
            {
                name: "" if place is None else fields[place].strip(_SPACE)
                for name, place in places.items()
            },
        )


def _told(
    source: SourceFile,
    columns: Columns,
    place: str,
    fault: str,
    values: Mapping[str, str],
    currency: str | None,
) -> UsageError:
    code = (values["currency"] or currency or "").lower()
    time_name = columns["occurred_at"] or "the time"
    amount_name = columns["revenue"] or "the amount"
    said, remedy = {
        "no_user": (f"{columns['user_id']} is empty", "fill it or remove the line"),
        "no_time": (f"{time_name} is empty", "fill it or remove the line"),
        "time": (
            f"{time_name} {values['occurred_at']!r} is not an instant between 1900 and 2199",
            "write it as 2031-01-05T10:00:00Z, with another offset, as a date alone, or as Unix "
            "seconds, milliseconds or microseconds",
        ),
        "amount": (
            f"{amount_name} {values['revenue']!r} is not a decimal number",
            "write it in major units with a point and without separators, as in 1234.50",
        ),
        "currency": (f"currency {code!r} is not an ISO 4217 code", "correct the currency"),
        "decimals": (
            f"{amount_name} {values['revenue']!r} has more decimals than {_allowed(code)}",
            "correct the amount, or have each row rounded with --round half-even",
        ),
        "large": (f"{amount_name} {values['revenue']!r} is too large", "correct the amount"),
    }[fault]
    return UsageError(f"{source.name}, {place}: {said}", remedy=remedy)


def _place(row_number: int | None) -> str:
    return "a line" if row_number is None else f"row {row_number + 1}"


def _allowed(code: str) -> str:
    if not code:
        return "an amount without currency may have (18)"
    try:
        return f"{code} allows ({minor_exponent(code)})"
    except UnknownValueError:
        return f"{code} allows"
