"""A weekly growth report for a terminal: made from what is published, kept, and handed over.

Nobody else is told of it: that is the scheduled run's business.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.insights.make import Finished, Order, make_report
from growth_pipeline.insights.report.write import FACES, to_face
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.lake import Lake

Say = Callable[[str], None]
FORMS: Final = tuple(f".{face}" for face in FACES)


def write_insights(
    order: Order, *, with_model: bool, dry_run: bool, outputs: Sequence[Path], say: Say
) -> tuple[Finished, bytes]:
    """Make the report of an order; also into each of `outputs`, by its ending. Its JSON face.

    A dry run keeps nothing, and asks no model: its answer could not be kept.
    Raises: UsageError for an ending that is none; what `make_report` raises.
    """
    from growth_pipeline.insights.choice import choose_model
    from growth_pipeline.insights.insight_store import InsightStore
    from growth_pipeline.insights.sources import open_sources
    from growth_pipeline.storage.engine import Engine

    forms = [_form_of(path) for path in outputs]
    with open_database(say, tells_demo=True) as (_, database):
        settings = load_settings()
        database.dry_run = dry_run
        choice = choose_model(settings.insights)
        asked = with_model and not dry_run
        with _lake(settings.resolved_lake_url, dry_run=dry_run) as lake:
            done = make_report(
                order,
                open_sources(
                    database,
                    Engine(**settings.engine_bounds),
                    scopes=settings.stripe.scopes,
                    revenue=settings.revenue,
                    cohort_entry=settings.cohorts.entry,
                    activity_tz=settings.events.timezone,
                    week_start=settings.insights.week_start,
                ),
                store=InsightStore(database),
                lake=lake,
                model=choice.model if asked else None,
                limits=choice.limits,
                why_no_model=choice.why_not if asked else "",
                clock=lambda: datetime.now(UTC),
                monotonic=time.monotonic,
                say=say,
            )
    for path, form in zip(outputs, forms, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_face(done.report, form))
        say(f"written: {path}")
    return done, to_face(done.report, "json")


def list_reports(limit: int, say: Say) -> list[dict[str, Any]]:
    """The newest reports that are kept. Raises: RemoteUnavailableError."""
    from growth_pipeline.insights.facts import plain
    from growth_pipeline.insights.insight_store import InsightStore

    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        rows = InsightStore(database).reports(limit=limit)
    return [plain(row) for row in rows]


@contextmanager
def _lake(address: str, *, dry_run: bool) -> Iterator[Lake]:
    if not dry_run:
        yield Lake(address)
        return
    with tempfile.TemporaryDirectory(prefix="growth-dry-run-") as folder:
        yield Lake(folder)


def _form_of(path: Path) -> str:
    if path.suffix not in FORMS:
        raise UsageError(
            f"{path.name} ends in no form of the report",
            remedy=f"give a file that ends in {', '.join(FORMS)}",
        )
    return path.suffix[1:]
