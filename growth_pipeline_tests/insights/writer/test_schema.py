"""The form of an answer, as the API holds the model to it and as it is read."""

from __future__ import annotations

import json

import pytest

from growth_pipeline.insights.writer.schema import ANSWER_SCHEMA, AnswerError, read_answer

CLAIM = {
    "group": "revenue",
    "kind": "observation",
    "text": "{mrr.usd:label} rose by {mrr.usd:size}.",
    "facts": ["mrr.usd"],
    "severity": "GOOD",
    "recommendation": "",
}
ANSWER = {"claims": [CLAIM], "predictions": [{"fact_id": "mrr.usd", "direction": "up"}]}


def test_the_api_takes_the_schema_as_it_is():
    """The SDK moves whatever the API does not know into descriptions; here it moves nothing."""
    from anthropic import transform_schema

    assert transform_schema(dict(ANSWER_SCHEMA)) == ANSWER_SCHEMA


def test_every_object_of_the_schema_is_closed_and_whole():
    def objects(part):
        if isinstance(part, dict):
            if part.get("type") == "object":
                yield part
            for value in part.values():
                yield from objects(value)

    found = list(objects(dict(ANSWER_SCHEMA)))
    assert len(found) == 3
    assert all(one["additionalProperties"] is False for one in found)
    assert all(one["required"] == list(one["properties"]) for one in found)


def test_an_answer_is_read():
    answer = read_answer(json.dumps(ANSWER))
    assert answer.claims[0].facts == ["mrr.usd"]
    assert answer.predictions[0].direction == "up"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        json.dumps(ANSWER)[:-1],
        "Here it is: " + json.dumps(ANSWER),
        json.dumps(ANSWER | {"more": 1}),
        json.dumps({"claims": [CLAIM | {"html": "<b>"}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"group": "people"}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"severity": "high"}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"text": 5}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"facts": "mrr.usd"}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"text": "a\x00b"}], "predictions": []}),
        json.dumps({"claims": [CLAIM | {"text": "\ud800"}], "predictions": []}),
        json.dumps({"claims": {"0": CLAIM}, "predictions": []}),
        json.dumps({"claims": [], "predictions": [{"fact_id": "a", "direction": "unknown"}]}),
        '{"claims": ' + "[" * 100_000 + "]" * 100_000 + ', "predictions": []}',
    ],
)
def test_anything_else_is_refused_without_a_word_of_it(text):
    with pytest.raises(AnswerError) as refused:
        read_answer(text)
    assert str(refused.value).startswith("it ")
    assert refused.value.__cause__ is None
