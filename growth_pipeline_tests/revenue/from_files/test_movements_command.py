"""`growth mrr movements` on rows worked by hand. Contract: docs/metrics.md, "MRR movements"."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.revenue.from_files.identities import BrokenIdentityError, check_movements
from growth_pipeline.revenue.from_files.looks import Period
from growth_pipeline.revenue.from_files.measure import Measured, Moved

HEAD = "customer_id,starts_on,ends_on,monthly_amount,currency,reason"
MARCH_TO_APRIL = (
    "Ana,2031-01-01,,50.00,usd,",
    "Bo,2031-04-10,,30.00,usd,",
    "Cy,2031-02-01,2031-04-05,40.00,usd,",
    "Cy,2031-04-05,,70.00,usd,",
    "Di,2031-02-01,2031-04-20,60.00,usd,",
    "Di,2031-04-20,,25.00,usd,",
    "Ed,2031-03-01,2031-04-15,20.00,usd,payment_failed",
    "Fi,2031-01-01,2031-02-01,15.00,usd,cancellation_requested",
    "Fi,2031-04-01,,15.00,usd,",
    "Gus,2031-02-01,2031-04-11,30.00,usd,paused",
)
APRIL = ("--from", "2031-04", "--to", "2031-04")


def file_of(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "periods.csv"
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


def call(path: Path, *words: str) -> str:
    done = CliRunner().invoke(
        app, ["mrr", "movements", "--periods", str(path), *words], catch_exceptions=False
    )
    return done.stdout


def ask(path: Path, *words: str) -> dict[str, Any]:
    return json.loads(call(path, *words))


def refused(path: Path, *words: str) -> UsageError:
    with pytest.raises(UsageError) as error:
        call(path, *words)
    return error.value


def moved(answer: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {
        row["movement"]: (row["amount"], row["customers"])
        for row in answer["movements"]
        if row["changes"]
    }


def mrr(answer: dict[str, Any]) -> dict[str, str]:
    return {row["period_start"][:7]: row["ending_mrr"] for row in answer["periods"]}


def test_march_to_april_of_the_contract(tmp_path):
    answer = ask(file_of(tmp_path, *MARCH_TO_APRIL), *APRIL)

    assert moved(answer) == {
        "new": ("30.00", 1),
        "reactivation": ("15.00", 1),
        "expansion": ("30.00", 1),
        "contraction": ("-35.00", 1),
        "churn": ("-20.00", 1),
        "paused": ("-30.00", 1),
    }
    (april,) = answer["periods"]
    assert (april["starting_mrr_minor"], april["ending_mrr_minor"]) == (20000, 19000)
    assert (april["starting_customers"], april["ending_customers"]) == (5, 5)
    assert april["arr"] == "2280.00"
    assert (april["nrr"], april["grr"], april["logo_churn"]) == (0.725, 0.575, 0.2)
    assert list(april["churn_by_cause"]) == ["delinquent"]


def test_a_pause_is_logo_churn_only_when_it_is_asked_to_be(tmp_path):
    path = file_of(tmp_path, *MARCH_TO_APRIL)
    assert ask(path, *APRIL, "--count-paused")["periods"][0]["logo_churn"] == 0.4


def test_losses_are_positive_as_magnitudes(tmp_path):
    answer = ask(file_of(tmp_path, *MARCH_TO_APRIL), *APRIL, "--sign", "magnitude")
    assert moved(answer)["churn"] == ("20.00", 1)
    assert moved(answer)["expansion"] == ("30.00", 1)


@pytest.mark.parametrize(
    ("snapshot", "ends", "march"),
    [
        ("last", "inclusive", "10"),
        ("last", "exclusive", "0"),
        ("first", "inclusive", "0"),
        ("first", "exclusive", "0"),
    ],
)
def test_live_from_2_to_31_march_counts_in_march_only_last_and_inclusive(
    snapshot, ends, march, tmp_path
):
    path = file_of(
        tmp_path, "x,2031-03-02,2031-03-31,10", head="customer_id,starts_on,ends_on,monthly_amount"
    )
    answer = ask(path, "--snapshot", snapshot, "--end-dates", ends, "--to", "2031-04")
    assert mrr(answer)["2031-03"] == march


def test_who_ends_on_the_boundary_day_churns_in_the_period_that_begins_there(tmp_path):
    path = file_of(tmp_path, "x,2031-01-10,2031-03-01,10.00,usd,")
    rows = ask(path, "--to", "2031-03")["movements"]
    assert [r["period_start"] for r in rows if r["movement"] == "churn" and r["changes"]] == [
        "2031-03-01"
    ]


def test_new_and_gone_inside_a_period_is_seen_by_events_alone(tmp_path):
    path = file_of(tmp_path, "x,2031-03-02,2031-03-20,10.00,usd,", "y,2031-01-01,,5.00,usd,")
    march = ("--from", "2031-03", "--to", "2031-03")
    assert moved(ask(path, *march)) == {}
    assert moved(ask(path, *march, "--movements", "event")) == {
        "new": ("10.00", 1),
        "churn": ("-10.00", 1),
    }


def test_one_of_two_subscriptions_cancelled_is_contraction_and_at_level_subscription_churn(
    tmp_path,
):
    head = "customer_id,subscription_id,starts_on,ends_on,monthly_amount"
    path = file_of(tmp_path, "x,s1,2031-01-01,2031-02-10,10", "x,s2,2031-01-01,,5", head=head)
    february = ("--from", "2031-02", "--to", "2031-02")
    assert moved(ask(path, *february)) == {"contraction": ("-10", 1)}
    assert moved(ask(path, *february, "--level", "subscription")) == {"churn": ("-10", 1)}


def test_a_return_after_the_window_is_new(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,2031-02-10,10.00,usd,", "x,2031-04-11,,10.00,usd,")
    assert list(moved(ask(path, *APRIL))) == ["reactivation"]
    assert list(moved(ask(path, *APRIL, "--reactivation-window", "60"))) == ["reactivation"]
    assert list(moved(ask(path, *APRIL, "--reactivation-window", "59"))) == ["new"]


def test_what_was_paused_resumes(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,2031-02-10,10.00,usd,paused", "x,2031-04-11,,9.00,usd,")
    assert moved(ask(path, *APRIL)) == {"resumed": ("9.00", 1)}


def test_several_subscriptions_end_and_the_cause_is_that_of_the_largest(tmp_path):
    path = file_of(
        tmp_path,
        "x,2031-01-01,2031-04-10,10.00,usd,payment_failed",
        "x,2031-01-01,2031-04-20,30.00,usd,payment_disputed",
    )
    assert list(ask(path, *APRIL)["periods"][0]["churn_by_cause"]) == ["dispute"]


def test_a_free_plan_is_churn_to_free_or_a_contraction_that_keeps_the_customer(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,2031-04-10,10.00,usd,", "x,2031-04-10,,0,usd,")
    churn = ask(path, *APRIL)
    assert moved(churn) == {"churn": ("-10.00", 1)}
    assert list(churn["periods"][0]["churn_by_cause"]) == ["to_free"]
    kept = ask(path, *APRIL, "--free-customer", "contraction")
    assert moved(kept) == {"contraction": ("-10.00", 1)}
    assert kept["periods"][0]["ending_customers"] == 1


def test_currencies_are_never_added_and_a_switch_is_marked(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,2031-04-10,10.00,usd,", "x,2031-04-10,,900,jpy,")
    rows = [row for row in ask(path, *APRIL)["movements"] if row["changes"]]
    assert [
        (row["currency"], row["movement"], row["amount_minor"], row["currency_switches"])
        for row in rows
    ] == [("jpy", "new", 900, 1), ("usd", "churn", -1000, 1)]


def test_members_who_came_back_count_in_nrr_unless_they_are_left_out(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,2031-02-10,10.00,usd,", "x,2031-03-11,,10.00,usd,")
    assert ask(path, *APRIL)["periods"][0]["nrr_3"] == 1.0
    left_out = ask(path, *APRIL, "--returned-members", "exclude")["periods"][0]
    assert (left_out["nrr_3"], left_out["grr_3"]) == (0.0, 0.0)


def test_a_period_that_is_not_over_has_no_values_unless_they_are_asked_for(tmp_path):
    path = file_of(tmp_path, "x,2031-01-01,,10.00,usd,", "y,2031-02-03,,10.00,usd,")
    january, february = ask(path)["periods"]
    assert (january["state"], january["ending_mrr"]) == ("closed", "10.00")
    assert (february["state"], february["ending_mrr"]) == ("open", None)
    assert mrr(ask(path, "--open-cells", "so_far"))["2031-02"] == "20.00"


def test_months_are_those_of_the_zone(tmp_path):
    path = file_of(tmp_path, "x,2031-03-31T23:30:00Z,,10.00,usd,")
    assert list(mrr(ask(path))) == ["2031-03"]
    assert list(mrr(ask(path, "--timezone", "Europe/Berlin"))) == ["2031-04"]


@pytest.mark.parametrize(
    ("grain", "starts"),
    [
        ("quarter", ["2031-01-01", "2031-04-01"]),
        ("year", ["2031-01-01"]),
        ("week", ["2031-03-24", "2031-03-31"]),
    ],
)
def test_other_grains(grain, starts, tmp_path):
    path = file_of(tmp_path, "x,2031-03-26,,10.00,usd,", "y,2031-04-01,,10.00,usd,")
    assert [row["period_start"] for row in ask(path, "--grain", grain)["periods"]] == starts


def test_weeks_start_at_an_anchor(tmp_path):
    path = file_of(tmp_path, "x,2031-03-26,,10.00,usd,")
    rows = ask(path, "--grain", "week", "--anchor", "2031-04-03")["periods"]
    assert [row["period_start"] for row in rows] == ["2031-03-20"]


def test_a_preset_sets_what_is_not_given(tmp_path):
    path = file_of(tmp_path, *MARCH_TO_APRIL)
    stripe = ask(path, *APRIL, "--policy", "stripe")
    assert (stripe["movement_mode"], stripe["denominator"]) == ("event", "start_plus_new")
    assert (stripe["churn_window"], stripe["policy"]) == ("30d", "stripe@1")
    own = ask(path, *APRIL, "--policy", "stripe", "--churn-window", "calendar")
    assert (own["churn_window"], own["policy"]) == ("calendar", "stripe+churn_window_days@1")
    assert ask(path, *APRIL, "--policy", "default") == ask(path, *APRIL)


def test_rows_that_overlap_are_summed_and_told(tmp_path):
    head = "customer_id,subscription_id,starts_on,ends_on,monthly_amount"
    path = file_of(tmp_path, "x,s,2031-01-01,2031-04-01,10", "x,s,2031-02-01,,5", head=head)
    answer = ask(path, "--to", "2031-02")
    assert mrr(answer)["2031-02"] == "15"
    assert any("1 rows overlap" in note for note in answer["notes"])


def test_csv_has_a_row_for_each_movement_with_the_figures_of_its_period(tmp_path):
    text = call(file_of(tmp_path, *MARCH_TO_APRIL), *APRIL, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["movement"] for row in rows] == [
        *("new", "reactivation", "resumed", "expansion", "contraction", "paused", "churn"),
    ]
    assert {row["nrr"] for row in rows} == {"0.725000"}
    assert rows[-1]["amount"] == "-20.00"


def test_markdown_shows_periods_and_movements(tmp_path):
    text = call(file_of(tmp_path, *MARCH_TO_APRIL), *APRIL, "--format", "md")
    assert text.startswith("# MRR movements")
    assert "| 2031\\-04\\-01 |" in text or "| 2031-04-01 |" in text


def test_the_same_rows_as_parquet_and_as_gzip_give_the_same(tmp_path):
    path = file_of(tmp_path, *MARCH_TO_APRIL)
    packed, columns = tmp_path / "periods.csv.gz", tmp_path / "periods.parquet"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    pl.read_csv(path, infer_schema=False).write_parquet(columns)
    told = [ask(one, *APRIL)["movements"] for one in (path, packed, columns)]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,2031-03-01,2031-02-01,10.00,usd,", "'x' ends before it starts"),
        ("x,2031-03-01,,-10.00,usd,", "below 0"),
        ("x,2031-03-01,,,usd,", "has no monthly_amount"),
        ("x,2031-03-01,2031-04-01,10.00,usd,bored", "unknown reason 'bored'"),
        ("x,2031-03-41,,10.00,usd,", "line 2"),
        ("x,2031-03-01,2031-13-01,10.00,usd,", "line 2: ends_on '2031-13-01'"),
        ("x,2031-03-01,,10.005,usd,", "more decimals"),
        (",2031-03-01,,10.00,usd,", "customer_id is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_value(line, said, tmp_path):
    assert said in refused(file_of(tmp_path, line)).message


@pytest.mark.parametrize(
    "words",
    [
        ("--snapshot", "middle"),
        ("--grain", "hour"),
        ("--from", "2031-05", "--to", "2031-04"),
        ("--from", "soon"),
        ("--horizons", "0"),
        ("--churn-window", "x"),
        ("--policy", "mine"),
        ("--as-of", "never"),
        ("--reactivation-window", "0"),
    ],
)
def test_a_wrong_option_is_refused(words, tmp_path):
    assert refused(file_of(tmp_path, *MARCH_TO_APRIL), *words).remedy


def test_a_window_may_open_before_the_years_of_files(tmp_path):
    path = file_of(tmp_path, "x,1901-01-01,1901-02-01,10.00,usd,", "y,1901-01-01,,10.00,usd,")
    answer = ask(path, "--to", "1901-02", "--churn-window", "9999d")
    assert [row["logo_churn"] for row in answer["periods"]] == [None, None]


def test_a_rolling_window_counts_who_was_there_when_it_opened(tmp_path):
    # On 31 March, 60 days back: 30 January, when x was there and y was not.
    path = file_of(tmp_path, "x,2031-01-01,2031-02-10,9.00,usd,", "y,2031-02-01,,9.00,usd,")
    march = ("--from", "2031-03", "--to", "2031-03")
    assert ask(path, *march)["periods"][0]["logo_churn"] == 0.0
    assert ask(path, *march, "--churn-window", "60d")["periods"][0]["logo_churn"] == 1.0


def test_figures_that_contradict_each_other_are_never_told():
    period = Period(0, 0, 31, PeriodState.CLOSED, 1)
    measured = Measured([period], ["usd"])
    measured.mrr[0, "usd"], measured.customers[0, "usd"] = 10, 1
    measured.moved[0, "usd", "new"] = Moved(9, 1, 1)
    with pytest.raises(BrokenIdentityError, match="start \\+ movements = end"):
        check_movements(measured)
