"""Who is counted: anonymous ids are merged before counting, left out users are counted as such."""

from __future__ import annotations

import json

import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

ACTIVITY = """user_id,occurred_at
anon-1,2031-01-01T10:00:00Z
u1,2031-01-02T10:00:00Z
anon-2,2031-01-02T11:00:00Z
u2,2031-01-03T10:00:00Z
staff,2031-01-03T11:00:00Z
"""
ALIASES = "anonymous_id,user_id\nanon-1,u1\nanon-2,u1\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "activity.csv").write_text(ACTIVITY)
    (tmp_path / "aliases.csv").write_text(ALIASES)
    (tmp_path / "staff.txt").write_text("staff\n\n")
    return tmp_path


def ask(files, command, *words):
    given = [command, "--activity", str(files / "activity.csv"), *words]
    return json.loads(CliRunner().invoke(app, given, catch_exceptions=False).stdout)


def sizes(answer):
    return {row["cohort_start"]: row["cohort_size"] for row in answer["cells"]}


def test_what_anonymous_ids_did_is_what_their_user_did(files):
    answer = ask(files, "retention", "--aliases", str(files / "aliases.csv"))
    assert sizes(answer) == {"2031-01-01": 1, "2031-01-03": 2}
    first = answer["cells"][:2]
    assert [(row["users"], row["events"]) for row in first] == [(1, 1), (1, 2)]


@pytest.mark.parametrize("left_out", ["staff,u2", "@staff.txt"])
def test_left_out_users_are_in_no_cohort_and_their_rows_are_counted(files, left_out):
    words = left_out.replace("@", f"@{files}/")
    answer = ask(files, "retention", "--exclude", words, "--max-period", "0")
    assert "staff" in answer["exclude"]
    assert answer["dropped"]["excluded"] == len(answer["exclude"])
    assert sum(sizes(answer).values()) == 5 - len(answer["exclude"])


def test_active_users_know_the_same_people(files):
    words = ("--aliases", str(files / "aliases.csv"), "--exclude", "staff", "--windows", "1,7")
    rows = ask(files, "active-users", *words)["rows"]
    assert [(row["metric"], row["users"]) for row in rows] == [
        *(("dau", 1), ("wau", 1), ("dau", 1), ("wau", 1), ("dau", 1), ("wau", 2))
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("anonymous_id,user_id\nanon-1,u1\nanon-1,u2\n", "more than once"),
        ("anonymous_id,user_id\nanon-1,anon-2\nanon-2,u1\n", "merged itself"),
        ("anonymous_id,user_id\nanon-1,\n", "merged into nobody"),
        ("anonymous,user\na,b\n", "no column anonymous_id"),
    ],
)
def test_a_file_of_aliases_that_says_two_things_is_refused(files, text, said):
    (files / "aliases.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        ask(files, "retention", "--aliases", str(files / "aliases.csv"))


def test_a_missing_list_of_left_out_users_is_told(files):
    with pytest.raises(UsageError, match="--exclude @nowhere cannot be read"):
        ask(files, "retention", "--exclude", "@nowhere")


@pytest.mark.parametrize("unit", ["customer", "Customer ID"])
def test_customers_may_be_counted_instead_of_users(tmp_path, unit):
    (tmp_path / "users.csv").write_text("customer_id,signed_up_at\nc1,2031-01-01\nc2,2031-01-01\n")
    (tmp_path / "activity.csv").write_text(
        "user_id,customer_id,occurred_at\nu1,c1,2031-01-01\nu2,c1,2031-01-01\nu3,c2,2031-01-02\n"
    )
    words = ("--users", str(tmp_path / "users.csv"), "--unit", unit, "--max-period", "1")
    answer = ask(tmp_path, "retention", *words)
    assert answer["unit"] == unit
    assert [(row["cohort_size"], row["users"]) for row in answer["cells"]] == [(2, 1), (2, 1)]
    rows = ask(tmp_path, "active-users", "--unit", unit, "--windows", "7")["rows"]
    assert [row["users"] for row in rows] == [1, 2]
