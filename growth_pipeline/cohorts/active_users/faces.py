"""An answer about active users as JSON, CSV, Markdown or Parquet. Never a number of its own.

Contract: docs/metrics.md, "Active users".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.markdown import code_span, escaped, prose, table_head, table_row

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.active_users.measure import ActiveUsers

_STICKY = ("user_days", "days", "average_dau", "users", "rate")
COLUMNS: dict[str, tuple[str, ...]] = {
    "rolling": ("day", "metric", "window_days", "users", "truncated", "state"),
    "calendar": ("grain", "metric", "period_start", "users", "state"),
    "stickiness": ("period_start", *_STICKY, "state"),
    "stickiness_rolling": ("day", *_STICKY, "truncated", "state"),
    "lifecycle": (
        *("grain", "period_start", "active"),
        *("new", "returning", "resurrecting", "dormant", "state"),
    ),
    "days_active": ("grain", "active_periods", "users", "state"),
    "silence": ("day", "users", "state", "retained", "rate", "retained_state"),
}
"""Kind of question -> names of its columns, in order; `segment` follows where it is asked for."""

_DATES = frozenset({"day", "period_start"})
_WORDS = frozenset({"metric", "grain", "state", "retained_state", "segment"})
_QUOTIENTS = frozenset({"average_dau", "rate"})


def face_of(answer: ActiveUsers, form: str) -> bytes:
    """The answer in one of the forms json, csv, md, parquet.

    Shapes: JSON has the resolved definition, as_of, dropped, notes and rows; CSV and Parquet the
    rows alone, their header also without any. Text is UTF-8. A value that is not shown is empty.
    """
    return FORMS[form](answer)


def _columns(answer: ActiveUsers) -> tuple[str, ...]:
    split = () if answer.definition["segment"] is None else ("segment",)
    return (*COLUMNS[answer.definition["kind"]], *split)


def _json(answer: ActiveUsers) -> bytes:
    document = {
        **answer.definition,
        "as_of": answer.as_of.isoformat(),
        "dropped": answer.dropped,
        "notes": list(answer.notes),
        "rows": [{name: _plain(value) for name, value in row.items()} for row in answer.rows],
    }
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _csv(answer: ActiveUsers) -> bytes:
    names = _columns(answer)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_word(row[name]) for name in names] for row in answer.rows)
    return text.getvalue().encode()


def _markdown(answer: ActiveUsers) -> bytes:
    names = _columns(answer)
    options = {**answer.definition, "as_of": answer.as_of.isoformat()}
    told = [
        f"- {escaped(name)}: {code_span(_listed(value))}"
        for name, value in options.items()
        if value is not None
    ]
    dropped = ", ".join(f"{name} {count}" for name, count in answer.dropped.items())
    lines = [
        "# Active users",
        "",
        *told,
        "",
        f"Dropped rows: {escaped(dropped)}.",
        *(f"\n{prose(note)}." for note in answer.notes),
        "",
        *table_head(*(escaped(name) for name in names)),
        *(table_row(*(escaped(_word(row[name])) for name in names)) for row in answer.rows),
    ]
    return ("\n".join(lines) + "\n").encode()


def _parquet(answer: ActiveUsers) -> bytes:
    import polars as pl

    names = _columns(answer)
    rows = [[_number(row[name]) for name in names] for row in answer.rows]
    frame = pl.DataFrame(rows, schema={name: _type(name) for name in names}, orient="row")
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


FORMS: dict[str, Callable[[ActiveUsers], bytes]] = {
    "json": _json,
    "csv": _csv,
    "md": _markdown,
    "parquet": _parquet,
}


def _type(name: str) -> type[pl.DataType]:
    import polars as pl

    if name in _DATES:
        return pl.Date
    if name in _WORDS:
        return pl.String
    if name == "truncated":
        return pl.Boolean
    return pl.Float64 if name in _QUOTIENTS else pl.Int64


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else _number(value)


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)
