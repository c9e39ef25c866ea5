"""An answer about retention as JSON, CSV, Markdown or Parquet. Never a number of its own.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from typing import Any

from growth_pipeline.cohorts.retention.page import to_markdown
from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult, exact_digits
from growth_pipeline.cohorts.retention.rules import RATE_DECIMALS

COLUMNS = (*(column.name for column in fields(RetentionCell)), "grr")
_QUOTIENTS = frozenset({"rate", "logo_churn", "revenue_churn", "nrr", "grr"})


def face_of(answer: RetentionResult, form: str) -> bytes:
    """The answer in one of the forms json, csv, md, parquet.

    Shapes: JSON has the resolved definition, as_of, averages, dropped, notes and cells; CSV and
    Parquet the cells alone, their header also without any; Markdown is the page for people. Rates
    are numbers with 6 decimals, amounts without currency exact decimals as text. A value that is
    not shown is null or empty.
    """
    return FORMS[form](answer)


def _json(answer: RetentionResult) -> bytes:
    document = {
        **answer.definition,
        "as_of": answer.as_of.isoformat(),
        "averages": [_plain_row(asdict(average)) for average in answer.averages],
        "dropped": answer.dropped,
        "notes": list(answer.notes),
        "cells": [_plain_row(row) for row in _rows(answer)],
    }
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _csv(answer: RetentionResult) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in _rows(answer):
        writer.writerow([_word(name, cell[name]) for name in COLUMNS])
    return text.getvalue().encode()


def _markdown(answer: RetentionResult) -> bytes:
    return to_markdown(answer).encode()


def _rows(answer: RetentionResult) -> Iterator[dict[str, Any]]:
    for cell in answer.cells:
        yield {**asdict(cell), "grr": cell.grr}


def _parquet(answer: RetentionResult) -> bytes:
    import polars as pl

    file = io.BytesIO()
    shares = pl.Series("grr", [cell.grr for cell in answer.cells], pl.Decimal(38, RATE_DECIMALS))
    answer.frame().with_columns(shares).write_parquet(file)
    return file.getvalue()


FORMS: dict[str, Callable[[RetentionResult], bytes]] = {
    "json": _json,
    "csv": _csv,
    "md": _markdown,
    "parquet": _parquet,
}


def _plain_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value) if name in _QUOTIENTS else exact_digits(value)
    return value.isoformat() if isinstance(value, date) else value


def _word(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if name in _QUOTIENTS else exact_digits(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return value.isoformat() if isinstance(value, date) else str(value)
