"""Properties held against the catalogue: right, wrong, unknown, of another version."""

from __future__ import annotations

import json
from datetime import timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.events.catalogue.check import Flag, Problem, check_track, event_version
from growth_pipeline.events.catalogue.faces.json_schema import catalogue_schema
from growth_pipeline.events.catalogue.registry import CATALOGUE, EVENTS

PAID = {"payment_intent_id": "pi_1", "amount_minor": 4900, "currency": "eur"}


def test_a_right_call_has_neither_flags_nor_problems():
    checked = check_track("Payment Succeeded", PAID)
    assert (checked.version, checked.flags, checked.problems, checked.sentence) == (1, (), (), "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount_minor": "4900"}, Problem("amount_minor", "Input should be a valid integer")),
        ({"amount_minor": 49.5}, Problem("amount_minor", "Input should be a valid integer")),
        ({"amount_minor": True}, Problem("amount_minor", "Input should be a valid integer")),
        (
            {"amount_minor": -1},
            Problem("amount_minor", "Input should be greater than or equal to 0"),
        ),
        (
            {"amount_minor": 2**53},
            Problem("amount_minor", f"Input should be less than or equal to {2**53 - 1}"),
        ),
        (
            {"currency": "EUR"},
            Problem("currency", "Input should be a lower-case ISO 4217 code"),
        ),
        (
            {"currency": "xyz"},
            Problem("currency", "Input should be a lower-case ISO 4217 code"),
        ),
        ({"currency": None}, Problem("currency", "Input should be a valid string")),
        (
            {"payment_intent_id": "ch_1"},
            Problem(
                "payment_intent_id",
                "String should match pattern '^pi_[A-Za-z0-9_]{1,250}$'",
            ),
        ),
    ],
)
def test_a_wrong_property_is_named_with_the_reason(change, reason):
    checked = check_track("Payment Succeeded", PAID | change)
    assert checked.problems == (reason,)
    assert checked.flags == (Flag.PROPERTIES_DIFFER,)
    assert checked.sentence == f"properties of Payment Succeeded@1: {reason.name}: {reason.reason}"


def test_a_missing_property_is_named():
    checked = check_track("Payment Succeeded", {"amount_minor": 1})
    assert checked.problems == (
        Problem("payment_intent_id", "Field required"),
        Problem("currency", "Field required"),
    )


@pytest.mark.parametrize("properties", [[], "text", 7, True])
def test_properties_that_are_no_object_are_a_problem(properties):
    assert check_track("Signup Started", properties).problems


def test_missing_and_null_properties_are_none_at_all():
    assert not check_track("Signup Started", None).problems
    assert check_track("Project Created", None).problems == (
        Problem("project_id", "Field required"),
    )


def test_a_property_that_may_be_missing_may_be_null_and_one_that_is_not_listed_is_not_looked_at():
    sent = {"project_id": "p", "template": None, "colour": {"red": [1]}}
    assert not check_track("Project Created", sent).problems


def test_a_whole_number_may_be_written_with_a_point():
    assert not check_track("Payment Succeeded", PAID | {"amount_minor": 4900.0}).problems
    assert check_track("Payment Succeeded", PAID | {"amount_minor": float("inf")}).problems
    assert check_track("Payment Succeeded", PAID | {"amount_minor": float("nan")}).problems


def test_an_event_outside_the_catalogue_is_only_flagged():
    checked = check_track("Rocket Launched", {"anything": 1})
    assert (checked.flags, checked.problems) == ((Flag.NOT_IN_CATALOGUE,), ())


def test_names_are_compared_letter_by_letter():
    assert check_track("project created", {}).flags == (Flag.NOT_IN_CATALOGUE,)


def test_without_a_version_any_will_do_and_an_old_one_is_flagged():
    newest = {"subscription_id": "sub_1", "effective": "now"}
    assert check_track("Subscription Canceled", newest).version == 2
    old = check_track("Subscription Canceled", {"subscription_id": "sub_1", "reason": "price"})
    assert (old.version, old.flags, old.problems) == (1, (Flag.DEPRECATED_VERSION,), ())


def test_what_fits_no_version_is_told_about_the_newest():
    checked = check_track("Subscription Canceled", {"subscription_id": 7})
    assert checked.version == 2
    assert {one.name for one in checked.problems} == {"subscription_id", "effective"}


@pytest.mark.parametrize("version", [2, "2"])
def test_a_named_version_alone_counts(version):
    sent = {"subscription_id": "sub_1"}
    assert check_track("Subscription Canceled", sent, version=1).problems == ()
    assert check_track("Subscription Canceled", sent, version=version).problems == (
        Problem("effective", "Field required"),
    )


@pytest.mark.parametrize("version", [3, "3", "two", 2.5, True, [2], {}, ""], ids=str)
def test_a_version_that_is_not_known_is_only_flagged(version):
    checked = check_track("Subscription Canceled", {}, version=version)
    assert (checked.version, checked.flags, checked.problems) == (None, (Flag.UNKNOWN_VERSION,), ())


def test_a_version_too_long_to_print_is_only_flagged():
    assert check_track("Ticket Opened", {}, version=10**5000).flags == (Flag.UNKNOWN_VERSION,)


@pytest.mark.parametrize(
    ("context", "version"),
    [
        ({"protocols": {"event_version": 2}}, 2),
        ({"protocols": {}}, None),
        ({"protocols": "2"}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_version_stands_in_the_context(context, version):
    assert event_version(context) == version


def test_a_reason_never_quotes_what_was_sent():
    secret = "ada.lovelace.example.com"
    for event, name in (("Demo Requested", "email"), ("Invitation Sent", "invitee_email")):
        assert secret not in check_track(event, {name: secret}).sentence
        assert name in check_track(event, {name: secret}).sentence
    for model in EVENTS:
        sent = dict.fromkeys(model.model_fields, secret + "\0")
        assert secret not in check_track(model.about.event, sent).sentence


def test_a_long_list_of_problems_is_cut_short():
    many = {name: 0 for name in CATALOGUE["User Signed Up"][0].model_fields} | {"method": 0}
    sentence = check_track("User Signed Up", many).sentence
    assert sentence.count("; ") == 3
    assert len(sentence) < 500


SCHEMA = jsonschema.Draft202012Validator(catalogue_schema())

# Texts without surrogates, which JSON cannot carry, and without line ends, at which `$` differs.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(sorted(ISO_CURRENCIES)[:5]),
    st.sampled_from(["sub_1", "pi_1", "price_1", "re_1", "ada@example.com", "DE", "now", "csv"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXTS, st.integers(), max_size=2),
)


@st.composite
def calls(draw):
    model = draw(st.sampled_from(EVENTS))
    properties = dict(model.example())
    for name in draw(st.lists(st.sampled_from(sorted(properties)), unique=True)):
        if draw(st.booleans()):
            del properties[name]
        else:
            properties[name] = draw(VALUES)
    return {"event": model.about.event, "properties": properties}


@settings(max_examples=400, deadline=timedelta(seconds=5))
@given(calls())
def test_the_check_and_the_generated_schema_agree_on_every_call(call):
    sent = json.loads(json.dumps(call))
    checked = check_track(sent["event"], sent["properties"])
    assert SCHEMA.is_valid(sent) == (not checked.problems), checked.sentence
