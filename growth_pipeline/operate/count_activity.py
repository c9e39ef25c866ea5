"""Active users and funnels for a terminal: count and publish them, say what that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from growth_pipeline.cohorts.active_users.published import publish as users
from growth_pipeline.cohorts.active_users.published.refresh import (
    RefreshedUsers,
    refresh_active_users,
)
from growth_pipeline.cohorts.activity_store import ActivityPublication, PublishedActivity
from growth_pipeline.cohorts.funnel.published import publish as funnels
from growth_pipeline.cohorts.funnel.published.definition import PublishedFunnel, funnels_of
from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
from growth_pipeline.cohorts.funnel.published.judge import judge_funnels
from growth_pipeline.cohorts.funnel.published.refresh import CountedFunnel, refresh_funnels
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import CohortSettings, load_settings
from growth_pipeline.storage.cluster import queries_on
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake

_EXAMPLES = 5


@dataclass(frozen=True)
class Counted:
    """What was counted and published."""

    users: Sequence[RefreshedUsers]
    funnels: Sequence[CountedFunnel]
    publication: ActivityPublication

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "active_users": [
                {
                    "segment_by": made.segment_by,
                    "as_of": made.counted.as_of.isoformat(),
                    "rebuilt": made.touched.is_rebuild,
                    "counts": made.counted.frame.height,
                    "computed": made.computed,
                    "days_read": made.read_days,
                    "restated": len(made.restatements),
                }
                for made in self.users
            ],
            "funnels": [
                {
                    "funnel": one.funnel.name,
                    "as_of": one.funnel.definition.as_of.isoformat(),
                    "users": one.users,
                }
                for one in self.funnels
            ],
            "postgres": asdict(self.publication),
        }

    def lines(self) -> list[str]:
        """For a person."""
        told = [f"funnel {one.funnel.name}: {one.users} users began it" for one in self.funnels]
        return [*(made.in_words() for made in self.users), *told, self.publication.in_words()]


def count_activity(*, now: datetime, say: Callable[[str], None]) -> Counted:
    """Count what new or late activity touches, and all funnels; publish both. `say` hears how far.

    Raises: GrowthError when there is no activity, or the numbers contradict each other; UsageError;
    RemoteUnavailableError.
    """
    with ExitStack() as stack:
        _, database = stack.enter_context(open_database(say, tells_demo=True))
        settings = load_settings()
        lake, segments = Lake(settings.resolved_lake_url), settings.cohorts.segments
        engine = Engine(**settings.engine_bounds)
        queries = stack.enter_context(queries_on(settings.engine.cluster_url, engine))
        say("counting active users")
        done = refresh_active_users(
            lake,
            queries,
            now=now,
            week_start=settings.cohorts.week_start,
            segments=segments,
            tell=say,
        )
        say("counting funnels")
        counted = refresh_funnels(
            lake,
            FunnelStore(database, settings.stripe.scopes),
            _funnels(settings.cohorts, now),
            segments=segments,
        )
        told = users.told_of(done)
        answers = [answer for one in told for answer in one.answers()]
        of_funnels = funnels.answers_of(counted, segments)
        _refuse_faults({**users.judge_told(told), **_named(judge_funnels(of_funnels))})
        say("publishing in Postgres")
        publication = PublishedActivity(database).publish(
            [*answers, *of_funnels], kinds=[*users.QUESTIONS, funnels.FUNNEL], now=now
        )
    return Counted(done, counted, publication)


def _funnels(told: CohortSettings, now: datetime) -> list[PublishedFunnel]:
    return funnels_of(
        told.funnels,
        window=told.funnel_window,
        order=told.funnel_order,
        week_start=told.week_start,
        as_of=now,
    )


def _named(judged: dict[str, list[str]]) -> dict[str, list[str]]:
    return {f"funnels: {name}": faults for name, faults in judged.items()}


def _refuse_faults(judged: dict[str, list[str]]) -> None:
    """Nothing is published that contradicts itself. Raises: GrowthError."""
    for name, faults in judged.items():
        if faults:
            raise GrowthError(
                f"{name} does not hold: {'; '.join(faults[:_EXAMPLES])}",
                remedy="nothing was published; tell the maintainers, with this line",
            )
