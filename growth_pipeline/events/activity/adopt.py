"""Views over the company's own tables, as SQL to look at before it runs. Pure.

Nothing is written to those tables. The one thing on them is a trigger, which has to be asked for.
Identifiers come quoted from Postgres (`Relation`), never from the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from growth_pipeline.core.errors import UsageError

TRIGGER = "growth_note_user"
_AS_ASKED = "with (security_invoker = true)"  # row security of the tables holds for who asks
_KEYS = ("user", "at", "event", "received")
_NEEDED = ("user", "at")
_PROPERTY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
_INSTANTS = {
    "timestamp with time zone": "{}",
    "timestamp without time zone": "({} at time zone 'UTC')",
    "date": "({}::timestamp at time zone 'UTC')",
}
_IDS = frozenset({"uuid", "bigint", "integer", "smallint", "text", "character varying"})


@dataclass(frozen=True)
class Column:
    """A column of a company's table: its name, the name quoted by Postgres, its type."""

    name: str
    quoted: str
    type: str


@dataclass(frozen=True)
class Relation:
    """A table or view of the company, named as Postgres quotes it.

    `restricted`: row security hides rows from this role.
    """

    quoted: str
    kind: str
    columns: Mapping[str, Column]
    restricted: bool = False


@dataclass(frozen=True)
class ActivitySource:
    """A table of activity and what its columns mean; `event` None: the table is the event."""

    table: str
    user: str
    at: str
    event: str | None = None
    received: str | None = None


def read_source(text: str) -> ActivitySource:
    """A source as the command line names it: `app.sessions?user=user_id&at=started_at`.

    Names may be percent-encoded. Optional: `event` (column of the event's name), `received` (column
    of the instant of storing, by which late rows are found).
    Raises: UsageError for a missing or unknown part.
    """
    table, _, query = text.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    wrong = [key for key in given if key not in _KEYS]
    missing = [key for key in _NEEDED if not given.get(key)]
    if not table or wrong or missing or len(pairs) != len(given):
        raise UsageError(
            f"{text!r} does not say which column is what",
            remedy="write it as app.sessions?user=user_id&at=started_at; event=... and "
            "received=... may follow, each once",
        )
    return ActivitySource(
        table, given["user"], given["at"], given.get("event"), given.get("received")
    )


def users_view(relation: Relation, id: str, created: str, email: str | None) -> str:
    """The view of users over a table.

    Raises: UsageError for a column that is not there or of a type that cannot be meant.
    """
    mail = f"{_column(relation, email).quoted}::text" if email else "null::text"
    return (
        f"create or replace view activity.source_users {_AS_ASKED} as\n"
        f"select {_id(relation, id)} as user_id, {_instant(relation, created)} as signed_up_at,"
        f" {mail} as email\nfrom {relation.quoted}"
    )


def segments_view(relation: Relation, id: str, segments: Sequence[str]) -> str:
    """The view of properties by which users are split; a property has its column's name.

    Raises: UsageError for a column that is not there or whose name cannot name a property.
    """
    values = ",\n    ".join(_segment(relation, name) for name in segments)
    return (
        f"create or replace view activity.source_segments {_AS_ASKED} as\n"
        f"select activity.user_key({_id(relation, id)}) as user_key, s.segment_by,"
        " s.segment, null::timestamptz as told_at\n"
        f"from {relation.quoted} cross join lateral (values\n    {values}\n"
        ") as s (segment_by, segment)"
    )


def events_view(sources: Sequence[tuple[ActivitySource, Relation]]) -> str:
    """The view of activity over one or more tables.

    Raises: UsageError, as `users_view`.
    """
    parts = "\nunion all\n".join(_events_of(source, relation) for source, relation in sources)
    return f"create or replace view activity.source_events {_AS_ASKED} as\n{parts}"


def signup_trigger(relation: Relation, id: str, created: str) -> list[str]:
    """What puts the trigger on a company's table: an old one of ours goes first.

    Raises: UsageError for what is no table.
    """
    if relation.kind not in ("r", "p"):
        raise UsageError(
            f"{relation.quoted} is no table and takes no trigger",
            remedy="leave --trigger out: the rollup numbers new users too",
        )
    names = ", ".join(_literal(_column(relation, name).name) for name in (id, created))
    return [
        f"drop trigger if exists {TRIGGER} on {relation.quoted}",
        f"create trigger {TRIGGER} after insert on {relation.quoted}\n"
        f"for each row execute function activity.note_user({names})",
    ]


def _segment(relation: Relation, name: str) -> str:
    column = _column(relation, name)
    if not _PROPERTY.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a property",
            remedy="name a column of letters, digits, _ and -, at most 63, or a view that has one",
        )
    return f"({_literal(name)}::text, activity.read_segment(to_jsonb({column.quoted})))"


def _events_of(source: ActivitySource, relation: Relation) -> str:
    event = (
        f"{_column(relation, source.event).quoted}::text"
        if source.event
        else f"{_literal(source.table)}::text"
    )
    received = _instant(relation, source.received) if source.received else "null::timestamptz"
    return (
        f"select {_id(relation, source.user)} as user_id,"
        f" {_instant(relation, source.at)} as occurred_at, {event} as event,"
        f" {received} as received_at\nfrom {relation.quoted}"
    )


def _column(relation: Relation, name: str) -> Column:
    try:
        return relation.columns[name]
    except KeyError:
        raise UsageError(
            f"{relation.quoted} has no readable column {name!r}",
            remedy=f"its readable columns: {', '.join(relation.columns) or 'none'}; "
            "else GRANT SELECT to the role of GROWTH_DATABASE_URL",
        ) from None


def _id(relation: Relation, name: str) -> str:
    column = _column(relation, name)
    if column.type not in _IDS:
        raise UsageError(
            f"column {name!r} of {relation.quoted} is of type {column.type}, which is no id",
            remedy="name a column of type uuid, bigint, integer, text or varchar",
        )
    return f"{column.quoted}::text"


def _instant(relation: Relation, name: str) -> str:
    column = _column(relation, name)
    try:
        return _INSTANTS[column.type].format(column.quoted)
    except KeyError:
        raise UsageError(
            f"column {name!r} of {relation.quoted} is of type {column.type}, which is no instant",
            remedy="name a column of type timestamptz, timestamp (read as UTC) or date",
        ) from None


def _literal(text: str) -> str:
    """A text as Postgres reads it whatever `standard_conforming_strings` says."""
    quoted = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{quoted}'" if "\\" in text else f"'{quoted}'"
