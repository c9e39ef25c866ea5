"""Checks of the alert outbox: what a delivery left behind."""

from __future__ import annotations

import dagster as dg

from growth_pipeline.alerts.deliver import Delivered

_OUTBOX = dg.AssetKey(["alerts", "outbox"])

OUTBOX_CHECKS = (
    dg.AssetCheckSpec(
        "every_alert_arrived",
        asset=_OUTBOX,
        description="No alert is of unknown outcome: each was taken by its channel.",
    ),
)


def check_delivery(delivered: Delivered) -> dg.AssetCheckResult:
    """A warning while alerts exist that may have been lost; nothing sends them again by itself."""
    unknown = delivered.unknown
    return dg.AssetCheckResult(
        check_name="every_alert_arrived",
        passed=unknown == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{unknown} may not have arrived" if unknown else None,
        metadata={
            "unknown": unknown,
            "remedy": "look for them in the channel and in alerts.outbox (state unknown)",
        },
    )
