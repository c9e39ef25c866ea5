"""Files on disk in, plain rows out: what the tests of reading share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.files.facts import make_facts, read_history
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.files.rows import Reading

EPOCH = date(1970, 1, 1)
NOON = "2031-01-05T12:00:00Z"


@dataclass(frozen=True)
class Read:
    """What came out of the files, as plain rows in a fixed order."""

    users: list[tuple[Any, ...]]
    activity: list[tuple[Any, ...]]
    money: list[tuple[Any, ...]]
    dropped: dict[str, int]
    notes: tuple[str, ...]
    as_of: datetime


def read(
    engine: Engine,
    activity: Path,
    users: Path | None = None,
    *,
    reading: Reading | None = None,
    segment: str | None = None,
    **options: Any,
) -> Read:
    with engine.spool() as spool:
        history = read_history(
            engine, spool, activity=activity, users=users, reading=reading, segment=segment
        )
        tz = (reading or Reading()).tz
        definition = RetentionDefinition(
            **{
                "as_of": history.as_of,
                "tz": tz,
                "entry": "first_activity" if users is None else "signup",
                **options,
            }
        )
        facts = make_facts(engine, spool, history, definition)
        names = dict(pl.read_parquet(facts.entries).select("user_number", "user_id").iter_rows())

        def rows(path: str | None) -> list[tuple[Any, ...]]:
            if path is None:
                return []
            frame = pl.read_parquet(path)
            found = [
                (
                    names[number],
                    *(day_of(row.pop(name)) for name in list(row) if "day" in name),
                    *row.values(),
                )
                for row in frame.iter_rows(named=True)
                for number in (row.pop("user_number"),)
            ]
            return sorted(found, key=str)

        return Read(
            rows(facts.users),
            rows(facts.activity),
            rows(facts.money),
            facts.dropped,
            tuple(note.rpartition("/")[2] for note in facts.notes),
            history.as_of,
        )


def day_of(number: int) -> str:
    return (EPOCH + timedelta(days=number)).isoformat()


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def activity_of(
    folder: Path, *lines: str, head: str = "user_id,occurred_at,revenue,currency"
) -> Path:
    return write(folder / "activity.csv", "\n".join((head, *lines)) + "\n")


def refused(engine: Engine, activity: Path, users: Path | None = None, **words: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read(engine, activity, users, **words)
    assert caught.value.remedy
    return caught.value
