"""`growth events`: the group of commands about product events."""

from __future__ import annotations

import typer

from growth_pipeline.events.catalogue.commands import schema

events_app = typer.Typer(
    help="Product events: the catalogue, write keys, what was received.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
events_app.command("schema")(schema)
