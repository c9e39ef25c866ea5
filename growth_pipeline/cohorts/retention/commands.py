"""`growth retention`: parse, call, print. No database, no settings, files of any size."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from growth_pipeline.core import arguments
from growth_pipeline.core.errors import UsageError


class Form(StrEnum):
    """Forms of an answer."""

    JSON = "json"
    CSV = "csv"
    MARKDOWN = "md"
    PARQUET = "parquet"


def retention(
    *,
    activity: Annotated[
        Path,
        typer.Option(
            help="CSV or Parquet, gzip allowed: user_id, occurred_at; event, revenue, currency."
        ),
    ],
    users: Annotated[
        Path | None,
        typer.Option(help="user_id, signed_up_at; any other column can be a segment."),
    ] = None,
    grain: Annotated[str, typer.Option(help="Of cohorts: day, week or month.")] = "day",
    entry: Annotated[
        str | None,
        typer.Option(
            help="signup, first_activity, first_event, first_payment or first_mrr; default: "
            "signup, without --users first_activity."
        ),
    ] = None,
    retention: Annotated[
        str, typer.Option(help="Active on a period, on_or_after it, or in a bracket of periods.")
    ] = "on",
    brackets: Annotated[
        str | None, typer.Option(help="Periods and ranges of them: 0,1-3,4-7.")
    ] = None,
    periods: Annotated[
        str, typer.Option(help="calendar, or since_entry: every user's own days.")
    ] = "calendar",
    period_days: Annotated[
        int | None,
        typer.Option(help="Since entry: 1, 7 or 30 days; default by grain."),
    ] = None,
    week_start: Annotated[str, typer.Option(help="First weekday of a week.")] = "monday",
    anchor: Annotated[
        str | None, typer.Option(help="A date on which a week starts; overrides --week-start.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Zone of local days, as in Europe/Berlin.")] = "UTC",
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Exclusive instant, or a date: its start; default: end of the last local day in "
            "the files."
        ),
    ] = None,
    max_period: Annotated[
        int | None,
        typer.Option(
            help="Last period shown; default 30 for days, 12 for weeks, months and 30 days since "
            "entry, the last of the brackets."
        ),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Events that count as coming back; default: any.")
    ] = None,
    target_events: Annotated[
        str | None, typer.Option(help="Events that enter, with --entry first_event.")
    ] = None,
    min_events: Annotated[
        int,
        typer.Option(help="Events that make a user active in a period; 1 suffices in the first."),
    ] = 1,
    open_cells: Annotated[
        str, typer.Option(help="Cells that are not over: null, or what they have so_far.")
    ] = "null",
    segment: Annotated[
        str | None, typer.Option(help="Column of the users file that splits cohorts.")
    ] = None,
    total: Annotated[
        str | None, typer.Option(help="With --segment: a name for all segments together, as all.")
    ] = None,
    basis: Annotated[
        str, typer.Option(help="Rates of the first size, or of the previous column's users.")
    ] = "first",
    mode: Annotated[
        str, typer.Option(help="first_ever, or recurring: a row for every period of entry.")
    ] = "first_ever",
    money: Annotated[
        str, typer.Option(help="Payments net of refunds or gross, or mrr at the end of periods.")
    ] = "net",
    mrr: Annotated[
        Path | None,
        typer.Option(
            help="Subscription periods: user_id, starts_on, ends_on, monthly_amount, currency."
        ),
    ] = None,
    end_dates: Annotated[
        str, typer.Option(help="Whether ends_on is the first day without, or inclusive.")
    ] = "exclusive",
    currency: Annotated[str | None, typer.Option(help="Of amounts that name none.")] = None,
    rounding: Annotated[
        str,
        typer.Option("--round", help="Amounts with too many decimals: refuse, or half-even."),
    ] = "refuse",
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
    form: Annotated[
        Form, typer.Option("--format", help="A row for each cell, or grids for people: md.")
    ] = Form.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """Retention, cohort revenue and churn from files: one row per cohort and period."""
    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.files.facts import read_history
    from growth_pipeline.cohorts.retention.faces import face_of
    from growth_pipeline.cohorts.retention.from_files import retention_of_files
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading, naive_note
    from growth_pipeline.storage.files.sources import data_version

    reading = Reading(tz=timezone, currency=currency, rounding=rounding)
    told_as_of = None if as_of is None else reading.instant(as_of)
    excluded = arguments.ids("--exclude", exclude)
    ranges = arguments.words("--brackets", brackets) or ()
    define = partial(
        RetentionDefinition,
        entry=entry or ("first_activity" if users is None else "signup"),
        grain=grain,
        retention=retention,
        brackets=tuple(arguments.span("--brackets", word) for word in ranges),
        periods=periods,
        period_days=period_days,
        week_start=week_start.strip().lower(),
        anchor=arguments.day("--anchor", anchor),
        tz=timezone,
        max_period=max_period,
        events=arguments.words("--events", events),
        target_events=arguments.words("--target-events", target_events),
        min_events=min_events,
        open_cells=open_cells,
        segment=segment,
        basis=basis,
        mode=mode,
        money=money,
    )
    if total is not None and segment is None:
        raise UsageError("--total needs --segment", remedy="add it, or leave --total out")
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
            mrr=mrr,
            end_dates=end_dates,
        )
        definition = define(as_of=told_as_of or history.as_of)
        answer = retention_of_files(engine, spool, history, definition, total)
    options = {
        "unit": unit,
        "currency": reading.currency,
        "round": rounding,
        "end_dates": None if mrr is None else end_dates,
        "exclude": list(excluded),
        "data_version": data_version(users, activity, aliases, mrr),
    }
    answer = replace(
        answer,
        definition={**answer.definition, **options},
        notes=(*answer.notes, *naive_note("--as-of", as_of)),
    )
    if shape in (Form.CSV, Form.PARQUET):
        arguments.tell(answer.notes, answer.dropped)
    arguments.hand_over(face_of(answer, shape.value), output)
