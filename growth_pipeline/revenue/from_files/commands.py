"""`growth mrr movements` of a file: parse, call, print. No database, no settings, any size."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
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


def movements(
    *,
    periods: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet, gzip allowed: customer_id, starts_on, ends_on (empty: runs), "
            "monthly_amount; perhaps subscription_id, currency, reason (why it ended). Without it: "
            "what is published of Stripe."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="growth, stripe, chartmogul, profitwell or baremetrics: what holds for every "
            "option below that is not given. Default: growth; without a file the first that is "
            "published."
        ),
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(help="MRR of a period: at its end (last) or at its start (first)."),
    ] = None,
    end_dates: Annotated[
        str | None, typer.Option(help="Whether ends_on is the first day without, or inclusive.")
    ] = None,
    grain: Annotated[str, typer.Option(help="month, day, week, quarter or year.")] = "month",
    first: Annotated[
        str | None, typer.Option("--from", help="First period to show: 2031-04, or a day in it.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("--to", help="Last period to show."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of local days, as in Europe/Berlin.")
    ] = None,
    week_start: Annotated[str, typer.Option(help="First weekday of a week.")] = "monday",
    anchor: Annotated[
        str | None, typer.Option(help="A date on which a week starts; overrides --week-start.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Exclusive instant; default: end of the last local day in the file, or of --to."
        ),
    ] = None,
    movement_kind: Annotated[
        str | None,
        typer.Option("--movements", help="snapshot: net change of a period; event: every change."),
    ] = None,
    reactivation_window: Annotated[
        str | None,
        typer.Option(help="Days without MRR after which a return is new; default: never."),
    ] = None,
    sign: Annotated[
        str | None, typer.Option(help="signed: losses below 0; magnitude: losses above 0.")
    ] = None,
    free_customer: Annotated[
        str | None, typer.Option(help="Who becomes free: churn, or contraction (stays a customer).")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="Whose rows are summed: customer, or subscription.")
    ] = None,
    denominator: Annotated[
        str | None, typer.Option(help="Base of logo churn: start, average, start_plus_new or end.")
    ] = None,
    churn_window: Annotated[
        str | None,
        typer.Option(help="Logo churn over the calendar period, or days before its end: 30d."),
    ] = None,
    count_paused: Annotated[
        bool | None,
        typer.Option(
            "--count-paused/--no-count-paused",
            help="Whether a pause is logo churn too.",
            show_default=False,
        ),
    ] = None,
    horizons: Annotated[
        str, typer.Option(help="Periods over which NRR and GRR are asked, with commas.")
    ] = "1,3,12",
    returned_members: Annotated[
        str | None,
        typer.Option(help="NRR and GRR: members who left and came back: count or exclude."),
    ] = None,
    open_cells: Annotated[
        str, typer.Option(help="Periods that are not over: null, or what they have so_far.")
    ] = "null",
    currency: Annotated[
        str | None,
        typer.Option(help="Of amounts that name none."),
    ] = None,
    rounding: Annotated[
        str,
        typer.Option("--round", help="Amounts with too many decimals: refuse, or half-even."),
    ] = "refuse",
    exclude: Annotated[
        str | None,
        typer.Option(help="Customers left out, with commas, or @FILE with one on a line."),
    ] = None,
    memory: Annotated[
        str, typer.Option(help="What a query may hold before it spills to the temporary folder.")
    ] = "1GiB",
    form: Annotated[Form, typer.Option("--format", help="Form of the answer.")] = Form.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """MRR movements, NRR, GRR and churn from a file of subscription periods, or as published.

    One row per period, currency and movement. Every run checks that start + movements = end.
    """
    from growth_pipeline.revenue.from_files.asked import SWITCHES, definer, policy_with
    from growth_pipeline.revenue.from_files.faces import face_of
    from growth_pipeline.revenue.from_files.movements_of_file import movements_of_file
    from growth_pipeline.revenue.from_files.periods import read_periods_file
    from growth_pipeline.revenue.policies import policy_named
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading
    from growth_pipeline.storage.files.sources import data_version

    options = {
        "grain": grain,
        "week_start": week_start,
        "anchor": anchor,
        "first": first,
        "last": last,
        "horizons": horizons,
        "open_cells": open_cells,
        "snapshot": snapshot,
        "end_dates": end_dates,
        "movement_kind": movement_kind,
        "sign": sign,
        "free_customer": free_customer,
        "level": level,
        "denominator": denominator,
        "returned_members": returned_members,
        "timezone": timezone,
        "count_paused": count_paused,
        "churn_window": churn_window,
        "reactivation_window": reactivation_window,
    }
    if periods is None:
        raise UsageError("no file of periods is given", remedy="give it: --periods periods.csv")
    asked_policy = policy_with(policy_named(policy or "growth"), options)
    zone = asked_policy.tz or "UTC"
    reading = Reading(tz=zone, currency=currency, rounding=rounding)
    told_as_of = None if as_of is None else reading.instant(as_of)
    excluded = arguments.ids("--exclude", exclude)
    define = definer(asked_policy, options, tz=zone)
    shape = Form.JSON if as_json else form
    # A wrong option is told before a large file is read.
    asked = define(as_of=told_as_of or reading.day_end(0))
    engine = Engine(memory_limit=arguments.memory(memory))
    with engine.spool() as spool:
        file = read_periods_file(
            engine, spool, periods, reading, key_column=asked.key_column, excluded=excluded
        )
        definition = define(as_of=told_as_of or file.as_of)
        answer = movements_of_file(
            engine, spool, file, definition, is_as_of_told=told_as_of is not None
        )
    said = {
        "policy": asked_policy.definition,
        "assumed": sorted(asked_policy.assumed & set(SWITCHES.values())),
        "currency": reading.currency,
        "round": rounding,
        "exclude": list(excluded),
        "data_version": data_version(periods),
    }
    answer = replace(answer, definition={**answer.definition, **said})
    for note in answer.notes if shape is Form.CSV else ():
        sys.stderr.write(f"{note}\n")
    arguments.hand_over(face_of(answer, shape.value), output)
