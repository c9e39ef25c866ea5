"""What the facts of a digest are read from, put together from the parts of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from growth_pipeline.core.ids import Scope
from growth_pipeline.insights.digest.measure import DigestSources
from growth_pipeline.insights.digest_store import DigestStore
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import policy_named

if TYPE_CHECKING:
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.postgres import Database


class RevenueChoice(Protocol):
    """What is configured of MRR. The first policy is the one that reports show."""

    policies: list[str]
    timezone: str


def open_sources(
    database: Database,
    engine: Engine,
    *,
    scopes: Sequence[Scope],
    revenue: RevenueChoice,
    cohort_entry: str,
    activity_tz: str,
    week_start: str,
) -> DigestSources:
    """Everything that facts are read from, of the accounts of `scopes`."""
    return DigestSources(
        store=DigestStore(database, scopes),
        movements=MovementsStore(database, scopes),
        engine=engine,
        policy=policy_named(revenue.policies[0]).definition,
        revenue_tz=revenue.timezone,
        activity_tz=activity_tz,
        week_start=week_start,
        cohort_entry=cohort_entry,
    )
