"""A file of subscription periods: rows live in `[start, end)` with their monthly amounts.

What they move belongs to `measure`. Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from growth_pipeline.core.errors import UsageError
from growth_pipeline.revenue.movements import reasons
from growth_pipeline.storage.files.rows import EPOCH, Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import open_source
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Engine, Spool, Table

_MICROSECOND = timedelta(microseconds=1)
REASON_COLUMN = "reason"
SUBSCRIPTION_COLUMN = "subscription_id"


@dataclass(frozen=True)
class PeriodsFile:
    """The rows of a file by the day on which they begin and end; the same rows in both."""

    starts: ReadRows
    ends: ReadRows
    key_column: str
    reading: Reading
    excluded: tuple[str, ...]
    has_reasons: bool

    @property
    def has_currency(self) -> bool:
        """Whether amounts are minor units of a currency, else exact decimals of major units."""
        return self.starts.has_currency

    @property
    def as_of(self) -> datetime:
        """End of the last local day of which the file tells."""
        days = [read.last_day for read in (self.starts, self.ends) if read.last_day is not None]
        return self.reading.day_end(max(days))


@dataclass(frozen=True)
class UsablePeriods:
    """A Parquet file of the rows before as_of, as `file_periods.sql` gives them.

    `first_day`: the first day on which a row begins, None without rows.
    """

    path: str
    first_day: int | None
    notes: tuple[str, ...]


def read_periods_file(
    engine: Engine,
    spool: Spool,
    path: Path,
    reading: Reading,
    *,
    key_column: str = "customer_id",
    excluded: tuple[str, ...] = (),
) -> PeriodsFile:
    """A file of subscription periods, read into the spool.

    Raises: UsageError with file, line and value; also for a file without rows.
    """
    source = open_source(path, [key_column, "starts_on", "ends_on", "monthly_amount"], spool)
    columns = {
        "user_id": source.need(key_column),
        "occurred_at": source.need("starts_on"),
        "event": source.need("ends_on"),
        "segment": source.find(SUBSCRIPTION_COLUMN),
        "detail": source.find(REASON_COLUMN),
        "revenue": source.need("monthly_amount"),
        "currency": source.find("currency"),
    }
    starts = read_rows(engine, spool, source, columns, reading, name="starts")
    ends = read_rows(
        engine,
        spool,
        source,
        {**columns, "occurred_at": source.need("ends_on")},
        reading,
        name="ends",
        needs_time=False,
    )
    if not starts.rows:
        raise UsageError(f"{path} has no rows", remedy="give a file with subscription periods")
    return PeriodsFile(
        # A date is what is expected here, and no note.
        starts=replace(starts, dates=0),
        ends=replace(ends, dates=0, empty_rows=0),
        key_column=key_column,
        reading=reading,
        excluded=excluded,
        has_reasons=source.find(REASON_COLUMN) is not None,
    )


def usable_periods(
    engine: Engine, spool: Spool, file: PeriodsFile, *, as_of: datetime, end_dates: str
) -> UsablePeriods:
    """The rows that exist before as_of.

    Raises: UsageError for a row that ends before it starts, without amount, with one below 0, or
    with an unknown reason.
    """
    import polars as pl

    options = {"as_of": [(as_of - EPOCH) // _MICROSECOND], "ends_in": [end_dates == "inclusive"]}
    known = reasons()
    tables: dict[str, Table] = {
        "starts": [file.starts.path],
        "ends": [file.ends.path],
        "options": pl.DataFrame(options),
        "excluded": _ids(file.excluded),
        "day_starts": file.reading.tables["day_starts"],
        "causes": pl.DataFrame(
            {"reason": list(known), "cause": [cause.value for cause in known.values()]}
        ),
    }
    path = engine.query_to_file(load_sql("revenue/file_periods"), tables, spool, "periods").path
    rows: dict[str, Table] = {"periods": [path]}
    faulty = engine.query(load_sql("revenue/faulty_periods"), rows)
    if faulty.height:
        raise _fault(file, *faulty.row(0))
    told = engine.query(load_sql("revenue/summarise_periods"), rows).row(0, named=True)
    name = file.starts.source.name
    said = [
        (told["never_live"], "rows end at the instant at which they start, and count nowhere"),
        (told["overlapping"], "rows overlap another one of their subscription, and are summed"),
    ]
    notes = [f"{name}: {count} {what}" for count, what in said if count]
    return UsablePeriods(
        path=path,
        first_day=told["first_day"],
        notes=(*file.starts.notes(), *_about_ends(file), *notes),
    )


def _about_ends(file: PeriodsFile) -> list[str]:
    """Notes about ends alone; the amounts are the same rows."""
    return [
        note.replace("instants without zone", "ends without zone")
        for note in file.ends.notes()
        if "without zone" in note
    ]


def _fault(file: PeriodsFile, customer: str, fault: str, reason: str | None) -> UsageError:
    said, remedy = {
        "reversed": ("ends before it starts", "correct starts_on or ends_on"),
        "no_amount": ("has no monthly_amount", "fill it; a free plan has 0"),
        "negative": ("has a monthly_amount below 0", "correct it; a discount lowers the amount"),
        "reason": (
            f"ends for the unknown reason {reason!r}",
            f"allowed are {', '.join(filter(None, reasons()))}, or nothing",
        ),
    }[fault]
    return UsageError(
        f"{file.starts.source.name}: a row of {file.key_column} {customer!r} {said}", remedy=remedy
    )


def _ids(ids: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"user_id": list(ids)}, schema={"user_id": pl.String})
