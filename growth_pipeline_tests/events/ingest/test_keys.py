"""Write keys: how one looks, whose it is, which pages may use it."""

import hashlib

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.ingest.keys import (
    KeyRing,
    WriteKey,
    hash_key,
    make_key,
    read_origins,
    read_source_name,
    shown_part,
)

PAGE = "https://app.example"


def test_a_key_is_long_random_and_recognisable():
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("gwk_") and len(key) == 36 for key in keys)
    assert shown_part("gwk_abcdefghij") == "gwk_abcdef"


def test_a_ring_knows_keys_by_their_hash():
    key = WriteKey(1, 2, "app", (PAGE,))
    ring = KeyRing({hash_key("gwk_one"): key})
    assert hash_key("gwk_one") == hashlib.sha256(b"gwk_one").digest()
    assert ring.find("gwk_one") == key
    assert [ring.find(text) for text in ("gwk_two", "", "x" * 10_000, "\ud800")] == [None] * 4
    assert len(ring) == 1


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), None, True),
        ((), PAGE, False),
        ((PAGE,), PAGE, True),
        ((PAGE,), "HTTPS://APP.EXAMPLE", True),
        ((PAGE,), PAGE + ":8443", False),
        ((PAGE,), "http://app.example", False),
        ((PAGE,), "null", False),
        (("*",), "https://anything.example", True),
    ],
)
def test_a_page_may_use_the_keys_that_name_it(origins, origin, allowed):
    assert WriteKey(1, 1, "app", origins).allows(origin) is allowed
    if origin is not None:
        assert KeyRing({b"": WriteKey(1, 1, "app", origins)}).allows(origin) is allowed


def test_origins_are_written_as_browsers_send_them():
    given = ["HTTPS://App.Example", "https://app.example:443", "http://localhost:3000", "*"]
    assert read_origins(given) == [PAGE, "http://localhost:3000", "*"]
    assert read_origins(["http://a.example:80", "http://[::1]:3000"]) == [
        "http://a.example",
        "http://[::1]:3000",
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "app.example",
        "https://app.example/",
        "https://a b",
        "ftp://a.example",
        "",
        "https://*.x",
        "null",
    ],
)
def test_what_no_browser_sends_is_no_origin(origin):
    with pytest.raises(UsageError, match="is no origin"):
        read_origins([origin])


def test_names_of_sources_are_short_and_plain():
    assert read_source_name("web-app_2") == "web-app_2"
    for name in ("", "Web", "-a", "a b", "a" * 64):
        with pytest.raises(UsageError, match="no name of a source"):
            read_source_name(name)
