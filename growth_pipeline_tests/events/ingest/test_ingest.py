"""Calls of a request turned into rows to store, calls to set aside, and the answer."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from growth_pipeline.events.ingest.body import TooLargeError, read_json
from growth_pipeline.events.ingest.ingest import (
    NotABatchError,
    Origin,
    Row,
    calls_of,
    set_aside,
    take,
    take_one,
)

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)
HERE = Origin(3, NOW, sent_at="2026-10-05T12:00:00Z", key_id=9)
TYPED = Origin(3, NOW, is_typed=True, sent_at="2026-10-05T12:00:00Z", key_id=9)


def a_call(**fields):
    return {
        "type": "track",
        "event": "Thing Done",
        "userId": "u1",
        "messageId": "m1",
        "timestamp": "2026-10-05T11:00:00Z",
        "properties": {"n": 1},
    } | fields


def a_row(value, origin=HERE):
    row = take_one(value, origin)
    assert isinstance(row, Row), row
    return row


# --- calls of a request --------------------------------------------------------------------------


def test_a_route_of_one_type_says_what_its_call_is():
    assert calls_of({"userId": "u", "type": "page"}, "identify") == [
        {"userId": "u", "type": "identify"}
    ]


def test_a_batch_brings_its_calls_as_they_are():
    assert calls_of({"batch": [1, {"type": "page"}]}, None) == [1, {"type": "page"}]


def test_typed_calls_are_track_calls_if_they_do_not_say():
    assert calls_of({"event": "A"}, None, or_track=True) == [{"type": "track", "event": "A"}]
    assert calls_of({"batch": [{"event": "A"}, {"type": "page"}, 3]}, None, or_track=True) == [
        {"type": "track", "event": "A"},
        {"type": "page"},
        3,
    ]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"batch": None}, {"batch": {"a": 1}}])
def test_what_is_neither_a_call_nor_a_batch_is_refused_whole(document):
    with pytest.raises(NotABatchError):
        calls_of(document, None)


def test_a_batch_has_at_most_2500_calls():
    assert len(calls_of({"batch": [1] * 2500}, None)) == 2500
    with pytest.raises(TooLargeError):
        calls_of({"batch": [1] * 2501}, None)


# --- rows ----------------------------------------------------------------------------------------


def test_a_row_has_what_the_call_says_and_where_it_came_from():
    row = a_row(a_call(anonymousId="a1", context={"ip": "::1"}))
    assert row._replace(body=b"") == Row(
        source_id=3,
        message_id="m1",
        key_id=9,
        type="track",
        event="Thing Done",
        user_id="u1",
        anonymous_id="a1",
        occurred_at=datetime(2026, 10, 5, 11, tzinfo=UTC),
        received_at=NOW,
        sent_at=NOW,
        flags="not_in_catalogue",
        properties='{"n":1}',
        body=b"",
    )
    assert json.loads(row.body) == a_call(anonymousId="a1", context={"ip": "::1"})


def test_a_call_that_says_itself_when_it_was_sent_is_believed_before_its_batch():
    row = a_row(a_call(sentAt="2026-10-05T11:30:00Z"))
    assert row.sent_at == datetime(2026, 10, 5, 11, 30, tzinfo=UTC)
    assert row.occurred_at == datetime(2026, 10, 5, 11, 30, tzinfo=UTC)


def test_flags_stand_side_by_side():
    call = a_call(timestamp=None)
    del call["messageId"]
    assert a_row(call, Origin(1, NOW)).flags == "not_in_catalogue,no_timestamp,no_message_id"


def test_a_call_without_id_that_is_sent_again_is_the_same_message():
    call = a_call(messageId=None)
    first, again = take(
        [call, call | {"sentAt": "2026-10-05T12:00:09Z", "writeKey": "k"}], HERE
    ).rows
    assert first.message_id == again.message_id
    assert first.message_id.startswith("sha256_")
    assert len(first.message_id) <= 100
    assert a_row(call | {"userId": "u2"}).message_id != first.message_id


def test_two_calls_without_id_and_time_are_two_messages():
    call = a_call(messageId="", timestamp=None)
    assert a_row(call).message_id != a_row(call).message_id


def test_the_null_character_is_replaced_where_postgres_refuses_it_and_kept_in_the_body():
    row = a_row(a_call(event="a\0b", userId="u\0", properties={"k\0": ["v\0", {"w": "\0"}]}))
    assert (row.event, row.user_id) == ("a\ufffdb", "u\ufffd")
    assert json.loads(row.properties) == {"k\ufffd": ["v\ufffd", {"w": "\ufffd"}]}
    assert "\0" in json.loads(row.body)["event"]
    assert "null_character" in row.flags


def test_words_that_only_look_like_a_null_character_are_no_flag():
    assert a_row(a_call(properties={"k": r"\u0000"})).flags == "not_in_catalogue"


def test_properties_that_the_catalogue_does_not_know_as_right_are_a_flag():
    row = a_row(a_call(event="Project Created", properties={}))
    assert row.flags == "properties_differ"


def test_a_write_key_that_stands_in_a_call_is_stored_nowhere():
    shown = {"writeKey": "gwk_text"}
    calls = calls_of({"batch": [a_call() | shown, {"type": "no"} | shown]} | shown, None)
    calls += calls_of(a_call() | shown, "track") + calls_of(a_call() | shown, None, or_track=True)
    taken = take(calls, HERE)
    assert (len(taken.rows), len(taken.dead)) == (3, 1)
    assert "gwk_text" not in str(taken)
    deeper = a_row(a_call(properties=shown))
    assert json.loads(deeper.properties) == shown, "a property of that name is the sender's own"


# --- rejected ------------------------------------------------------------------------------------


def test_each_wrong_call_is_named_and_its_neighbours_are_rows():
    calls = [a_call(messageId="m0"), 5, a_call(messageId="m2"), {"type": "no"}]
    taken = take(calls, HERE)
    assert [row.message_id for row in taken.rows] == ["m0", "m2"]
    assert taken.places == [0, 2]
    assert [(one.place, one.reason.split(":")[0]) for one in taken.rejected] == [
        (1, "not_an_object"),
        (3, "unknown_type"),
    ]
    assert [letter.body for letter in taken.dead] == [b"5", b'{"type":"no"}']
    assert {(letter.source_id, letter.key_id, letter.received_at) for letter in taken.dead} == {
        (3, 9, NOW)
    }
    assert taken.size > sum(len(row.body) for row in taken.rows)


@pytest.mark.parametrize(("more", "code"), [(0, None), (1, "too_large")])
def test_a_call_has_at_most_32_kib(more, code):
    empty = len(json.dumps(a_call(properties={"t": ""}), separators=(",", ":")))
    answer = take_one(a_call(properties={"t": "x" * (32_768 - empty + more)}), HERE)
    assert getattr(answer, "code", None) == code


def test_a_value_that_json_does_not_know_keeps_its_call_out():
    value = read_json(b'{"type": "track", "event": "E", "userId": "u", "properties": {"n": NaN}}')
    taken = take([value, a_call()], HERE)
    assert [row.message_id for row in taken.rows] == ["m1"]
    assert taken.rejected[0].reason.startswith("not_json: ")
    assert json.loads(taken.dead[0].body)["properties"] == {"n": None}


def test_the_typed_route_rejects_what_the_other_flags():
    call = a_call(event="Project Created", properties={})
    taken = take([call], TYPED)
    assert taken.rows == []
    assert taken.rejected[0].reason.startswith("properties_differ: properties of Project Created@")
    assert taken.dead[0].is_typed


def test_the_same_rejected_call_is_one_dead_letter_for_each_kind_of_route():
    (first,), (again,) = take([7], HERE).dead, take([7], HERE).dead
    (typed,) = take([7], TYPED).dead
    assert first.body_hash == again.body_hash == hashlib.sha256(b"segment\n7").digest()
    assert typed.body_hash != first.body_hash


def test_a_dead_letter_remembers_when_the_batch_was_sent_as_it_was_told():
    for told, kept in (("yesterday", "yesterday"), ("a\0", "a\ufffd"), (5, None), ("ü", None)):
        (letter,) = take([7], Origin(1, NOW, sent_at=told)).dead
        assert letter.sent_at == kept


def test_a_long_sent_at_is_not_kept_again_and_again_with_each_dead_letter():
    told = "x" * 400_000  # of a batch of 2,500 wrong calls: a gigabyte for one request
    taken = take(list(range(2_500)), Origin(1, NOW, sent_at=told))
    assert {letter.sent_at for letter in taken.dead} == {None}


def test_a_call_that_the_database_refuses_is_a_dead_letter():
    row = a_row(a_call())
    letter = set_aside(row, HERE)
    assert (letter.body, letter.key_id) == (row.body, 9)
    assert letter.reason.startswith("refused_by_database: ")
