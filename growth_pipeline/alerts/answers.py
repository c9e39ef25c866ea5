"""What an answer of a channel means: taken, refused, or lost. For all channels that use HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from growth_pipeline.alerts.deliver import ChannelRefusedError, OutcomeUnknownError
from growth_pipeline.alerts.outbound import ForbiddenAddressError

LATER = "it is sent again by itself"


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long an answer asks to wait: Retry-After in seconds or as a date, or GitHub's reset.

    Source: RFC 9110, "Retry-After"; GitHub documentation, "Rate limits for the REST API".
    """
    given = headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return timedelta(seconds=min(int(given[:9]), 86_400))
    if given:
        try:
            return max(parsedate_to_datetime(given).astimezone(UTC) - now, timedelta())
        except (ValueError, OverflowError):
            return None
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return timedelta(seconds=max(0, min(int(reset[:12]) - int(now.timestamp()), 86_400)))
    return None


@contextmanager
def one_request(channel: str, setting: str) -> Iterator[None]:
    """Errors of one request become refusals and lost answers; no text of theirs is told.

    Raises: ChannelRefusedError when certainly nothing was sent, OutcomeUnknownError.
    """
    try:
        yield
    except ForbiddenAddressError as error:
        raise forbidden(str(error), setting) from None
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        raise ChannelRefusedError(f"{channel} does not answer", remedy=LATER) from None
    except (httpx.HTTPError, OSError):
        raise OutcomeUnknownError(f"{channel}'s answer was lost") from None
    except (httpx.InvalidURL, ValueError):
        raise forbidden("the URL cannot be read", setting) from None


def forbidden(reason: str, setting: str) -> ChannelRefusedError:
    """Refused by ourselves: the URL leads where nothing may be sent."""
    return ChannelRefusedError(
        reason, remedy=f"correct {setting}; the alerts wait", retryable=False
    )


def check_status(response: httpx.Response, channel: str, setting: str) -> None:
    """Raises: ChannelRefusedError for any answer that is not a yes."""
    status = response.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    later = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
    later = later or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise ChannelRefusedError(
        f"{channel} answered {status}",
        remedy=LATER if later else f"correct {setting}; the alerts wait",
        retryable=later,
        retry_after=retry_after(response.headers, datetime.now(UTC)),
    )
