"""What the sandbox's application tells about product use: the same each time, and good for an ingest."""

import subprocess
import sys
from collections import Counter

from growth_pipeline.events.catalogue.registry import CATALOGUE
from growth_pipeline.sandbox.names import DAY
from growth_pipeline.sandbox.usage import PEOPLE, calls_of

AS_OF = 1_767_225_600  # 2026-01-01
ADA = {
    "user_id": "user_ada",
    "signed_up_at": AS_OF - 200 * DAY,
    "country": "DE",
    "ended_at": None,
    "left_at": None,
}


def test_the_same_person_tells_the_same_calls():
    assert list(calls_of(ADA, AS_OF)) == list(calls_of(ADA, AS_OF))


def test_a_person_is_anonymous_first_and_identified_once():
    calls = list(calls_of(ADA, AS_OF))
    kinds = Counter(call["type"] for call in calls)
    (identify,) = [call for call in calls if call["type"] == "identify"]
    pages = [call for call in calls if call["type"] == "page"]
    assert set(kinds) == {"page", "identify", "track"}
    assert {call["anonymousId"] for call in pages} == {identify["anonymousId"]}
    assert identify["traits"]["createdAt"] == "2025-06-15T00:00:00Z"
    assert all(call["timestamp"] < "2026-01-01" for call in calls)
    assert len({call["messageId"] for call in calls}) == len(calls)


def test_who_left_does_nothing_more():
    left = AS_OF - 150 * DAY
    calls = list(calls_of({**ADA, "left_at": left}, AS_OF))
    assert max(call["timestamp"] for call in calls) < "2025-08-04"


def test_events_are_those_of_the_catalogue():
    told = {call["event"] for call in calls_of(ADA, AS_OF) if call["type"] == "track"}
    assert told <= CATALOGUE.keys()
    assert "User Signed Up" in told


def test_the_command_tells_an_ingest_and_twice_is_once(store, company, address, ingest_server):
    people = store.fact(PEOPLE)
    expected = sum(1 for person in people for _ in calls_of(person, company.as_of))
    for _ in range(2):
        told = subprocess.run(
            [
                *(sys.executable, "-m", "growth_pipeline.sandbox", "usage", "--control", address),
                *("--ingest", ingest_server.url, "--write-key", ingest_server.key),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        assert f"{expected} product events were told" in told.stderr
    rows = ingest_server.rows("select flags from events.events")
    assert len(rows) == expected
    assert not {flag for row in rows for flag in row["flags"]} & {
        "not_in_catalogue",
        "unknown_version",
        "properties_differ",
    }
