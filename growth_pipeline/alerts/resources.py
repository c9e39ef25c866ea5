"""What the alert assets are given: the outbox and the channels that the settings configure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.alerts.channels import open_channels
from growth_pipeline.alerts.decide import AlertPolicy
from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.alerts.deliver import Channel
    from growth_pipeline.alerts.store import AlertStore


@dg.resource(description="The alert outbox in Postgres.", required_resource_keys={"database"})
def alert_store(context: dg.InitResourceContext) -> AlertStore:
    """Store on the run's database."""
    from growth_pipeline.alerts.store import AlertStore

    return AlertStore(context.resources.database)


@dg.resource(description="Where alerts go besides the log: Slack, GitHub, the heartbeat.")
def alert_channels(_context: dg.InitResourceContext) -> Sequence[Channel]:
    """Channels outside. Empty: alerts go to the log alone."""
    return open_channels(load_settings().alerts)


@dg.resource(description="After how long what lasts, or stays away, is worth an alert.")
def alert_policy(_context: dg.InitResourceContext) -> AlertPolicy:
    """Days and hours of the settings."""
    settings = load_settings().alerts
    return AlertPolicy(settings.escalate_after_days, settings.audit_hours)


@dg.resource(description="Public address of Dagster's UI, for links in alerts.")
def dagster_url(_context: dg.InitResourceContext) -> str:
    """Without a slash at its end; the address on this machine when none is set."""
    web = load_settings().web
    return (web.dagster_url or f"http://{web.host}:{web.dagster_port}").rstrip("/")
