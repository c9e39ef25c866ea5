"""`growth metrics`: the contract's example of a month, as published, in every form."""

from __future__ import annotations

import csv
import io
import json

import psycopg
import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

# The contract's example: March 20000, April 19000, five customers before and after, in minor units.
APRIL = (
    ("mrr", 19000, "minor", None, 5),
    ("arr", 228000, "minor", None, 5),
    ("new_mrr", 3000, "minor", None, 1),
    ("churn_mrr", -2000, "minor", None, 1),
    ("customers", 5, "count", None, 5),
    ("nrr", "0.725", "ratio", None, 5),
    ("logo_churn", "0.2", "rate", None, 5),
    ("quick_ratio", "1.363636", "ratio", None, 5),  # 7500 gained, 5500 lost without the pause
    ("ltv", None, "minor", "no_churn", None),
    ("arpa", "3800.5", "minor", None, 5),
)
MARCH = (("mrr", 20000, "minor", None, 5), ("customers", 5, "count", None, 5))


@pytest.fixture
def environment(tmp_path, database_url):
    return {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(tmp_path / "state")}


@pytest.fixture
def published(database, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        for start, figures in (("2031-03-01", MARCH), ("2031-04-01", APRIL)):
            for metric, value, unit, reason, sample in figures:
                _figure(connection, metric, start, value, unit, reason, sample)
        _figure(connection, "nrr", "2031-03-01", "0.9", "ratio", None, 4)
        _figure(connection, "quick_ratio", "2031-03-01", "1.5", "ratio", None, 4)
        _figure(connection, "mrr", "2031-04-01", 12000, "minor", None, 3, segment="Pro")
        connection.execute(
            "insert into cohorts.activity_definitions (question, as_of, options) values "
            "('active_users', '2031-05-01Z', '{}')"
        )
        connection.execute(
            "insert into cohorts.active_users (metric, grain, period_start, users, user_days, "
            "days, average_dau, rate, truncated, state) values "
            "('stickiness', 'month', '2031-04-01', 5, 45, 30, 1.5, 0.3, false, 'closed'), "
            "('mau_calendar', 'month', '2031-04-01', 5, null, null, null, null, false, 'closed'), "
            "('wau', 'day', '2031-04-30', 4, null, null, null, null, false, 'closed')"
        )


def _figure(connection, metric, start, value, unit, reason, sample, *, segment=None):
    connection.execute(
        "insert into revenue.figures (metric, policy, grain, period_start, currency, segment_by, "
        "segment, value, unit, state, reason, sample_size, as_of, receipt_id) values "
        "(%s, 'growth@1', 'month', %s, 'usd', %s, %s, %s, %s, 'closed', %s, %s, '2031-05-01Z', "
        "'rcp_1')",
        [metric, start, "plan" if segment else "", segment, value, unit, reason, sample],
    )


def run(environment, *words):
    done = CliRunner().invoke(app, ["metrics", *words], env=environment)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_each_figure_stands_beside_the_month_before(environment, published):
    told = json.loads(run(environment, "--month", "2031-04", "--json"))
    assert (told["month"], told["policy"]) == ("2031-04", "growth@1")
    found = {one["metric"]: one for one in told["figures"]}
    mrr = found["mrr"]
    assert (mrr["value"], mrr["before"], mrr["change"]) == (19000, 20000, -1000)
    assert mrr["change_rate"] == -0.05
    assert type(mrr["value"]) is type(mrr["change"]) is int
    assert found["arpa"]["value"] == "3800.5"  # exact: a minor unit has parts only as text
    assert (mrr["receipt"], mrr["as_of"], mrr["state"]) == (
        "rcp_1",
        "2031-05-01T00:00:00+00:00",
        "closed",
    )
    assert (found["nrr"]["change"], found["nrr"]["change_rate"]) == (-0.175, None)
    assert (found["ltv"]["value"], found["ltv"]["reason"]) == (None, "no_churn")
    assert (found["arr"]["before"], found["arr"]["change"]) == (None, None)
    assert (found["dau_average"]["value"], found["mau"]["value"]) == (1.5, 5)
    assert (found["wau"]["value"], found["stickiness"]["value"]) == (4, 0.3)


def test_a_person_reads_a_page_of_money_people_and_percent(environment, published):
    page = run(environment, "--month", "2031-04")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## USD MRR", "## USD Customers", "## USD Retention", "## Users"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    told = {row[0]: row[1:] for row in rows if row}
    assert told["mrr"] == ["USD 190.00", "USD 200.00", "-USD 10.00 (-5.0 %)", "5"]
    assert told["nrr"] == ["72.5 %", "90.0 %", "-17.5 points", "5"]
    assert "ltv" not in told  # unknown in both months
    assert told["quick_ratio"] == ["1.36", "1.50", "-0.14", "5"]
    assert page.endswith("\n1 figures that are 0 or unknown in both months are left out here.\n")
    assert told["customers"] == ["5", "5", "+0 (+0.0 %)", "5"]
    assert told["dau_average"] == ["1.5", "-", "-", "5"]
    assert told["stickiness"] == ["30.0 %", "-", "-", "5"]
    table = [len(line) for line in page.split("## USD MRR")[1].split("##")[0].splitlines() if line]
    assert len(set(table)) == 1  # every line of it is as long


def test_rows_are_one_a_figure_and_segments_are_told_alone(environment, published):
    text = run(environment, "--month", "2031-04", "--segment-by", "plan", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["metric"], row["segment"], row["value"]) == ("mrr", "Pro", "12000")


def test_the_answer_says_by_which_switches_zone_and_data(environment, published, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into revenue.policies (policy, options, tz, as_of, known_at, inputs_sha256, "
            "code_version) values ('growth@1', '{\"discounts\": \"recurring\"}', 'Asia/Tokyo', "
            "'2031-05-01Z', '2031-05-02Z', 'abc', '1.2.3')"
        )
    told = json.loads(run(environment, "--month", "2031-04", "--json"))
    assert told["options"] == {"discounts": "recurring"}
    assert (told["tz"], told["inputs_sha256"], told["code_version"]) == (
        *("Asia/Tokyo", "abc", "1.2.3"),
    )
    assert (told["known_at"], told["receipt"]) == ("2031-05-02T00:00:00+00:00", "rcp_1")
    page = run(environment, "--month", "2031-04")
    assert "- tz: `Asia/Tokyo`" in page
    assert "- receipt: `rcp_1`" in page
    assert "abc" not in page  # hashes and switches are for scripts


RATES = {
    "opening": {
        "eur": {"rate": "1.1", "on": "2031-03-31"},
        "usd": {"rate": "1", "on": "2031-03-31"},
    },
    "closing": {"eur": {"rate": "1.05", "on": "2031-04-29"}},
}


def test_each_rate_is_named_with_its_day_in_every_form(environment, database, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        for metric, value, reason, rates in (
            ("net_new_mrr", 1600, None, json.dumps(RATES)),
            ("mrr", None, "no_rate", None),
        ):
            connection.execute(
                "insert into revenue.figures (metric, policy, grain, period_start, "
                "reporting_currency, value, unit, state, reason, rates, as_of) values (%s, "
                "'growth@1', 'month', '2031-04-01', 'usd', %s, 'minor', 'closed', %s, %s, "
                "'2031-05-01Z')",
                [metric, value, reason, rates],
            )
    asked = ("--month", "2031-04", "--reporting-currency", "USD")
    told = json.loads(run(environment, *asked, "--json"))
    assert told["reporting_currency"] == "usd"
    assert {one["metric"]: one["rates"] for one in told["figures"]} == {
        "net_new_mrr": RATES,
        "mrr": None,
    }
    rows = csv.DictReader(io.StringIO(run(environment, *asked, "--format", "csv")))
    assert {row["metric"]: row["rates"] and json.loads(row["rates"]) for row in rows} == {
        "net_new_mrr": RATES,
        "mrr": "",
    }
    page = run(environment, *asked)
    assert "- (no exchange rate)" in page
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    assert [row for row in cells if row and row[0].startswith("1 ")] == [
        ["1 EUR in USD", "1.1", "2031-03-31"],
        ["1 EUR in USD", "1.05", "2031-04-29"],
    ]


def test_what_is_not_published_is_said_with_what_is(environment, published):
    with pytest.raises(UsageError, match="no figures of 2030-01 are published") as error:
        run(environment, "--month", "2030-01")
    assert error.value.remedy == "there are figures from 2031-03 to 2031-04"
    with pytest.raises(GrowthError, match="no figures are published under stripe@1"):
        run(environment, "--month", "2031-04", "--policy", "stripe")
    with pytest.raises(UsageError, match="no figure of 2031-04 is published in this view"):
        run(environment, "--month", "2031-04", "--currency", "eur")
