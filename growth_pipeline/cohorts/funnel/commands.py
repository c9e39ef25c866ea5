"""`growth funnel` of a file: parse, call, print. No database, no settings."""

from __future__ import annotations

import re
import sys
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from growth_pipeline.core import arguments
from growth_pipeline.core.calendar import day_number
from growth_pipeline.core.errors import UsageError

if TYPE_CHECKING:
    from growth_pipeline.storage.files.rows import Reading


class Form(StrEnum):
    """Forms of an answer."""

    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"


def funnel(
    *,
    events: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet, gzip allowed: user_id, occurred_at, event. Without it: what is "
            "published."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of what is published: the funnel; default: the first.")
    ] = None,
    grain: Annotated[
        str | None, typer.Option(help="Of what is published: month, or week, of the first stage.")
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            help="Stages with commas: a,b|c,d+e,f[plan=pro]. b|c is either; d+e is d in a session "
            "with e; f[plan=pro] is f whose column plan says pro."
        ),
    ] = None,
    order: Annotated[
        str,
        typer.Option(help="ordered, strict (nothing between), any, or independent (each alone)."),
    ] = "ordered",
    window: Annotated[
        str | None, typer.Option(help="Time from the first stage, as 7d, 24h, 30m, 10s.")
    ] = None,
    ties: Annotated[
        str, typer.Option(help="Whether stages may have equal instants: allow, or forbid.")
    ] = "allow",
    unit: Annotated[
        str,
        typer.Option(help="Who goes: user, session, customer, a column with ids; event: rows."),
    ] = "user",
    timezone: Annotated[str, typer.Option(help="Zone of local days, as in Europe/Berlin.")] = "UTC",
    first: Annotated[
        str | None, typer.Option("--from", help="Stage 1 lies on this day or later, or instant.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", help="Last day on which stage 1 may lie, or exclusive instant."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="Exclusive instant; default: end of the last local day in the file."),
    ] = None,
    open_attempts: Annotated[
        str,
        typer.Option(help="Attempts with less than a window before --as-of: exclude, or include."),
    ] = "exclude",
    empty_rate: Annotated[str, typer.Option(help="A rate without a base: null, or zero.")] = "null",
    breakdown: Annotated[
        str | None, typer.Option(help="Column of the events: counts for each of its values.")
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="user_id, signed_up_at; only users in it are counted."),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(help="Column of the users file: counts for each of its values.")
    ] = None,
    signed_up_from: Annotated[
        str | None, typer.Option(help="Only users who signed up on this day or later.")
    ] = None,
    signed_up_to: Annotated[
        str | None, typer.Option(help="Only users who signed up on this day or earlier.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(help="Units left out, with commas, or @FILE with one on a line.")
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
    """A conversion funnel from a file of events, or as published: who gets how far, how fast."""
    from growth_pipeline.cohorts.funnel.definition import FunnelDefinition, duration, stages_of
    from growth_pipeline.cohorts.funnel.faces import face_of
    from growth_pipeline.cohorts.funnel.measure import measure_funnel, read_events_file
    from growth_pipeline.cohorts.funnel.result import FunnelResult, rows_of, totals_of
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading
    from growth_pipeline.storage.files.sources import data_version

    if events is None or steps is None:
        raise UsageError(
            "a funnel of a file needs --events and --steps", remedy="give both: --steps a,b,c"
        )
    for option, value in (("--name", name), ("--grain", grain)):
        if value is not None:
            raise UsageError(f"{option} is for published funnels", remedy="leave --events out")
    reading = Reading(tz=timezone)
    told_as_of = None if as_of is None else reading.instant(as_of)
    excluded = arguments.ids("--exclude", exclude)
    define = partial(
        FunnelDefinition,
        stages=stages_of(steps),
        order=order,
        window=duration("--window", window),
        ties=ties,
        unit=unit,
        tz=timezone,
        first=None if first is None else reading.instant(first),
        last=None if last is None else _end(reading, last),
        empty_rate=empty_rate,
        open_attempts=open_attempts,
        breakdown=breakdown,
        segment=segment,
        signed_up_from=arguments.day("--signed-up-from", signed_up_from),
        signed_up_to=arguments.day("--signed-up-to", signed_up_to),
    )
    shape = Form.JSON if as_json else form
    # A wrong option is told before a large file is read.
    asked = define(as_of=told_as_of or reading.day_end(0))
    engine = Engine(memory_limit=arguments.memory(memory))
    with engine.spool() as spool:
        file = read_events_file(
            engine,
            spool,
            events,
            reading,
            asked,
            users=users,
            aliases=aliases,
            excluded=excluded,
        )
        definition = define(as_of=told_as_of or file.as_of)
        measured = measure_funnel(engine, spool, file, definition)
    answer = FunnelResult(
        definition={
            **definition.resolved(),
            "exclude": list(excluded),
            "data_version": data_version(events, users, aliases),
        },
        as_of=definition.as_of,
        totals=totals_of(measured, definition),
        rows=tuple(rows_of(measured, definition)),
        notes=file.notes,
    )
    for note in answer.notes if shape is Form.CSV else ():
        sys.stderr.write(f"{note}\n")
    arguments.hand_over(face_of(answer, shape.value), output)


def _end(reading: Reading, text: str) -> datetime:
    """The exclusive end of a range: an instant, or the end of a day that is in it."""
    instant = reading.instant(text)
    if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text.strip(), re.ASCII) is None:
        return instant
    return reading.day_end(day_number(date.fromisoformat(text.strip())))
