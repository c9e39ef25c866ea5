"""One question to Claude over a real connection: every outcome, in our own words, within its time."""

from __future__ import annotations

import logging
import time

import httpx2
import pytest
from pydantic import SecretStr

from growth_pipeline.insights.writer.client import AnthropicModel
from growth_pipeline.insights.writer.model import Answered, Failure, Question, Turn, Usage
from growth_pipeline.insights.writer.schema import ANSWER_SCHEMA
from growth_pipeline.insights.writer.transport import (
    LARGEST_ANSWER,
    ClaudeTransport,
    ForbiddenAddressError,
)
from growth_pipeline.settings import InsightSettings
from growth_pipeline_tests.fakes.claude_server import FakeClaude, Reply, message, refusal, serving

INSIDE = "http://127.0.0.1:1/"
KEY = "sk-ant-canary-0123456789"
QUESTION = Question(
    system="Say.", turns=(Turn("user", "What?"),), schema=ANSWER_SCHEMA, max_tokens=1234
)
HONEST = message('{"claims":[],"predictions":[]}')


def a_model(url, *, name="claude-sonnet-5-5"):
    return AnthropicModel(name, SecretStr(KEY), url, allow_loopback=True)


def ask(*replies, seconds=20.0):
    with serving(FakeClaude(*replies)) as fake:
        return a_model(fake.url).ask(QUESTION, seconds=seconds), fake


def test_an_answer_comes_with_its_tokens_and_its_body():
    came, _ = ask(HONEST)
    assert isinstance(came, Answered)
    assert came.text == '{"claims":[],"predictions":[]}'
    assert came.usage == Usage(4000, 900)
    assert came.stop_reason == "end_turn"
    assert came.response["id"] == "msg_1"


def test_tokens_read_from_a_cache_of_theirs_count_as_input():
    came, _ = ask(message("{}", usage=used(1, 2) | {"cache_read_input_tokens": 30}))
    assert came.usage == Usage(31, 2)


def test_the_question_is_sent_exactly_as_it_is_kept_and_without_temperature_or_tools():
    _, fake = ask(HONEST)
    assert fake.bodies() == [QUESTION.to_request("claude-sonnet-5-5")]
    assert fake.bodies()[0] == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1234,
        "system": "Say.",
        "messages": [{"role": "user", "content": "What?"}],
        "output_config": {"format": {"type": "json_schema", "schema": dict(ANSWER_SCHEMA)}},
    }


