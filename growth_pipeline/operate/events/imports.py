"""Users and activity from files into the sources of the rollup, each file once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.engine import Engine, Spool
from growth_pipeline.storage.files.rows import Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import data_version, open_source
from growth_pipeline.storage.sql import load_sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = {"users": "signed_up_at", "activity": "occurred_at"}
_ROWS_AT_ONCE = 50_000
_LONGEST_SEGMENT = 100  # as activity.read_segment


@dataclass(frozen=True)
class ImportedFile:
    """One file. `rows`: stored now; None when the same bytes were imported before."""

    kind: str
    name: str
    rows: int | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "rows": self.rows,
            "imported_before": self.rows is None,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For a person."""
        done = "imported before, nothing to do" if self.rows is None else f"{self.rows} rows"
        return [f"{self.kind}: {self.name}: {done}", *(f"note: {note}" for note in self.notes)]


def import_files(
    *,
    users: Path | None,
    activity: Path | None,
    segments: Sequence[str] = (),
    now: datetime,
    dry_run: bool,
    say: Callable[[str], None],
) -> list[ImportedFile]:
    """Store these files for the rollup; a dry run reads them and stores nothing.

    Each file is stored whole or not at all. Memory holds one batch of rows. `segments`: columns of
    the file of users by which cohorts may be split.
    Raises: UsageError with file, line and value for what cannot be read.
    """
    files = (("users", users), ("activity", activity))
    # Absolute: the folder is another one as soon as a running demo's database is open.
    wanted = {kind: path.absolute() for kind, path in files if path}
    if not wanted:
        raise UsageError("nothing to import", remedy="give --users FILE or --activity FILE")
    if segments and users is None:
        raise UsageError("--segment needs --users", remedy="name the file that has the column")
    done = []
    with open_database(say) as (_, database):
        settings = load_settings()
        engine = Engine(**settings.engine_bounds)
        database.dry_run = dry_run
        store = ActivityStore(database)
        reading = Reading(tz=settings.events.timezone)
        parts: list[tuple[str, Path, str | None]] = [
            (kind, path, None) for kind, path in wanted.items()
        ]
        parts += [("segments", wanted["users"], name) for name in dict.fromkeys(segments)]
        for kind, path, segment_by in parts:
            with engine.spool() as spool:
                rows = _read(engine, spool, path, kind, segment_by, reading)
                count = store.import_rows(
                    kind,
                    path.name,
                    " ".join(filter(None, (data_version(path), segment_by))),
                    _records(engine, spool, rows, kind, segment_by),
                    now=now,
                )
            notes = list(rows.notes()) if segment_by is None else [f"of column {segment_by}"]
            if not store.reads_imports(kind):
                notes.append(
                    f"growth adopt pointed {kind} at other tables: imported {kind} are not read"
                )
            done.append(ImportedFile(kind, path.name, count, tuple(notes)))
    return done


def _read(
    engine: Engine,
    spool: Spool,
    path: Path,
    kind: str,
    segment_by: str | None,
    reading: Reading,
) -> ReadRows:
    time = _TIMES["activity" if kind == "activity" else "users"]
    is_activity = kind == "activity"
    source = open_source(path, ["user_id", *([time] if is_activity else [])], spool)
    columns = {
        "user_id": source.need("user_id"),
        "occurred_at": source.need(time) if is_activity else source.find(time),
        "event": source.find("event") if is_activity else None,
        "segment": None if segment_by is None else source.need(segment_by),
        "revenue": None,
        "currency": None,
    }
    return read_rows(engine, spool, source, columns, reading, name=kind, needs_time=is_activity)


def _records(
    engine: Engine, spool: Spool, rows: ReadRows, kind: str, segment_by: str | None
) -> Iterator[tuple[Any, ...]]:
    import pyarrow.parquet as pq

    file = engine.query_to_file(
        load_sql("events/imported_rows"), {"records": [rows.path]}, spool, "imported"
    )
    with pq.ParquetFile(file.path) as parquet:
        for batch in parquet.iter_batches(batch_size=_ROWS_AT_ONCE):
            columns = (column.to_pylist() for column in batch.columns)
            for user_id, at, event, segment in zip(*columns, strict=True):
                instant = None if at is None else _EPOCH + timedelta(microseconds=at)
                if kind == "activity":
                    yield user_id, instant, event
                elif segment_by is None:
                    yield user_id, instant
                elif segment is not None and len(segment) <= _LONGEST_SEGMENT:
                    yield user_id, segment_by, segment
