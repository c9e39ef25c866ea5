"""The values of a file, read once into a spool file: instants, local days, exact money.

What they mean belongs to the slice that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import day_number
from growth_pipeline.core.errors import UnknownValueError, UsageError
from growth_pipeline.core.money import ISO_CURRENCIES, minor_exponent
from growth_pipeline.core.periods import zone_of
from growth_pipeline.storage.files.faults import Columns, fault_error, missing_currency_error
from growth_pipeline.storage.files.sources import SourceFile, normalised_copy
from growth_pipeline.storage.files.zone_days import zone_days, zone_tables
from growth_pipeline.storage.lake import LakeUnreadableError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Engine, Spool, Table

ROUNDINGS = ("refuse", "half-even")
_DAY_ALONE = re.compile(r"\d{4}-?\d{2}-?\d{2}", re.ASCII)
_OF_THE_LAKE = "a file of the lake cannot be read: "  # as the engine says it; here it is another
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1900, 2200)


@dataclass(frozen=True)
class Reading:
    """How values are read: the zone of local days, and what an amount means.

    `currency`: of amounts that name none. `rounding`: what happens to an amount with more decimals
    than its currency: `refuse`, or `half-even` per row.
    Raises: UsageError for an unknown zone, currency or rounding.
    """

    tz: str = "UTC"
    currency: str | None = None
    rounding: str = "refuse"

    def __post_init__(self) -> None:
        zone_of(self.tz)
        if self.rounding not in ROUNDINGS:
            raise UsageError(
                f"amounts cannot be rounded {self.rounding!r}", remedy="use --round half-even"
            )
        if self.currency is not None:
            object.__setattr__(self, "currency", _known_currency(self.currency))

    @cached_property
    def tables(self) -> dict[str, Table]:
        """What the reading query joins: the zone's days, the currencies, the options."""
        import polars as pl

        codes = sorted(ISO_CURRENCIES)
        return {
            **zone_tables(self.tz),
            "currencies": pl.DataFrame(
                {"code": codes, "exponent": [minor_exponent(code) for code in codes]},
                schema={"code": pl.String, "exponent": pl.Int32},
            ),
        }

    @cached_property
    def days(self) -> Mapping[int, tuple[int, int]]:
        """Local day -> its first second and its end for good, also some time after the last row."""
        return zone_days(self.tz)

    def day_end(self, day: int) -> datetime:
        """The instant at which a local day is over, exclusive."""
        return EPOCH + timedelta(seconds=self.days[day][1])

    def instant(self, text: str) -> datetime:
        """An instant as a person types it: with an offset, without (UTC), or a local day's start.

        Raises: UsageError for anything else, and outside the years that files may tell.
        """
        try:
            told = datetime.fromisoformat(text.strip())
        except ValueError as error:
            raise UsageError(
                f"{text!r} is not an instant",
                remedy="write it as 2031-03-15T00:00:00Z, with another offset, or as a date",
            ) from error
        if told.year not in _YEARS:
            raise UsageError(
                f"{text!r} is out of range", remedy="give an instant between 1900 and 2199"
            )
        if _DAY_ALONE.fullmatch(text.strip()):
            return EPOCH + timedelta(seconds=self.days[day_number(told.date())][0])
        return told.replace(tzinfo=told.tzinfo or UTC).astimezone(UTC)


@dataclass(frozen=True)
class ReadRows:
    """A file that could be read in full.

    `path` is a Parquet file of the spool with the columns of `read_rows.sql`. Days count from
    1970-01-01 and are None for a file without rows.
    """

    path: str
    source: SourceFile
    columns: Columns
    rows: int
    empty_rows: int
    naive: int
    dates: int
    first_day: int | None
    last_day: int | None
    has_currency: bool

    def notes(self) -> list[str]:
        """What a reader of the result should know about the file."""
        floats = sorted(self.source.float_columns)
        said = [
            (self.naive, "instant", "without zone, read as UTC"),
            (self.dates, "date", "without time, taken as a whole local day"),
            (self.empty_rows, "row", "without any value, left out"),
        ]
        notes = [
            f"{self.source.name}: {count} {noun}{'s' * (count != 1)} {what}"
            for count, noun, what in said
            if count
        ]
        if floats:
            notes.append(
                f"{self.source.name}: {', '.join(floats)} in floating point, "
                "read as the shortest decimal"
            )
        return notes


