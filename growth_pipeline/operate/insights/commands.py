"""`growth insights`: the weekly growth report, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

insights_app = typer.Typer(
    help="The weekly growth report: write it now, list those that are kept, read its rules.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@insights_app.callback()
def insights(
    context: typer.Context,
    weeks: Annotated[
        int | None, typer.Option(help="Complete weeks that it shows; by default the settings'.")
    ] = None,
    week_end: Annotated[
        str | None,
        typer.Option(help="The day after its last week (YYYY-MM-DD); by default the newest."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            help="Write it into a file that ends in .md, .html, .json, .csv or .png; again for "
            "more."
        ),
    ] = None,
    *,
    ai: Annotated[
        bool, typer.Option("--ai/--no-ai", help="Whether Claude may add words, if a key is set.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and show it; keep nothing, ask no model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the growth report of the last complete weeks. No figure in it comes from a model."""
    if context.invoked_subcommand is not None:
        return
    from growth_pipeline.core.terminal import emit, say
    from growth_pipeline.insights.make import Order
    from growth_pipeline.operate.insights.report import write_insights
    from growth_pipeline.settings import load_settings

    order = Order.read(
        weeks=load_settings().insights.weeks if weeks is None else weeks, week_end=week_end or ""
    )
    fixed = [path.absolute() for path in output or ()]
    done, document = write_insights(order, with_model=ai, dry_run=dry_run, outputs=fixed, say=say)
    if as_json:
        emit(document.decode())
    elif not fixed:
        emit(done.markdown)
    else:
        emit(done.highlights)
    for fault in (*done.judged.wrong_figures, *done.judged.unsupported):
        say(f"wrong: {fault}")
    if not done.judged.may_be_told:
        raise typer.Exit(3)


@insights_app.command("list")
def list_kept(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Reports that were written, the newest first."""
    from growth_pipeline.core.terminal import emit, emit_json, say
    from growth_pipeline.operate.insights.report import list_reports

    rows = list_reports(limit, say)
    if as_json:
        emit_json(rows)
        return
    if not rows:
        emit("No report is kept yet: growth insights writes one.")
    for row in rows:
        told = f"told {row['told_at'][:16]}" if row["told_at"] else "not told"
        files = row["artifacts"].get("md", "files are cleaned")
        emit(f"{row['week_start']}  {row['report_id']}  {row['written_by']}  {told}  {files}")


@insights_app.command("rules")
def list_rules(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """The rules that make claims: what each looks at, and what it recommends."""
    from growth_pipeline.core.terminal import emit, emit_json
    from growth_pipeline.insights.rules import RULES

    if as_json:
        emit_json(
            [
                {
                    "rule_id": rule.rule_id,
                    "group": str(rule.group),
                    "severity": str(rule.severity),
                    "what": rule.what,
                    "recommendation": rule.recommendation,
                }
                for rule in RULES
            ]
        )
        return
    for rule in RULES:
        emit(f"{rule.group}  {rule.rule_id}  {rule.severity}\n    {rule.what}")
