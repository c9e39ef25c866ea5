"""The channels that are configured, by name and opened; what one does is in its own module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import SecretStr

    from growth_pipeline.alerts.deliver import Channel
    from growth_pipeline.alerts.outbound import OutboundTransport


class AlertAddresses(Protocol):
    """Where alerts go; `AlertSettings` in production, which only entry points may read."""

    slack_webhook_url: SecretStr | None
    slack_mention: str | None
    slack_bot_token: SecretStr | None
    slack_channel: str | None
    slack_api_base: str
    github_repository: str | None
    github_token: SecretStr | None
    github_api_base: str
    github_mention: str | None
    heartbeat_url: SecretStr | None
    allow_loopback: bool


def channel_names(settings: AlertAddresses) -> frozenset[str]:
    """Channels that alerts are delivered to; the log is always one of them."""
    names = {"log"}
    names |= {"slack"} if settings.slack_webhook_url else set()
    names |= {"slack_files"} if shows_pictures(settings) else set()
    names |= {"github"} if settings.github_token and settings.github_repository else set()
    names |= {"heartbeat"} if settings.heartbeat_url else set()
    return frozenset(names)


def shows_pictures(settings: AlertAddresses) -> bool:
    """Whether Slack gets weekly reports with their pictures, by a bot instead of the webhook."""
    return bool(settings.slack_bot_token and settings.slack_channel)


def open_channels(settings: AlertAddresses) -> Sequence[Channel]:
    """Channels outside, all behind the one door to URLs of settings. Empty: the log alone.

    Raises: ConfigurationError for a repository that is not one.
    """
    from growth_pipeline.alerts.outbound import OutboundTransport

    transport = OutboundTransport(allow_loopback=settings.allow_loopback)
    channels = _open_slack(settings, transport)
    if settings.github_token and settings.github_repository:
        from growth_pipeline.alerts.github import GitHubChannel

        channels.append(
            GitHubChannel(
                settings.github_token.get_secret_value(),
                settings.github_repository,
                api_base=settings.github_api_base,
                transport=transport,
                mention=settings.github_mention,
            )
        )
    if settings.heartbeat_url:
        from growth_pipeline.alerts.heartbeat import HeartbeatChannel

        url = settings.heartbeat_url.get_secret_value()
        channels.append(HeartbeatChannel(url, transport=transport))
    return channels


def _open_slack(settings: AlertAddresses, transport: OutboundTransport) -> list[Channel]:
    """The webhook for alerts, and a bot for reports: where it is configured it alone tells them."""
    channels: list[Channel] = []
    if settings.slack_webhook_url:
        from growth_pipeline.alerts.slack import SlackChannel

        channels.append(
            SlackChannel(
                settings.slack_webhook_url.get_secret_value(),
                transport=transport,
                mention=settings.slack_mention,
                reports=not shows_pictures(settings),
            )
        )
    if settings.slack_bot_token and settings.slack_channel:
        from growth_pipeline.alerts.slack_files import SlackFilesChannel

        channels.append(
            SlackFilesChannel(
                settings.slack_bot_token.get_secret_value(),
                settings.slack_channel,
                api_base=settings.slack_api_base,
                transport=transport,
            )
        )
    return channels
