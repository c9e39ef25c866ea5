"""What the assets of the marts are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.marts.store import MartStore


@dg.resource(description="Tables kept for BI tools.", required_resource_keys={"database"})
def mart_store(context: dg.InitResourceContext) -> MartStore:
    """Store on the run's database; days of payments in the zone of MRR."""
    from growth_pipeline.marts.store import MartStore

    return MartStore(context.resources.database, load_settings().revenue.timezone)
