"""Who entered when, and which rows count for nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.files.facts import make_facts, read_history
from growth_pipeline.storage.engine import Engine
from growth_pipeline_tests.cohorts.files.reading import NOON, activity_of, read, refused, write


@pytest.fixture
def two_files(tmp_path) -> tuple[Path, Path]:
    users = write(
        tmp_path / "users.csv",
        "user_id,signed_up_at,Plan Name\n"
        "a,2031-01-03T10:00:00Z,pro\nb,2031-01-01,\nc,,free\nlate,2031-02-01,pro\n",
    )
    activity = activity_of(
        tmp_path,
        "b,2031-01-02,open,",
        "a,2031-01-04,open,",
        "a,2031-01-06,pay,0",
        "a,2031-01-07,pay,5",
        "a,2031-01-09,pay,5",
        "c,2031-01-05,open,",
        "stranger,2031-01-05,open,",
        "b,2031-01-20,open,",
        head="user_id,occurred_at,event,revenue",
    )
    return users, activity


AS_OF = datetime(2031, 1, 20, tzinfo=UTC)


def test_users_enter_by_sign_up_and_every_dropped_row_is_counted_once(engine, two_files):
    users, activity = two_files

    found = read(engine, activity, users, segment="plan_name", as_of=AS_OF)

    assert found.users == [("a", "2031-01-03", "pro"), ("b", "2031-01-01", None)]
    assert [row[0] for row in found.activity] == ["a", "a", "a", "a", "b"]
    assert found.dropped == {"after_as_of": 1, "excluded": 0, "unknown_user": 1, "no_entry": 1}


@pytest.mark.parametrize(
    ("options", "entered"),
    [
        ({"entry": "first_activity"}, {("a", "04"), ("b", "02"), ("c", "05")}),
        ({"entry": "first_payment"}, {("a", "07")}),  # an amount of 0 is no payment to enter by
        ({"entry": "first_event", "target_events": ("pay",)}, {("a", "06")}),
        (
            {"entry": "first_payment", "mode": "recurring"},
            {("a", "07"), ("a", "09")},
        ),
    ],
)
def test_users_enter_by_what_they_did_first(engine, two_files, options, entered):
    users, activity = two_files

    found = read(engine, activity, users, as_of=AS_OF, **options)

    assert {(user, day[-2:]) for user, day, _ in found.users} == entered


def test_numbers_follow_the_order_of_entry(engine, two_files):
    users, activity = two_files

    with engine.spool() as spool:
        history = read_history(engine, spool, activity=activity, users=users)
        facts = make_facts(engine, spool, history, RetentionDefinition(as_of=AS_OF))
        entries = pl.read_parquet(facts.entries)

    assert dict(entries.select("user_id", "user_number").iter_rows()) == {"b": 0, "a": 1}


def test_a_user_named_twice_with_other_values_is_refused_and_word_for_word_noted(engine, tmp_path):
    activity = activity_of(tmp_path, f"a,{NOON},,")
    same = write(tmp_path / "same.csv", "user_id,signed_up_at\na,2031-01-05\na,2031-01-05\n")
    other = write(
        tmp_path / "other.csv", "user_id,signed_up_at\na,2031-01-05\nb,2031-01-05\na,2031-01-06\n"
    )

    assert "same.csv: 1 users repeated word for word" in read(engine, activity, same).notes
    assert (
        "other.csv, lines 2 and 4: user 'a' is there more than once"
        in refused(engine, activity, other).message
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"entry": "signup"}, "sign-ups need a users file"),
        ({"segment": "plan"}, "segment plan needs a users file"),
        ({"entry": "first_payment"}, "has no column revenue"),
    ],
)
def test_what_the_files_do_not_tell_is_refused(engine, tmp_path, options, said):
    activity = activity_of(tmp_path, f"a,{NOON}", head="user_id,occurred_at")

    assert said in refused(engine, activity, **options).message


def test_a_file_larger_than_the_memory_of_the_engine_is_read(tmp_path):
    engine = Engine("192MiB", threads=2, temp_dir=tmp_path / "engine")
    rows = 500_000
    activity = tmp_path / "activity.csv"
    with activity.open("w", encoding="utf-8") as file:
        file.write("user_id,occurred_at,note\n")
        for n in range(rows):
            user, day = n * 7919 % 50_000, n % 28 + 1
            file.write(f"user-{user:08},2031-01-{day:02}T10:00:00Z,{'x' * 380}\n")
    assert activity.stat().st_size > 200_000_000

    with engine.spool() as spool:
        history = read_history(engine, spool, activity=activity)
        definition = RetentionDefinition(as_of=history.as_of, entry="first_activity")
        facts = make_facts(engine, spool, history, definition)
        found = pl.read_parquet(facts.activity).select(pl.col("events").sum(), pl.len())

    pairs = {(n * 7919 % 50_000, n % 28) for n in range(rows)}
    assert found.row(0) == (rows, len(pairs))
