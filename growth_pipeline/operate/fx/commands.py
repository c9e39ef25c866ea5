"""`growth fx import` and `growth fx list`: exchange rates of days, supplied by you."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from growth_pipeline.core import arguments

fx_app = typer.Typer(
    help="Exchange rates for the reporting currency: import and list them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@fx_app.command("import")
def import_rates(
    file: Annotated[
        Path, typer.Argument(help="CSV with date, currency, rate [, reporting_currency].")
    ],
    reporting_currency: Annotated[
        str | None,
        typer.Option(help="Currency that the rates lead into; by default that of the settings."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where they come from; by default the file's name.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Store rates; one that is there already is replaced where it differs."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.database import open_database
    from growth_pipeline.revenue.fx_files import read_rates
    from growth_pipeline.revenue.fx_store import FxStore
    from growth_pipeline.settings import load_settings

    path = file.absolute()  # a running demo has a folder of its own
    with open_database(say, tells_demo=True) as (_, database):
        into = (reporting_currency or load_settings().revenue.reporting_currency or "").lower()
        given = read_rates(path, into=into or None)
        done = FxStore(database).import_rates(
            given, source=source or file.name, now=datetime.now(UTC)
        )
    if as_json:
        emit_json({"new": done.new, "changed": done.changed, "same": done.same})
    else:
        emit(
            f"{done.new} rates are new, {done.changed} changed, {done.same} were there; "
            "the next refresh of revenue publishes with them"
        )


@fx_app.command("list")
def list_rates(
    currency: Annotated[str | None, typer.Option(help="This currency only.")] = None,
    reporting_currency: Annotated[
        str | None, typer.Option(help="Rates into this currency only.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="From this day on.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Up to this day.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Stored rates, the newest first."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.database import open_database
    from growth_pipeline.revenue.fx_store import FxStore

    days = arguments.day("--from", first), arguments.day("--to", last)
    with open_database(say, tells_demo=True) as (_, database):
        rows = FxStore(database).listed(
            currency=currency and currency.lower(),
            into=reporting_currency and reporting_currency.lower(),
            first=days[0],
            last=days[1],
        )
    names = ("currency", "reporting_currency", "date", "rate", "source", "stored_at")
    if as_json:
        emit_json([dict(zip(names, map(str, row), strict=True)) for row in rows])
        return
    for one, into, day, rate, source, _ in rows:
        emit(f"{day}  1 {one} = {rate} {into}  ({source})")
    if not rows:
        emit("no rates are stored; growth fx import FILE.csv brings them")
