"""What senders are told. Server SDKs send again after 408, 429 and 5xx, and give up on other 4xx.

Contract: docs/events.md, "Answers".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from growth_pipeline.events.ingest.counts import Outcome
from growth_pipeline.events.ingest.ingest import Rejected

Headers = list[tuple[bytes, bytes]]

RETRY_SECONDS: Final = 2
_JSON: Final = (b"content-type", b"application/json")
_METHODS: Final = b"POST"
_PREFLIGHT_SECONDS: Final = b"600"
_ALLOWED: Final = b"authorization, content-type, content-encoding"
_EXPOSED: Final = b"retry-after"


class RefusedError(Exception):
    """A request of which nothing was stored. `closes`: the connection is of no more use."""

    def __init__(
        self,
        outcome: Outcome,
        status: int,
        message: str,
        *,
        retry_after: int | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.closes = closes


class Answer(NamedTuple):
    """One answer as it is sent, without the headers of its origin."""

    status: int
    body: bytes
    headers: Headers


def accepted(rejected: Sequence[Rejected]) -> Answer:
    """Every call is on disk, or was rejected for good."""
    content: dict[str, object] = {"success": True}
    if rejected:
        content["rejected"] = [{"index": one.place, "reason": one.reason} for one in rejected]
    return _answer(200, content)


def refused(error: RefusedError, *, closes: bool) -> Answer:
    """Nothing of the request was stored. `closes`: nobody listens to the rest of it."""
    content = {"success": False, "code": error.outcome.value, "message": error.message}
    answer = _answer(error.status, content)
    if error.retry_after is not None:
        answer.headers.append((b"retry-after", str(error.retry_after).encode()))
    if closes:
        answer.headers.append((b"connection", b"close"))
    return answer


def preflight() -> Answer:
    """What a browser may do, asked before it does it."""
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _ALLOWED),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    ]
    return Answer(204, b"", headers)


def of_origin(origin: bytes, *, allowed: bool) -> Headers:
    """The headers with which a browser shows an answer to a page, or not."""
    vary = (b"vary", b"origin")
    if not allowed:
        return [vary]
    return [
        vary,
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
    ]


def _answer(status: int, content: Mapping[str, object]) -> Answer:
    body = orjson.dumps(content)
    return Answer(status, body, [_JSON, (b"content-length", str(len(body)).encode())])
