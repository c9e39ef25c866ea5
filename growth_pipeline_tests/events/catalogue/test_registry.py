"""The catalogue itself: complete, named alike, every property told and with an example."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.catalogue.model import CatalogueEvent, Category, Kind, without_personal
from growth_pipeline.events.catalogue.registry import (
    ACTIVITY_EVENTS,
    ASSERTIONS,
    CATALOGUE,
    EVENTS,
    by_name,
    personal_fields,
    versions_of,
)

# The last word of a name: what was done. A new verb is added here by hand, in the past tense.
PAST_VERBS = set(
    (
        "accepted added archived canceled changed completed connected created downgraded exported "
        "failed imported opened paused performed refunded removed requested resumed sent shared "
        "solved started submitted succeeded up upgraded used verified viewed in"
    ).split()
)


def test_there_are_at_least_25_events_and_every_category_has_some():
    assert len(CATALOGUE) >= 25
    counted = Counter(versions[0].about.category for versions in CATALOGUE.values())
    assert set(counted) == set(Category)
    assert min(counted.values()) >= 5


@pytest.mark.parametrize("event", CATALOGUE)
def test_names_are_an_object_and_a_past_verb_with_capitals(event):
    words = event.split(" ")
    assert all(re.fullmatch(r"[A-Z][a-z]+", word) for word in words)
    assert len(words) >= 2
    assert words[-1].lower() in PAST_VERBS


@pytest.mark.parametrize("model", EVENTS, ids=lambda model: model.type_name())
def test_every_event_has_an_owner_a_meaning_and_told_properties(model: type[CatalogueEvent]):
    assert re.fullmatch(r"team:[a-z]+", model.about.owner)
    assert model.meaning().endswith(".")
    assert model.model_fields
    for name, field in model.model_fields.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert field.description, name
        assert field.description.endswith("."), name
        assert len(field.examples or ()) == 1, name


@pytest.mark.parametrize("model", EVENTS, ids=lambda model: model.type_name())
def test_examples_are_right(model: type[CatalogueEvent]):
    model.model_validate(model.example())
    required = {k: v for k, v in model.example().items() if model.model_fields[k].is_required()}
    model.model_validate(required)


def test_every_version_of_an_event_is_of_one_category_and_they_count_from_one():
    for event, versions in CATALOGUE.items():
        assert [one.about.version for one in versions] == list(range(len(versions), 0, -1)), event
        assert len({one.about.category for one in versions}) == 1, event
        assert not versions[0].about.deprecated, event
        assert len({one.about.assertion for one in versions}) == 1, event


def test_modules_hold_the_events_of_their_category():
    for model in EVENTS:
        assert model.__module__.rsplit(".", 1)[-1] == str(model.about.category)


def test_every_model_that_is_written_is_listed():
    written = {one for one in CatalogueEvent.__subclasses__() if "catalogue" in one.__module__}
    assert written == set(EVENTS)


def test_two_models_of_one_event_and_version_are_refused():
    class Twice(CatalogueEvent):
        """Stands in for a slip."""

        about = EVENTS[0].about

    with pytest.raises(ValueError, match="Signup Started@1 is in the catalogue twice"):
        by_name([EVENTS[0], Twice])


def test_what_a_machine_or_another_person_does_makes_nobody_active():
    assert {"Project Created", "User Signed In", "Comment Added"} <= ACTIVITY_EVENTS
    assert not ACTIVITY_EVENTS & {
        *("Payment Succeeded", "Payment Failed", "Payment Refunded"),
        *("Member Removed", "Member Role Changed", "Ticket Solved"),
    }


def test_every_event_that_names_an_object_of_stripe_says_something_about_it():
    stripe = re.compile(r"(subscription|payment_intent|refund|checkout_session|payment_method)_id")
    naming = {
        event
        for event, (newest, *_) in CATALOGUE.items()
        if any(stripe.fullmatch(name) for name in newest.model_fields)
    }
    assert naming == set(ASSERTIONS)
    assert all(CATALOGUE[event][0].about.category is Category.BILLING for event in ASSERTIONS)


def test_personal_properties_are_marked_and_left_out_of_what_is_shown():
    assert personal_fields("Invitation Sent") == {
        "invitee_email": Kind.EMAIL,
        "invitee_name": Kind.NAME,
    }
    model = versions_of("Invitation Sent")[0]
    sent = {"invitation_id": "inv_1", "role": "guest", "invitee_email": "bo@example.com", "x": 1}
    assert without_personal(model, sent) == {"invitation_id": "inv_1", "role": "guest"}


def test_a_property_that_is_named_like_personal_data_is_marked():
    likely = re.compile(r"email|_name$|phone|address|comment$|message|^query$|^reason$")
    for model in EVENTS:
        named = {name for name in model.model_fields if likely.search(name)}
        assert named == set(model.personal_fields()), model.type_name()


def test_marks_of_every_version_count():
    assert personal_fields("Subscription Canceled") == {
        "reason": Kind.FREE_TEXT,
        "comment": Kind.FREE_TEXT,
    }


def test_an_unknown_event_is_answered_with_the_nearest_names():
    with pytest.raises(UsageError, match="no event 'Project created'") as caught:
        versions_of("Project created")
    assert "Project Created" in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        personal_fields("zzzzzz")
    assert "growth events schema" in caught.value.remedy
