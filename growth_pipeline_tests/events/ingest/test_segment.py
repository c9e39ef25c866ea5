"""Which calls of the Segment protocol are accepted, and in which words others are refused."""

import pytest

from growth_pipeline.events.ingest.segment import CALLS, ROUTES, Call, Refusal, read_call


def a_call(**fields):
    call = {"type": "track", "event": "Thing Done", "userId": "u1", "messageId": "m1"} | fields
    return {name: value for name, value in call.items() if value is not ...}


def test_a_call_is_read_with_ids_as_text():
    assert read_call(a_call(userId=42, properties={"a": 1}, context={"b": 2})) == Call(
        "track", "Thing Done", "42", None, "m1", {"a": 1}, {"b": 2}
    )


@pytest.mark.parametrize(
    ("kind", "fields", "described"),
    [
        ("identify", {"traits": {"plan": "pro"}}, {"plan": "pro"}),
        ("group", {"groupId": "g1", "traits": {"plan": "pro"}}, {"plan": "pro"}),
        ("page", {"properties": {"url": "/"}}, {"url": "/"}),
        ("screen", {"properties": {"name": "Home"}}, {"name": "Home"}),
        ("alias", {"previousId": "before"}, None),
    ],
)
def test_every_type_brings_its_own_object(kind, fields, described):
    call = read_call(a_call(type=kind, event="no name of it", **fields))
    assert isinstance(call, Call)
    assert (call.type, call.event, call.properties) == (kind, None, described)


def test_all_six_types_have_a_long_and_a_short_route():
    assert set(ROUTES.values()) == CALLS | {None}
    assert {name for name in ROUTES if len(name) == 1} == set("btipsga")
    assert all(kind is None or name in (kind, kind[0]) for name, kind in ROUTES.items())


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "not_an_object"),
        ([], "not_an_object"),
        ("track", "not_an_object"),
        (a_call(type=...), "unknown_type"),
        (a_call(type="Track"), "unknown_type"),
        (a_call(type=["track"]), "unknown_type"),
        (a_call(messageId=7), "bad_message_id"),
        (a_call(messageId="m" * 101), "bad_message_id"),
        (a_call(messageId="a\0b"), "bad_message_id"),
        (a_call(properties=[]), "bad_properties"),
        (a_call(traits="x"), "bad_traits"),
        (a_call(context=1), "bad_context"),
        (a_call(userId=True), "bad_user_id"),
        (a_call(userId=1.5), "bad_user_id"),
        (a_call(userId=2**63), "bad_user_id"),
        (a_call(anonymousId={}), "bad_anonymous_id"),
        (a_call(userId=...), "no_user"),
        (a_call(userId=""), "no_user"),
        (a_call(userId=None, anonymousId=""), "no_user"),
        (a_call(event=...), "no_event"),
        (a_call(event=""), "no_event"),
        (a_call(event=5), "no_event"),
        (a_call(type="group"), "no_group_id"),
        (a_call(type="alias"), "no_previous_id"),
        (a_call(type="alias", userId=None, anonymousId="a", previousId="p"), "no_previous_id"),
    ],
)
def test_what_is_wrong_has_a_code(value, code):
    refusal = read_call(value)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert str(refusal).startswith(f"{code}: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"messageId": "m" * 100},
        {"messageId": "ü" * 100},
        {"messageId": ...},
        {"messageId": ""},
        {"messageId": None},
        {"userId": None, "anonymousId": "a"},
        {"userId": 2**63 - 1},
        {"userId": 0},
        {"properties": None, "context": None},
        {"properties": ...},
    ],
)
def test_what_is_odd_but_right_is_accepted(fields):
    assert isinstance(read_call(a_call(**fields)), Call)


def test_a_reason_never_quotes_a_value():
    secret = "anna@example.test"
    for value in (a_call(type=secret), a_call(messageId=secret * 10), a_call(properties=secret)):
        assert secret not in str(read_call(value))
