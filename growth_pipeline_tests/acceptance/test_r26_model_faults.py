"""R26: whatever the Claude API does, a correct report comes out in time and within its limits.

A real client speaks to a real server on loopback that fails in every way that is known: limits,
spend caps, errors, silence, drops, cut and broken lines, refusals, cut, malformed, foreign and
endless answers. After each of them there is a report: what rules wrote is all there, beside it claims
of Claude's that the verifier supports, or the reason why there is none. Never more than three requests, 120 seconds, the cap of tokens and
of money; where a spend cap is reached, no second request.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import SecretStr

from growth_pipeline.insights.figures import render_statement
from growth_pipeline.insights.verifier.verify import verify
from growth_pipeline.insights.weekly import write_report
from growth_pipeline.insights.writer.client import AnthropicModel
from growth_pipeline.insights.writer.write import Limits, write_claims
from growth_pipeline_tests.fakes.call_memory import InMemoryCalls
from growth_pipeline_tests.fakes.claude_server import (
    FakeClaude,
    Reply,
    SteppedTime,
    message,
    refusal,
    serving,
)
from growth_pipeline_tests.fakes.growth_digests import NOW, a_digest

LIMITS = Limits(
    max_output_tokens=8_000,
    max_input_tokens=30_000,
    input_usd_per_million=Decimal(2),
    output_usd_per_million=Decimal(10),
    max_cost_usd=Decimal("0.50"),
)
MOST_CALLS, MOST_SECONDS = 3, 120.0
HURRY = 120.0  # seconds of the report's clock in one real second, where a server is slow
SLACK = 1.0  # real seconds that starting a thread and closing a line may take on a busy machine
DIGEST = a_digest()

GOOD = "{signups:label} rose by {signups:percent_size} against the week before."


def claims(*texts, predictions=()):
    told = [
        {
            "group": "users",
            "kind": "observation",
            "text": text,
            "facts": ["signups"],
            "severity": "GOOD",
            "recommendation": "Keep the onboarding.",
        }
        for text in texts
    ]
    return json.dumps({"claims": told, "predictions": list(predictions)})


HONEST = message(
    claims(GOOD, predictions=[{"fact_id": "signups", "direction": "up"}]), thinking="hm " * 1_000
)
FALSE = message(claims(*(f"{{signups:label}} fell to {n}." for n in range(4))))
ACTIVE = message(claims(*("[x](http://evil.example) <img src=x onerror=alert(1)>",) * 4))
HUGE = Reply(chunk=b"x" * 100_000, chunks=100)
SPEND = (
    refusal(429, "rate_limit_error"),
    refusal(429, "rate_limit_error", code="enforced_spend_limit_reached"),
    refusal(429, "rate_limit_error", code="contract_spend_limit_reached", retry_after="1"),
    refusal(402, "billing_error"),
    refusal(400, "invalid_request_error"),
)
# Name -> answers; the last one again and again. Where a good one follows, the report has claims.
FAULTS: dict[str, list[Reply]] = {
    "honest": [HONEST],
    "429 with retry-after": [refusal(429, "rate_limit_error", retry_after="5"), HONEST],
    "429 for ever": [refusal(429, "rate_limit_error", retry_after="5")],
    "429 with a long retry-after": [refusal(429, "rate_limit_error", retry_after="3600")],
    **{f"spend cap {n}": [reply, HONEST] for n, reply in enumerate(SPEND)},
    **{f"{n} once": [refusal(n, "api_error"), HONEST] for n in (408, 500, 502, 503, 504, 529)},
    **{f"{n} for ever": [refusal(n, "api_error")] for n in (500, 529)},
    **{f"{n}": [refusal(n, "some_error"), HONEST] for n in (401, 403, 404, 413, 422)},
    "redirect": [Reply(status=307, headers={"location": "http://127.0.0.1:1/"}), HONEST],
    "error that is no JSON": [Reply(status=500, body=b"<html>upstream</html>"), HONEST],
    "refusal with 200": [message("I cannot.", stop_reason="refusal"), HONEST],
    "max_tokens": [message(claims(GOOD)[:60], stop_reason="max_tokens"), HONEST],
    "bad JSON once": [message(claims(GOOD)[:-1]), HONEST],
    "bad JSON for ever": [message("Sure! Here is your report:")],
    "wrong schema": [message('{"claims": [{"text": "It grew by 7 %."}]}'), HONEST],
    "unknown field": [message(claims(GOOD)[:-1] + ', "html": "<b>"}'), HONEST],
    "wrong types": [message("{}", content=[{"type": "text", "text": 5}], usage="many"), HONEST],
    "empty body": [Reply(body=b""), HONEST],
    "empty content": [message("{}", content=[]), HONEST],
    "empty text": [message("")],
    "nothing to say": [message(claims())],
    "10 MB": [HUGE, HONEST],
    "10 MB error": [replace(HUGE, status=503), HONEST],
    "nested deep": [Reply(body=b"[" * 500_000), HONEST],
    "compressed": [Reply(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}), HONEST],
    "false claims": [FALSE, HONEST],
    "false claims for ever": [FALSE],
    "active content": [ACTIVE],
    "impossible usage": [message(claims(GOOD), tokens=(10**9, 10**9))],
    "line reset": [replace(HONEST, cut_at=0, reset=True), HONEST],
    "line reset for ever": [replace(HONEST, cut_at=0, reset=True)],
}
SLOW: dict[str, list[Reply]] = {
    "silence": [replace(HONEST, wait=60)],
    "silence once in an error": [refusal(500, "api_error"), replace(HONEST, wait=60)],
    "drops in the head": [replace(HONEST, drip=0.02, headers={"x": "y" * 4_000})],
    "drops in the body": [replace(HONEST, drip=0.02)],
}
CALLED_ONCE = {
    *("honest", "429 with a long retry-after", "redirect", "refusal with 200", "max_tokens"),
    *(f"spend cap {n}" for n in range(len(SPEND))),
    *("401", "403", "404", "413", "422", "10 MB", "10 MB error", "nothing to say"),
    *("impossible usage", "silence", "drops in the head", "drops in the body"),
}


class HurriedModel:
    """The model in a world where the report's clock runs faster than the real one."""

    def __init__(self, model):
        self._model, self.name = model, model.name

    def ask(self, question, *, seconds):
        return self._model.ask(question, seconds=seconds / HURRY)


