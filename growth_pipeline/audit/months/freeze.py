"""Keeps the lines of a month when it is closed, and finds what changed in them since.

What a change is and why it happened is decided in closing.py. The file is written once, when the
month is closed; nothing else is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from growth_pipeline.audit.months.beside import LookUp, is_beside, lines_to_compare, stripe_lines
from growth_pipeline.audit.months.closing import (
    BOOKS,
    NOTHING,
    STRIPE,
    Close,
    LineKey,
    LineState,
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
from growth_pipeline.audit.payments.matching import QueryEngine, Row, Table, wanted_ids
from growth_pipeline.audit.payments.sides import StripePayment
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Spool
    from growth_pipeline.storage.lake import Manifest

DATASET: Final = "audit/closes"
_BATCH_ROWS: Final = 50_000
_RESTATED: Final = dict.fromkeys(LineKey._fields, pl.String)
_STATE: Final = tuple(LineState.__dataclass_fields__)


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
            lines = _lines_of(month, stripe_lines(month.judged), spool)
            totals = _totals_of(month.engine, lines)
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
        frames = _batches(lines)
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
                month.judged, _known_beside(month.engine, frozen, log), month.look_up
            )
            lines = _lines_of(month, beside, spool)
            totals = _totals_of(month.engine, lines)
            changed = _changed(month.engine, frozen, lines, log)
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
        known = last_known({_key(row): _frozen_state(row) for row in rows}, log)
        fresh = [row for row in rows if _state(row) != known[_key(row)]]
        news = self._news(month, fresh, _seen_at(close, log))
        return tuple(
            Restatement(
                key=(key := _key(row)),
                before=known[key],
                after=_state(row),
                reason=reason_of(key, known[key], _state(row), news[key]),
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
        since = {key: seen_at.get(key, closed_as_of) for key in map(_key, rows)}
        charges: dict[str, datetime] = {}
        for row in rows:
            reference = row["reference"]
            charges[reference] = min(charges.get(reference, month.now), since[_key(row)])
        heard = self._store.news_of_charges(month.scope, charges)
        numbers = {int(key.object_id): at for key, at in since.items() if key.side == BOOKS}
        written = self._store.news_of_rows(numbers)
        parts = _parts_since(month, charges, closed_as_of)
        news = {}
        for row in rows:
            key, reference = _key(row), row["reference"]
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


def _lines_of(month: MonthInHand, judged: pl.DataFrame, spool: Spool) -> str:
    tables = {
        **{name: month.tables[name] for name in ("charges", "returned", "books")},
        "judged": judged,
        "facts": pl.DataFrame({"refunds_complete": [month.refunds_complete]}),
    }
    sql = load_sql("audit/month_lines")
    return month.engine.query_to_file(sql, tables, spool, "month_lines").path


def _known_beside(
    engine: QueryEngine, frozen: str, log: Iterable[Restatement]
) -> dict[LineKey, LineState]:
    """Stripe's lines that are no charges, as they were known last."""
    rows = engine.query(load_sql("audit/frozen_beside"), {"frozen": [frozen]}).to_dicts()
    of_close = {
        LineKey(STRIPE, row["object"], row["object_id"], row["currency"]): _state(row)
        for row in rows
    }
    return last_known(of_close, (entry for entry in log if is_beside(entry.key)))


def _totals_of(engine: QueryEngine, lines: str) -> dict[str, dict[str, dict[str, int]]]:
    totals: dict[str, dict[str, dict[str, int]]] = {}
    for row in engine.query(load_sql("audit/line_totals"), {"lines": [lines]}).to_dicts():
        totals.setdefault(row.pop("side"), {})[row.pop("currency")] = row
    return totals


def _changed(engine: QueryEngine, frozen: str, lines: str, log: Iterable[Restatement]) -> list[Row]:
    keys = sorted({entry.key for entry in log})
    tables: dict[str, Table] = {
        "frozen": [frozen],
        "lines": [lines],
        "restated": pl.DataFrame(keys, schema=_RESTATED, orient="row"),
    }
    return engine.query(load_sql("audit/changed_lines"), tables).to_dicts()


def _parts_since(
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


def _batches(path: str) -> Iterator[pl.DataFrame]:
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


def _key(row: Row) -> LineKey:
    return LineKey(*(row[name] for name in LineKey._fields))


def _state(row: Row) -> LineState:
    return NOTHING if row["status"] is None else LineState(*(row[name] for name in _STATE))


def _frozen_state(row: Row) -> LineState:
    if row["frozen_status"] is None:
        return NOTHING
    return LineState(*(row[f"frozen_{name}"] for name in _STATE))


def _seen_at(close: Close, log: Iterable[Restatement]) -> dict[LineKey | None, datetime]:
    """When each line was looked at last with something new in it; None: when all were frozen."""
    seen: dict[LineKey | None, datetime] = {None: close.as_of}
    for entry in log:
        seen[entry.key] = max(seen.get(entry.key, close.as_of), entry.first_seen_at)
    return seen