def test_nothing_of_this_machine_or_its_environment_goes_with_a_question(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: anna\nAuthorization: Bearer other")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "other")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    came, fake = ask(HONEST)
    assert isinstance(came, Answered)
    first, *headers = fake.heads()[0].split("\r\n")
    assert first == "POST /v1/messages HTTP/1.1"
    told = dict(line.lower().split(": ", 1) for line in headers)
    assert set(told) == {
        *("host", "accept", "accept-encoding", "connection", "content-type", "content-length"),
        *("user-agent", "authorization", "anthropic-version"),
    }
    assert told["authorization"] == f"bearer {KEY}"


SPEND = ("spend limit", False, None)
UNREADABLE = ("answer unreadable", True, None)
EMPTY = ("answer empty", True, None)
SERVER = ("server error", True, None)
BROKE = ("connection broke", True, None)
LONG = ("answer too large", False, None)
SPEND_CODE = "enforced_spend_limit_reached"


def used(tokens_in, tokens_out):
    return {"input_tokens": tokens_in, "output_tokens": tokens_out}


@pytest.mark.parametrize(
    ("reply", "outcome", "retryable", "retry_after"),
    [
        (refusal(429, "rate_limit_error", retry_after="7"), "rate limit", True, 7.0),
        (refusal(429, "rate_limit_error", retry_after_ms="1500"), "rate limit", True, 1.5),
        (refusal(429, "a", code="ramp_limit_exceeded", retry_after="3"), "rate limit", True, 3.0),
        (refusal(429, "rate_limit_error"), *SPEND),
        (refusal(429, "rate_limit_error", retry_after="nan"), *SPEND),
        (refusal(429, "rate_limit_error", retry_after="-1"), *SPEND),
        (refusal(429, "rate_limit_error", code=SPEND_CODE, retry_after="1"), *SPEND),
        (refusal(402, "billing_error"), *SPEND),
        (refusal(400, "invalid_request_error"), "question refused", False, None),
        (refusal(401, "authentication_error"), "key refused", False, None),
        (refusal(403, "permission_error"), "key refused", False, None),
        (refusal(404, "not_found_error"), "model unknown", False, None),
        (refusal(413, "request_too_large"), "question too long", False, None),
        (refusal(418, "teapot"), "question refused", False, None),
        (refusal(408, "timeout_error"), *SERVER),
        (refusal(500, "api_error"), *SERVER),
        (refusal(500, "api_error", x_should_retry="false"), "server error", False, None),
        (refusal(502, "api_error"), *SERVER),
        (refusal(503, "api_error", retry_after="2"), "server error", True, 2.0),
        (refusal(529, "overloaded_error"), *SERVER),
        (Reply(status=500, body=b"<html>servers-own-words"), *SERVER),
        (Reply(status=307, headers={"location": INSIDE}), "address refused", False, None),
        (message("{}", stop_reason="refusal"), "refused", False, None),
        (message(None, stop_reason="refusal"), "refused", False, None),
        (message('{"claims": [', stop_reason="max_tokens"), "answer cut", False, None),
        (message("{}", stop_reason="model_context_window_exceeded"), "answer cut", False, None),
        (message(None), *EMPTY),
        (message("  \n"), *EMPTY),
        (message("{}", content=[]), *EMPTY),
        (message("{}", content="text"), *UNREADABLE),
        (message("{}", content=[1]), *UNREADABLE),
        (message("{}", usage=None), *UNREADABLE),
        (message("{}", usage=used(-1, 1)), *UNREADABLE),
        (message("{}", usage=used(10**30, 1)), *UNREADABLE),
        (message("{}", usage=used("1", 1)), *UNREADABLE),
        (message("{}", stop_reason=None), *UNREADABLE),
        (message("a\x00b"), *UNREADABLE),
        (message("\ud800"), *UNREADABLE),
        (Reply(body=b""), *UNREADABLE),
        (Reply(body=b"null"), *UNREADABLE),
        (Reply(body=b"<html>servers-own-words"), *UNREADABLE),
        (Reply(body=b"\xff\xfe{}"), *UNREADABLE),
        (Reply(body=b"[" * 200_000), *UNREADABLE),
        (Reply(status=204), *UNREADABLE),
        (Reply(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}), *UNREADABLE),
        (Reply(chunk=b"x" * 100_000, chunks=100), *LONG),
        (Reply(status=500, chunk=b"x" * 100_000, chunks=100), *LONG),
        (Reply(body=HONEST.body, cut_at=0), *BROKE),
        (Reply(body=HONEST.body, cut_at=9), *BROKE),
        (Reply(body=HONEST.body, cut_at=200), *BROKE),
        (Reply(body=HONEST.body, cut_at=200, reset=True), *BROKE),
    ],
)
def test_every_outcome_has_its_kind_and_says_nothing_of_the_servers(
    reply, outcome, retryable, retry_after
):
    came, fake = ask(reply)
    assert isinstance(came, Failure)
    assert (came.outcome, came.retryable, came.retry_after) == (outcome, retryable, retry_after)
    assert len(fake.received) == 1
    assert "servers-own-words" not in came.message
    assert KEY not in came.message


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        (401, "GROWTH_INSIGHTS__ANTHROPIC_API_KEY"),
        (403, "GROWTH_INSIGHTS__ANTHROPIC_API_KEY"),
        (404, "GROWTH_INSIGHTS__MODEL"),
    ],
)
def test_a_refusal_names_the_setting_to_look_at(status, setting):
    came, _ = ask(refusal(status, "some_error"))
    assert setting in came.message


