"""Slack's incoming webhook: what waits as one message, and no text that Slack would act on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import httpx
from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from growth_pipeline.alerts.answers import check_status, one_request
from growth_pipeline.alerts.deliver import OutcomeUnknownError, Sent, WaitingAlert
from growth_pipeline.alerts.limits import SLACK_RATES
from growth_pipeline.alerts.outbound import OutboundTransport, call, open_client

# More alerts than this are a digest: counts, the worst ones by their title, where the rest is.
DIGEST_FROM: Final = 10
DIGEST_TITLES: Final = 15
ALERTS_A_MESSAGE: Final = 10_000
TIMEOUT_SECONDS: Final = 10
SETTING: Final = "GROWTH_ALERTS__SLACK_WEBHOOK_URL"
# Slack refuses a longer plain-text section or header. Source: Slack, "Block Kit", text objects.
_SECTION_LENGTH = 2900
_SUMMARY_LENGTH = 150
_LEVELS = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
_MENTION = re.compile(r"[UWS][A-Z0-9]{2,20}\Z")
# Kind -> one of them, several of them.
_WORDS: Final = {
    "run_failure": ("run failed", "runs failed"),
    "missed_audit": ("audit missed", "audits missed"),
    "escalation": ("escalation", "escalations"),
    "recovery": ("recovered", "recovered"),
    "test": ("test", "tests"),
    "report": ("growth report", "growth reports"),
}
_PROBLEM: Final = ("problem", "problems")
_LOST = "The answer to an earlier message was lost. It carried, and you may have read:"
_LOST_REPORT = (
    "The answer to an earlier message was lost. You may have read this report, with its picture:"
)


def escape_mrkdwn(text: str) -> str:
    """Text that Slack shows as it is: no mention, channel call or link is read out of it.

    Source: Slack, "Formatting text", "Escaping text".
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mention_of(name: str) -> str:
    """The markup that calls one member or user group. Raises: ValueError for any other text."""
    if not _MENTION.match(name):
        raise ValueError("not the id of a Slack member or user group")
    return f"<!subteam^{name}>" if name.startswith("S") else f"<@{name}>"


def build_blocks(alerts: Sequence[WaitingAlert], mention: str | None = None) -> list[Block]:
    """Block Kit of one message. All alert text is plain text, where Slack reads no markup.

    The one exception holds nothing of an alert: the configured mention, when an escalation is
    among them.
    """
    new = [alert for alert in alerts if not alert.repeated]
    lost = [alert for alert in alerts if alert.repeated]
    blocks: list[Block] = [HeaderBlock(text=_plain(_headline(new) or "An answer was lost"))]
    if mention and any(alert.kind == "escalation" for alert in alerts):
        blocks.append(SectionBlock(text=MarkdownTextObject(text=mention_of(mention))))
    blocks += [SectionBlock(text=_plain(text)) for text in _texts(new)]
    if lost:
        blocks.append(SectionBlock(text=_plain("\n".join([_LOST, *_titles(lost)]))))
    return [*blocks, ContextBlock(elements=[_plain("growth_pipeline")])]


def _plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=text[:_SECTION_LENGTH], emoji=False)


def build_report_blocks(alert: WaitingAlert) -> list[Block]:
    """One report as plain text; one that may have been read says so first."""
    title = SectionBlock(text=_plain(alert.title))
    lost = [SectionBlock(text=_plain(_LOST_REPORT))] if alert.repeated else []
    body = _sections(alert.body) if alert.body else []
    return [*lost, title, *(SectionBlock(text=_plain(text)) for text in body)]


def _sections(text: str) -> list[str]:
    """Lines in as few sections as Slack takes them in."""
    parts = [""]
    for line in text.splitlines():
        if len(parts[-1]) + len(line) + 1 > _SECTION_LENGTH:
            parts.append("")
        parts[-1] += f"\n{line}" if parts[-1] else line
    return parts


def _texts(alerts: Sequence[WaitingAlert]) -> Iterator[str]:
    """Each alert; in a flood the digest, below the reports, which are no problems to be counted."""
    if len(alerts) <= DIGEST_FROM:
        yield from _each(alerts)
        return
    reports = [alert for alert in alerts if alert.kind == "report"][-DIGEST_FROM:]
    yield from _each(reports)
    yield from _digest([alert for alert in alerts if alert not in reports])


def _each(alerts: Sequence[WaitingAlert]) -> Iterator[str]:
    for alert in alerts:
        yield f"{alert.title}\n{alert.body}"


def _digest(alerts: Sequence[WaitingAlert]) -> Iterator[str]:
    counts = Counter(alert.level for alert in alerts if alert.kind != "recovery")
    levels = ", ".join(f"{counts[level]} {level}" for level in _LEVELS if counts[level])
    yield f"Many alerts at once: {len(alerts)}" + (f" ({levels})" if levels else "")
    yield "\n".join(_titles(alerts))


def _titles(alerts: Sequence[WaitingAlert]) -> list[str]:
    worst = sorted(alerts, key=lambda one: (one.kind == "recovery", _LEVELS.index(one.level)))
    shown = [f"• {alert.title}"[: _SECTION_LENGTH // (DIGEST_TITLES + 2)] for alert in worst]
    more = len(shown) - DIGEST_TITLES
    rest = [f"and {more} more: growth alerts list"] if more > 0 else []
    return [*shown[:DIGEST_TITLES], *rest]


def _headline(alerts: Sequence[WaitingAlert]) -> str:
    counts = Counter(_WORDS.get(alert.kind, _PROBLEM) for alert in alerts)
    order = [_PROBLEM, *_WORDS.values()]
    return ", ".join(
        f"{counts[words]} {words[counts[words] != 1]}" for words in order if counts[words]
    )


class SlackChannel:
    """Sends by incoming webhook. The address is a secret and appears in no message.

    `reports`: False where another channel tells them, with their pictures.
    """

    name = "slack"
    audiences = frozenset({"all", "messages", "reports"})
    batch = ALERTS_A_MESSAGE
    pictures = False
    threads = False
    readable = False
    rates = SLACK_RATES
    requests = 1

    def __init__(
        self,
        webhook_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        mention: str | None = None,
        reports: bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if not reports:
            self.audiences = self.audiences - {"reports"}
        self._url = webhook_url
        self._mention = mention
        self._client = open_client(
            transport or OutboundTransport(), timeout_seconds=timeout_seconds
        )

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """One message for all alerts. See `Channel.send`."""
        summary = escape_mrkdwn("; ".join(alert.title for alert in alerts[:DIGEST_FROM]))
        blocks = [block.to_dict() for block in build_blocks(alerts, self._mention)]
        document = {"text": _cut(summary), "blocks": blocks}
        with one_request("Slack", SETTING):
            response = call(self._client, "POST", self._url, json=document)
        check_status(response, "Slack", SETTING)
        return Sent()

    def find(self, alert: WaitingAlert) -> str | None:
        """A webhook cannot be read back."""
        raise OutcomeUnknownError(f"Slack cannot tell whether alert {alert.alert_id} arrived")


def _cut(escaped: str) -> str:
    """The first signs of escaped text, without half an escape at their end."""
    return re.sub(r"&\w{0,3}\Z", "", escaped[:_SUMMARY_LENGTH])
