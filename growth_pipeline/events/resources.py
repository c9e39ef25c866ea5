"""What the assets about product events are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.events.activity.activity_store import ActivityStore
    from growth_pipeline.events.assertions.assertion_store import AssertionStore


@dg.resource(
    description="Billing events, and what the mirror knows about their objects.",
    required_resource_keys={"database", "scopes"},
)
def assertion_store(context: dg.InitResourceContext) -> AssertionStore:
    """Store on the run's database, for the accounts of the settings."""
    from growth_pipeline.events.assertions.assertion_store import AssertionStore

    return AssertionStore(context.resources.database, context.resources.scopes)


@dg.resource(
    description="Users, their numbers and their activity.",
    required_resource_keys={"database"},
)
def activity_store(context: dg.InitResourceContext) -> ActivityStore:
    """Store on the run's database."""
    from growth_pipeline.events.activity.activity_store import ActivityStore

    return ActivityStore(context.resources.database)


@dg.resource(description="Zone of the local days of activity.")
def activity_zone(_context: dg.InitResourceContext) -> str:
    """As the settings say."""
    return load_settings().events.timezone
