"""What needs a new version of an event, and what does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from growth_pipeline.events.catalogue.changes import breaking_changes
from growth_pipeline.events.catalogue.faces.json_schema import catalogue_schema
from growth_pipeline.events.catalogue.registry import CATALOGUE


def document(**properties: Any) -> dict[str, Any]:
    event = {
        "x-event": "Rocket Launched",
        "x-version": 1,
        "required": [name for name, one in properties.items() if "anyOf" not in one],
        "properties": properties,
    }
    return {"$defs": {"Currency": {"type": "string", "enum": ["eur"]}, "RocketLaunchedV1": event}}


TEXT = {"type": "string", "maxLength": 10, "minLength": 1}
MAYBE = {"anyOf": [TEXT, {"type": "null"}]}


def test_the_same_catalogue_breaks_nothing():
    assert breaking_changes(catalogue_schema(), copy.deepcopy(catalogue_schema())) == []


def test_an_event_or_version_that_is_gone_is_named():
    less = {
        event: versions[:1] for event, versions in CATALOGUE.items() if event != "Ticket Solved"
    }
    assert breaking_changes(catalogue_schema(), catalogue_schema(less)) == [
        "Subscription Canceled@1 is gone",
        "Ticket Solved@1 is gone",
    ]


def test_a_new_event_and_a_new_property_that_may_be_missing_break_nothing():
    assert breaking_changes(document(), document(note=MAYBE)) == []
    assert breaking_changes({"$defs": {}}, document(note=TEXT)) == []


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (MAYBE, TEXT, ["name is required now", "name may no longer be null"]),
        (TEXT, {"type": "integer"}, ["name may no longer be string"]),
        (TEXT, {"type": "string", "enum": ["a"]}, ["name may no longer be any text"]),
        (
            {"type": "string", "enum": ["a", "b"]},
            {"type": "string", "enum": ["b", "c"]},
            ["name may no longer be 'a'"],
        ),
        (TEXT, {**TEXT, "maxLength": 9}, ["name has a smaller maxLength"]),
        (TEXT, {**TEXT, "minLength": 2}, ["name has a greater minLength"]),
        (TEXT, {**TEXT, "pattern": "^a"}, ["name has another pattern"]),
        (
            {"type": "integer", "minimum": 0},
            {"type": "integer", "minimum": 1, "maximum": 9},
            ["name has a greater minimum", "name has a smaller maximum"],
        ),
        ({**TEXT, "x-personal": "name"}, TEXT, ["name is no longer marked as personal"]),
        ({"$ref": "#/$defs/Currency"}, {"type": "integer"}, ["name may no longer be string"]),
    ],
)
def test_what_was_right_before_and_is_refused_now_is_named(old, new, change):
    found = breaking_changes(document(name=old), document(name=new))
    assert found == [f"Rocket Launched@1: {what}" for what in change]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, MAYBE),
        (TEXT, {**TEXT, "maxLength": 11}),
        (TEXT, {"type": "string"}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "string", "enum": ["a"]}, {"type": "string"}),
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 0}),
        (TEXT, {**TEXT, "x-personal": "name"}),
    ],
)
def test_what_allows_more_than_before_breaks_nothing(old, new):
    assert breaking_changes(document(name=old), document(name=new)) == []


def test_a_property_that_is_no_longer_listed_is_no_longer_looked_at():
    assert breaking_changes(document(name=MAYBE), document()) == []
