"""Bodies: inflated within a bound; one odd value sinks only what it stands in."""

import gzip
import json
import sys
import tracemalloc
import zlib

import pytest

from growth_pipeline.events.ingest.body import (
    BATCH_LIMIT,
    NotJson,
    TooLargeError,
    UnreadableError,
    inflate,
    read_json,
    shown_keys,
    write_anything,
    write_json,
)


@pytest.mark.parametrize("size", [0, 1, BATCH_LIMIT - 1, BATCH_LIMIT])
def test_a_body_up_to_the_limit_is_inflated(size):
    assert inflate(gzip.compress(b"x" * size)) == b"x" * size


def test_one_byte_more_is_refused():
    with pytest.raises(TooLargeError):
        inflate(gzip.compress(b"x" * (BATCH_LIMIT + 1)))


def test_a_bomb_costs_no_more_than_the_limit():
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        inflate(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * BATCH_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        zlib.compress(b"{}"),
        gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}") + b"more",
        gzip.compress(b"{}")[:5],
        gzip.compress(b"{}") + gzip.compress(b"{}"),
    ],
    ids=["empty", "plain", "zlib", "cut", "followed", "header", "twice"],
)
def test_what_is_no_gzip_is_unreadable(body):
    with pytest.raises(UnreadableError):
        inflate(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"not json", b"\xff", b'{"a": 1} x', b"[" * 100_000, b'{"a":' * 100_000, b"'a'"],
    ids=["empty", "open", "text", "bytes", "more", "deep list", "deep object", "quotes"],
)
def test_what_is_no_json_is_unreadable(body):
    with pytest.raises(UnreadableError):
        read_json(body)


def test_values_that_other_programs_write_are_read_and_cannot_be_written():
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, r'"\ud800"'):
        value = read_json(f'{{"good": 1, "odd": {text}}}'.encode())
        assert value["good"] == 1
        assert write_json(value) is None, text
        assert json.loads(write_anything(value))["good"] == 1


def test_a_large_whole_number_is_the_nearest_double():
    numbers = b"-9223372036854775808, 18446744073709551615, 123456789012345678901234567890"
    expected = [-(2**63), 2**64 - 1, 1.2345678901234568e29]
    assert read_json(b"[" + numbers + b"]") == expected
    assert read_json(b"[" + numbers + b", NaN]")[:3] == expected
    assert json.loads(write_json(read_json(b"[" + numbers + b"]"))) == expected


def test_a_byte_order_mark_is_no_mistake():
    assert read_json(b"\xef\xbb\xbf{}") == {}


def test_the_last_of_two_equal_names_counts():
    assert read_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert read_json(b'{"a": 1, "a": NaN, "a": 3}') == {"a": 3}


def test_nothing_can_be_said_of_a_value_too_deep_to_write():
    value = []
    for _ in range(sys.getrecursionlimit() * 2):
        value = [value]
    assert write_json(value) is None
    assert write_anything(value) == b"null"
    assert write_anything({"a": NotJson()}) == b'{"a": null}'


def test_keys_are_found_without_reading_the_body():
    assert shown_keys(b'{"batch": [NaN, {"writeKey" :\n "one"}], "writeKey":"two", broken') == [
        "one",
        "two",
    ]
    assert shown_keys(b'{"writeKey": 7, "writekey": "no", "writeKey": ""}') == []
    assert len(shown_keys(b"".join(b'"writeKey":"%d",' % n for n in range(1000)))) == 3
