"""`growth mrr normalise`: parse, call, print. No database, no settings."""

from __future__ import annotations

import sys
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


def normalise(
    *,
    items: Annotated[
        Path,
        typer.Option(
            help="CSV or Parquet, gzip allowed: amount (major units), interval; perhaps "
            "interval_count, quantity, discounts and more (docs/metrics.md)."
        ),
    ],
    policy: Annotated[
        str, typer.Option(help="growth (default), stripe, chartmogul, profitwell, baremetrics.")
    ] = "growth",
    week_factor: Annotated[
        str | None, typer.Option(help="Weeks of a month: 52/12, 4.33, 365.2425/84, 0, any number.")
    ] = None,
    day_factor: Annotated[
        str | None, typer.Option(help="Days of a month: 365.2425/12, 365/12, 30, 0.")
    ] = None,
    discounts: Annotated[
        str | None, typer.Option(help="Which lower MRR: recurring, none, forever, all.")
    ] = None,
    customer_discounts: Annotated[
        str | None,
        typer.Option(
            help="Those of the customer: stack on the subscription's, or instead of none."
        ),
    ] = None,
    rounding: Annotated[str | None, typer.Option(help="exact, half_even, half_up.")] = None,
    rounding_places: Annotated[
        str | None, typer.Option(help="Decimals of rounding; default: those of the currency.")
    ] = None,
    trials: Annotated[str | None, typer.Option(help="Trials: out, in.")] = None,
    past_due_grace: Annotated[
        str | None, typer.Option(help="Days past due that still count, or none: all of them.")
    ] = None,
    pause_collection: Annotated[
        str | None, typer.Option(help="While collection is paused: paused is 0, stays counts.")
    ] = None,
    metered: Annotated[str | None, typer.Option(help="Metered items: out, in.")] = None,
    switches: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any switch of the policy, as in refunds=deduct; repeatable."),
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Currency of rows that name none, as in usd.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Instant, for discounts, trials and grace that have bounds in time."),
    ] = None,
    timezone: Annotated[str, typer.Option(help="Zone of dates, as in Europe/Berlin.")] = "UTC",
    form: Annotated[Form, typer.Option("--format", help="Form of the answer.")] = Form.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """What subscription items are worth a month under a policy, from a file."""
    from growth_pipeline.core.row_faces import csv_face, json_face
    from growth_pipeline.revenue.items.answer import COLUMNS, document, normalise_items
    from growth_pipeline.revenue.items.read import read_items
    from growth_pipeline.revenue.policies import policy_named
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.files.rows import Reading
    from growth_pipeline.storage.files.sources import data_version

    named = {
        "week_factor": week_factor,
        "day_factor": day_factor,
        "discounts": discounts,
        "customer_discounts": customer_discounts,
        "rounding": rounding,
        "rounding_places": rounding_places,
        "trials": trials,
        "past_due_grace_days": past_due_grace,
        "pause_collection": pause_collection,
        "metered": metered,
    }
    told = {name: text for name, text in named.items() if text is not None}
    chosen = policy_named(policy).with_switches({**_switches(switches or []), **told})
    reading = Reading(tz=timezone, currency=currency)
    instant = None if at is None else int(reading.instant(at).timestamp())
    with Engine().spool() as spool:
        file = read_items(items, reading, at=instant, spool=spool)
    answer = normalise_items(file, chosen, at=instant or 0)
    shape = Form.JSON if as_json else form
    if shape is Form.CSV:
        for note in answer.notes:
            sys.stderr.write(f"{note}\n")
        face = csv_face(COLUMNS, answer.rows, frozenset())
    else:
        asked = None if at is None else reading.instant(at).isoformat()
        options = {"at": asked, "tz": timezone, "data_version": data_version(items)}
        face = json_face(document(answer, chosen, options), frozenset())
    arguments.hand_over(face, output)


def _switches(told: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in told]
    wrong = [text for text, (_, between, _) in zip(told, pairs, strict=True) if not between]
    if wrong:
        raise UsageError(f"--set {wrong[0]!r} is no switch", remedy="write it as refunds=deduct")
    return {name.strip(): value for name, _, value in pairs}
