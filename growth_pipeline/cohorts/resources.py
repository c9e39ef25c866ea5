"""What the assets about cohorts are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from growth_pipeline.cohorts.activity_store import PublishedActivity
    from growth_pipeline.cohorts.cohort_store import CohortStore
    from growth_pipeline.cohorts.funnel.published.definition import PublishedFunnel
    from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
    from growth_pipeline.cohorts.money.money_store import MoneyStore


@dg.resource(
    description="Users' cohorts and published retention in Postgres.",
    required_resource_keys={"database"},
)
def cohort_store(context: dg.InitResourceContext) -> CohortStore:
    """Store on the run's database."""
    from growth_pipeline.cohorts.cohort_store import CohortStore

    return CohortStore(context.resources.database)


@dg.resource(
    description="Published active users and funnels in Postgres.",
    required_resource_keys={"database"},
)
def published_activity(context: dg.InitResourceContext) -> PublishedActivity:
    """Store on the run's database."""
    from growth_pipeline.cohorts.activity_store import PublishedActivity

    return PublishedActivity(context.resources.database)


@dg.resource(
    description="Events of funnels in Postgres.", required_resource_keys={"database", "scopes"}
)
def funnel_store(context: dg.InitResourceContext) -> FunnelStore:
    """Store on the run's database, for the accounts of the settings."""
    from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore

    return FunnelStore(context.resources.database, context.resources.scopes)


@dg.resource(description="Funnels that are published: a function of an instant.")
def published_funnels(
    _context: dg.InitResourceContext,
) -> Callable[[datetime], list[PublishedFunnel]]:
    """As the settings say; a wrong one is told when a run asks."""
    from growth_pipeline.cohorts.funnel.published.definition import funnels_of

    told = load_settings().cohorts
    return lambda as_of: funnels_of(
        told.funnels,
        window=told.funnel_window,
        order=told.funnel_order,
        week_start=told.week_start,
        as_of=as_of,
    )


@dg.resource(
    description="What users paid, in the books.", required_resource_keys={"database", "scopes"}
)
def money_store(context: dg.InitResourceContext) -> MoneyStore:
    """Store on the run's database, for the accounts of the settings."""
    from growth_pipeline.cohorts.money.money_store import MoneyStore

    return MoneyStore(context.resources.database, context.resources.scopes)


@dg.resource(description="Weekday on which weeks of published cohorts start.")
def cohort_week_start(_context: dg.InitResourceContext) -> str:
    """As the settings say."""
    return load_settings().cohorts.week_start


@dg.resource(description="What puts users into published cohorts.")
def cohort_entry(_context: dg.InitResourceContext) -> str:
    """As the settings say."""
    return load_settings().cohorts.entry


@dg.resource(description="Properties by which published cohorts are split too.")
def cohort_segments(_context: dg.InitResourceContext) -> list[str]:
    """As the settings say."""
    return load_settings().cohorts.segments