def test_what_may_have_been_charged_is_told():
    came, _ = ask(Reply(body=HONEST.body, cut_at=200))
    assert came.may_cost
    came, _ = ask(refusal(529, "overloaded_error"))
    assert not came.may_cost
    came, _ = ask(message("{", stop_reason="max_tokens"))
    assert came.usage == Usage(4000, 900)


def test_where_nothing_listens_the_connection_broke():
    with serving(FakeClaude(HONEST)) as fake:
        gone = fake.url
    came = a_model(gone).ask(QUESTION, seconds=5)
    assert came.outcome == "connection broke"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=HONEST.body, wait=30),
        Reply(body=HONEST.body, drip=0.05),
        Reply(body=b" " * 2000 + HONEST.body, drip=0.02, headers={"x": "y" * 500}),
    ],
    ids=["silent", "head by drops", "all by drops"],
)
def test_no_server_keeps_a_question_beyond_its_time(reply):
    began = time.monotonic()
    came, _ = ask(reply, seconds=1.0)
    assert came.outcome == "too slow"
    assert time.monotonic() - began < 3.0


def test_an_answer_up_to_the_bound_is_read():
    text = "x" * (LARGEST_ANSWER - 2_000)
    came, _ = ask(message(text))
    assert came.text == text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://api.anthropic.com",
        "https://169.254.169.254",
        "https://10.0.0.1",
    ],
)
def test_an_address_inside_is_not_called(url):
    came = AnthropicModel("m", SecretStr(KEY), url).ask(QUESTION, seconds=5)
    assert came.outcome == "address refused"
    assert "GROWTH_INSIGHTS__ANTHROPIC_API_BASE" in came.message


@pytest.mark.parametrize("key", ["sk ant", "sk\nant", "sk-\u05d0", ""])
def test_a_key_that_no_header_can_carry_is_not_sent(key):
    with serving(FakeClaude(HONEST)) as fake:
        model = AnthropicModel("m", SecretStr(key), fake.url, allow_loopback=True)
        came = model.ask(QUESTION, seconds=5)
    assert (came.outcome, fake.received) == ("key refused", [])
    assert "GROWTH_INSIGHTS__ANTHROPIC_API_KEY" in came.message


class Wire(httpx2.BaseTransport):
    """The wire below: remembers what would have been sent where, and under which name."""

    def __init__(self):
        self.sent = []

    def handle_request(self, request):
        self.sent.append(
            (request.url.host, request.extensions["sni_hostname"], request.headers["host"])
        )
        return httpx2.Response(200, stream=httpx2.ByteStream(HONEST.body))


def test_the_connection_goes_to_the_checked_address_under_the_name_of_the_url():
    wire, asked = Wire(), []
    transport = ClaudeTransport(
        {}, resolve=lambda host, _port: asked.append(host) or ["93.184.215.14"], inner=wire
    )
    with httpx2.Client(transport=transport, trust_env=False) as client:
        client.post("https://api.anthropic.example/v1/messages")
    assert wire.sent == [("93.184.215.14", "api.anthropic.example", "api.anthropic.example")]
    assert asked == ["api.anthropic.example"]


def test_a_name_that_resolves_inside_is_not_called():
    transport = ClaudeTransport({}, resolve=lambda _host, _port: ["93.184.215.14", "10.0.0.7"])
    with (
        httpx2.Client(transport=transport, trust_env=False) as client,
        pytest.raises(ForbiddenAddressError),
    ):
        client.post("https://api.anthropic.example/v1/messages")


def test_the_key_is_in_no_text_of_the_model_and_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    with serving(FakeClaude(HONEST, refusal(401, "authentication_error"))) as fake:
        model = a_model(fake.url)
        came = [model.ask(QUESTION, seconds=20) for _ in range(2)]
    assert KEY not in f"{model!r} {model} {vars(model)} {came} {QUESTION}"
    assert caplog.records
    assert KEY not in caplog.text


def test_the_default_model_is_not_one_that_is_to_be_switched_off():
    from anthropic.resources.messages.messages import DEPRECATED_MODELS

    default = InsightSettings.model_fields["model"].default
    assert default not in DEPRECATED_MODELS
    assert not [name for name in DEPRECATED_MODELS if name.startswith(f"{default}-")]
