"""What the assets of insights are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.insights.choice import ModelChoice
    from growth_pipeline.insights.digest.measure import DigestSources
    from growth_pipeline.insights.insight_store import InsightStore, ReportOutlet


@dg.resource(
    description="Digests, weekly reports and predictions.", required_resource_keys={"database"}
)
def insight_store(context: dg.InitResourceContext) -> InsightStore:
    """Store on the run's database."""
    from growth_pipeline.insights.insight_store import InsightStore

    return InsightStore(context.resources.database)


@dg.resource(
    description="Weekly reports that wait to be told, with their pictures.",
    required_resource_keys={"insight_store"},
)
def report_outlet(context: dg.InitResourceContext) -> ReportOutlet:
    """Reports of the run's database, pictures out of the lake.

    The lake is opened when a picture is wanted: alerts are sent whatever is wrong with it.
    """
    from growth_pipeline.insights.insight_store import ReportOutlet
    from growth_pipeline.storage.lake import Lake

    return ReportOutlet(
        context.resources.insight_store, lambda: Lake(load_settings().resolved_lake_url)
    )


@dg.resource(
    description="What the facts of a weekly report are read from.",
    required_resource_keys={"database", "engine", "scopes"},
)
def digest_sources(context: dg.InitResourceContext) -> DigestSources:
    """Published tables of the run's database, in the zones and weeks of the settings."""
    from growth_pipeline.insights.sources import open_sources

    settings = load_settings()
    return open_sources(
        context.resources.database,
        context.resources.engine,
        scopes=context.resources.scopes,
        revenue=settings.revenue,
        cohort_entry=settings.cohorts.entry,
        activity_tz=settings.events.timezone,
        week_start=settings.insights.week_start,
    )


@dg.resource(description="The model that may add words to a weekly report, and its limits.")
def insight_model(_context: dg.InitResourceContext) -> ModelChoice:
    """Claude as the settings say; none without a key."""
    from growth_pipeline.insights.choice import choose_model

    return choose_model(load_settings().insights)


@dg.resource(description="Days that files of weekly reports are kept.")
def insights_keep_days(_context: dg.InitResourceContext) -> int:
    """As the settings say."""
    return load_settings().insights.keep_days


@dg.resource(description="Complete weeks that a weekly report shows.")
def insight_weeks(_context: dg.InitResourceContext) -> int:
    """As the settings say."""
    return load_settings().insights.weeks
