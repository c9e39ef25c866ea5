"""Slack's incoming webhook: several alerts a message, and no text that Slack would act on."""

from __future__ import annotations

import http.client
import logging
import socket
import urllib.error
from collections.abc import Sequence

from slack_sdk.errors import SlackClientError
from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, PlainTextObject, SectionBlock
from slack_sdk.webhook import WebhookClient, WebhookResponse

from growth_pipeline.alerts.deliver import (
    ChannelRefusedError,
    OutcomeUnknownError,
    WaitingAlert,
)

ALERTS_A_MESSAGE = 20
TIMEOUT_SECONDS = 10
_HTTP_OK = 200
_HTTP_SERVER_ERROR = 500
_HTTP_TOO_MANY = 429
# Slack refuses a longer plain-text section or header. Source: Slack, "Block Kit", text objects.
_SECTION_LENGTH = 2900
_SUMMARY_LENGTH = 150

# The SDK logs the address at DEBUG, and the address is the secret.
_SILENT = logging.getLogger("growth_pipeline.alerts.slack.sdk")
_SILENT.addHandler(logging.NullHandler())
_SILENT.setLevel(logging.CRITICAL)
_SILENT.propagate = False


def escape_mrkdwn(text: str) -> str:
    """Text that Slack shows as it is: no mention, channel call or link is read out of it.

    Source: Slack, "Formatting text", "Escaping text".
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def build_blocks(alerts: Sequence[WaitingAlert]) -> list[Block]:
    """Block Kit of one message. All alert text is plain text, where Slack reads no markup."""
    blocks: list[Block] = [HeaderBlock(text=PlainTextObject(text=_headline(alerts), emoji=False))]
    for alert in alerts:
        text = f"{alert.title}\n{alert.body}"[:_SECTION_LENGTH]
        blocks.append(SectionBlock(text=PlainTextObject(text=text, emoji=False)))
    note = PlainTextObject(text="growth_pipeline", emoji=False)
    return [*blocks, ContextBlock(elements=[note])]


def _headline(alerts: Sequence[WaitingAlert]) -> str:
    problems = sum(alert.kind != "recovery" for alert in alerts)
    recovered = len(alerts) - problems
    parts = [f"{problems} problem{'s' * (problems != 1)}"] if problems else []
    return ", ".join([*parts, *([f"{recovered} recovered"] if recovered else [])])


class SlackChannel:
    """Sends by incoming webhook. The address is a secret and appears in no message."""

    name = "slack"
    batch = ALERTS_A_MESSAGE

    def __init__(self, webhook_url: str, *, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        # No retry handlers: the SDK's own would post again after a lost answer.
        self._client = WebhookClient(
            webhook_url, timeout=timeout_seconds, retry_handlers=[], logger=_SILENT
        )

    def send(self, alerts: Sequence[WaitingAlert]) -> str | None:
        """One message for all alerts. See `Channel.send`."""
        summary = escape_mrkdwn("; ".join(alert.title for alert in alerts))[:_SUMMARY_LENGTH]
        try:
            response = self._client.send(text=summary, blocks=build_blocks(alerts))
        except urllib.error.URLError as error:
            if isinstance(error.reason, (ConnectionRefusedError, socket.gaierror)):
                raise _refused("Slack does not answer") from None
            raise OutcomeUnknownError("Slack's answer was lost") from None
        except (OSError, http.client.HTTPException, UnicodeError):
            raise OutcomeUnknownError("Slack's answer was lost") from None
        except (SlackClientError, ValueError):
            raise _refused("Slack's webhook address is not usable", retryable=False) from None
        _accept(response)
        return None

    def find(self, alert: WaitingAlert) -> str | None:
        """A webhook cannot be read back."""
        raise OutcomeUnknownError(f"Slack cannot tell whether alert {alert.alert_id} arrived")


def _accept(response: WebhookResponse) -> None:
    status = response.status_code
    if status == _HTTP_OK:
        return
    later = status == _HTTP_TOO_MANY or status >= _HTTP_SERVER_ERROR
    raise _refused(f"Slack answered {status}", retryable=later)


def _refused(message: str, *, retryable: bool = True) -> ChannelRefusedError:
    remedy = (
        "it is sent again with the next alerts"
        if retryable
        else "correct GROWTH_ALERTS__SLACK_WEBHOOK_URL; the alerts wait"
    )
    return ChannelRefusedError(message, remedy=remedy, retryable=retryable)
