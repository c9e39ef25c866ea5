"""The key under which an answer is kept: everything that shapes it, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from growth_pipeline.insights.writer.memory import cache_key
from growth_pipeline.insights.writer.model import Question, Turn
from growth_pipeline.insights.writer.schema import ANSWER_SCHEMA

QUESTION = Question(
    system="Say.", turns=(Turn("user", "What?"),), schema=ANSWER_SCHEMA, max_tokens=1_000
)


@pytest.mark.parametrize(
    "changed",
    [
        {"system": "Say it."},
        {"turns": (Turn("user", "Why?"),)},
        {"turns": (*QUESTION.turns, Turn("assistant", "So."))},
        {"schema": {**ANSWER_SCHEMA, "description": "an answer"}},
    ],
)
def test_whatever_shapes_an_answer_is_in_the_key(changed):
    assert cache_key(replace(QUESTION, **changed), "m") != cache_key(QUESTION, "m")


def test_another_model_has_another_key():
    assert cache_key(QUESTION, "m") != cache_key(QUESTION, "n")


def test_how_long_an_answer_may_be_is_not_in_the_key():
    assert cache_key(replace(QUESTION, max_tokens=9), "m") == cache_key(QUESTION, "m")
