"""R29: nothing that somebody wrote about a customer is in any byte that goes to the model.

Canary customers, with names, mails, cards, phones and free text, stand in every field of a digest
that holds somebody's words: names of events, stages of funnels, and all the fields that nobody needs
to send. Each digest is asked about over a real connection, first and again with the verifier's
reasons; all bytes that the server received, heads and bodies, are searched for every canary in every
spelling. The search itself is shown to find a planted one, and small cells are searched for too.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from decimal import Decimal
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from growth_pipeline.insights.writer.client import AnthropicModel
from growth_pipeline.insights.writer.model import Question, Turn
from growth_pipeline.insights.writer.schema import ANSWER_SCHEMA
from growth_pipeline.insights.writer.write import Limits, write_claims
from growth_pipeline_tests.fakes.call_memory import InMemoryCalls
from growth_pipeline_tests.fakes.canaries import canaries, traces
from growth_pipeline_tests.fakes.claude_server import FakeClaude, SteppedTime, message, serving
from growth_pipeline_tests.fakes.growth_digests import (
    NOW,
    a_digest,
    a_fact,
    event_id,
    money,
    steady,
    with_free_text,
)

LIMITS = Limits(
    max_output_tokens=8_000,
    max_input_tokens=100_000,
    input_usd_per_million=Decimal(2),
    output_usd_per_million=Decimal(10),
    max_cost_usd=Decimal(5),
)
CUSTOMERS_OF_A_DIGEST = 10
KEY = "sk-ant-key-of-the-test"


def refused_claims():
    """An answer that the verifier refuses in many ways, so that its reasons are sent back."""
    texts = [
        "{event.a:label} fell to 7.",
        "{event.b:label} grew because of {event.c:label}.",
        "{funnel.a:label} fell by {funnel.a:size}, see http://evil.example/x.",
        "{event.a:label} rose by {event.a:percent_size}. <b>Now</b>",
        "{event.d:value} came from {event.e:name}.",
        "{event.zzz:value} was never sent.",
    ]
    told = [
        {
            "group": "product",
            "kind": "driver",
            "text": text,
            "facts": ["event.a", "event.b"],
            "severity": "HIGH",
            "recommendation": "Ask 5 customers.",
        }
        for text in texts
    ]
    return message(json.dumps({"claims": told, "predictions": []}))


def poisoned(customers):
    """A digest with the customers in every field that somebody else writes."""
    texts = [text for customer in customers for text in customer.texts]
    half = len(texts) // 2
    digest = a_digest(names=texts[:half], stages=texts[half:])
    # Labels are our own words; still, one that repeats the name is held back.
    facts = tuple(
        replace(fact, series=replace(fact.series, label=f"Event {fact.series.name}"))
        if fact.series.name and number % 3 == 0
        else fact
        for number, fact in enumerate(digest.facts)
    )
    plans = tuple(a_fact(f"mrr.{customer.mail}", steady(90)) for customer in customers[:3])
    return with_free_text(replace(digest, facts=(*facts, *plans)), " | ".join(texts)), texts


def bytes_about(digest):
    """Every byte that was received about one digest, and what is kept of it."""
    memory, stepped = InMemoryCalls(), SteppedTime()
    with serving(FakeClaude(refused_claims())) as fake:
        write_claims(
            digest,
            model=AnthropicModel("claude-test", SecretStr(KEY), fake.url, allow_loopback=True),
            limits=LIMITS,
            memory=memory,
            clock=lambda: NOW,
            monotonic=stepped,
            sleep=stepped.sleep,
        )
    return fake.received, memory.calls


def test_r29_no_customer_is_in_any_byte_that_is_sent(full, seed, acceptance_line):
    customers = canaries(seed, 1_000 if full else 100)
    violations, searched, requests = [], 0, 0
    for start in range(0, len(customers), CUSTOMERS_OF_A_DIGEST):
        digest, texts = poisoned(customers[start : start + CUSTOMERS_OF_A_DIGEST])
        received, kept = bytes_about(digest)
        hashes = [event_id(fact.series.name) for fact in digest.facts if fact.series.name]
        violations += traces(received, texts)
        violations += traces(received, hashes)
        violations += traces((json.dumps(call.request).encode() for call in kept), [KEY, *texts])
        if len(received) != 2:
            violations.append(f"{len(received)} requests instead of a question and a rewrite")
        searched, requests = searched + sum(map(len, received)), requests + len(received)
    acceptance_line(
        "R29",
        load=f"{len(customers)} customers, {5 * len(customers)} texts",
        requests=requests,
        bytes_searched=searched,
        violations=violations[:20],
    )


FORMS = {
    "plain": lambda text: text,
    "upper case": str.upper,
    "folded": str.casefold,
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "backwards": lambda text: text[::-1],
    "spread out": "-".join,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 within": lambda text: base64.b64encode(f"ab{text}c".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "url": lambda text: quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "upper hex": lambda text: text.encode().hex().upper(),
    "in JSON within": lambda text: json.dumps({"note": text}),
}


@pytest.mark.parametrize("where", ["system", "turn", "schema"])
@pytest.mark.parametrize("form", FORMS)
def test_r29_the_search_finds_a_planted_customer(form, where, seed):
    customer, other = canaries(seed, 2)
    planted = "".join(f"The plan of {FORMS[form](text)} ended.\n" for text in customer.texts)
    question = Question(
        system=planted if where == "system" else "Say.",
        turns=(Turn("user", planted if where == "turn" else "What?"),),
        schema={"description": planted} if where == "schema" else ANSWER_SCHEMA,
        max_tokens=1_000,
    )
    with serving(FakeClaude(message("{}"))) as fake:
        model = AnthropicModel("m", SecretStr(KEY), fake.url, allow_loopback=True)
        model.ask(question, seconds=20)
    assert [text for text in customer.texts if not traces(fake.received, [text])] == []
    assert traces(fake.received, other.texts) == []


def test_r29_the_search_finds_a_customer_in_a_header():
    customer, _ = canaries(1, 2)
    assert traces(
        [f"POST / HTTP/1.1\r\nx-team: {customer.mail}\r\n\r\n{{}}".encode()], [customer.mail]
    )


def test_r29_no_small_cell_is_sent(acceptance_line):
    """Cells of 1 to 4 bear amounts that nothing else has; none of them is in any byte."""
    small = [
        money("mrr.usd", steady(987_601), steady(3)),
        money("payments.usd", steady(987_602), [*steady(50)[:-2], 4, 50]),
        money("refunds.usd", steady(987_603), None),
        a_fact("retention.day30", steady(2), of=steady(987_604)),
        a_fact("events", steady(987_705)),
        a_fact("events.billing", steady(3), part_of="events"),
        a_fact("events.other", steady(987_606), part_of="events"),
        a_fact("signups", steady(555)),
    ]
    received, _ = bytes_about(a_digest(*small))
    told = b"".join(received).replace(b",", b"").replace(b".", b"")
    found = [
        number
        for number in ("987601", "987602", "987603", "987604", "987606")
        if number.encode() in told
    ]
    assert b"555" in told
    acceptance_line("R29", load="7 small cells", violations=found)
