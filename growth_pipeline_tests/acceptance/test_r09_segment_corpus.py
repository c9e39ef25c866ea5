"""R09: what the Segment spec accepts is stored, what it refuses is named; neighbours never suffer.

The expected answer of each case is written here by hand from docs/events.md and the Segment spec
("HTTP Tracking API", "Common Fields"); nothing of the product is asked for it.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

import pytest

from growth_pipeline_tests.fakes.ingest_server import basic, ingest_serving

CALL_LIMIT = 32_768
REQUEST_LIMIT = 512_000
CALLS_LIMIT = 2_500
SENT = "2026-10-05T10:00:01Z"
NEEDS = {
    "track": {"event": "Thing Done"},
    "identify": {},
    "page": {},
    "screen": {},
    "group": {"groupId": "g1"},
    "alias": {"previousId": "before"},
}
ROUTES = {
    **dict.fromkeys(("track", "t"), "track"),
    **dict.fromkeys(("identify", "i"), "identify"),
    **dict.fromkeys(("page", "p"), "page"),
    **dict.fromkeys(("screen", "s"), "screen"),
    **dict.fromkeys(("group", "g"), "group"),
    **dict.fromkeys(("alias", "a"), "alias"),
}
GONE = object()  # the field is left out
NOT_TEXT = (True, 1.5, [], {}, ["u"], {"id": "u"})
NOT_OBJECTS = ([], "text", 7, True)


class Case(NamedTuple):
    """One call, and the code it must be rejected with; None: it must be stored."""

    name: str
    call: Any
    code: str | None


class Corpus:
    """Collects cases; each call holds its own number, so that it is found again in the rows."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, title: str, kind: str, code: str | None = None, /, **changes: Any) -> None:
        number = len(self.cases)
        call: dict[str, Any] = {"type": kind, "userId": "u1", "messageId": f"m{number}"}
        call |= NEEDS.get(kind, {}) | changes | {"caseNumber": number}
        kept = {field: value for field, value in call.items() if value is not GONE}
        self.cases.append(Case(f"{kind}: {title}", kept, code))

    def add_raw(self, name: str, value: Any, code: str) -> None:
        self.cases.append(Case(name, value, code))

    def add_sized(self, kind: str, size: int, code: str | None) -> None:
        """A call of exactly so many bytes of compact JSON."""
        self.add(f"{size} bytes", kind, code, context={"padding": ""})
        call = self.cases[-1].call
        call["context"]["padding"] = "x" * (size - len(compact(call)))
        assert len(compact(call)) == size


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def corpus() -> list[Case]:
    """Every case of a call."""
    found = Corpus()
    for kind in NEEDS:
        add_people(found, kind)
        add_message_ids(found, kind)
        add_objects(found, kind)
        for size, code in ((-1, None), (0, None), (1, "too_large")):
            found.add_sized(kind, CALL_LIMIT + size, code)
    add_kinds(found)
    add_values(found)
    return found.cases


def add_people(found: Corpus, kind: str) -> None:
    found.add("with userId", kind)
    found.add("with both ids", kind, anonymousId="a1")
    only_anonymous = "no_previous_id" if kind == "alias" else None
    found.add("with anonymousId only", kind, only_anonymous, userId=GONE, anonymousId="a1")
    found.add("userId null", kind, only_anonymous, userId=None, anonymousId="a1")
    for name, value in (("without any id", GONE), ("userId null", None), ("userId empty", "")):
        found.add(name, kind, "no_user", userId=value)
    found.add("userId a whole number", kind, userId=7)
    for value in NOT_TEXT:
        found.add(f"userId {value!r}", kind, "bad_user_id", userId=value)
        found.add(f"anonymousId {value!r}", kind, "bad_anonymous_id", anonymousId=value)


def add_message_ids(found: Corpus, kind: str) -> None:
    for length, code in ((1, None), (99, None), (100, None), (101, "bad_message_id")):
        number = str(len(found.cases))
        value = number.rjust(length, "x") if length > 1 else "abcdef"[list(NEEDS).index(kind)]
        found.add(f"messageId of {length} characters", kind, code, messageId=value)
    for value in (7, True, [], {}, "a\0b"):
        found.add(f"messageId {value!r}", kind, "bad_message_id", messageId=value)
    for name, value in (("none", GONE), ("null", None), ("empty", "")):
        found.add(f"messageId {name}", kind, messageId=value)


