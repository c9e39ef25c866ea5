"""Claude through Anthropic's SDK: one request, and what came of it. The only importer of the SDK.

Nothing is tried again here, and nothing of what the server says but the answer itself goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from growth_pipeline.insights.writer.model import (
    Answered,
    Failure,
    Outcome,
    Question,
    Usage,
    texts_of,
)

if TYPE_CHECKING:
    import anthropic
    import httpx2

_KEY: Final = "GROWTH_INSIGHTS__ANTHROPIC_API_KEY"
_BASE: Final = "GROWTH_INSIGHTS__ANTHROPIC_API_BASE"
_MODEL: Final = "GROWTH_INSIGHTS__MODEL"
_MOST_OUTPUT: Final = "GROWTH_INSIGHTS__MAX_OUTPUT_TOKENS"
_CONNECT_SECONDS: Final = 10.0
_SERVER_ERROR: Final = 500
_OVERLOADED: Final = 529
_MOST_TOKENS: Final = 1_000_000_000
# Names of a spend limit in a 429. The API's documentation: such a 429 has no Retry-After, and no
# retry helps before the month or the contract is over.
_SPEND_CODES: Final = ("enforced_spend_limit_reached", "contract_spend_limit_reached")

# Status -> what it means to whoever runs this. Others are told by their class.
_REFUSALS: Final[Mapping[int, tuple[Outcome, str]]] = {
    HTTPStatus.BAD_REQUEST: (
        Outcome.REQUEST,
        "Claude's API did not accept the question (400): the model may not know what was asked of "
        f"it ({_MODEL}), or a spend limit that the organization set is reached",
    ),
    HTTPStatus.UNAUTHORIZED: (Outcome.KEY, f"Claude's API does not know the key (401): {_KEY}"),
    HTTPStatus.PAYMENT_REQUIRED: (
        Outcome.SPEND_LIMIT,
        "Claude's API asks for payment (402): see the billing page of the organization",
    ),
    HTTPStatus.FORBIDDEN: (
        Outcome.KEY,
        f"Claude's API does not allow this to the key (403): {_KEY}, or {_MODEL}",
    ),
    HTTPStatus.NOT_FOUND: (
        Outcome.MODEL,
        f"Claude's API does not know the model (404): {_MODEL}, or {_BASE}",
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        Outcome.TOO_LONG,
        "Claude's API found the question too long (413)",
    ),
}
_AGAIN: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT)


class AnthropicModel:
    """Claude. `allow_loopback` is for tests."""

    def __init__(
        self, name: str, api_key: SecretStr, base_url: str, *, allow_loopback: bool = False
    ) -> None:
        self._name = name
        self._api_key = api_key
        self._base_url = base_url
        self._allow_loopback = allow_loopback

    def __repr__(self) -> str:
        return f"AnthropicModel({self._name!r})"

    @property
    def name(self) -> str:
        """Id of the model."""
        return self._name

    def ask(self, question: Question, *, seconds: float) -> Answered | Failure:
        """What came of one request, after `seconds` at most.

        A server that sends a byte now and then would keep any timeout of a socket from ending, and
        a name server answers when it likes; so the request runs in a thread that is not waited for.
        """
        deadline = monotonic() + seconds
        if not _is_plain(self._api_key.get_secret_value()):
            sentence = f"the key of Claude's API holds signs that no key has: {_KEY}"
            return Failure(outcome=Outcome.KEY, message=sentence)
        client = self._open(seconds)
        pool = ThreadPoolExecutor(1, "claude")
        try:
            asked = pool.submit(_ask, client, question.to_request(self._name))
            return asked.result(max(0.0, deadline - monotonic()))
        except TimeoutError:
            return _too_slow()
        finally:
            client.close()
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, seconds: float) -> anthropic.Anthropic:
        import anthropic
        import httpx2

        from growth_pipeline.insights.writer.transport import ClaudeTransport

        timeout = httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        key = self._api_key.get_secret_value()
        transport = ClaudeTransport(
            {"Authorization": f"Bearer {key}"}, allow_loopback=self._allow_loopback
        )
        return anthropic.Anthropic(
            api_key=key,
            base_url=self._base_url,
            timeout=timeout,
            max_retries=0,
            open_telemetry=False,
            http_client=httpx2.Client(
                transport=transport, timeout=timeout, follow_redirects=False, trust_env=False
            ),
        )


def _is_plain(key: str) -> bool:
    """Whether a key can stand in a header."""
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def _ask(client: anthropic.Anthropic, request: dict[str, Any]) -> Answered | Failure:
    import anthropic

    try:
        raw = client.messages.with_raw_response.create(**request)
        return read_body(raw.http_response.content)
    except anthropic.APIStatusError as error:
        return _of_status(error.response, error.error_code)
    except anthropic.APITimeoutError:
        return _too_slow()
    except anthropic.APIConnectionError as error:
        return _of_connection(error.__cause__)
    except Exception as error:  # noqa: BLE001 - a report comes whatever the SDK makes of an answer
        return Failure(
            outcome=Outcome.UNEXPECTED,
            message=f"asking Claude failed in a way that nobody foresaw ({type(error).__name__})",
            may_cost=True,
        )


class _Usage(BaseModel):
    model_config = ConfigDict(strict=True)

    input_tokens: Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
    output_tokens: Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
    cache_creation_input_tokens: Annotated[int, Field(ge=0, le=_MOST_TOKENS)] | None = None
    cache_read_input_tokens: Annotated[int, Field(ge=0, le=_MOST_TOKENS)] | None = None

    def told(self) -> Usage:
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return Usage(self.input_tokens + cached, self.output_tokens)


class _Message(BaseModel):
    model_config = ConfigDict(strict=True)

    content: list[dict[str, Any]]
    stop_reason: str
    usage: _Usage


def read_body(body: bytes) -> Answered | Failure:
    """What the body of a 200 says."""
    try:
        response = orjson.loads(body)
        message = _Message.model_validate(response)
    except (orjson.JSONDecodeError, ValidationError, RecursionError):
        return _unreadable()
    if b"\\u0000" in orjson.dumps(response):  # Postgres keeps no NUL
        return _unreadable()
    usage, text = message.usage.told(), texts_of(message.content)
    if failed := _stopped(message.stop_reason, text):
        outcome, sentence = failed
        return Failure(
            outcome=outcome,
            message=sentence,
            retryable=outcome is Outcome.EMPTY,
            usage=usage,
            response=response,
        )
    return Answered(text=text, usage=usage, stop_reason=message.stop_reason, response=response)


def _stopped(reason: str, text: str) -> tuple[Outcome, str] | None:
    """Why an answer is none, although it came with status 200."""
    if reason == "refusal":
        return Outcome.REFUSED, "Claude refused to write about these facts"
    if reason in ("max_tokens", "model_context_window_exceeded"):
        return Outcome.CUT, f"Claude's answer was cut at its limit of tokens ({_MOST_OUTPUT})"
    if not text.strip():
        return Outcome.EMPTY, "Claude's answer was empty"
    return None


def _of_status(response: httpx2.Response, error_code: str | None) -> Failure:
    status = response.status_code
    wait = _retry_after(response.headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _too_many(wait, error_code)
    if status in _REFUSALS:
        outcome, sentence = _REFUSALS[HTTPStatus(status)]
        return Failure(outcome=outcome, message=sentence)
    if status >= _SERVER_ERROR or status in _AGAIN:
        cause = "is overloaded" if status == _OVERLOADED else "failed"
        return Failure(
            outcome=Outcome.SERVER,
            message=f"Claude's API {cause} ({status})",
            retryable=response.headers.get("x-should-retry") != "false",
            retry_after=wait,
        )
    if status < HTTPStatus.BAD_REQUEST:
        sentence = (
            f"Claude's API answered with a redirect ({status}), which is not followed: {_BASE}"
        )
        return Failure(outcome=Outcome.ADDRESS, message=sentence)
    sentence = f"Claude's API did not accept the question ({status})"
    return Failure(outcome=Outcome.REQUEST, message=sentence)


def _too_many(wait: float | None, error_code: str | None) -> Failure:
    if wait is None or error_code in _SPEND_CODES:
        return Failure(
            outcome=Outcome.SPEND_LIMIT,
            message="Claude's API takes no more questions (429) and does not say from when on it "
            "will: the organization's spend limit is probably reached",
        )
    return Failure(
        outcome=Outcome.RATE_LIMIT,
        message="Claude's API takes no more questions for now (429): a rate limit is reached",
        retryable=True,
        retry_after=wait,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, if the answer tells them as a number that can be waited."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _of_connection(cause: BaseException | None) -> Failure:
    from growth_pipeline.insights.writer import transport

    if isinstance(cause, transport.ForbiddenAddressError):
        return Failure(
            outcome=Outcome.ADDRESS,
            message=f"Claude's API may not be called at its address: {cause} ({_BASE})",
        )
    if isinstance(cause, transport.AnswerTooLargeError):
        return Failure(
            outcome=Outcome.TOO_LARGE,
            message="Claude's answer was larger than any answer may be",
            may_cost=True,
        )
    if isinstance(cause, transport.AnswerEncodedError):
        return _unreadable()
    return Failure(
        outcome=Outcome.CONNECTION,
        message="the connection to Claude's API broke, or there was none",
        retryable=True,
        may_cost=True,
    )


def _unreadable() -> Failure:
    return Failure(
        outcome=Outcome.BODY,
        message="Claude's answer could not be read",
        retryable=True,
        may_cost=True,
    )


def _too_slow() -> Failure:
    return Failure(
        outcome=Outcome.TIMEOUT,
        message="Claude answered too slowly",
        retryable=True,
        may_cost=True,
    )
