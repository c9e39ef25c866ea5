"""`growth active-users` and `growth funnel` without a file: what is published, as a person asks."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest

from growth_pipeline.cli import app
from growth_pipeline.cohorts.active_users.published.publish import QUESTIONS, told_of
from growth_pipeline.cohorts.active_users.published.refresh import refresh_active_users
from growth_pipeline.cohorts.activity_store import ActivityAnswer, PublishedActivity
from growth_pipeline.cohorts.funnel.published.publish import FUNNEL
from growth_pipeline.cohorts.funnel.published.refresh import FUNNEL_COLUMNS
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import write_day, write_users
from growth_pipeline_tests.fakes.command_line import CliRunner

START = date(2031, 1, 1)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
ACTIVE = {0: (1,), 1: (1, 2), 7: (3,)}  # the contract's example: days from 1 January


@pytest.fixture
def environment(tmp_path, database_url):
    return {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def published(tmp_path, database):
    """Thirty-one days of January 2031, and one month of a funnel."""
    lake, store = Lake(str(tmp_path / "lake")), PublishedActivity(database)
    write_users(lake, dict.fromkeys((1, 2, 3), START))
    for step in range(31):
        write_day(lake, START + timedelta(days=step), dict.fromkeys(ACTIVE.get(step, ()), 1))
    engine = Engine("256MiB", 1, tmp_path / "engine")
    told = told_of(refresh_active_users(lake, engine, now=NOW))
    answers = [answer for one in told for answer in one.answers()]
    store.publish(answers, kinds=QUESTIONS, now=NOW)
    store.publish([_funnel("signup"), _funnel("trial")], kinds=[FUNNEL], now=NOW)


def _funnel(name: str) -> ActivityAnswer:
    rows = [
        {
            **dict.fromkeys(FUNNEL_COLUMNS),
            "funnel": name,
            "grain": grain,
            "period_start": date(2031, 1, 1),
            "segment_by": "",
            "stage": stage,
            "step": step,
            "users": users,
            "dropoff": 0 if stage == 1 else 40 - users,
            "state": "closed",
        }
        for grain in ("week", "month")
        for stage, (step, users) in enumerate((("A", 40), ("B", 30)), 1)
    ]
    options = {"metric": "funnel", "definition": "funnel@1", "steps": ["A", "B"], "funnel": name}
    return ActivityAnswer(FUNNEL, NOW, options, FUNNEL_COLUMNS, rows, name)


def run(environment, *words):
    done = CliRunner().invoke(app, list(words), env=environment)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_rolling_counts_are_answered_as_a_file_is(environment, published):
    told = json.loads(
        run(environment, "active-users", "--from", "2031-01-08", "--to", "2031-01-08")
    )
    assert [(row["metric"], row["users"], row["truncated"]) for row in told["rows"]] == [
        ("dau", 1, False),
        ("wau", 3, False),
        ("mau", 3, True),
    ]
    assert told["as_of"] == "2031-02-01T00:00:00+00:00"
    assert (told["definition"], told["kind"], told["tz"]) == ("active_users@1", "rolling", "UTC")


def test_every_published_kind_has_the_columns_of_the_file_mode(environment, published):
    def rows(*words):
        text = run(environment, "active-users", "--format", "csv", *words)
        return list(csv.DictReader(io.StringIO(text)))

    (month,) = rows("--kind", "stickiness")
    # 4 user-days, 31 days, 3 users: 4/31 and 4/93.
    assert (month["average_dau"], month["rate"]) == ("0.129032", "0.043011")
    (month,) = rows("--kind", "calendar", "--grain", "month")
    assert (month["metric"], month["users"], month["state"]) == ("mau_calendar", "3", "closed")
    days = rows("--kind", "lifecycle", "--to", "2031-01-03")
    names = ("new", "returning", "resurrecting", "dormant")
    assert [[row[name] for name in names] for row in days] == [
        ["1", "0", "0", "0"],
        ["1", "1", "0", "0"],
        ["0", "0", "0", "2"],
    ]
    weeks = rows("--kind", "lifecycle", "--grain", "week", "--from", "2031-01-13")
    assert [week["period_start"] for week in weeks] == ["2031-01-13", "2031-01-20", "2031-01-27"]
    (last,) = rows("--kind", "stickiness_rolling", "--from", "2031-01-31")
    assert (last["user_days"], last["users"], last["rate"]) == ("3", "3", "0.033333")
    assert {row["metric"] for row in rows("--windows", "7")} == {"wau"}


def test_active_users_and_funnels_are_counted_and_published_by_hand(
    tmp_path, environment, database
):
    lake = Lake(str(tmp_path / "lake"))
    write_users(lake, {1: START})
    for step in range(9):
        write_day(lake, START + timedelta(days=step), {1: 1})
    here = {**environment, "GROWTH_LAKE_URL": str(tmp_path / "lake")}
    first = json.loads(run(here, "cohorts", "activity", "--json"))
    assert (first["active_users"][0]["days_read"], first["active_users"][0]["rebuilt"]) == (9, True)
    assert [one["funnel"] for one in first["funnels"]] == ["activation"]
    again = run(here, "cohorts", "activity").splitlines()
    assert again[0].startswith("active users: 0 of ")
    assert again[1:] == [
        "funnel activation: 0 users began it",
        "Postgres: 0 rows written, 0 withdrawn",
    ]
    told = json.loads(run(here, "active-users", "--from", "2031-01-09"))
    assert [row["users"] for row in told["rows"]] == [1, 1, 1]


def test_what_only_a_file_can_answer_is_refused_with_the_way_out(environment, published):
    with pytest.raises(UsageError, match="--min-events needs --activity"):
        run(environment, "active-users", "--min-events", "2")
    with pytest.raises(UsageError, match="--kind silence is not published"):
        run(environment, "active-users", "--kind", "silence")
    with pytest.raises(UsageError, match="a window of 28 days is not published"):
        run(environment, "active-users", "--windows", "28")
    with pytest.raises(UsageError, match="nothing is published by 'plan'"):
        run(environment, "active-users", "--segment", "plan")
    with pytest.raises(UsageError, match="--steps needs --events"):
        run(environment, "funnel", "--steps", "a,b")
    with pytest.raises(UsageError, match="funnel 'other' is not published") as error:
        run(environment, "funnel", "--name", "other")
    assert error.value.remedy == "published are signup, trial"
    with pytest.raises(UsageError, match="--grain 'day' of funnels is not published"):
        run(environment, "funnel", "--grain", "day")


def test_nothing_published_is_said_so(environment, database):
    for command in ("active-users", "funnel"):
        with pytest.raises(GrowthError, match="nothing is published yet"):
            run(environment, command)


def test_a_published_funnel_is_told_by_its_name_and_period(environment, published):
    told = json.loads(run(environment, "funnel", "--name", "trial", "--json"))
    assert [(row["step"], row["users"], row["dropoff"]) for row in told["rows"]] == [
        ("A", 40, 0),
        ("B", 30, 10),
    ]
    assert (told["funnel"], told["grain"]) == ("trial", "month")
    text = run(environment, "funnel", "--grain", "week", "--from", "2031-01-08", "--format", "csv")
    assert len(text.splitlines()) == 1  # the week of 1 January ended before
    page = run(environment, "funnel", "--format", "md")
    assert page.startswith("# Funnel signup")


def test_a_file_needs_its_steps_and_knows_no_published_names(tmp_path, environment):
    path = tmp_path / "events.csv"
    path.write_text("user_id,occurred_at,event\nu1,2031-01-01,A\n")
    with pytest.raises(UsageError, match="needs --events and --steps"):
        run(environment, "funnel", "--events", str(path))
    with pytest.raises(UsageError, match="--name is for published funnels"):
        run(environment, "funnel", "--events", str(path), "--steps", "A", "--name", "x")
