"""From read files to the facts of cohorts: who entered when, who was active, who paid.

The same facts that the database's tables give; what is done with them belongs to retention and
active users. Contract: docs/metrics.md, "Files" and "Cohorts and retention".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.files.mrr import MrrHistory, mrr_snapshots, read_mrr
from growth_pipeline.cohorts.files.people import People, read_people
from growth_pipeline.core.calendar import DAY_SECONDS
from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.files.rows import EPOCH, Reading, ReadRows, read_rows
from growth_pipeline.storage.files.sources import open_source
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.storage.engine import Engine, Spool, Table

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"user": "user_id", "customer": "customer_id"}


@dataclass(frozen=True)
class FileHistory:
    """What users did, as files tell it: read once, asked as often as definition.

    `users` None: there is no users file, everyone active is known. `as_of` is the end of the last
    local day in the files; `first_day`, the first one with activity, counts from 1970-01-01.
    """

    activity: ReadRows
    users: ReadRows | None
    known: str
    people: People
    mrr: MrrHistory | None
    reading: Reading
    as_of: datetime
    first_day: int | None
    has_money: bool
    notes: tuple[str, ...]

    def has_currency_of(self, money: str) -> bool:
        """Whether amounts of this money are minor units of a currency, else exact decimals."""
        if money == "mrr" and self.mrr is not None:
            return self.mrr.starts.has_currency
        return self.activity.has_currency

    def last_day_before(self, as_of: datetime) -> int:
        """The last local day that has begun by as_of."""
        second = as_of.timestamp()
        day = int(second // DAY_SECONDS) + 1
        while self.reading.days[day][0] >= second:
            day -= 1
        return day


@dataclass(frozen=True)
class FileFacts:
    """Parquet files that the cohort queries take, and what was left out of them.

    Shapes: entries (user_id, entry_day, segment, user_number), users (user_number, entry_day,
    segment), activity (user_number, day, events), money (user_number, day, currency, minor), None
    without payments. `has_currency` False: `minor` is an exact decimal of major units and currency
    is null.
    """

    entries: str
    users: str
    activity: str
    money: str | None
    has_currency: bool
    dropped: dict[str, int]
    notes: tuple[str, ...]


def read_history(
    engine: Engine,
    spool: Spool,
    *,
    activity: Path,
    users: Path | None = None,
    reading: Reading | None = None,
    segment: str | None = None,
    unit: str = "user",
    aliases: Path | None = None,
    excluded: tuple[str, ...] = (),
    mrr: Path | None = None,
    end_dates: str = "exclusive",
    with_money: bool = True,
) -> FileHistory:
    """The files, read into the spool; nothing is held in memory.

    `segment`: a column of the users file. `unit`: user, customer, or the column that says who
    was active. `aliases`: a file of anonymous ids and their users. `excluded`: ids that do not
    count. `mrr`: a file of subscription periods, with `end_dates` exclusive or inclusive.
    `with_money` False: no amount is read, so none can be wrong.
    Raises: UsageError with file, line and value; also for activity without any row.
    """
    reading, unit = reading or Reading(), _UNITS.get(unit, unit)
    people, merged = read_people(engine, spool, aliases, excluded)
    done = _read_activity(engine, spool, activity, reading, unit, with_money=with_money)
    done = people.merged(engine, spool, done, "activity_merged")
    subscribed = None
    if mrr is not None:
        subscribed = read_mrr(engine, spool, mrr, reading, people, unit=unit, end_dates=end_dates)
    signed_up = None
    if users is not None:
        signed_up = _read_users(engine, spool, users, reading, segment, unit)
    elif segment is not None:
        raise UsageError(
            f"segment {segment} needs a users file", remedy="give one that has the column: --users"
        )
    days = [read.last_day for read in (done, signed_up) if read and read.last_day is not None]
    if not days:
        raise UsageError(f"{activity} has no rows", remedy="give a file with activity")
    doers = [done, *([subscribed.starts] if subscribed else [])]
    notes, known = people.known(engine, spool, doers, signed_up)
    return FileHistory(
        activity=done,
        users=signed_up,
        known=known,
        people=people,
        mrr=subscribed,
        reading=reading,
        as_of=reading.day_end(max(days)),
        first_day=done.first_day,
        has_money=done.columns["revenue"] is not None,
        notes=(
            *(signed_up.notes() if signed_up else ()),
            *done.notes(),
            *(subscribed.starts.notes() if subscribed else ()),
            *merged,
            *notes,
        ),
    )


def make_facts(
    engine: Engine, spool: Spool, history: FileHistory, definition: RetentionDefinition
) -> FileFacts:
    """The facts before `definition.as_of` for its entry, events and money.

    `dropped` counts rows of the activity file: after_as_of, excluded, unknown_user, no_entry (a
    known user who never entered), and users who signed up after as_of or at an unknown time.
    Raises: UsageError for an entry, money or events that the files do not tell.
    """
    if definition.events is not None or definition.target_events is not None:
        history.activity.source.need("event")
    options = {**_options(definition), **history.people.tables}
    rows: dict[str, Table] = {"records": [history.activity.path], **options}
    if history.mrr is not None:
        rows["spells"] = [history.mrr.spells(engine, spool, options)]
    known: dict[str, Table] = {"known": [history.known]}
    entry_sql = _entry_statement(history, definition)
    entries = engine.query_to_file(load_sql(entry_sql), {**rows, **known}, spool, "entries").path
    entered: dict[str, Table] = {"entries": [entries]}

    def spooled(statement: str, name: str) -> str:
        sql = load_sql(f"cohorts/{statement}")
        return engine.query_to_file(sql, {**rows, **entered}, spool, name).path

    dropped = engine.query(load_sql("cohorts/file_dropped"), {**rows, **known, **entered})
    money = None
    if definition.money == "mrr":
        money = _mrr(engine, spool, history, definition, {**rows, **entered})
    elif history.has_money:
        by_currency = history.activity.has_currency
        money = spooled("file_money" if by_currency else "file_amounts", "money")
    return FileFacts(
        entries=entries,
        users=spooled("file_cohort_users", "users"),
        activity=spooled("file_activity", "activity"),
        money=money,
        has_currency=history.has_currency_of(definition.money),
        dropped=dropped.row(0, named=True),
        notes=history.notes,
    )


def sign_ups(
    engine: Engine,
    spool: Spool,
    history: FileHistory,
    facts: FileFacts,
    definition: RetentionDefinition,
) -> str:
    """A Parquet file: user_number and day of sign-up of who entered and signed up before as_of.

    Raises: UsageError when no file tells sign-ups.
    """
    _users_with_sign_ups(history)
    tables: dict[str, Table] = {"known": [history.known], "entries": [facts.entries]}
    return engine.query_to_file(
        load_sql("cohorts/file_signups"), {**tables, **_options(definition)}, spool, "signups"
    ).path


def _read_activity(
    engine: Engine, spool: Spool, path: Path, reading: Reading, unit: str, *, with_money: bool
) -> ReadRows:
    source = open_source(path, [unit, "occurred_at"], spool)
    columns = {
        "user_id": source.need(unit),
        "occurred_at": source.need("occurred_at"),
        "event": source.find("event"),
        "segment": None,
        "revenue": source.find("revenue") if with_money else None,
        "currency": source.find("currency") if with_money else None,
    }
    return read_rows(engine, spool, source, columns, reading, name="activity_rows")


def _read_users(
    engine: Engine, spool: Spool, path: Path, reading: Reading, segment: str | None, unit: str
) -> ReadRows:
    source = open_source(path, [unit], spool)
    columns = {
        "user_id": source.need(unit),
        "occurred_at": source.find("signed_up_at"),
        "event": None,
        "segment": None if segment is None else source.need(segment),
        "revenue": None,
        "currency": None,
    }
    return read_rows(engine, spool, source, columns, reading, name="users_rows", needs_time=False)


def _mrr(
    engine: Engine,
    spool: Spool,
    history: FileHistory,
    definition: RetentionDefinition,
    tables: dict[str, Table],
) -> str:
    """A Parquet file as `money` of FileFacts, with the MRR at the end of each period."""
    _subscriptions(history)
    last = history.last_day_before(definition.as_of)
    snapshots = mrr_snapshots(engine, spool, tables, definition, last)
    if not history.has_currency_of("mrr"):
        return snapshots
    sql = load_sql("cohorts/mrr_in_minor_units")
    return engine.query_to_file(sql, {"mrr": [snapshots]}, spool, "mrr_minor").path


def _entry_statement(history: FileHistory, definition: RetentionDefinition) -> str:
    """The query of an entry, if the files tell it."""
    if definition.entry == "signup":
        _users_with_sign_ups(history)
        return "cohorts/file_entries_by_signup"
    if definition.entry == "first_mrr":
        _subscriptions(history)
        kind = "recurring" if definition.mode == "recurring" else "first"
        return f"cohorts/file_entries_{kind}_mrr"
    if definition.entry == "first_payment":
        history.activity.source.need("revenue")
    if definition.mode == "recurring":
        return "cohorts/file_entries_recurring"
    return "cohorts/file_entries_first"


def _users_with_sign_ups(history: FileHistory) -> None:
    if history.users is None:
        raise UsageError(
            "sign-ups need a users file", remedy="give --users, or do without: first_activity"
        )
    history.users.source.need("signed_up_at")


def _subscriptions(history: FileHistory) -> MrrHistory:
    if history.mrr is None:
        raise UsageError(
            "MRR needs a file of subscription periods",
            remedy="give one with user_id, starts_on, ends_on, monthly_amount: --mrr",
        )
    return history.mrr


def _options(definition: RetentionDefinition) -> dict[str, Table]:
    """A definition as small tables, because a query that writes a file takes no bound values."""
    import polars as pl

    targets = definition.target_events if definition.entry == "first_event" else None
    options = {
        "as_of": [(definition.as_of - EPOCH) // _MICROSECOND],
        "any_target": [targets is None],
        "any_event": [definition.events is None],
        "only_payments": [definition.entry == "first_payment"],
        "only_gross": [definition.money == "gross"],
    }
    event = {"event": pl.String}
    return {
        "options": pl.DataFrame(options),
        "targets": pl.DataFrame({"event": list(targets or ())}, schema=event),
        "wanted": pl.DataFrame({"event": list(definition.events or ())}, schema=event),
    }
