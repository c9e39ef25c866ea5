"""What the assets about revenue are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.revenue.figures.figure_store import FigureStore
    from growth_pipeline.revenue.fx_store import FxStore
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.policies import MrrPolicy
    from growth_pipeline.revenue.reporting import Reporting


@dg.resource(
    description="Policies under which MRR is published, the first is the one reports show."
)
def mrr_policies(_context: dg.InitResourceContext) -> list[MrrPolicy]:
    """As the settings say."""
    from growth_pipeline.revenue.publish import policies_of

    return policies_of(load_settings().revenue.policies)


@dg.resource(description="Zone of the days and months of MRR.")
def revenue_zone(_context: dg.InitResourceContext) -> str:
    """As the settings say."""
    return load_settings().revenue.timezone


@dg.resource(description="What published MRR is split by too.")
def revenue_segments(_context: dg.InitResourceContext) -> list[str]:
    """As the settings say."""
    return load_settings().revenue.segments


@dg.resource(
    description="Published movements in Postgres.", required_resource_keys={"database", "scopes"}
)
def movements_store(context: dg.InitResourceContext) -> MovementsStore:
    """Store on the run's database, for the accounts of the settings."""
    from growth_pipeline.revenue.movements_store import MovementsStore

    return MovementsStore(context.resources.database, context.resources.scopes)


@dg.resource(
    description="Exchange rates, and what is published in the reporting currency.",
    required_resource_keys={"database"},
)
def fx_store(context: dg.InitResourceContext) -> FxStore:
    """Store on the run's database."""
    from growth_pipeline.revenue.fx_store import FxStore

    return FxStore(context.resources.database)


@dg.resource(description="The reporting currency, and how old a rate may be.")
def reporting(_context: dg.InitResourceContext) -> Reporting:
    """As the settings say."""
    from growth_pipeline.revenue.reporting import Reporting

    settings = load_settings().revenue
    return Reporting(settings.reporting_currency, settings.rate_max_age_days)


@dg.resource(
    description="Published figures in Postgres, to be read.", required_resource_keys={"database"}
)
def figure_store(context: dg.InitResourceContext) -> FigureStore:
    """Store on the run's database."""
    from growth_pipeline.revenue.figures.figure_store import FigureStore

    return FigureStore(context.resources.database)
