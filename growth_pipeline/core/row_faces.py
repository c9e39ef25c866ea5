"""Rows of an answer as JSON, CSV or Markdown. Never a number of its own.

Exact amounts are text, so that no reader makes a float of them; rates are numbers with 6 decimals.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from growth_pipeline.core.markdown import code_span, escaped, prose, table_head, table_row

Row = Mapping[str, Any]


def json_face(document: Mapping[str, Any], rates: frozenset[str]) -> bytes:
    """A document with its rows. `rates`: names of values that are quotients."""
    plain = {name: _plain(name, value, rates) for name, value in document.items()}
    return (json.dumps(plain, ensure_ascii=False, indent=2) + "\n").encode()


def csv_face(names: Sequence[str], rows: Iterable[Row], rates: frozenset[str]) -> bytes:
    """Rows with a header, also without any; a value that is not shown is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([cell(name, row.get(name), rates) for name in names] for row in rows)
    return text.getvalue().encode()


def markdown_face(
    title: str,
    options: Mapping[str, Any],
    notes: Iterable[str],
    tables: Iterable[tuple[str, Sequence[Row]]],
    rates: frozenset[str],
) -> bytes:
    """A page: how it was asked, notes, tables with the columns that hold anything."""
    told = [
        f"- {escaped(name)}: {code_span(_listed(value))}"
        for name, value in options.items()
        if value not in (None, [])
    ]
    lines = [f"# {escaped(title)}", "", *told, *(f"\n{prose(note)}." for note in notes)]
    for heading, rows in tables:
        lines += ["", f"## {escaped(heading)}", "", *_table(rows, rates)]
    return ("\n".join(lines) + "\n").encode()


def cell(name: str, value: Any, rates: frozenset[str]) -> str:
    """A value as a word of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if name in rates else _digits(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _table(rows: Sequence[Row], rates: frozenset[str]) -> list[str]:
    names = [
        name
        for name in (rows[0] if rows else ())
        if any(row[name] is not None and not isinstance(row[name], dict) for row in rows)
    ]
    if not names:
        return ["None."]
    body = (table_row(*(escaped(cell(name, row[name], rates)) for name in names)) for row in rows)
    return [*table_head(*map(escaped, names)), *body]


def _plain(name: str, value: Any, rates: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(key, one, rates) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, one, rates) for one in value]
    if isinstance(value, Decimal):
        return float(value) if name in rates else _digits(value)
    return value.isoformat() if isinstance(value, date) else value


def _digits(value: Decimal) -> str:
    """An exact decimal without exponent; more than two decimals lose the zeros at their end."""
    text = f"{value:f}"
    whole, _, decimals = text.partition(".")
    if len(decimals) > 3:  # noqa: PLR2004 - no currency has more
        decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
