"""`growth cohorts refresh` over a lake on disk, as a person runs it."""

from __future__ import annotations

import json
from datetime import date, timedelta

import polars as pl
import psycopg
import pytest

from growth_pipeline.cli import app
from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.fakes.command_line import CliRunner

EPOCH = date(1970, 1, 1)
START = date(2026, 1, 5)


@pytest.fixture
def environment(tmp_path, database_url):
    lake = Lake(str(tmp_path / "lake"))
    first = (START - EPOCH).days
    frame = pl.DataFrame(
        [(number, first) for number in range(40)],
        schema={"user_number": pl.Int32, "entry_day": pl.Int32},
        orient="row",
    )
    lake.write_partition(USERS, {"part": "all"}, [frame], {})
    for step in range(15):
        frame = pl.DataFrame(
            [(number, first + step, 1) for number in range(9)],
            schema={"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64},
            orient="row",
        )
        day = START + timedelta(days=step)
        lake.write_partition(ACTIVITY, {"day": day.isoformat()}, [frame], {})
    return {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
    }


def _run(environment, *words, command="refresh"):
    done = CliRunner().invoke(app, ["cohorts", command, *words], env=environment)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_refresh_says_what_it_computed_and_the_next_one_has_nothing_to_do(environment):
    first = json.loads(_run(environment, "--json").stdout)
    assert [(one["grain"], one["rebuilt"], one["days_read"]) for one in first["grains"]] == [
        ("day", True, 15),
        ("week", True, 14),
        ("month", True, 0),
    ]
    second = json.loads(_run(environment, "--json").stdout)
    assert [(one["computed"], one["changed"]) for one in second["grains"]] == [(0, 0)] * 3


def test_a_range_of_days_is_computed_again_in_one_run_that_says_how_far_it_is(environment):
    _run(environment)
    words = ("--since", "2026-01-06", "--until", "2026-01-08", "--grain", "day")
    done = _run(environment, *words, "--json")
    assert [one["days_read"] for one in json.loads(done.stdout)["grains"]] == [3]
    assert done.stderr.splitlines() == [
        "reading 3 days of activity for day",
        "day: writing 31 cells to the lake",
        "publishing in Postgres",
    ]


def test_a_dry_run_leaves_the_next_refresh_all_to_do(environment):
    told = _run(environment, "--dry-run", "--grain", "week")
    assert told.stdout.startswith("dry run: nothing was written")
    done = json.loads(_run(environment, "--grain", "week", "--json").stdout)
    assert done["grains"][0]["rebuilt"] is True


@pytest.mark.parametrize(
    ("name", "holds"), [("r.md", "image/png"), ("r.html", "svg+xml"), ("r.json", '"rate": 0.225')]
)
def test_the_report_takes_the_form_its_ending_asks_for(environment, tmp_path, name, holds):
    target = tmp_path / name
    _run(environment, "--grain", "week", "--output", str(target))
    assert holds in target.read_text(encoding="utf-8")


def test_a_report_of_an_unknown_form_is_refused_before_any_work(environment, tmp_path):
    with pytest.raises(UsageError, match=r"cannot be written as \.pdf"):
        _run(environment, "--output", str(tmp_path / "report.pdf"))
    assert not (tmp_path / "lake" / "retention_cells").exists()


def _cells_in_postgres(environment):
    with psycopg.connect(environment["GROWTH_DATABASE_URL"]) as connection:
        return connection.execute(
            "select grain, period_index, cohort_size, users from cohorts.retention_metrics "
            "where state = 'closed' order by grain, cohort_start, period_index"
        ).fetchall()


def test_a_refresh_publishes_to_postgres_and_the_next_one_writes_no_row(environment):
    first = json.loads(_run(environment, "--json").stdout)["postgres"]["cells"]
    assert {one["grain"]: one["written"] for one in first} == {"day": 31, "week": 13, "month": 13}
    days = [("day", period, 40, 9) for period in range(15)]
    weeks = [("week", 0, 40, 9), ("week", 1, 40, 9)]
    assert _cells_in_postgres(environment) == [*days, *weeks]
    again = json.loads(_run(environment, "--json").stdout)["postgres"]["cells"]
    assert [(one["written"], one["withdrawn"]) for one in again] == [(0, 0)] * 3


def _known_through(done):
    return {one["money_known_through"] for one in json.loads(done.stdout)["grains"]}


def test_payments_in_the_books_are_published_and_reported(environment):
    with psycopg.connect(environment["GROWTH_DATABASE_URL"]) as connection:
        for number in range(40):  # numbers in Postgres begin at 1, those of the lake here at 0
            connection.execute(
                "insert into activity.user_numbers (user_key, user_id, signed_up_at) values "
                "(sha256(convert_to(%(id)s, 'UTF8')), %(id)s, '2026-01-05 12:00+00')",
                {"id": f"u{number}"},
            )
        connection.execute(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id) "
            "values ('acct_9', false, 'u1', 'cus_1')"
        )
        connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, customer_id, status, "
            "captured, currency, amount_minor, created_at, written_by, written_at) values "
            "('acct_9', false, 'ch_1', 'cus_1', 'succeeded', true, 'usd', 8000, "
            "'2026-01-06 10:00+00', 'mirror', now())"
        )
        connection.execute(
            "insert into billing.sweeps (account_id, livemode, swept_to) "
            "values ('acct_9', false, '2026-03-01')"
        )
    assert _known_through(_run(environment, "--json")) == {None}
    of_account = {**environment, "GROWTH_STRIPE__ACCOUNT_ID": "acct_9"}
    assert _known_through(_run(of_account, "--json")) == {"2026-01-19"}
    with psycopg.connect(environment["GROWTH_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "select period_index, revenue_minor, cumulative_per_customer_minor "
            "from cohorts.retention_metrics where grain = 'day' and period_index < 3 "
            "and currency = 'usd' order by 1"
        ).fetchall()
    assert rows == [(0, 0, 0), (1, 8000, 200), (2, 0, 200)]
    assert "USD 2.00" in _run(of_account, "--grain", "day", command="report").stdout
    told = json.loads(_run(of_account, "--json", command="report").stdout)["day"]
    assert told["money_averages"][1]["cumulative_revenue_minor"] == 8000


def test_a_dry_run_publishes_nothing(environment):
    assert json.loads(_run(environment, "--dry-run", "--json").stdout)["postgres"] is None
    assert _cells_in_postgres(environment) == []


def test_cells_that_postgres_lost_come_back_although_no_fact_changed(environment):
    _run(environment)
    kept = _cells_in_postgres(environment)
    with psycopg.connect(environment["GROWTH_DATABASE_URL"]) as connection:
        connection.execute("delete from cohorts.retention_metrics where grain = 'week'")
        connection.execute("update cohorts.retention_metrics set users = 1 where period_index = 3")
    told = json.loads(_run(environment, "--json").stdout)
    assert [one["computed"] for one in told["grains"]] == [0, 0, 0]
    assert _cells_in_postgres(environment) == kept


def test_weeks_start_where_the_settings_say_and_an_option_goes_before_them(environment):
    sundays = {**environment, "GROWTH_COHORTS__WEEK_START": "sunday"}
    told = json.loads(_run(sundays, "--grain", "week", "--json").stdout)
    assert told["grains"][0]["definition"]["week_start"] == "sunday"
    told = json.loads(_run(sundays, "--grain", "week", "--week-start", "Friday", "--json").stdout)
    assert told["grains"][0]["definition"]["week_start"] == "friday"


def test_users_enter_as_the_settings_say_and_an_option_goes_before_them(environment):
    of_activity = {**environment, "GROWTH_COHORTS__ENTRY": "first_activity"}
    told = json.loads(_run(of_activity, "--grain", "week", "--json").stdout)
    assert told["grains"][0]["definition"]["entry"] == "first_activity"
    assert told["postgres"]["cells"][0]["entry"] == "first_activity"
    shown = _run(environment, "--entry", "first_activity", command="report").stdout
    assert "How many of those who were active for the first time come back" in shown
    assert "9 of 9 people" in shown
    with pytest.raises(GrowthError, match="no cohorts are published yet"):
        _run(environment, command="report")
    _run(of_activity, "--entry", "signup")
    assert "of those who signed up" in _run(environment, command="report").stdout


def test_the_report_of_the_last_refresh_is_written_without_computing(environment, tmp_path):
    _run(environment)
    shown = _run(environment, "--grain", "week", command="report").stdout
    assert shown.startswith("# Cohort retention")
    assert "22.5 % (9 of 40 people, 1 cohort)" in shown
    told = json.loads(_run(environment, "--json", command="report").stdout)
    assert sorted(told) == ["day", "month", "restatements", "segments", "week"]
    page = tmp_path / "page.html"
    _run(environment, "--output", str(page), command="report")
    assert "svg+xml" in page.read_text(encoding="utf-8")


def test_a_report_before_the_first_refresh_says_what_to_run(environment):
    with pytest.raises(GrowthError, match="no cohorts are published yet"):
        _run(environment, command="report")
