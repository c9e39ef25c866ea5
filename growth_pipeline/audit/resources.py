"""What the audit's assets are given."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.audit.audit import Audit
    from growth_pipeline.audit.store import AuditStore
    from growth_pipeline.core.ids import Scope
    from growth_pipeline.core.periods import Month
    from growth_pipeline.storage.postgres import Database


@dg.resource(description="Audits and findings in Postgres.", required_resource_keys={"database"})
def audit_store(context: dg.InitResourceContext) -> AuditStore:
    """Store on the run's database."""
    from growth_pipeline.audit.store import AuditStore  # noqa: PLC0415 - when asked

    return AuditStore(context.resources.database)


@dg.resource(description="How young an object may be and still be left unjudged.")
def audit_grace(_context: dg.InitResourceContext) -> timedelta:
    """The setting `audit.grace_minutes`."""
    return timedelta(minutes=load_settings().audit.grace_minutes)
