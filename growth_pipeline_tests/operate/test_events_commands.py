"""`growth events keys` and `growth events dead-letters` in a process of their own, and the doctor's line."""

import json
import re
from datetime import UTC, datetime

import pytest

from growth_pipeline.events.ingest.ingest import Origin, take
from growth_pipeline.events.ingest.ingest_store import KnownKey
from growth_pipeline.events.store import as_parameters
from growth_pipeline.operate.doctor import judge_events
from growth_pipeline.storage.sql import load_sql

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)


def printed(done, code=0):
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_a_key_is_made_listed_and_revoked(growth_here, database):
    made = printed(growth_here("events", "keys", "create", "web", "--origin", "*", "--json"))
    assert made["key"].startswith("gwk_")
    assert (made["source"], made["origins"]) == ("web", ["*"])
    (listed,) = printed(growth_here("events", "keys", "list", "--json"))["keys"]
    assert (listed["key_id"], listed["revoked_at"]) == (made["key_id"], None)
    assert made["key"] not in growth_here("events", "keys", "list").stdout
    number = str(made["key_id"])
    dry = growth_here("events", "keys", "revoke", number, "--dry-run")
    assert (dry.returncode, "would be revoked" in dry.stderr) == (0, True)
    assert printed(growth_here("events", "keys", "list", "--json"))["keys"] == [listed]
    assert growth_here("events", "keys", "revoke", number).returncode == 0
    assert "revoked" in growth_here("events", "keys", "list").stdout


def test_a_script_reads_the_key_alone_and_a_person_the_rest(growth_here, database):
    made = growth_here("events", "keys", "create", "app")
    assert re.fullmatch(r"gwk_[\w-]+\n", made.stdout)
    assert "not shown again" in made.stderr


def test_a_dry_run_makes_no_key_and_a_wrong_name_none_either(growth_here, database):
    dry = growth_here("events", "keys", "create", "web", "--dry-run")
    assert (dry.stdout, "dry run: no key was made" in dry.stderr) == ("", True)
    for wrong in (("Web",), ("web", "--origin", "app.example")):
        assert growth_here("events", "keys", "create", *wrong).returncode == 2
    with database.connection() as connection:
        assert connection.execute("select 1 from events.write_keys").fetchall() == []


@pytest.fixture
def letters(database):
    """A call that is right by now, and one that never will be."""
    taken = take([7, {"type": "page", "userId": "u", "messageId": "m1"}], Origin(1, NOW, key_id=1))
    right = take([{"type": "no"}], Origin(1, NOW)).dead[0]._replace(body=taken.rows[0].body)
    with database.connection() as connection:
        connection.execute(
            load_sql("events/insert_events"), as_parameters([], [*taken.dead, right])
        )
        rows = connection.execute("select reason, dead_letter_id from events.dead_letters")
        return {reason.partition(":")[0]: str(number) for reason, number in rows.fetchall()}


def test_dead_letters_are_listed_shown_and_replayed(letters, growth_here, database):
    listed = printed(growth_here("events", "dead-letters", "list", "--json"))
    assert listed["waiting"] == {"not_an_object": 1, "unknown_type": 1}
    assert len(listed["dead_letters"]) == 2
    assert "not_an_object: " in growth_here("events", "dead-letters", "list").stdout
    shown = growth_here("events", "dead-letters", "show", letters["not_an_object"])
    assert shown.stdout.strip() == "7"
    as_json = growth_here("events", "dead-letters", "show", letters["unknown_type"], "--json")
    assert json.loads(printed(as_json)["body"])["messageId"] == "m1"
    dry = growth_here("events", "dead-letters", "replay", "--all", "--dry-run", "--json")
    planned = printed(dry, code=1)
    assert planned["taken"] == [int(letters["unknown_type"])]
    done = printed(growth_here("events", "dead-letters", "replay", "--all", "--json"), code=1)
    assert done == planned, "the dry run took nothing away"
    with database.connection() as connection:
        assert connection.execute("select message_id from events.events").fetchall() == [("m1",)]
    again = growth_here("events", "dead-letters", "replay", letters["unknown_type"])
    assert (again.returncode, again.stdout.strip()) == (0, "0 taken, 0 rejected again")


def test_a_replay_wants_to_know_of_what(growth_here, database):
    for options in ((), ("1", "--all"), ("--all", "--reason", "no_user")):
        assert growth_here("events", "dead-letters", "replay", *options).returncode == 2
    assert growth_here("events", "dead-letters", "show", "77").returncode == 2


# --- doctor --------------------------------------------------------------------------------------


def a_key(revoked=None, **counts):
    return KnownKey(1, "web", "gwk_abcdef", (), NOW, revoked, counts)


@pytest.mark.parametrize(
    ("keys", "without_key", "letters", "state", "said"),
    [
        ([], {}, 0, "ok", "no active write key"),
        ([a_key(NOW)], {}, 0, "ok", "no active write key"),
        ([a_key(stored=5, repeated=2)], {}, 0, "ok", "1 active write key(s), 5 events"),
        ([a_key(stored=5)], {}, 3, "warn", "3 rejected calls wait"),
        ([a_key(too_large=2, malformed=1)], {}, 0, "warn", "web (gwk_abcdef...) 3"),
        ([a_key(origin=1)], {"unauthorized": 4}, 9, "warn", "no key 4, web (gwk_abcdef...) 1"),
        ([a_key(throttled=9, unavailable=9, slow=9, cut=9)], {}, 0, "ok", "1 active"),
    ],
)
def test_the_doctor_names_keys_whose_requests_are_lost(keys, without_key, letters, state, said):
    checks = list(judge_events(keys, without_key, letters))
    assert [check.state for check in checks] == [state]
    assert said in checks[0].sentence
    assert bool(checks[0].fix) == (state == "warn")


def test_the_doctor_names_what_is_lost_without_any_key_too():
    checks = list(judge_events([], {"unauthorized": 1}, 0))
    assert [check.state for check in checks] == ["ok", "warn"]
