"""`growth active-users` of a file: parse, call, print. No database, no settings, any size."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from growth_pipeline.core import arguments
from growth_pipeline.core.errors import UsageError


class Kind(StrEnum):
    """Questions about active users."""

    ROLLING = "rolling"
    CALENDAR = "calendar"
    LIFECYCLE = "lifecycle"
    STICKINESS = "stickiness"
    STICKINESS_ROLLING = "stickiness_rolling"
    DAYS_ACTIVE = "days_active"
    SILENCE = "silence"


class Form(StrEnum):
    """Forms of an answer."""

    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"
    PARQUET = "parquet"


def active_users(
    *,
    activity: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet, gzip allowed: user_id, occurred_at, event. Without it: what is "
            "published."
        ),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="user_id, signed_up_at; activity of others is dropped and counted."),
    ] = None,
    kind: Annotated[Kind, typer.Option(help="What is counted.")] = Kind.ROLLING,
    timezone: Annotated[str, typer.Option(help="Zone of local days, as in Europe/Berlin.")] = "UTC",
    grain: Annotated[
        str | None,
        typer.Option(help="day, week, month, or several with commas; default by kind."),
    ] = None,
    windows: Annotated[str, typer.Option(help="Lengths of rolling windows in days.")] = "1,7,30",
    week_start: Annotated[str, typer.Option(help="First weekday of a week.")] = "monday",
    anchor: Annotated[
        str | None, typer.Option(help="A date on which a week starts; overrides --week-start.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Exclusive instant, or a date: its start; default: end of the last local day in "
            "the files."
        ),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Events that count, with commas; default: any.")
    ] = None,
    min_events: Annotated[
        int, typer.Option(help="Events of a day that make a user active on it.")
    ] = 1,
    new_by: Annotated[
        str, typer.Option(help="Lifecycle: new by first_activity or by signup.")
    ] = "first_activity",
    silent_days: Annotated[
        int, typer.Option(help="Silence: least days since the active day before.")
    ] = 30,
    retained: Annotated[
        str, typer.Option(help="Silence: days after the return, both in, to be active again.")
    ] = "1-30",
    first: Annotated[str | None, typer.Option("--from", help="First day to show.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day to show.")] = None,
    open_cells: Annotated[
        str, typer.Option(help="Periods that are not over: null, or what they have so_far.")
    ] = "null",
    segment: Annotated[
        str | None, typer.Option(help="Column of the users file: counts for each of its values.")
    ] = None,
    unit: Annotated[
        str, typer.Option(help="Who is counted: user, customer, or a column with ids.")
    ] = "user",
    exclude: Annotated[
        str | None, typer.Option(help="Users left out, with commas, or @FILE with one on a line.")
    ] = None,
    aliases: Annotated[
        Path | None, typer.Option(help="anonymous_id, user_id: whose activity it was.")
    ] = None,
    memory: Annotated[
        str, typer.Option(help="What a query may hold before it spills to the temporary folder.")
    ] = "1GiB",
    form: Annotated[Form, typer.Option("--format", help="Form of the answer.")] = Form.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """Active users from a file, or as published: rolling, calendar, new and returning, sticky."""
    from growth_pipeline.cohorts.active_users.definition import ActiveUsersDefinition
    from growth_pipeline.cohorts.active_users.faces import face_of
    from growth_pipeline.cohorts.active_users.measure import measure_active_users
    from growth_pipeline.cohorts.files.facts import read_history
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading, naive_note
    from growth_pipeline.storage.files.sources import data_version

    if activity is None:
        raise UsageError("no file of activity is given", remedy="give it: --activity events.csv")
    reading = Reading(tz=timezone)
    told_as_of = None if as_of is None else reading.instant(as_of)
    excluded = arguments.ids("--exclude", exclude)
    lengths = arguments.words("--windows", windows) or ()
    define = partial(
        ActiveUsersDefinition,
        kind=kind.value,
        tz=timezone,
        grains=arguments.words("--grain", grain) or (),
        windows=tuple(arguments.whole("--windows", word) for word in lengths),
        week_start=week_start.strip().lower(),
        anchor=arguments.day("--anchor", anchor),
        events=arguments.words("--events", events),
        min_events=min_events,
        new_by=new_by,
        silent_days=silent_days,
        retained=arguments.span("--retained", retained),
        first=arguments.day("--from", first),
        last=arguments.day("--to", last),
        open_cells=open_cells,
        unit=unit,
        segment=segment,
    )
    shape = Form.JSON if as_json else form
    arguments.refuse_terminal(shape.value, output)
    # A wrong option is told before a large file is read.
    define(as_of=told_as_of or reading.day_end(0))
    engine = Engine(memory_limit=arguments.memory(memory))
    with engine.spool() as spool:
        history = read_history(
            engine,
            spool,
            activity=activity,
            users=users,
            reading=reading,
            segment=segment,
            unit=unit,
            aliases=aliases,
            excluded=excluded,
            with_money=False,
        )
        definition = define(as_of=told_as_of or history.as_of)
        answer = measure_active_users(engine, spool, history, definition)
    options = {
        "exclude": list(excluded),
        "data_version": data_version(users, activity, aliases),
    }
    answer = replace(
        answer,
        definition={**answer.definition, **options},
        notes=(*answer.notes, *naive_note("--as-of", as_of)),
    )
    if shape in (Form.CSV, Form.PARQUET):
        arguments.tell(answer.notes, answer.dropped)
    arguments.hand_over(face_of(answer, shape.value), output)
