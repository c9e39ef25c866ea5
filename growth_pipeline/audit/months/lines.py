"""The lines of a month as files and queries of the engine: made, summed, compared with frozen ones.

What a change is and why it happened is decided in closing.py; when a month is frozen, in freeze.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from growth_pipeline.audit.months.beside import LookUp, is_beside
from growth_pipeline.audit.months.closing import (
    NOTHING,
    STRIPE,
    LineKey,
    LineState,
    Restatement,
    last_known,
)
from growth_pipeline.audit.payments.sides import StripePayment
from growth_pipeline.audit.queries import QueryEngine, Row, Table, wanted_ids
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Spool


_BATCH_ROWS: Final = 50_000
_RESTATED: Final = dict.fromkeys(LineKey._fields, pl.String)
_STATE: Final = tuple(LineState.__dataclass_fields__)


@dataclass(frozen=True)
class MonthInHand:
    """One audit's month as it stands: its tables in the engine, and what the audit knows of it.

    `tables`: charges, returned, books as the statements name them; refunds, disputes from the month
    on. `judged`: payments that were asked about again, as judged; they replace the list's.
    `look_up`: what Stripe's lists say of objects that are no charges.
    """

    scope: Scope
    period: ZonedMonth
    engine: QueryEngine
    tables: Mapping[str, Table]
    judged: Collection[StripePayment]
    look_up: LookUp
    refunds_complete: bool
    is_complete: bool
    as_of: datetime
    grace: timedelta
    now: datetime
    audit_id: str
    definition: str


def write_lines(month: MonthInHand, judged: pl.DataFrame, spool: Spool) -> str:
    """Path of a file with the month's lines of both sides. Grain: one object of one side."""
    tables = {
        **{name: month.tables[name] for name in ("charges", "returned", "books")},
        "judged": judged,
        "facts": pl.DataFrame({"refunds_complete": [month.refunds_complete]}),
    }
    sql = load_sql("audit/month_lines")
    return month.engine.query_to_file(sql, tables, spool, "month_lines").path


def known_beside(
    engine: QueryEngine, frozen: str, log: Iterable[Restatement]
) -> dict[LineKey, LineState]:
    """Stripe's lines that are no charges, as they were known last."""
    rows = engine.query(load_sql("audit/frozen_beside"), {"frozen": [frozen]}).to_dicts()
    of_close = {
        LineKey(STRIPE, row["object"], row["object_id"], row["currency"]): state_of(row)
        for row in rows
    }
    return last_known(of_close, (entry for entry in log if is_beside(entry.key)))


def totals_of(engine: QueryEngine, lines: str) -> dict[str, dict[str, dict[str, int]]]:
    """Sums of lines by side and currency, minor units."""
    totals: dict[str, dict[str, dict[str, int]]] = {}
    for row in engine.query(load_sql("audit/line_totals"), {"lines": [lines]}).to_dicts():
        totals.setdefault(row.pop("side"), {})[row.pop("currency")] = row
    return totals


def changed_lines(
    engine: QueryEngine, frozen: str, lines: str, log: Iterable[Restatement]
) -> list[Row]:
    """Lines that are not as they were frozen, or that the log speaks of, each with both states."""
    keys = sorted({entry.key for entry in log})
    tables: dict[str, Table] = {
        "frozen": [frozen],
        "lines": [lines],
        "restated": pl.DataFrame(keys, schema=_RESTATED, orient="row"),
    }
    return engine.query(load_sql("audit/changed_lines"), tables).to_dicts()


def parts_since(
    month: MonthInHand, charges: Iterable[str], since: datetime
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Refunds made since, and disputes, by charge."""
    tables = {
        "refunds": month.tables["refunds"],
        "disputes": month.tables["disputes"],
        "wanted": wanted_ids(set(charges)),
    }
    params = {"since": int(since.timestamp())}
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in month.engine.query(load_sql("audit/parts_since"), tables, params).to_dicts():
        of_charge = found.setdefault(row["charge"], {"refunds": (), "disputes": ()})
        of_charge[f"{row['object']}s"] += (row["id"],)
    return found


def read_lines(path: str) -> Iterator[pl.DataFrame]:
    """The lines in bounded pieces; at least one, for the columns."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        empty = True
        for batch in file.iter_batches(_BATCH_ROWS):
            empty = False
            yield _frame(batch)
        if empty:
            yield _frame(file.schema_arrow.empty_table())


def _frame(arrow: Any) -> pl.DataFrame:
    frame: pl.DataFrame = pl.from_arrow(arrow)  # type: ignore[assignment]
    return frame


def key_of(row: Row) -> LineKey:
    """Which line a row is."""
    return LineKey(*(row[name] for name in LineKey._fields))


def state_of(row: Row) -> LineState:
    """What a row says of its line now."""
    return NOTHING if row["status"] is None else LineState(*(row[name] for name in _STATE))


def frozen_state_of(row: Row) -> LineState:
    """What a row says of its line when the month was closed."""
    if row["frozen_status"] is None:
        return NOTHING
    return LineState(*(row[f"frozen_{name}"] for name in _STATE))
