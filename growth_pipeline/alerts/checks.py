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
    dg.AssetCheckSpec(
        "channels_take_alerts",
        asset=_OUTBOX,
        description="No channel refused: Slack, GitHub and the heartbeat take what is sent.",
    ),
)


def check_delivery(delivered: Delivered) -> list[dg.AssetCheckResult]:
    """A warning while alerts may have been lost, and one while a channel refuses.

    Both are mended by later deliveries alone.
    """
    unknown = delivered.unknown
    errors = {name: error.message for name, error in sorted(delivered.errors.items())}
    remedies = [error.remedy for error in delivered.errors.values() if error.remedy]
    said = "; ".join(f"{name}: {message}" for name, message in errors.items())
    return [
        dg.AssetCheckResult(
            check_name="every_alert_arrived",
            passed=unknown == 0,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{unknown} may not have arrived" if unknown else None,
            metadata={
                "unknown": unknown,
                "remedy": "growth alerts list shows them; GitHub is read back, and Slack is told "
                "that an answer was lost, with the alerts it carried",
            },
        ),
        dg.AssetCheckResult(
            check_name="channels_take_alerts",
            passed=not errors,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{delivered.waiting} alerts wait: {said}" if errors else None,
            metadata={"waiting": delivered.waiting, "remedy": "; ".join(remedies) or "none"},
        ),
    ]
