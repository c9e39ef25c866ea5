"""Statements about users, their numbers and their activity. Company tables are only read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.adopt import Column, Relation
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    copy_batches,
    copy_in,
    lock_partition,
)
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl


_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_SEEN_LATE = timedelta(hours=1)  # rows become visible later than the instant they bear
_EVENTS = "events"
MOST_SEGMENTS = 50
OTHER_SEGMENTS = "(others)"
_IMPORTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "users": (
        "activity.imported_users",
        {"file_id": "int4", "user_id": "text", "signed_up_at": "timestamptz"},
    ),
    "activity": (
        "activity.imported_events",
        {
            "file_id": "int4",
            "user_id": "text",
            "occurred_at": "timestamptz",
            "event": "text",
            "received_at": "timestamptz",
        },
    ),
    "segments": (
        "activity.imported_segments",
        {"file_id": "int4", "user_id": "text", "segment_by": "text", "segment": "text"},
    ),
}


class ActivityStore:
    """Users and activity in Postgres. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def relation(self, name: str) -> Relation:
        """A table or view as Postgres knows it, with the columns this role may read.

        Raises: UsageError when there is none of that name.
        """
        with self._database.connection() as connection:
            rows = connection.execute(
                load_sql("events/columns_of_relation"), {"relation": _resolvable(connection, name)}
            ).fetchall()
        if not rows:
            raise UsageError(
                f"there is no table or view {name!r} in this database",
                remedy='write it as schema.table, odd names in double quotes: "My Schema"."users"',
            )
        columns = {row[0]: Column(row[0], row[1], row[4]) for row in rows if row[6]}
        return Relation(rows[0][2], rows[0][3], columns, restricted=bool(rows[0][5]))

    def execute(self, statements: Sequence[str]) -> None:
        """Run statements that `adopt` made, all or none."""
        with self._database.connection() as connection:
            connection.execute("set local lock_timeout = '5s'")
            for statement in statements:
                # Without parameters, so that a % in a name stays what it is.
                connection.execute(statement.encode())

    def number_users(self, *, now: datetime) -> dict[str, int]:
        """Read who new events tell of, then number users; what changed, by what it is.

        `told`: ids of the ingest, new or told otherwise. `new`, `corrected` (sign-up), `restored`
        and `deleted`: numbered users. `merged`: anonymous ids that turned out to be a user.
        """
        with self._database.connection() as connection:
            lock_partition(connection, "activity", "user_numbers")
            kept = connection.execute(load_sql("events/read_until"), {"what": _EVENTS}).fetchone()
            values = {"now": now, "since": kept[0] if kept else _BEGINNING}
            done = {
                name: connection.execute(load_sql(f"events/{statement}"), values).rowcount
                for name, statement in (
                    ("told", "learn_users"),
                    ("new", "number_users"),
                    ("merged", "learn_merges"),
                    ("corrected", "correct_sign_ups"),
                    ("restored", "restore_users"),
                    ("deleted", "forget_deleted_users"),
                )
            }
            reading = {"what": _EVENTS, "until": now - _SEEN_LATE}
            connection.execute(load_sql("events/set_read_until"), reading)
            return done

    def learn_segments(self, segments: Sequence[str], *, now: datetime) -> int:
        """Read what new events tell of these properties; how many users one is known of since.

        The first value that is known of a user stays. A property that was not read before is read
        from the first event on.
        """
        changed = 0
        with self._database.connection() as connection:
            lock_partition(connection, "activity", "user_numbers")
            for segment_by in segments:
                what = f"segment {segment_by}"
                kept = connection.execute(load_sql("events/read_until"), {"what": what}).fetchone()
                values = {"segment_by": segment_by, "since": kept[0] if kept else _BEGINNING}
                connection.execute(load_sql("events/tell_segments"), values)
                changed += connection.execute(load_sql("events/learn_segments"), values).rowcount
                reading = {"what": what, "until": now - _SEEN_LATE}
                connection.execute(load_sql("events/set_read_until"), reading)
        return changed

    def exclude(self, user_id: str, reason: str, *, now: datetime | None = None) -> None:
        """Leave a user out of every number; the next rollup reads its days again.

        Twice is harmless. `now`: default the database's clock.
        """
        values = {"user_id": user_id, "reason": reason, "now": now}
        with self._database.connection() as connection:
            connection.execute(load_sql("events/exclude_user"), values)

    def merge(self, anonymous_id: str, user_id: str, *, now: datetime | None = None) -> None:
        """Count what an id did as a user's; the next rollup reads its days again.

        Twice is harmless; the last user counts. `now`: default the database's clock.
        """
        values = {"anonymous_id": anonymous_id, "user_id": user_id, "now": now}
        with self._database.connection() as connection:
            lock_partition(connection, "activity", "user_numbers")
            connection.execute(load_sql("events/merge_id"), values)

    def import_rows(
        self,
        kind: str,
        name: str,
        sha256: str,
        rows: Iterable[Sequence[Any]],
        *,
        now: datetime,
    ) -> int | None:
        """Store a file of one kind whole; rows, None if these bytes were here before.

        Shapes: rows of `users` are (user id, instant or None), of `activity` (user id, instant,
        event or None), of `segments` (user id, property, value).
        """
        values = {"kind": kind, "sha256": sha256, "name": name, "now": now}
        table, columns = _IMPORTED[kind]
        with self._database.connection() as connection:
            made = connection.execute(load_sql("events/import_file"), values).fetchone()
            if made is None:
                return None
            stamp = (now,) if kind == "activity" else ()
            whole = ((made[0], *row, *stamp) for row in rows)
            return copy_in(connection, table, list(columns), list(columns.values()), whole)

    def reads_imports(self, kind: str) -> bool:
        """Whether the source view of `users` or `activity` reads imported files."""
        with self._read() as connection:
            found = connection.execute(load_sql("events/reads_imports"), {"kind": kind}).fetchone()
        return bool(found and found[0])

    @contextmanager
    def users(self, *, tz: str, as_of: datetime) -> Iterator[Iterator[pl.DataFrame]]:
        """Users that count, in batches: user_number, entry_day (local day number)."""
        with self._read() as connection:
            yield copy_batches(
                connection, load_sql("events/numbered_users"), {"tz": tz, "as_of": as_of}
            )

    @contextmanager
    def segments(self, segment_by: str) -> Iterator[Iterator[pl.DataFrame]]:
        """Users with a value of a property, in batches: user_number, segment.

        The MOST_SEGMENTS values with the most users are told; all others are OTHER_SEGMENTS.
        """
        values = {"segment_by": segment_by, "most": MOST_SEGMENTS, "others": OTHER_SEGMENTS}
        with self._read() as connection:
            yield copy_batches(connection, load_sql("events/numbered_segments"), values)

    @contextmanager
    def events(
        self, first: date, last: date, *, tz: str, as_of: datetime, events: tuple[str, ...] | None
    ) -> Iterator[Iterator[pl.DataFrame]]:
        """Events of local days, both in, in batches of bounded size: user_number, day, excluded."""
        wanted: Mapping[str, Any] = {
            "first": first,
            "last": last,
            "tz": tz,
            "as_of": as_of,
            "events": None if events is None else list(events),
        }
        with self._read() as connection:
            yield copy_batches(connection, load_sql("events/rolled_events"), wanted)

    def late_days(self, since: datetime, *, tz: str, as_of: datetime) -> list[date]:
        """Local days of which something was received since an instant, in order."""
        with self._read() as connection:
            rows = connection.execute(
                load_sql("events/late_days"), {"since": since, "tz": tz, "as_of": as_of}
            ).fetchall()
        return [row[0] for row in rows]

    def reopened_days(
        self, since: datetime, *, at: datetime | None, tz: str, as_of: datetime
    ) -> list[date]:
        """Local days with events of users who were merged, excluded or numbered since, in order.

        `at`: instant of the last reading, which has read what it changed itself.
        """
        values = {"since": since, "at": at, "tz": tz, "as_of": as_of}
        with self._read() as connection:
            rows = connection.execute(load_sql("events/reopened_days"), values).fetchall()
        return [row[0] for row in rows]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._database.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            yield connection


def _resolvable(connection: Connection, name: str) -> str | None:
    """The name if Postgres can parse it; to_regclass raises for `a..b`."""
    found = connection.execute(load_sql("events/parse_name"), {"name": name}).fetchone()
    return name if found and found[0] else None