def read_rows(
    engine: Engine,
    spool: Spool,
    source: SourceFile,
    columns: Columns,
    reading: Reading,
    *,
    name: str,
    needs_time: bool = True,
    packed: tuple[str, ...] = (),
) -> ReadRows:
    """All values of a file, in a spool file of this name.

    `columns`: user_id, occurred_at, event, segment, revenue, currency, perhaps detail (a further
    text) -> the file's spelling. `packed`: columns that become the text detail, trimmed, with
    PACKED_BY of the engine between.
    Raises: UsageError with file, line and value for the first record that cannot be read.
    """
    import polars as pl

    options = {
        "default_currency": [reading.currency],
        "round_half_even": [reading.rounding == "half-even"],
        "needs_time": [needs_time],
    }
    schema = {"default_currency": pl.String}
    tables = {**reading.tables, "options": pl.DataFrame(options, schema_overrides=schema)}
    path = _spooled(engine, spool, source, {"detail": packed or None, **columns}, tables, name)
    summary = engine.query(load_sql("storage/summarise_rows"), {"records": [path]}).row(
        0, named=True
    )
    if summary["faults"]:
        faulty = engine.query(load_sql("storage/faulty_rows"), {"records": [path]})
        raise fault_error(source, columns, faulty, reading.currency)
    if summary["with_currency"] and summary["without_currency"]:
        first = engine.query(load_sql("storage/first_row_without_currency"), {"records": [path]})
        raise missing_currency_error(source, columns, first.item())
    return ReadRows(
        path=path,
        source=source,
        columns=columns,
        rows=summary["rows"],
        empty_rows=summary["empty_rows"],
        naive=summary["naive"],
        dates=summary["dates"],
        first_day=summary["first_day"],
        last_day=summary["last_day"],
        has_currency=bool(summary["with_currency"] or reading.currency),
    )


def _spooled(
    engine: Engine,
    spool: Spool,
    source: SourceFile,
    columns: Mapping[str, str | tuple[str, ...] | None],
    tables: dict[str, Table],
    name: str,
) -> str:
    def read(file: SourceFile) -> str:
        given = {**tables, "file": file.as_text(columns)}
        sql = load_sql("storage/read_rows")
        return engine.query_to_file(sql, given, spool, name, joins_as_written=True).path

    try:
        return read(source)
    except LakeUnreadableError as error:
        if source.is_parquet:
            raise _refused(source, error) from error
    # The line reader names what is wrong, or writes the same records as the engine likes them.
    try:
        return read(normalised_copy(source, spool))
    except LakeUnreadableError as error:
        raise _refused(source, error) from error


def naive_note(option: str, text: str | None) -> tuple[str, ...]:
    """What to say about an instant that was typed without a zone; nothing of a date alone."""
    if text is None or _DAY_ALONE.fullmatch(text.strip()):
        return ()
    is_naive = datetime.fromisoformat(text.strip()).tzinfo is None
    return (f"{option} {text.strip()} has no zone, read as UTC",) if is_naive else ()


def _refused(source: SourceFile, error: LakeUnreadableError) -> UsageError:
    return UsageError(
        f"{source.name} cannot be read: {error.message.removeprefix(_OF_THE_LAKE)}",
        remedy="write the file again",
    )


def _known_currency(code: str) -> str:
    try:
        minor_exponent(code.strip().lower())
    except UnknownValueError as error:
        raise UsageError(error.message, remedy="give --currency an ISO 4217 code") from error
    return code.strip().lower()