class NoPast:
    """Earlier reports: there are none."""

    def digest_before(self, week_end):
        return None

    def predictions_of(self, week_start):
        return ()


def by_rules():
    """What a report says without any model."""
    report = write_report(DIGEST, past=NoPast(), write=None, why_no_model="No key.", now=NOW)
    return report.claims


def run(replies, *, hurried=False):
    """What came of one report: itself, server, memory, seconds of the report's clock."""
    memory, stepped = InMemoryCalls(), SteppedTime()
    with serving(FakeClaude(*replies)) as fake:
        model = AnthropicModel("claude-test", SecretStr("k"), fake.url, allow_loopback=True)

        def ask(digest):
            return write_claims(
                digest,
                model=HurriedModel(model) if hurried else model,
                limits=LIMITS,
                memory=memory,
                clock=lambda: NOW,
                monotonic=(lambda: time.monotonic() * HURRY) if hurried else stepped,
                sleep=(lambda wait: time.sleep(wait / HURRY)) if hurried else stepped.sleep,
            )

        began = time.monotonic()
        report = write_report(DIGEST, past=NoPast(), write=ask, now=NOW)
        took = time.monotonic() - began + sum(stepped.slept)
    return report, fake, memory, took


def of_model(report):
    """Claims of Claude's that a report publishes."""
    return [claim for claim in report.claims if claim.written_by == "model"]


def broken_promises(name, report, fake, memory, took, *, hurried=False):
    """Every promise that does not hold after one fault."""
    most = MOST_SECONDS / HURRY if hurried else MOST_SECONDS
    asked, told = fake.bodies(), of_model(report)
    checks = {
        "calls": len(asked) <= MOST_CALLS and len(asked) == len(memory.calls),
        "asked once": len(asked) == 1 if name in CALLED_ONCE else len(asked) >= 1,
        "seconds": took <= most + SLACK,
        "input tokens": all(len(str(one).encode()) / 2 <= 30_000 for one in asked),
        "output tokens": all(one["max_tokens"] <= LIMITS.max_output_tokens for one in asked),
        "cost": sum(worst(call, fake) for call in memory.calls) <= LIMITS.max_cost_usd,
        "says who wrote": report.written_by == ("rules and model" if told else "rules"),
        "says why": report.why_no_model.endswith(".") is not bool(told),
        "plain words": "servers-own-words" not in str(report),
        "rules": tuple(one for one in report.claims if one.written_by == "rule") == by_rules(),
        "supported": not any(verify(claim, DIGEST) for claim in report.claims),
        "readable": all(
            render_statement(claim.text, DIGEST.by_id).startswith("Sign-ups rose by")
            for claim in told
        ),
        "told": report.use is not None and report.use.calls == len(asked),
    }
    return [f"{name}: {promise}" for promise, holds in checks.items() if not holds]


