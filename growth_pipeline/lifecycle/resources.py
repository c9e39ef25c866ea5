"""What the assets of lifecycle are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.lifecycle.choice import HealthLimits, KitChoice
    from growth_pipeline.lifecycle.journeys.model import Journey, SendingPolicy
    from growth_pipeline.lifecycle.rules import LifecycleRules


@dg.resource(description="Zone, key features, activation and MRR policy of stages and scores.")
def lifecycle_rules(_context: dg.InitResourceContext) -> LifecycleRules:
    """As the settings say."""
    from growth_pipeline.lifecycle.choice import rules_of

    settings = load_settings()
    return rules_of(
        settings.lifecycle, tz=settings.events.timezone, policies=settings.revenue.policies
    )


@dg.resource(description="Journeys of the company's file, or those that come along.")
def journeys(_context: dg.InitResourceContext) -> tuple[Journey, ...]:
    """As the settings say; the file is read for each run."""
    from growth_pipeline.lifecycle.journeys.load import load_journeys

    return load_journeys(load_settings().lifecycle.journeys)


@dg.resource(description="Cap and quiet hours of e-mails.")
def sending_policy(_context: dg.InitResourceContext) -> SendingPolicy:
    """As the settings say."""
    from growth_pipeline.lifecycle.choice import sending_policy_of

    settings = load_settings()
    return sending_policy_of(settings.lifecycle, tz=settings.events.timezone)


@dg.resource(description="Whether e-mails are sent through Kit, and with which key.")
def kit_choice(_context: dg.InitResourceContext) -> KitChoice:
    """As the settings say."""
    from growth_pipeline.lifecycle.choice import choose_kit

    settings = load_settings()
    return choose_kit(settings.lifecycle, send=settings.lifecycle_send)


@dg.resource(description="Shares of bounces and complaints above which a check fails.")
def health_limits(_context: dg.InitResourceContext) -> HealthLimits:
    """As the settings say."""
    from growth_pipeline.lifecycle.choice import health_limits_of

    return health_limits_of(load_settings().lifecycle)
