"""Published spells as the engine reads them: a file of periods, beside what splits customers.

What they move belongs to `measure`. Contract: docs/metrics.md, "Published movements".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import local_days
from growth_pipeline.storage.files.rows import EPOCH
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Engine, Spool, Table

_MICROSECOND = timedelta(microseconds=1)
_METADATA = "metadata."
BY_ITEM = ("plan", "interval")


@dataclass(frozen=True)
class PublishedSpells:
    """What is published under a policy, read once.

    `spells`: a Parquet file with the columns of `spells_of_policy.sql`. `customers` and
    `cancellations`: as the statements of those names tell them.
    """

    spells: str
    customers: pl.DataFrame
    cancellations: pl.DataFrame


@dataclass(frozen=True)
class PublishedPeriods:
    """Spells before as_of as periods. `first_day`: the first on which one begins, None without."""

    path: str
    first_day: int | None


def periods_before(
    engine: Engine,
    spool: Spool,
    source: PublishedSpells,
    *,
    as_of: datetime,
    tz: str,
    level: str = "customer",
) -> PublishedPeriods:
    """The spells that exist before as_of, with local days of a zone."""
    import polars as pl

    options = {
        "as_of": [(as_of - EPOCH) // _MICROSECOND],
        "by_subscription": [level == "subscription"],
    }
    zone = local_days(tz).select(
        (pl.col("utc_from") * 1_000_000).alias("from_us"), pl.col("offset")
    )
    tables: dict[str, Table] = {
        "spells": [source.spells],
        "options": pl.DataFrame(options),
        "zone": zone,
    }
    sql = load_sql("revenue/published_periods")
    path = engine.query_to_file(sql, tables, spool, "periods").path
    told = engine.query(load_sql("revenue/summarise_published_periods"), {"periods": [path]})
    return PublishedPeriods(path, told.item())


def segments_of(
    engine: Engine, spool: Spool, source: PublishedSpells, periods: str, segment_by: str
) -> str:
    """A file of customers and the instants from which they are in a segment.

    `segment_by`: plan, interval, country, or metadata.<key> of customers.
    """
    import polars as pl

    if segment_by in BY_ITEM:
        items = spool.folder / "items.parquet"
        if not items.exists():
            sql = load_sql("revenue/largest_items")
            engine.query_to_file(sql, {"periods": [periods]}, spool, "items")
        tables: dict[str, Table] = {
            "items": [str(items)],
            "options": pl.DataFrame({"by_plan": [segment_by == "plan"]}),
        }
        statement = "segments_by_item"
    else:
        tables = {"periods": [periods], "values": _values(source.customers, segment_by)}
        statement = "segments_by_customer"
    return engine.query_to_file(load_sql(f"revenue/{statement}"), tables, spool, "segments").path


def _values(customers: pl.DataFrame, segment_by: str) -> pl.DataFrame:
    """Grain: one customer with its value of a property."""
    import polars as pl

    key = segment_by.removeprefix(_METADATA)
    values = (
        customers["country"].to_list()
        if segment_by == "country"
        else [_text(json.loads(told).get(key)) for told in customers["metadata"]]
    )
    return customers.select("account_id", "customer_id").with_columns(
        pl.Series("value", values, dtype=pl.String)
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
