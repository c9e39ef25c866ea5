"""`growth events schema`: the catalogue in one of its forms, or held against an older one."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from growth_pipeline.core.errors import GrowthError, UsageError


class Form(StrEnum):
    """Forms of the catalogue."""

    JSON = "json"
    TYPESCRIPT = "ts"
    MARKDOWN = "md"


class IncompatibleError(GrowthError):
    """The catalogue refuses what an older one took. Not retryable: it needs a new version."""


def schema(
    *,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format", help="JSON Schema of track calls (default), TypeScript types, or the docs."
        ),
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(help="Only this event; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write into this file instead of stdout.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="An older JSON Schema: code 1, and what changed, if something that it allows is "
            "refused now without a new version."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json, the default.")
    ] = False,
) -> None:
    """Print the event catalogue: JSON Schema, types for TypeScript, or the page of the docs.

    Needs no database and no settings.
    """
    if as_json and form not in (None, Form.JSON):
        raise UsageError(f"--json and --format {form} exclude each other", remedy="leave one out")
    if against is not None:
        _refuse_breaking(against)
    text = _text(form or Form.JSON, event or [])
    if output is None:
        sys.stdout.write(text)
    else:
        _write(output, text)


def _text(form: Form, events: list[str]) -> str:
    from growth_pipeline.events.catalogue.faces.json_schema import catalogue_schema
    from growth_pipeline.events.catalogue.faces.page import catalogue_page
    from growth_pipeline.events.catalogue.faces.typescript import typescript
    from growth_pipeline.events.catalogue.registry import CATALOGUE, versions_of

    chosen = {event: versions_of(event) for event in events} or CATALOGUE
    if form is Form.TYPESCRIPT:
        return typescript(chosen)
    if form is Form.MARKDOWN:
        return catalogue_page(chosen)
    return json.dumps(catalogue_schema(chosen), ensure_ascii=False, indent=2) + "\n"


def _refuse_breaking(path: Path) -> None:
    """Raises: IncompatibleError naming each change; UsageError for a file that is no catalogue."""
    from growth_pipeline.events.catalogue.changes import breaking_changes
    from growth_pipeline.events.catalogue.faces.json_schema import catalogue_schema

    try:
        changes = breaking_changes(_read(path), catalogue_schema())
    except (LookupError, TypeError, AttributeError):
        raise _no_catalogue(path) from None
    if changes:
        raise IncompatibleError(
            f"the catalogue refuses what {path} allows: {'; '.join(changes)}",
            remedy="leave the event as it was and add a new version of it",
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            remedy="name a file that growth events schema has written",
        ) from None
    except ValueError:
        raise _no_catalogue(path) from None
    if not isinstance(document, dict):
        raise _no_catalogue(path)
    return document


def _no_catalogue(path: Path) -> UsageError:
    return UsageError(
        f"{path} is no JSON Schema of a catalogue",
        remedy="name a file that growth events schema has written",
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", remedy="name a file in a folder of yours"
        ) from None