def add_objects(found: Corpus, kind: str) -> None:
    for name in ("properties", "traits", "context"):
        for value in NOT_OBJECTS:
            found.add(f"{name} {value!r}", kind, f"bad_{name}", **{name: value})
        for value in (None, {}, {"a": {"b": [1, None, "c"]}}):
            found.add(f"{name} {value!r}", kind, **{name: value})


def add_kinds(found: Corpus) -> None:
    for value in ("", "Track", "TRACK", "delete", "batch", None, 7, [], {}, GONE):
        found.add(f"type {value!r}", "track", "unknown_type", type=value)
    for value in (GONE, None, "", 7, [], {}):
        found.add(f"event {value!r}", "track", "no_event", event=value)
    for name, kind, missing in (
        ("groupId", "group", "no_group_id"),
        ("previousId", "alias", "no_previous_id"),
    ):
        for value in (GONE, None, ""):
            found.add(f"{name} {value!r}", kind, missing, **{name: value})
        for value in NOT_TEXT:
            code = "bad_group_id" if name == "groupId" else "bad_previous_id"
            found.add(f"{name} {value!r}", kind, code, **{name: value})
        found.add(f"{name} a whole number", kind, **{name: 7})
    for value in (None, 7, 1.5, "text", [], True, [{}]):
        found.add_raw(f"no object: {value!r}", value, "not_an_object")


def add_values(found: Corpus) -> None:
    for value in (float("nan"), float("inf"), -float("inf"), "\ud800", "x\udfff"):
        found.add(f"a property {value!r}", "track", "not_json", properties={"a": value})
        found.add(f"a trait {value!r}", "identify", "not_json", traits={"a": [value]})
    for value in ("\0", "a\0b", "\U0001f600", "\u202e", "\ufeff", 2**53 + 1, 2**70, -0.0, 1e300):
        found.add(f"a property {value!r}", "track", properties={"a": value})
        found.add(f"a name {value!r}", "page", name=value)
    for value in ("yesterday", "", 7, None, [], "0001-01-01T00:00:00Z", "2016-12-31T23:59:60Z"):
        found.add(f"timestamp {value!r}", "track", timestamp=value)
        found.add(f"sentAt {value!r}", "track", sentAt=value)
    found.add("integrations", "track", integrations={"All": False})
    found.add("_metadata", "track", _metadata={"nodeVersion": "24.0.0"})
    found.add("fields nobody knows", "track", anything={"a": 1}, else_=[2])


def in_batches(cases: list[Case], each: int = 5) -> list[list[tuple[int, Case]]]:
    """Cases with their numbers, few enough that a batch stays within its limit."""
    numbered = list(enumerate(cases))
    return [numbered[first : first + each] for first in range(0, len(numbered), each)]


@pytest.fixture(scope="module")
def server(module_database_url, tmp_path_factory):
    with ingest_serving(module_database_url, tmp_path_factory.mktemp("ingest")) as running:
        yield running


@pytest.fixture
def ingest(server):
    with server.database.connection() as connection:
        connection.execute("truncate events.events, events.dead_letters")
    return server


def a_neighbour(number: int) -> dict[str, Any]:
    return {"type": "page", "userId": "u1", "messageId": f"neighbour{number}", "caseNumber": -1}


def test_each_call_of_the_corpus_is_stored_or_named_with_its_index(ingest, acceptance_line):
    cases = corpus()
    wrong: list[str] = []
    for batch in in_batches(cases):
        calls = [call for number, case in batch for call in (a_neighbour(number), case.call)]
        body = json.dumps({"batch": calls, "sentAt": SENT})
        answer = ingest.post("/v1/batch", body)
        told = {one["index"]: one["reason"] for one in answer.json().get("rejected", [])}
        expected = {2 * at + 1: case.code for at, (_, case) in enumerate(batch) if case.code}
        if answer.status_code != 200 or set(told) != set(expected):
            wrong.append(f"{[case.name for _, case in batch]}: {answer.status_code} {told}")
            continue
        wrong += [
            f"{batch[at // 2][1].name}: {told[at]}"
            for at, code in expected.items()
            if not told[at].startswith(f"{code}: ")
        ]
    stored = [json.loads(row["body"])["caseNumber"] for row in ingest.rows()]
    accepted = [number for number, case in enumerate(cases) if case.code is None]
    violations = {
        "answered wrongly": wrong,
        "neighbours lost": len(cases) - stored.count(-1),
        "not as accepted": sorted(set(accepted) ^ (set(stored) - {-1})),
        "stored twice": len(stored) - stored.count(-1) - len(accepted),
    }
    assert len(cases) >= 300
    dead = ingest.rows("select count(*) as n from events.dead_letters")[0]["n"]
    acceptance_line(
        "R09",
        violations={name: what for name, what in violations.items() if what},
        load={"cases": len(cases), "rejected": len(cases) - len(accepted)},
        dead_letters=dead,
    )