def worst(call, fake):
    """What a request can have cost at most, by the server's prices and the size of the question."""
    size = len(json.dumps(call.request).encode())
    return (Decimal(size) / 2 * 2 + Decimal(call.request["max_tokens"]) * 10) / 1_000_000


@pytest.fixture(autouse=True, scope="module")
def _sdk_is_loaded():
    """Reading the SDK's files takes a second, which is no second of the server's."""
    import anthropic  # noqa: F401


def test_r26_every_fault_leaves_a_report_within_its_limits(acceptance_line):
    violations, slowest, calls = [], 0.0, 0
    for name, replies in FAULTS.items():
        report, fake, memory, took = run(replies)
        violations += broken_promises(name, report, fake, memory, took)
        expected = replies[-1] is HONEST and name not in CALLED_ONCE - {"honest"}
        if expected and not of_model(report):
            violations.append(f"{name}: no claim, though the answer came")
        slowest, calls = max(slowest, took), calls + len(memory.calls)
    acceptance_line(
        "R26",
        load=f"{len(FAULTS)} faults",
        calls=calls,
        slowest_report_s=round(slowest, 1),
        violations=violations,
    )


@pytest.mark.parametrize("name", list(SLOW))
def test_r26_no_slow_server_keeps_a_report_waiting(name, acceptance_line):
    report, fake, memory, took = run(SLOW[name], hurried=True)
    violations = broken_promises(name, report, fake, memory, took, hurried=True)
    is_told = name == "silence once in an error" or "slow" in report.why_no_model
    if of_model(report) or not is_told:
        violations.append(f"{name}: {report.why_no_model!r}")
    acceptance_line("R26", load=name, seconds=round(took * HURRY), violations=violations)


def cuts(full, chance):
    """Where the answer breaks off: each 100 bytes of it, or ten of these places."""
    places = list(range(0, len(HONEST.wire()), 100))
    return places if full else sorted(chance.sample(places, min(10, len(places))))


def test_r26_an_answer_cut_anywhere_is_asked_for_again(full, seed, acceptance_line):
    violations, places = [], cuts(full, random.Random(seed))
    for place in places:
        for reset in (False, True):
            cut = replace(HONEST, cut_at=place, reset=reset)
            report, fake, memory, took = run([cut, HONEST])
            violations += broken_promises(f"cut at {place}", report, fake, memory, took)
            if len(of_model(report)) != 1 or len(memory.calls) != 2:
                violations.append(f"cut at {place}: {report.why_no_model!r}")
    acceptance_line("R26", load=f"{2 * len(places)} cuts", violations=violations)


def test_r26_cut_for_ever_it_ends_after_three_requests(acceptance_line):
    report, fake, memory, took = run([replace(HONEST, cut_at=300)])
    violations = broken_promises("cut for ever", report, fake, memory, took)
    if len(memory.calls) != MOST_CALLS or of_model(report):
        violations.append("cut for ever: not ended after three requests")
    acceptance_line("R26", load="3 cuts", violations=violations)


@pytest.mark.full
def test_r26_texts_cut_anywhere_are_never_published(seed, acceptance_line):
    """The line holds and the text within breaks off: at every character, whole JSON or not."""
    text, violations = claims(GOOD), []
    for end in range(len(text)):
        report, fake, memory, took = run([message(text[:end]), HONEST])
        violations += broken_promises(f"text of {end}", report, fake, memory, took)
        if len(of_model(report)) != 1:
            violations.append(f"text of {end}: {report.why_no_model!r}")
    acceptance_line("R26", load=f"{len(text)} cut texts", violations=violations)
