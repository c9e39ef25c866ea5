"""Channels on the fakes of Slack, GitHub and a cron monitor, and a clock that no test waits for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline_tests.fakes.alert_servers import (
    BOT_CHANNEL,
    BOT_TOKEN,
    CLIENT_TIMEOUT,
    FakeGitHub,
    FakeMonitor,
    FakeSlack,
    serving,
)


def on_loopback():
    """A transport that may reach the fakes of this module."""
    from growth_pipeline.alerts.outbound import OutboundTransport

    return OutboundTransport(allow_loopback=True)


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with serving(FakeSlack()) as fake:
        yield fake


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serving(FakeGitHub()) as fake:
        yield fake


@pytest.fixture
def slack_channel(slack):
    from growth_pipeline.alerts.slack import SlackChannel

    return SlackChannel(
        f"{slack.url}/services/T0/B0/secret",
        transport=on_loopback(),
        mention="U0MEMBER",
        timeout_seconds=CLIENT_TIMEOUT,
    )


@pytest.fixture
def files_channel(slack):
    from growth_pipeline.alerts.slack_files import SlackFilesChannel

    return SlackFilesChannel(
        BOT_TOKEN,
        BOT_CHANNEL,
        api_base=f"{slack.url}/api",
        transport=on_loopback(),
        timeout_seconds=CLIENT_TIMEOUT,
    )


@pytest.fixture
def github_channel(github):
    from growth_pipeline.alerts.github import GitHubChannel

    return GitHubChannel(
        "ghp_token_of_a_test",
        "acme/books",
        api_base=github.url,
        transport=on_loopback(),
        mention="acme/on-call",
        timeout_seconds=CLIENT_TIMEOUT,
    )


@pytest.fixture
def monitor() -> Iterator[FakeMonitor]:
    with serving(FakeMonitor()) as fake:
        yield fake


@pytest.fixture
def heartbeat_channel(monitor):
    from growth_pipeline.alerts.heartbeat import HeartbeatChannel

    return HeartbeatChannel(
        f"{monitor.url}/ping/secret", transport=on_loopback(), timeout_seconds=CLIENT_TIMEOUT
    )


class FakeClock:
    """A clock that a pause moves on, so that no test waits."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2025, 11, 1, 0, 5, tzinfo=UTC))


@pytest.fixture
def nobody_listens() -> str:
    """Address of a port that refuses connections."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
