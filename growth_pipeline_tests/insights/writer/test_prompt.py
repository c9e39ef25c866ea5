"""What is sent: figures and our own words, under ids that give no name away."""

from __future__ import annotations

from dataclasses import replace

import orjson

from growth_pipeline.insights.claims import Claim, ClaimKind, Refused
from growth_pipeline.insights.facts import Group
from growth_pipeline.insights.verifier.verify import FOR_WRITERS
from growth_pipeline.insights.writer.prompt import first_question, rewrite_question, to_send
from growth_pipeline_tests.fakes.growth_digests import (
    a_digest,
    a_fact,
    event_id,
    money,
    steady,
    with_free_text,
)


def by_id(sent):
    return {fact["id"]: fact for fact in sent.document["facts"]}


def test_a_fact_is_sent_with_its_figures_as_readers_see_them():
    sent = to_send(a_digest(money("mrr.usd", steady(1_200_000, before=970_000), steady(180))))
    assert by_id(sent)["mrr.usd"] == {
        "id": "mrr.usd",
        "group": "revenue",
        "label": "Some figure",
        "kind": "flow",
        "unit": "minor",
        "good": "good",
        "value": "USD 12,000.00",
        "before": {"says": "up", "value": "USD 9,700.00", "percent": "23.7 %"},
        "usual": {"says": "up", "value": "USD 9,700.00", "percent": "23.7 %"},
        "trend": "up",
    }


def test_no_sample_size_leaves():
    digest = a_digest(money("mrr.usd", steady(1_200_000), steady(1_234_567)))
    assert b"234" not in orjson.dumps(to_send(digest).document)


def test_events_and_stages_go_under_aliases_in_their_order():
    digest = a_digest()
    sent = to_send(digest)
    assert [name for name in sent.ids if sent.is_alias(name)] == [
        "event.a",
        "event.b",
        "funnel.a",
        "funnel.b",
        "funnel.c",
    ]
    assert sent.to_digest_id("event.a") == event_id("Report Exported")
    assert sent.to_digest_id(event_id("Report Exported")) is None


def test_an_id_that_is_not_one_of_ours_goes_under_an_alias():
    sent = to_send(a_digest(a_fact("events.anna-miller", steady(50)), a_fact("x.y", steady(60))))
    assert list(sent.ids.items()) == [("fact.a", "events.anna-miller"), ("fact.b", "x.y")]


def test_the_twenty_seventh_alias_has_two_letters():
    sent = to_send(a_digest(names=[f"Event {n}" for n in range(28)]))
    events = [name for name in sent.ids if name.startswith("event.")]
    assert events[25:] == ["event.z", "event.aa", "event.ab"]


def test_no_text_of_somebody_elses_is_sent():
    names = ["Anna Miller paid", "🍪 \uff21\uff2e\uff2e\uff21"]
    digest = with_free_text(a_digest(names=names, stages=["Anna's stage"]), "anna@example.com")
    asked = first_question(to_send(digest), max_tokens=1000)
    whole = str(asked.to_request("m")).casefold()
    assert "anna" not in whole
    assert "\uff41\uff4e\uff4e\uff41" not in whole
    assert event_id(names[0]) not in whole


def test_a_label_that_holds_the_name_is_not_sent():
    fact = a_fact("event.0123abcd", steady(90), name="Anna Paid", label="Event ANNA PAID")
    assert by_id(to_send(a_digest(fact)))["event.a"]["label"] == "Event"


def test_verdicts_of_audits_are_sent_as_words():
    assert to_send(a_digest()).document["audits"] == {"audit.2026-11": "PASS"}


def test_drivers_and_wholes_are_told_under_the_names_that_were_sent():
    sent = by_id(to_send(a_digest()))
    assert sent["mrr.usd"]["drivers"] == ["mrr_new.usd", "mrr_churn.usd"]
    assert sent["mrr_new.usd"]["part_of"] == "mrr.usd"


def test_money_without_a_currency_is_not_sent():
    assert not to_send(a_digest(money("mrr.usd", steady(900), steady(9), currency="anna"))).ids


def test_the_question_holds_the_rules_of_the_verifier():
    assert FOR_WRITERS in first_question(to_send(a_digest()), max_tokens=1000).system


def test_statements_come_back_with_the_ids_of_the_digest():
    sent = to_send(a_digest())
    text = sent.to_digest_text("{event.a:value} and {mrr.usd:value} and {event.zz:value}")
    assert (
        text
        == f"{{{event_id('Report Exported')}:value}} and {{mrr.usd:value}} and {{event.zz:value}}"
    )


def test_reasons_go_back_without_names_and_with_aliases():
    sent = to_send(a_digest())
    claim = Claim(
        claim_id="model-1", group=Group.PRODUCT, kind=ClaimKind.OBSERVATION, text="x", facts=()
    )
    reasons = (f"{event_id('Seat Added')} did not rise", "the event “SEAT ADDED” fell")
    first = first_question(sent, max_tokens=1000)
    again = rewrite_question(first, "{}", [(3, Refused(claim=claim, reasons=reasons))], sent)
    assert again.turns[0] == first.turns[0]
    told = orjson.loads(again.turns[2].text.split("JSON:\n")[1])
    assert told == [{"claim": 3, "rules": ["event.b did not rise", "it breaks a rule of wording"]}]


def test_the_same_facts_are_the_same_question_at_another_time():
    one = a_digest()
    other = replace(one, made_at=one.made_at.replace(year=2030))
    assert first_question(to_send(one), max_tokens=9) == first_question(
        to_send(other), max_tokens=9
    )
