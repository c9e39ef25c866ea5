"""Journeys of a file that the company wrote, or those that come along."""

from __future__ import annotations

import runpy
import traceback
from collections import Counter
from pathlib import Path

from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.lifecycle.journeys.defaults import JOURNEYS
from growth_pipeline.lifecycle.journeys.model import Journey


def load_journeys(path: Path | None) -> tuple[Journey, ...]:
    """The list JOURNEYS of a Python file; None: the journeys that come along.

    The file is code of the company and is run. Raises: UsageError naming what is wrong with it.
    """
    if path is None:
        return JOURNEYS
    if not path.is_file():
        raise UsageError(
            f"there is no file of journeys {path}",
            remedy="correct GROWTH_LIFECYCLE__JOURNEYS, or leave it empty for the defaults",
        )
    try:
        found = runpy.run_path(str(path)).get("JOURNEYS")
    except GrowthError as error:
        raise UsageError(
            f"{path.name}{_line(path, error)}: {error.message}", remedy=error.remedy
        ) from error
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{path.name}{_line(path, error)} does not run: {type(error).__name__}: {error}",
            remedy="correct it; growth lifecycle journeys --file shows what it holds",
        ) from error
    return _checked(path, found)


def _line(path: Path, error: BaseException) -> str:
    """Where in the file: its last line that was running; nothing where it cannot be told."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return f", line {lines[-1]}" if lines else ""


def _checked(path: Path, found: object) -> tuple[Journey, ...]:
    if not isinstance(found, list | tuple) or not all(isinstance(one, Journey) for one in found):
        raise UsageError(
            f"{path.name} has no list JOURNEYS of Journey",
            remedy="end it with JOURNEYS = [Journey(…), …]",
        )
    if name := _twice([one.name for one in found]):
        raise UsageError(
            f"{path.name} has two journeys {name!r}", remedy="give each a name of its own"
        )
    if target := _twice([step.target for one in found for step in one.steps]):
        raise UsageError(
            f"two steps of {path.name} add {target!r}",
            remedy="give each step its own: what a subscriber has already sends nothing",
        )
    return tuple(found)


def _twice(given: list[str]) -> str:
    """The first of some words that is there twice; empty: none is."""
    return next((word for word, count in Counter(given).items() if count > 1), "")
