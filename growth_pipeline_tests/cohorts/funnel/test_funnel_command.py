"""`growth funnel` on events worked by hand. Contract: docs/metrics.md, "Funnels"."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError

CONTRACT = {
    "u1": "A0 B5 C5",
    "u2": "B0 A1 C2",
    "u3": "A0 X1 B2 C3",
    "u4": "A0 B50 A60 B65 C69",
}


def file_of(folder: Path, *lines: str, head: str = "user_id,occurred_at,event") -> Path:
    path = folder / "events.csv"
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


def contract(folder: Path) -> Path:
    lines = (
        f"{user},2031-01-01T00:{int(word[1:]) // 60:02}:{int(word[1:]) % 60:02}Z,{word[0]}"
        for user, words in CONTRACT.items()
        for word in words.split()
    )
    return file_of(folder, *lines)


def call(path: Path, steps: str, *words: str) -> str:
    done = CliRunner().invoke(
        app, ["funnel", "--events", str(path), "--steps", steps, *words], catch_exceptions=False
    )
    return done.stdout


def ask(path: Path, steps: str, *words: str) -> dict[str, Any]:
    return json.loads(call(path, steps, *words))


def counts(answer: dict[str, Any], value: str | None = None) -> list[int]:
    return [row["count"] for row in answer["stages"] if row["value"] == value]


def refused(path: Path, steps: str, *words: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        call(path, steps, *words)
    return error.value


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [4, 3, 3]),
        (("--window", "10s"), [4, 3, 3]),
        (("--ties", "forbid"), [4, 3, 2]),
        (("--order", "strict"), [4, 2, 2]),
        (("--order", "any"), [4, 4, 4]),
        (("--order", "independent"), [4, 4, 4]),
        (("--unit", "event"), [5, 5, 4]),
    ],
)
def test_the_example_of_the_contract(words, expected, tmp_path):
    assert counts(ask(contract(tmp_path), "A,B,C", *words)) == expected


def test_rates_drop_off_and_times_between_stages(tmp_path):
    answer = ask(contract(tmp_path), "A,B,C", "--ties", "forbid")
    told = [
        (row["from_first"], row["from_previous"], row["dropoff"], row["median_seconds"])
        for row in answer["stages"]
    ]
    # B after 5, 2 and 50 seconds; C after 1 and 19 more.
    assert told == [(1.0, None, 0, None), (0.75, 0.75, 1, 5.0), (0.5, 0.666667, 1, 10.0)]
    assert answer["overall_rate"] == 0.5


def test_who_never_enters_is_counted(tmp_path):
    answer = ask(contract(tmp_path), "X,B")
    assert (answer["units"], answer["entering"], answer["never_entering"]) == (4, 1, 3)


def test_a_stage_may_be_any_of_several_events(tmp_path):
    assert counts(ask(contract(tmp_path), "A,X|C")) == [4, 4]


def test_an_event_serves_one_stage_of_an_attempt(tmp_path):
    assert counts(ask(contract(tmp_path), "A,A")) == [4, 1]


def test_a_window_ends_with_its_last_instant_inside(tmp_path):
    path = file_of(tmp_path, "u,2031-01-01T00:00:00Z,A", "u,2031-01-01T00:00:10Z,B")
    assert counts(ask(path, "A,B", "--window", "10s")) == [1, 1]
    assert counts(ask(path, "A,B", "--window", "9s")) == [1, 0]


def test_an_attempt_with_less_than_a_window_left_is_open_and_in_no_rate(tmp_path):
    path = file_of(tmp_path, "u,2031-01-01,A", "v,2031-01-09,A", "v,2031-01-09,B")
    answer = ask(path, "A,B", "--window", "7d")
    assert (counts(answer), answer["open"], answer["never_entering"]) == ([1, 0], 1, 0)
    assert counts(ask(path, "A,B", "--window", "7d", "--open-attempts", "include")) == [2, 1]
    assert counts(ask(path, "A,B", "--window", "7d", "--as-of", "2031-01-16")) == [2, 1]


def test_stage_1_lies_in_the_range_and_later_stages_may_lie_after_it(tmp_path):
    path = file_of(tmp_path, "u,2031-01-01,A", "v,2031-01-03,A", "v,2031-01-09,B")
    assert counts(ask(path, "A,B", "--from", "2031-01-02", "--to", "2031-01-03")) == [1, 1]
    assert counts(ask(path, "A,B", "--to", "2031-01-02")) == [1, 0]


def test_a_rate_without_a_base_is_unknown_or_zero_as_asked(tmp_path):
    path = contract(tmp_path)
    assert ask(path, "Z,A")["stages"][1]["from_previous"] is None
    assert ask(path, "Z,A", "--empty-rate", "zero")["stages"][1]["from_previous"] == 0.0


def test_a_breakdown_is_by_the_property_of_the_event_that_entered(tmp_path):
    path = file_of(
        tmp_path,
        "u,2031-01-01,A,pro",
        "u,2031-01-02,B,free",
        "v,2031-01-01,A,",
        head="user_id,occurred_at,event,plan",
    )
    answer = ask(path, "A,B", "--breakdown", "plan")
    assert counts(answer, "pro") == [1, 1]
    assert [row["count"] for row in answer["stages"] if row["breakdown"]] == [1, 1, 1, 0]


def test_sessions_go_through_a_funnel_and_rows_can_be_counted_by_property(tmp_path):
    path = file_of(
        tmp_path,
        "u,2031-01-01T10:00:00Z,A,s1,web",
        "u,2031-01-01T11:00:00Z,B,s2,web",
        "v,2031-01-01T10:00:00Z,A,s3,app",
        "v,2031-01-01T10:01:00Z,B,s3,app",
        head="user_id,occurred_at,event,session_id,source",
    )
    assert counts(ask(path, "A,B")) == [2, 2]
    assert counts(ask(path, "A,B", "--unit", "session")) == [2, 1]
    rows = ask(path, "A,B", "--unit", "event", "--breakdown", "source")
    assert counts(rows, "app") == [1, 1]
    # A in a session that also has B.
    assert counts(ask(path, "A+B")) == [1]


def test_users_may_be_those_of_a_segment_and_of_a_period_of_sign_up(tmp_path):
    users = tmp_path / "users.csv"
    users.write_text(
        "user_id,signed_up_at,country\nu1,2031-01-01,de\nu2,2031-01-01,fr\nu3,2031-02-01,de\n"
    )
    path = contract(tmp_path)
    assert counts(ask(path, "A,B,C", "--users", str(users))) == [3, 2, 2]
    january = ("--users", str(users), "--signed-up-to", "2031-01-31")
    assert counts(ask(path, "A,B,C", *january)) == [2, 1, 1]
    split = ask(path, "A,B,C", "--users", str(users), "--segment", "country")
    assert (counts(split, "de"), counts(split, "fr")) == ([2, 2, 2], [1, 0, 0])


def test_some_users_are_left_out_and_others_merged(tmp_path):
    path = contract(tmp_path)
    assert counts(ask(path, "A,B,C", "--exclude", "u1,u2")) == [2, 2, 2]
    aliases = tmp_path / "aliases.csv"
    aliases.write_text("anonymous_id,user_id\nu3,u1\n")
    assert counts(ask(path, "A,B,C", "--aliases", str(aliases))) == [3, 2, 2]


def test_csv_repeats_the_totals_on_every_stage(tmp_path):
    rows = list(csv.DictReader(io.StringIO(call(contract(tmp_path), "A,B,C", "--format", "csv"))))
    assert [row["count"] for row in rows] == ["4", "3", "3"]
    assert {row["entering"] for row in rows} == {"4"}


def test_markdown_shows_the_stages(tmp_path):
    text = call(contract(tmp_path), "A,B,C", "--format", "md")
    assert text.startswith("# Funnel")


@pytest.mark.parametrize(
    "words",
    [
        ("--order", "random"),
        ("--ties", "maybe"),
        ("--window", "soon"),
        ("--breakdown", "plan"),
        ("--segment", "plan"),
        ("--signed-up-from", "2031-01-01"),
        ("--from", "2031-02-01", "--to", "2031-01-01"),
        ("--unit", "team_id"),
    ],
)
def test_a_wrong_option_is_refused(words, tmp_path):
    assert refused(contract(tmp_path), "A,B", *words).remedy


@pytest.mark.parametrize("steps", ["", "A,,B", "A+", "|"])
def test_stages_without_an_event_are_refused(steps, tmp_path):
    assert "names no event" in refused(contract(tmp_path), steps).message


PLANS = (
    "u1,2031-01-01T00:00:00Z,Signed Up,,",
    "u1,2031-01-01T00:01:00Z,Project Created,pro,DE",
    "u1,2031-01-01T00:02:00Z,Paid,pro,DE",
    "u2,2031-01-01T00:00:00Z,Signed Up,,",
    "u2,2031-01-01T00:01:00Z,Project Created, pro ,FR",
    "u3,2031-01-01T00:00:00Z,Signed Up,,",
    "u3,2031-01-01T00:01:00Z,Project Created,free,DE",
    "u3,2031-01-01T00:02:00Z,Paid,free,DE",
)


@pytest.mark.parametrize(
    ("stage", "reached"),
    [
        ("Project Created", [3, 3, 2]),
        ("Project Created[plan=pro]", [3, 2, 1]),
        ("Project Created[plan=pro,country=DE]", [3, 1, 1]),
        ("Project Created[country=DE]", [3, 2, 2]),
        ("Project Created[plan=pro]|Project Created[plan=free]", [3, 3, 2]),
        ("Project Created[plan=pro,plan=free]", [3, 0, 0]),
        ("Project Created[plan=Pro]", [3, 0, 0]),  # values are exact
    ],
)
def test_a_stage_may_ask_for_properties_of_its_event(tmp_path, stage, reached):
    path = file_of(tmp_path, *PLANS, head="user_id,occurred_at,event,plan,country")
    assert counts(ask(path, f"Signed Up,{stage},Paid")) == reached


def test_properties_and_sessions_are_read_side_by_side(tmp_path):
    path = file_of(
        tmp_path,
        "u1,2031-01-01T00:00:00Z,A,s1,",
        "u1,2031-01-01T00:01:00Z,B,s1,pro",
        "u2,2031-01-01T00:00:00Z,A,,",
        "u2,2031-01-01T00:01:00Z,B,s2,pro",
        "u2,2031-01-01T00:02:00Z,C,s2,",
        head="user_id,occurred_at,event,session_id,plan",
    )
    assert counts(ask(path, "A+B,B[plan=pro]")) == [1, 1]
    assert counts(ask(path, "A,B[plan=pro],C+B")) == [2, 2, 1]


def test_a_property_without_column_or_value_is_refused(tmp_path):
    path = file_of(tmp_path, *PLANS, head="user_id,occurred_at,event,plan,country")
    assert "has no column size" in refused(path, "Signed Up,Paid[size=1]").message
    assert "a property without value" in refused(path, "Signed Up,Paid[plan=]").message
    assert "both + and a property" in refused(path, "Signed Up,Paid[plan=pro]+Signed Up").message


def test_brackets_that_say_nothing_of_a_property_are_part_of_a_name(tmp_path):
    path = file_of(tmp_path, "u1,2031-01-01,A[1]", "u1,2031-01-02,B[")
    assert counts(ask(path, "A[1],B[")) == [1, 1]
