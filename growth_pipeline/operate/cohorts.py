"""Cohorts for a terminal: refresh and publish them, say what that changed, write the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from growth_pipeline.cohorts.cohort_store import CohortStore, Publication
from growth_pipeline.cohorts.money.money_store import MoneyStore
from growth_pipeline.cohorts.refresh.run import (
    Refreshed,
    Wanted,
    answers_of,
    in_words,
    refresh,
)
from growth_pipeline.cohorts.report.write import Told, read_answers, told_of, with_pictures
from growth_pipeline.core.errors import UsageError
from growth_pipeline.operate.database import open_database
from growth_pipeline.operate.home import running_demo_home
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.cluster import queries_on
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake

FORMS = (".md", ".html", ".json")


@dataclass(frozen=True)
class Done:
    """A refresh, or what one would do. `publication`: its changes in Postgres; None: dry run."""

    grains: Sequence[Refreshed]
    publication: Publication | None

    @property
    def dry_run(self) -> bool:
        """Whether nothing was written."""
        return self.publication is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "dry_run": self.dry_run,
            "grains": [_told(made) for made in self.grains],
            "postgres": None if self.publication is None else _published(self.publication),
        }

    def lines(self) -> list[str]:
        """For a person."""
        lines = [in_words(made) for made in self.grains]
        if self.publication is None:
            return ["dry run: nothing was written", *lines]
        return [*lines, self.publication.in_words()]


def refresh_cohorts(
    wanted: Wanted,
    *,
    now: datetime,
    dry_run: bool,
    output: Path | None,
    say: Callable[[str], None],
) -> Done:
    """Refresh the lake's cohorts and publish them in Postgres; a dry run does neither.

    One run, whatever the range of days; `say` hears how far it is. `output` gets the report, by its
    ending md, html or json.
    Raises: GrowthError, UsageError, RemoteUnavailableError.
    """
    output = check_output(output)
    with ExitStack() as stack:
        database = None
        if not dry_run:
            _, database = stack.enter_context(open_database(say, tells_demo=True))
        settings = _settings_here(say) if dry_run else load_settings()
        lake = Lake(settings.resolved_lake_url)
        books = None if database is None else MoneyStore(database, settings.stripe.scopes)
        queries = stack.enter_context(
            queries_on(settings.engine.cluster_url, Engine(**settings.engine_bounds))
        )
        segments = settings.cohorts.segments
        done = refresh(
            lake,
            queries,
            wanted,
            now=now,
            segments=segments,
            books=books,
            dry_run=dry_run,
            tell=say,
        )
        if output is not None:
            _write(
                told_of(done)
                if dry_run
                else read_answers(lake, wanted.grains, wanted.entry, segments),
                output,
                say,
            )
        publication = None
        if database is not None:
            say("publishing in Postgres")
            publication = CohortStore(database).publish(answers_of(done), now=now)
    return Done(done, publication)


def report_cohorts(
    grains: Sequence[str], *, entry: str, output: Path | None, say: Callable[[str], None]
) -> Told:
    """The report of what is in the lake, computed by the last refresh; also into `output`.

    Raises: GrowthError when nothing is published; UsageError.
    """
    output = check_output(output)
    settings = _settings_here(say)
    lake = Lake(settings.resolved_lake_url)
    told = read_answers(lake, grains, entry, settings.cohorts.segments)
    if output is not None:
        _write(told, output, say)
    return told


def configured_week_start() -> str:
    """The weekday on which weeks of published cohorts start, as the settings say."""
    return load_settings().cohorts.week_start


def configured_entry() -> str:
    """What puts users into published cohorts, as the settings say."""
    return load_settings().cohorts.entry


def check_output(output: Path | None) -> Path | None:
    """The report's file, absolute, if its name asks for a form that there is.

    Raises: UsageError.
    """
    if output is not None and output.suffix.lower() not in FORMS:
        raise UsageError(
            f"a cohort report cannot be written as {output.suffix or 'a file without ending'}",
            remedy="end the file's name in .md, .html or .json",
        )
    return None if output is None else output.absolute()


def _write(told: Told, output: Path, say: Callable[[str], None]) -> None:
    ending = output.suffix.lower()
    face = with_pictures(told) if ending == ".md" else told.face(ending.lstrip("."))
    try:
        output.write_bytes(face)
    except OSError as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}", remedy="give another --output"
        ) from error
    say(f"report: {output}")


def _settings_here(say: Callable[[str], None]) -> Settings:
    """The settings of a demo that runs in this folder and nothing else is configured; else ours."""
    home = running_demo_home(load_settings())
    if home is not None:
        say(f"nothing is configured here: the running demo is used ({home.state_dir})")
    return load_settings()


def _published(publication: Publication) -> dict[str, Any]:
    return {
        "users": asdict(publication.users),
        "cells": [
            {
                "entry": entry,
                "grain": grain,
                "segment_by": segment_by or None,
                "written": written,
                "withdrawn": publication.withdrawn[entry, grain, segment_by],
            }
            for (entry, grain, segment_by), written in publication.written.items()
        ],
    }


def _told(made: Refreshed) -> dict[str, Any]:
    return {
        "grain": made.grain,
        "segment_by": made.definition.segment,
        "definition": made.definition.resolved(),
        "as_of": made.definition.as_of.isoformat(),
        "money_known_through": made.money_known_through and made.money_known_through.isoformat(),
        "rebuilt": made.plan.is_rebuild,
        "cells": made.published.frame.height,
        "computed": made.computed,
        "changed": made.changed,
        "days_read": made.read_days,
        "restated": len(made.restatements),
        "shrunk": [start.isoformat() for start in made.shrunk],
    }
