"""A sign of life: one call of a URL after each daily audit.

Whoever waits for it outside (a cron monitor) notices when it stays away: a dead daemon cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx

from growth_pipeline.alerts.answers import check_status, one_request
from growth_pipeline.alerts.deliver import Sent, WaitingAlert
from growth_pipeline.alerts.limits import HEARTBEAT_RATES
from growth_pipeline.alerts.outbound import OutboundTransport, call, open_client

TIMEOUT_SECONDS: Final = 10
SETTING: Final = "GROWTH_ALERTS__HEARTBEAT_URL"


class HeartbeatChannel:
    """Calls the URL with GET. Twice is harmless, so a lost answer is asked for again."""

    name = "heartbeat"
    audiences = frozenset({"heartbeat"})
    batch = 1_000
    pictures = False
    threads = False
    readable = True
    rates = HEARTBEAT_RATES
    requests = 1

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._client = open_client(
            transport or OutboundTransport(), timeout_seconds=timeout_seconds
        )

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """One call, for however many audits. See `Channel.send`."""
        del alerts
        with one_request("the heartbeat's URL", SETTING):
            response = call(self._client, "GET", self._url)
        check_status(response, "the heartbeat's URL", SETTING)
        return Sent()

    def find(self, alert: WaitingAlert) -> str | None:
        """Nothing was made that a second call would double."""
        del alert
        return None
