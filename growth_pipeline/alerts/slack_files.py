"""Slack's Web API: the weekly report as one message with its picture, and nothing else.

Three calls: a place for the picture, its bytes, and the message that shows it. Nobody sees anything
before the last one, so an answer that was lost before it is no message; only the last one's answer
can leave it unknown. Source: Slack, "files.getUploadURLExternal", "files.completeUploadExternal".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from growth_pipeline.alerts.answers import LATER, check_status, one_request, retry_after
from growth_pipeline.alerts.deliver import (
    ChannelRefusedError,
    OutcomeUnknownError,
    Sent,
    WaitingAlert,
)
from growth_pipeline.alerts.limits import SLACK_RATES
from growth_pipeline.alerts.outbound import OutboundTransport, ask, call, open_client
from growth_pipeline.alerts.slack import build_report_blocks, escape_mrkdwn

NAME: Final = "slack_files"
TIMEOUT_SECONDS: Final = 20
BASE_SETTING: Final = "GROWTH_ALERTS__SLACK_API_BASE"
_UPLOAD_SETTING: Final = f"{BASE_SETTING} (its server said that the picture goes to that URL)"
_BOT_REMEDY: Final = (
    "check GROWTH_ALERTS__SLACK_BOT_TOKEN (a bot token with the rights files:write and "
    "chat:write); the alerts wait"
)
_CHANNEL_REMEDY: Final = (
    "check GROWTH_ALERTS__SLACK_CHANNEL and invite the bot to that channel; the alerts wait"
)
# What Slack says no with, if it says it -> what to correct. Source: Slack, "Errors" of each method.
_SETTINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"),
            *("missing_scope", "no_permission", "not_allowed_token_type", "access_denied"),
            *("org_login_required", "ekm_access_denied", "team_access_not_granted"),
            *("file_uploads_disabled", "file_uploads_except_images_disabled"),
        ),
        _BOT_REMEDY,
    ),
    **dict.fromkeys(
        (
            *("channel_not_found", "not_in_channel", "is_archived", "invalid_channel"),
            *("restricted_action", "posting_to_channel_denied"),
        ),
        _CHANNEL_REMEDY,
    ),
}
_BUSY: Final = frozenset({"ratelimited", "rate_limited", "service_unavailable", "request_timeout"})
# Slack's own words for both: some part of it may have been done.
_PERHAPS_DONE: Final = frozenset({"internal_error", "fatal_error"})
_FILE_ID = re.compile(r"F[A-Z0-9]{2,30}\Z")


class SlackFilesChannel:
    """Tells reports with a bot's token. The token goes to the API alone, never to an upload's URL.

    Made with httpx behind the one door: slack_sdk's client would open connections of its own.
    """

    name = NAME
    audiences = frozenset({"reports"})
    batch = 1
    pictures = True
    threads = False
    readable = False
    rates = SLACK_RATES
    requests = 1

    def __init__(
        self,
        bot_token: str,
        channel_id: str,
        *,
        api_base: str = "https://slack.com/api",
        transport: httpx.BaseTransport | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._token, self._channel = bot_token, channel_id
        self._base = api_base.rstrip("/")
        self._client = open_client(
            transport or OutboundTransport(), timeout_seconds=timeout_seconds
        )

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """One message, with its picture unless it may have been read before. See `Channel.send`."""
        for alert in alerts:
            blocks = json.dumps([block.to_dict() for block in build_report_blocks(alert)])
            if alert.picture is None or alert.repeated:
                text = escape_mrkdwn(alert.title)
                form = {"channel": self._channel, "text": text, "blocks": blocks}
                self._tell("chat.postMessage", {**form, "unfurl_links": "false"})
            else:
                files = [{"id": self._upload(alert, alert.picture), "title": _stem(alert)}]
                form = {"channel_id": self._channel, "files": json.dumps(files), "blocks": blocks}
                self._tell("files.completeUploadExternal", form)
        return Sent()

    def find(self, alert: WaitingAlert) -> str | None:
        """Reading the channel's messages would need more rights than telling does."""
        raise OutcomeUnknownError(f"Slack cannot tell whether alert {alert.alert_id} arrived")

    def _upload(self, alert: WaitingAlert, picture: bytes) -> str:
        """Id of a picture that Slack holds and nobody sees yet. Raises: ChannelRefusedError."""
        with _unseen():
            place = self._ask(
                "files.getUploadURLExternal",
                {
                    "filename": f"{_stem(alert)}.png",
                    "length": str(len(picture)),
                    "alt_txt": _alt_text(alert),
                },
            )
            url, file_id = place.get("upload_url"), place.get("file_id")
            if not isinstance(url, str) or not _FILE_ID.match(str(file_id)):
                raise OutcomeUnknownError("Slack's answer could not be read")
            with one_request("Slack", _UPLOAD_SETTING):
                response = call(self._client, "POST", url, content=picture)
            if response.status_code != httpx.codes.OK:
                raise ChannelRefusedError(
                    f"Slack answered {response.status_code} to the picture",
                    remedy=LATER,
                    retry_after=retry_after(response.headers, datetime.now(UTC)),
                )
        return str(file_id)

    def _tell(self, method: str, form: Mapping[str, str]) -> None:
        """The call after which people see it."""
        self._ask(method, form)

    def _ask(self, method: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Slack's yes. Raises: ChannelRefusedError, OutcomeUnknownError."""
        with one_request("Slack", BASE_SETTING):
            response, body = ask(self._client, f"{self._base}/{method}", form, token=self._token)
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise OutcomeUnknownError(f"Slack answered {response.status_code}")
        check_status(response, "Slack", BASE_SETTING)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or "ok" not in answer:
            raise OutcomeUnknownError("Slack's answer could not be read")
        if answer["ok"] is not True:
            raise _refusal(str(answer.get("error")))
        return answer


@contextmanager
def _unseen() -> Iterator[None]:
    """Lost answers to calls that show nobody anything: certainly nothing was told."""
    try:
        yield
    except OutcomeUnknownError as error:
        raise ChannelRefusedError(error.message, remedy=LATER) from None


def _refusal(code: str) -> ChannelRefusedError | OutcomeUnknownError:
    """What a no means. Only words that we know are shown."""
    if code in _PERHAPS_DONE:
        return OutcomeUnknownError(f"Slack answered {code}")
    if code in _BUSY:
        return ChannelRefusedError(f"Slack answered {code}", remedy=LATER)
    if code in _SETTINGS:
        return ChannelRefusedError(
            f"Slack answered {code}", remedy=_SETTINGS[code], retryable=False
        )
    return ChannelRefusedError(
        "Slack refused one message",
        remedy="read the alert in the log; it is tried again in an hour",
        blocks_channel=False,
    )


def _stem(alert: WaitingAlert) -> str:
    """`growth-report-2026-11-01`: made of the fingerprint, which holds no text from outside."""
    return "growth-" + re.sub(r"[^A-Za-z0-9]+", "-", alert.fingerprint)


def _alt_text(alert: WaitingAlert) -> str:
    """For who cannot see the picture: what it draws stands in the message."""
    title = re.sub(r"[<>&]+", " ", alert.title)
    return f"{title}: a drawing of figures that the message tells in words."