# --- whole requests ------------------------------------------------------------------------------


def a_single(kind: str, **more: Any) -> dict[str, Any]:
    return {"userId": "u1", "messageId": "single"} | NEEDS[kind] | more


def a_body_of(size: int) -> bytes:
    """A batch of exactly so many bytes whose calls are all within their own limit."""
    calls = [
        {"type": "page", "userId": "u1", "messageId": f"m{number}", "name": "x" * 30_000}
        for number in range(17)
    ]
    bare = len(compact({"batch": calls, "padding": ""}))
    whole = compact({"batch": calls, "padding": "x" * (size - bare)})
    assert len(whole) == size
    return whole


@pytest.mark.parametrize(("name", "kind"), ROUTES.items())
def test_a_single_call_passes_its_route_by_either_way_of_showing_the_key(ingest, name, kind):
    nobody = {"Authorization": ""}
    for number, (headers, more) in enumerate([({}, {}), (nobody, {"writeKey": ingest.key})]):
        call = a_single(kind, messageId=f"m{number}", **more)
        for content_type in ("application/json", "text/plain"):
            answer = ingest.post(
                f"/v1/{name}", json.dumps(call), headers={"Content-Type": content_type} | headers
            )
            assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [row["type"] for row in ingest.rows()] == [kind, kind]


@pytest.mark.parametrize("name", ["batch", "b", *ROUTES])
def test_a_bad_key_is_refused_on_every_route_and_nothing_is_stored(ingest, name):
    call = a_single(ROUTES.get(name, "page"))
    document = call if name in ROUTES else {"batch": [call | {"type": "page"}]}
    shown = [
        ({"Authorization": ""}, {}),
        (basic("unknown"), {}),
        (basic(ingest.key + "x"), {}),
        ({"Authorization": "Basic %%%"}, {}),
        ({"Authorization": f"Bearer {ingest.key}"}, {}),
        ({"Authorization": ""}, {"writeKey": "unknown"}),
        ({"Authorization": ""}, {"writeKey": [ingest.key]}),
    ]
    for headers, more in shown:
        answer = ingest.post(f"/v1/{name}", document | more, headers=headers)
        assert answer.status_code == 401, (headers, more)
    assert ingest.rows() == []


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_a_request_may_have_its_limit_of_bytes_and_not_one_more(ingest, more, status, zipped):
    body = a_body_of(REQUEST_LIMIT + more)
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    answer = ingest.post("/v1/batch", gzip.compress(body) if zipped else body, headers=headers)
    assert answer.status_code == status
    assert len(ingest.rows()) == (17 if status == 200 else 0)


@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_a_batch_may_have_its_limit_of_calls_and_not_one_more(ingest, more, status):
    count = CALLS_LIMIT + more
    calls = [{"type": "page", "userId": "u", "messageId": f"m{n}"} for n in range(count)]
    assert ingest.post("/v1/batch", {"batch": calls}).status_code == status
    assert len(ingest.rows()) == (count if status == 200 else 0)


@pytest.mark.parametrize("kind", NEEDS)
@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 413)])
def test_a_single_call_may_have_its_limit_of_bytes_and_not_one_more(ingest, kind, more, status):
    call = a_single(kind, type=kind, context={"padding": ""})
    call["context"]["padding"] = "x" * (CALL_LIMIT + more - len(compact(call)))
    assert ingest.post(f"/v1/{kind}", compact(call)).status_code == status
    assert len(ingest.rows()) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"7", b'"text"', b"{}", b'{"batch":{}}', b'{"batch":null}',
     b'{"batch":"text"}', b"\xff\xfe", b"<html>", b"batch=1", b'{"batch":[]} x'],
)  # fmt: skip
def test_what_is_no_batch_is_refused_as_a_whole(ingest, body):
    assert ingest.post("/v1/batch", body).status_code == 400
    assert ingest.rows() == []


def test_an_empty_batch_is_a_success(ingest):
    assert ingest.post("/v1/batch", {"batch": []}).json() == {"success": True}
