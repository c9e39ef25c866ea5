from __future__ import annotations

import pytest

from growth_pipeline.core.documents import Amount, Code, Data, Words, parts_of
from growth_pipeline.insights.report.wording import (
    LEFT_OUT,
    advice_of,
    careful,
    flat_text,
    is_plain,
    spoken,
    statement,
    why_unsayable,
    without_quotes,
)
from growth_pipeline_tests.insights.report.weekly_reports import (
    a_claim,
    a_digest,
    event_id,
    money_of,
    product,
)

HOSTILE = (
    *("<b>", "[x](https://a.b)", "www.a.b", "a.b/c", "@anna", "#12", "a@b.c", ":smile:", "`x`"),
    *("GH-12", "x\u200by", "\u202egnp", "=1+1", "$x$", "javascript:alert", "&lt;", "café", "a_b"),
)


def data(cell):
    return [part.text for part in parts_of(cell) if isinstance(part, Data)]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_word_that_is_no_plain_word_stands_as_data(word):
    for cell in (careful(f"see {word} now"), spoken(f"see {word} now")):
        assert len(data(cell)) == 1
        assert not is_plain(word)


@pytest.mark.parametrize(
    "text",
    [
        "Sign-ups rose, week-over-week; the customers' money (MRR) didn't.",
        "Look at DAU/WAU \u2013 and ask \u201cwhy?\u201d",
        "growth audit --month",
    ],
)
def test_plain_english_stands_as_words(text):
    assert data(spoken(text)) == []
    assert flat_text(spoken(text)) == text


def test_numbers_of_a_statement_are_data_and_those_of_the_digest_words():
    assert data(spoken("rose by 12 %")) == ["12", "%"]
    assert data(careful("known up to 2026-11-20 10:00 UTC (12.5%, +3)")) == []


def test_blanks_at_the_edges_of_a_piece_stay():
    claim = a_claim("{mrr.usd:label} rose by {mrr.usd:size} ({mrr.usd:percent_size}).")
    facts = a_digest(money_of("usd")).by_id
    assert flat_text(statement(claim, facts)) == "MRR (USD) rose by USD 806.00 (7.0 %)."
    assert any(isinstance(part, Amount) for part in parts_of(statement(claim, facts)))


def test_a_name_stands_behind_its_label_or_behind_the_statement():
    digest = a_digest(product(["Plan <b>"], ["Step"]))
    event = event_id("Plan <b>")
    labelled = a_claim(f"{{{event}:label}} came {{{event}:value}} times.")
    unlabelled = a_claim(f"It came {{{event}:value}} times.")
    assert data(statement(labelled, digest.by_id)) == ["Plan <b>"]
    assert [part.text for part in parts_of(statement(unlabelled, digest.by_id))][-3:] == [
        " (",
        "Plan <b>",
        ")",
    ]


def test_a_currency_that_is_none_is_data_as_money_and_as_label():
    digest = a_digest(money_of("<x>"))
    claim = a_claim("{mrr.<x>:label}")
    assert why_unsayable(claim, digest.by_id)  # no such reference can be written
    fact = digest.by_id["mrr.<x>"]
    assert data(careful(fact.series.label)) == ["(<X>)"]


def test_reasons_quote_nothing_and_name_only_known_ids():
    cell = without_quotes(
        "mrr.usd:size says \"<b>99</b>\" and '[x]', not 12 or evil.example",
        lambda word: word == "mrr.usd:size",
    )
    assert [part.text for part in parts_of(cell) if isinstance(part, Code)] == ["mrr.usd:size"]
    assert flat_text(cell) == (
        f"mrr.usd:size says {LEFT_OUT} and {LEFT_OUT} not {LEFT_OUT} or {LEFT_OUT}"
    )


@pytest.mark.parametrize("advice", ["Wait 12 days.", "Ask {mrr.usd:value}.", "x" * 2_000, " "])
def test_advice_with_a_number_or_without_end_is_not_given(advice):
    assert advice_of(a_claim("Words.", recommendation=advice)) == ""


def test_words_of_a_message_leave_out_data_that_is_not_plain():
    assert flat_text((Words("see "), Data("Plain Name"), " and ", Data("<b>"))) == (
        f"see Plain Name and {LEFT_OUT}"
    )
