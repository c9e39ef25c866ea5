"""`growth metrics`, `growth verify` and commands of `growth mrr`: parse, call, print."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from growth_pipeline.core import arguments


class Form(StrEnum):
    """Forms of an answer."""

    MARKDOWN = "md"
    JSON = "json"
    CSV = "csv"


def bridge(
    *,
    before: Annotated[str, typer.Option("--from", help="Policy to begin with, as in stripe.")],
    after: Annotated[str, typer.Option("--to", help="Policy to end with, as in default.")],
    month: Annotated[str, typer.Option(help="Month, as in 2031-04; MRR at its snapshot.")],
    currency: Annotated[str | None, typer.Option(help="This currency only.")] = None,
    customers: Annotated[
        bool, typer.Option("--customers", help="Also every customer whose MRR differs.")
    ] = False,
    known_at: Annotated[
        str | None,
        typer.Option(help="As the ledger knew it then: 2031-04-05, or an instant."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Form of the answer.")] = Form.MARKDOWN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """What leads from one policy's MRR to another's, switch by switch, nothing left over."""
    from growth_pipeline.core.terminal import say
    from growth_pipeline.operate.revenue.bridges import bridge_month

    output = arguments.fixed(output)
    answer = bridge_month(before, after, month, currency=currency, known_at=known_at, say=say)
    shape = Form.JSON if as_json else form
    arguments.hand_over(answer.face(shape.value, customers=customers), output)


def metrics(
    *,
    month: Annotated[str, typer.Option(help="Month, as in 2031-04.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy; without, the first of GROWTH_REVENUE__POLICIES.")
    ] = None,
    currency: Annotated[str | None, typer.Option(help="This currency only.")] = None,
    reporting_currency: Annotated[
        str | None, typer.Option(help="All currencies in this one, at dated rates.")
    ] = None,
    segment_by: Annotated[
        str | None, typer.Option(help="Split by plan, interval, country or metadata.<key>.")
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(help="As the ledger knew it then: 2031-04-05, or an instant."),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="Form of the answer.")] = Form.MARKDOWN,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Annotated[Path | None, typer.Option(help="A file instead of stdout.")] = None,
) -> None:
    """Every published figure of a month beside the month before: MRR, customers, users."""
    from growth_pipeline.core.terminal import say
    from growth_pipeline.operate.revenue.metrics import AskedMonth, figures_of_month

    asked = AskedMonth(
        month=month,
        policy=policy,
        currency=currency,
        reporting_currency=reporting_currency,
        segment_by=segment_by,
        known_at=known_at,
    )
    output = arguments.fixed(output)
    sheet = figures_of_month(asked, say=say)
    arguments.hand_over(sheet.face("json" if as_json else form.value), output)


def refresh(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For a script.")] = False,
) -> None:
    """Publish MRR, movements, figures and receipts now, as every night. Code 3 if a check fails."""
    from growth_pipeline.core.errors import ExitCode
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.revenue.refresh import refresh_revenue

    done = refresh_revenue(say)
    if as_json:
        names = ("asset", "check", "description")
        failed = [dict(zip(names, one, strict=True)) for one in done.failed]
        emit_json({"run_id": done.run_id, "holds": done.holds, "failed_checks": failed})
    else:
        for asset, check, description in done.failed:
            emit(f"NO  {asset} {check}: {description}")
        emit(f"run {done.run_id}: {'every check passed' if done.holds else 'checks failed'}")
    if not done.holds:
        raise typer.Exit(int(ExitCode.AUDIT_FAIL))


def verify(
    *,
    metric: Annotated[str, typer.Argument(help="Name of a figure, as in mrr, or all.")],
    month: Annotated[str, typer.Option(help="Month that is over, as in 2031-04.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy; without, the first of GROWTH_REVENUE__POLICIES.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a script.")] = False,
) -> None:
    """Whether a published figure still follows from its receipt, and that from the ledger.

    Ends with 0 if it does, with 3 if not.
    """
    from growth_pipeline.core.errors import ExitCode
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.revenue.receipts import (
        verified_document,
        verified_lines,
        verify_figure,
    )

    found = verify_figure(metric, month, policy=policy, say=say)
    if as_json:
        emit_json(verified_document(found, metric, month))
    else:
        emit("\n".join(verified_lines(found, metric, month)))
    if not found.holds:
        raise typer.Exit(int(ExitCode.AUDIT_FAIL))


def restatements(
    *,
    month: Annotated[str | None, typer.Option(help="This month only, as in 2031-04.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="Policy; without, the first of GROWTH_REVENUE__POLICIES.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a script.")] = False,
) -> None:
    """Customers' months that were published and are others now, with the events behind it."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.revenue.receipts import restatements as read

    rows = read(month, policy=policy, say=say)
    if as_json:
        emit_json([{name: _plain(value) for name, value in row.items()} for row in rows])
        return
    for row in rows:
        emit(
            f"{row['period_start']:%Y-%m} {row['customer_id']} {row['currency']}: "
            f"{row['before_minor']} -> {row['now_minor']} minor units by "
            f"{', '.join(row['told_by'])}, known {row['known_at']:%Y-%m-%d %H:%M}"
        )
    say(f"{len(rows)} restatements")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
