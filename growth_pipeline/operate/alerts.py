"""What alerts there are, and whether they arrive, for a terminal.

What is worth an alert is decided in `alerts/`; here it is asked for and put into words.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from growth_pipeline.alerts.channels import open_channels
from growth_pipeline.alerts.decide import Alert, Problem
from growth_pipeline.alerts.deliver import Channel, deliver
from growth_pipeline.alerts.store import AlertStore, ChannelState, OutboxRow
from growth_pipeline.core.errors import ConfigurationError, ExitCode, GrowthError
from growth_pipeline.core.ids import fingerprint
from growth_pipeline.operate.database import open_database
from growth_pipeline.settings import load_settings

Say = Callable[[str], None]

# One white dot: the bot's right to send a picture is tried with it.
_DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


@contextmanager
def open_store(say: Say, *, read_only: bool = False) -> Iterator[AlertStore]:
    """The outbox of this folder's configuration, or of the demo that runs here.

    Raises: ConfigurationError, RemoteUnavailableError.
    """
    with open_database(say, read_only=read_only, name="growth alerts") as (_, database):
        yield AlertStore(database)


@dataclass(frozen=True)
class Listing:
    """Problems that last, alerts that have not arrived, channels that refuse."""

    problems: Sequence[Problem]
    unsent: Sequence[OutboxRow]
    channels: Sequence[ChannelState]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "problems": [vars(problem) for problem in self.problems],
            "unsent": [row._asdict() for row in self.unsent],
            "channels": [state._asdict() for state in self.channels],
        }

    def lines(self) -> list[str]:
        """For a person."""
        lasting = [
            f"{one.level:<8} since {one.opened_at:%Y-%m-%d %H:%M}  {one.title}"
            for one in self.problems
        ]
        waiting = [
            f"{row.channel:<11} {row.state:<8} {row.title}"
            + (f"\n    {row.last_error}" if row.last_error else "")
            for row in self.unsent
        ]
        refusing = [
            f"{state.channel:<11} refused {state.failures} times: {state.reason}"
            + (f"; asked again {state.blocked_until:%H:%M} UTC" if state.blocked_until else "")
            for state in self.channels
        ]
        return [
            f"problems that last: {len(self.problems)}",
            *lasting,
            f"alerts that have not arrived: {len(self.unsent)}",
            *waiting,
            *refusing,
        ]


def list_alerts(limit: int, *, say: Say) -> Listing:
    """The oldest `limit` alerts that have not arrived, and all problems that last."""
    with open_store(say, read_only=True) as store:
        return Listing(store.open_problems(), store.unsent(limit), store.channels())


@dataclass(frozen=True)
class Tested:
    """Channel -> what became of its test, and the first error of each that refused."""

    states: Mapping[str, str]
    errors: Mapping[str, GrowthError]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: {
                "state": state,
                "reason": self.errors[name].message if name in self.errors else None,
                "remedy": self.errors[name].remedy if name in self.errors else None,
            }
            for name, state in self.states.items()
        }

    def lines(self) -> list[str]:
        """For a person."""
        lines = []
        for name, state in self.states.items():
            error = self.errors.get(name)
            lines.append(f"{name:<11} {state}" + (f": {error.message}" if error else ""))
            if error and error.remedy:
                lines.append(f"    next: {error.remedy}")
        return lines

    @property
    def exit_code(self) -> int:
        """0 when each took it; 5 for a setting to correct; 6 when a later try may help."""
        if set(self.states.values()) <= {"sent"}:
            return int(ExitCode.DONE)
        if any(not error.retryable for error in self.errors.values()):
            return int(ExitCode.CONFIGURATION)
        return int(ExitCode.REMOTE_UNAVAILABLE)


def test_channels(*, now: datetime, say: Say) -> Tested:
    """Send one test through the outbox to every configured channel; what waits goes with it.

    Raises: ConfigurationError when none is configured.
    """
    channels = open_channels(load_settings().alerts)
    if not channels:
        raise ConfigurationError(
            "no channel is configured: alerts go to the log alone",
            remedy="set GROWTH_ALERTS__SLACK_WEBHOOK_URL, or GROWTH_ALERTS__SLACK_BOT_TOKEN and "
            "GROWTH_ALERTS__SLACK_CHANNEL, or GROWTH_ALERTS__GITHUB_REPOSITORY and "
            "GROWTH_ALERTS__GITHUB_TOKEN, or GROWTH_ALERTS__HEARTBEAT_URL",
        )
    with open_store(say) as store:
        return send_test(store, channels, now=now)


def send_test(store: AlertStore, channels: Sequence[Channel], *, now: datetime) -> Tested:
    """One test to each channel, whether or not it was left alone since it last refused."""
    key = f"test:{now.isoformat()}"
    name = fingerprint("test")
    body = f"Sent by growth alerts test at {now:%Y-%m-%d %H:%M:%S} UTC. Nothing is wrong."
    title = "A test of the alerts of growth_pipeline"
    alerts = [
        Alert(key, "test", name, title, body, level="LOW"),
        Alert(key, "heartbeat", name, "A test", "", level="LOW", audience="heartbeat"),
        # The key makes it one row a channel: it adds the one that gets nothing but reports.
        Alert(key, "test", name, title, body, level="LOW", audience="reports", picture=_DOT),
    ]
    for channel in channels:
        store.unblock(channel.name)
    store.add([], lambda _known: alerts, channels=channels, now=now)
    delivered = deliver(store, channels, clock=lambda: datetime.now(UTC))
    states = {channel: state for channel, (state, _) in store.states_of(key).items()}
    return Tested(states, delivered.errors)
