"""Keeps the lines of a month when it is closed, and finds what changed in them since.

What a change is and why it happened is decided in closing.py; lines are read in lines.py. The
file is written once, when the month is closed; nothing else is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from growth_pipeline.audit.months.beside import lines_to_compare, stripe_lines
from growth_pipeline.audit.months.closing import (
    BOOKS,
    Close,
    LineKey,
    News,
    Past,
    Restatement,
    differing_totals,
    evidence_of,
    last_known,
    may_close,
    reason_of,
    restated_totals,
)
from growth_pipeline.audit.months.lines import (
    MonthInHand,
    changed_lines,
    frozen_state_of,
    key_of,
    known_beside,
    parts_since,
    read_lines,
    state_of,
    totals_of,
    write_lines,
)
from growth_pipeline.audit.queries import Row
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Manifest

DATASET: Final = "audit/closes"


class ClosedMonthStore(Protocol):
    """What is asked of the database about closed months."""

    def close_of(self, scope: Scope, period: ZonedMonth) -> Close | None:
        """How a month was frozen; None while it is not closed."""
        ...

    def restatements(self, scope: Scope, period: ZonedMonth) -> list[Restatement]:
        """What changed since then, the oldest first."""
        ...

    def news_of_charges(
        self, scope: Scope, since: Mapping[str, datetime]
    ) -> Mapping[str, Mapping[str, Any]]:
        """What reached the database about charges since an instant of each."""
        ...

    def news_of_rows(self, since: Mapping[int, datetime]) -> Mapping[int, Mapping[str, Any]]:
        """Who wrote booked rows last, and which repairs changed them since an instant of each."""
        ...


class ClosedMonthLake(Protocol):
    """What is asked of the lake."""

    def write_partition(
        self,
        dataset: str,
        partition: Mapping[str, str],
        frames: Iterable[pl.DataFrame],
        certificate: Mapping[str, Any],
        *,
        now: datetime | None = None,
    ) -> Manifest:
        """Publish new content of one partition."""
        ...

    def read_manifest(self, dataset: str, partition: Mapping[str, str]) -> Manifest | None:
        """What a partition holds."""
        ...

    def verify(self, manifest: Manifest) -> None:
        """Compare a file's bytes with its manifest's hash; raise when they differ."""
        ...


class ClosedMonths:
    """Closes months and compares closed ones; one for each run."""

    def __init__(
        self, store: ClosedMonthStore, lake: ClosedMonthLake, *, close_after_days: int
    ) -> None:
        self._store = store
        self._lake = lake
        self._after_days = close_after_days

    def look(self, month: MonthInHand) -> Past:
        """Freeze the month if it is time, or find what changed since it was frozen.

        An incomplete audit does neither: what it lacks is no change.
        Raises: GrowthError of the engine; LakeWriteError when the file cannot be kept.
        """
        close = self._store.close_of(month.scope, month.period)
        if close is not None:
            return self._compare(month, close)
        if not may_close(
            month_end=month.period.end,
            as_of=month.as_of,
            grace=month.grace,
            after_days=self._after_days,
            is_complete=month.is_complete,
        ):
            return Past()
        with month.engine.spool() as spool:
            lines = write_lines(month, stripe_lines(month.judged), spool)
            totals = totals_of(month.engine, lines)
            ordered = month.engine.query_to_file(
                load_sql("audit/ordered_lines"), {"lines": [lines]}, spool, "ordered_lines"
            )
            manifest = self._keep(month, ordered.path, totals)
        close = Close(
            audit_id=month.audit_id,
            definition=month.definition,
            closed_at=month.now,
            as_of=month.as_of,
            totals=totals,
            file_sha256=manifest.sha256,
            file_rows=manifest.row_count,
            file_bytes=manifest.byte_count,
        )
        return Past(close=close, is_new=True, now=totals)

    def _keep(self, month: MonthInHand, lines: str, totals: Mapping[str, Any]) -> Manifest:
        certificate = {
            "month": month.period.month.key,
            "tz": month.period.tz,
            "start": month.period.start.isoformat(),
            "end": month.period.end.isoformat(),
            "as_of": month.as_of.isoformat(),
            "audit_id": month.audit_id,
            "totals": totals,
        }
        partition = partition_of(month.scope, month.period)
        frames = read_lines(lines)
        return self._lake.write_partition(DATASET, partition, frames, certificate, now=month.now)

    def _compare(self, month: MonthInHand, close: Close) -> Past:
        log = tuple(self._store.restatements(month.scope, month.period))
        if not month.is_complete:
            return Past(close, log=log, problem="a source is incomplete, so nothing was compared")
        try:
            frozen = self._frozen(month, close)
        except GrowthError as error:
            return Past(close, log=log, problem=error.message)
        with month.engine.spool() as spool:
            beside = lines_to_compare(
                month.judged, known_beside(month.engine, frozen, log), month.look_up
            )
            lines = write_lines(month, beside, spool)
            totals = totals_of(month.engine, lines)
            changed = changed_lines(month.engine, frozen, lines, log)
        fresh = self._restated(month, close, log, changed)
        expected = restated_totals(close.totals, [*log, *fresh])
        return Past(
            close,
            log=log,
            fresh=fresh,
            wrong=tuple(differing_totals(expected, totals)),
            now=totals,
        )

    def _frozen(self, month: MonthInHand, close: Close) -> str:
        """Path of the file that the month was frozen in, whatever its manifest names by now."""
        partition = partition_of(month.scope, month.period)
        newest = self._lake.read_manifest(DATASET, partition)
        if newest is None:
            raise GrowthError(
                f"the lines that {month.period.month} was closed with are not in the lake",
                remedy=f"bring back the files of {DATASET} from a backup",
            )
        folder = newest.path.rpartition("/")[0]
        kept = replace(
            newest,
            path=f"{folder}/{close.file_sha256}.parquet",
            sha256=close.file_sha256,
            row_count=close.file_rows,
            byte_count=close.file_bytes,
        )
        self._lake.verify(kept)
        return kept.path

    def _restated(
        self, month: MonthInHand, close: Close, log: Sequence[Restatement], rows: Sequence[Row]
    ) -> tuple[Restatement, ...]:
        """Entries of lines that are not as they were known last, with their reasons."""
        known = last_known({key_of(row): frozen_state_of(row) for row in rows}, log)
        fresh = [row for row in rows if state_of(row) != known[key_of(row)]]
        news = self._news(month, fresh, _seen_at(close, log))
        return tuple(
            Restatement(
                key=(key := key_of(row)),
                before=known[key],
                after=state_of(row),
                reason=reason_of(key, known[key], state_of(row), news[key]),
                evidence=evidence_of(news[key]),
                first_seen_at=month.now,
            )
            for row in fresh
        )

    def _news(
        self, month: MonthInHand, rows: Sequence[Row], seen_at: Mapping[LineKey | None, datetime]
    ) -> dict[LineKey, News]:
        """What is known about changed lines: events, questions, writers, repairs, parts."""
        if not rows:
            return {}
        closed_as_of = seen_at[None]
        since = {key: seen_at.get(key, closed_as_of) for key in map(key_of, rows)}
        charges: dict[str, datetime] = {}
        for row in rows:
            reference = row["reference"]
            charges[reference] = min(charges.get(reference, month.now), since[key_of(row)])
        heard = self._store.news_of_charges(month.scope, charges)
        numbers = {int(key.object_id): at for key, at in since.items() if key.side == BOOKS}
        written = self._store.news_of_rows(numbers)
        parts = parts_since(month, charges, closed_as_of)
        news = {}
        for row in rows:
            key, reference = key_of(row), row["reference"]
            about = written.get(int(key.object_id), {}) if key.side == BOOKS else {}
            news[key] = News(**{**heard.get(reference, {}), **about, **parts.get(reference, {})})
        return news


def partition_of(scope: Scope, period: ZonedMonth) -> dict[str, str]:
    """Keys of the partition in the lake; a zone's slashes become two hyphens."""
    return {
        "account": scope.account_id,
        "mode": scope.mode,
        "month": period.month.key,
        "tz": period.tz.replace("/", "--"),
    }


def _seen_at(close: Close, log: Iterable[Restatement]) -> dict[LineKey | None, datetime]:
    """When each line was looked at last with something new in it; None: when all were frozen."""
    seen: dict[LineKey | None, datetime] = {None: close.as_of}
    for entry in log:
        seen[entry.key] = max(seen.get(entry.key, close.as_of), entry.first_seen_at)
    return seen
