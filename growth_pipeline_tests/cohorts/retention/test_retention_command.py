"""`growth retention` on files: every form of the answer, and options as people type them."""

from __future__ import annotations

import csv
import gzip
import io
import json

import polars as pl
import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

USERS = """user_id,signed_up_at,plan
u1,2031-01-01T10:00:00Z,pro
u2,2031-01-03T10:00:00Z,free
u3,2031-01-30T10:00:00Z,pro
"""
ACTIVITY = """user_id,occurred_at,event,revenue
u1,2031-01-05T10:00:00Z,opened,30.00
u1,2031-02-02T10:00:00Z,opened,60.00
u1,2031-03-01T10:00:00Z,opened,
u2,2031-03-03T10:00:00Z,opened,
u3,2031-02-01T10:00:00Z,refunded,-6.00
stranger,2031-02-01T10:00:00Z,opened,5.00
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "users.csv").write_text(USERS)
    (tmp_path / "activity.csv").write_text(ACTIVITY)
    return tmp_path


def _run(files, *words, users=True):
    given = ["--users", str(files / "users.csv")] if users else []
    command = ["retention", *given, "--activity", str(files / "activity.csv"), *words]
    result = CliRunner().invoke(app, command)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def _months(files, *words, **options):
    words = ("--grain", "month", "--as-of", "2031-03-15T00:00:00Z", "--max-period", "2", *words)
    return json.loads(_run(files, *words, **options))


def test_json_opens_with_the_resolved_definition_averages_and_what_was_dropped(files):
    answer = _months(files, "--currency", "usd")
    heads = (answer["metric"], answer["definition"], answer["tz"], answer["week_start"])
    assert heads == ("retention", "retention@1", "UTC", "monday")
    assert answer["as_of"] == "2031-03-15T00:00:00+00:00"
    assert answer["dropped"]["unknown_user"] == 1
    assert [row["rate"] for row in answer["averages"]] == [0.333333, 0.666667, None]
    first = answer["cells"][0]
    assert (first["users"], first["revenue_minor"], first["currency"]) == (1, 3000, "usd")
    assert list(answer)[-1] == "cells"


def test_without_any_currency_revenue_is_an_exact_decimal(files):
    cells = _months(files)["cells"]
    assert [cell["revenue"] for cell in cells] == ["30", "54", None]
    assert {cell["revenue_minor"] for cell in cells} == {None}
    assert cells[1]["cumulative_revenue"] == "84"


def test_csv_begins_with_the_named_columns_in_their_order(files):
    words = ("--grain", "month", "--as-of", "2031-03-15", "--max-period", "2", "--format", "csv")
    rows = list(csv.reader(io.StringIO(_run(files, *words, "--currency", "usd").decode())))
    assert ",".join(rows[0][:9]) == (
        "cohort_start,cohort_size,period_index,users,rate,events,revenue_minor,currency,state"
    )
    assert rows[2][:9] == "2031-01-01,3,1,2,0.666667,2,5400,usd,closed".split(",")
    assert rows[3][:9] == "2031-01-01,3,2,,,,,usd,open".split(",")


def test_parquet_has_the_same_cells_with_types(files):
    output = files / "cells.parquet"
    words = ("--grain", "month", "--as-of", "2031-03-15", "--max-period", "1", "--currency", "usd")
    _run(files, *words, "--format", "parquet", "--output", str(output))
    frame = pl.read_parquet(output)
    assert frame.select("users", "revenue_minor", "state").rows() == [
        (1, 3000, "closed"),
        (2, 5400, "closed"),
    ]
    assert frame.schema["cohort_start"] == pl.Date


def test_markdown_is_a_grid_of_percents_with_the_average_on_top(files):
    words = ("--grain", "month", "--as-of", "2031-03-15", "--max-period", "3", "--format", "md")
    text = _run(files, *words, "--currency", "usd").decode().replace("\\", "")
    assert text.startswith("# Retention\n")
    # Three of January: u1 in January, u1 and u3 in February; March runs, April has not begun.
    assert "| Cohort | Size | M0 | M1 | M2 | M3 |" in text
    assert "| **Average** |  | **33.3 %** | **66.7 %** |  |  |" in text
    assert "| 2031-01-01 | 3 | 33.3 % | 66.7 % | * |  |" in text
    assert "| M1 | 66.7 % | 2 | 3 | 1 | 20.8 % to 93.9 % |" in text
    assert "| 2031-01-01 | 3 | 30.00 | 54.00 | * |  |" in text
    assert "- unknown_user: 1" in text


def test_markdown_tells_what_is_so_far_from_a_rate_without_base_and_from_zero(files):
    words = ("--grain", "month", "--as-of", "2031-03-15", "--max-period", "2", "--format", "md")
    more = ("--segment", "plan", "--basis", "previous", "--open-cells", "so_far")
    text = _run(files, *words, *more).decode().replace("\\", "")
    assert "## plan free" in text
    assert "| 2031-01-01 | 1 | 0.0 % | n/a | n/a* |" in text  # u2: nothing, nothing, then March
    assert "| 2031-01-01 | 2 | 50.0 % | 200.0 % | 50.0 %* |" in text  # u1; u1, u3; u1
    assert "| 2031-01-01 | 2 | 30 | 54 | 0* |" in text  # no currency: exact decimals


def test_forms_without_a_head_tell_on_stderr_what_was_dropped_and_assumed(files):
    command = ["retention", "--users", str(files / "users.csv")]
    command += ["--activity", str(files / "activity.csv"), "--format", "csv"]
    told = CliRunner().invoke(app, [*command, "--as-of", "2031-03-15T00:00:00"]).stderr
    assert told == (
        "--as-of 2031-03-15T00:00:00 has no zone, read as UTC\ndropped: 1 unknown_user\n"
    )
    for known in ("2031-03-15", "2031-03-15T00:00:00+00:00"):
        told = CliRunner().invoke(app, [*command, "--as-of", known]).stderr
        assert told == "dropped: 1 unknown_user\n"


@pytest.mark.parametrize("option", ["--events", "--brackets", "--target-events", "--exclude"])
def test_a_list_that_names_nothing_is_refused(files, option):
    with pytest.raises(UsageError, match=f"{option} names nothing"):
        _run(files, option, " , ")


def test_gzip_is_read_as_it_is(files):
    (files / "activity.csv").write_bytes(gzip.compress(ACTIVITY.encode()))
    assert _months(files)["cells"][1]["users"] == 2


def test_brackets_are_columns_of_their_own(files):
    cells = _months(files, "--retention", "bracket", "--brackets", "0,1-2", "--open-cells=so_far")
    assert [(cell["period_index"], cell["users"]) for cell in cells["cells"]] == [
        ("0", 1),
        ("1-2", 3),
    ]


def test_the_page_names_the_segment_of_users_without_a_value(files):
    (files / "users.csv").write_text(USERS.replace(",free", ","))
    words = ("--grain", "month", "--as-of", "2031-03-15", "--max-period", "2", "--format", "md")
    page = _run(files, *words, "--segment", "plan").decode()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings[:2] == ["## Without plan", "## plan pro"]
    assert "Without" not in _run(files, *words).decode()


def test_a_segment_splits_cohorts_and_averages(files):
    answer = _months(files, "--segment", "plan")
    assert {(cell["segment"], cell["cohort_size"]) for cell in answer["cells"]} == {
        ("free", 1),
        ("pro", 2),
    }
    assert {row["segment"] for row in answer["averages"]} == {"free", "pro"}


def test_only_named_events_count_as_coming_back_and_all_payments_stay(files):
    cells = _months(files, "--events", "opened", "--currency", "usd")["cells"]
    assert [(cell["users"], cell["revenue_minor"]) for cell in cells[:2]] == [(1, 3000), (1, 5400)]


def test_gross_money_leaves_refunds_out(files):
    cells = _months(files, "--money", "gross", "--currency", "usd")["cells"]
    assert [cell["revenue_minor"] for cell in cells[:2]] == [3000, 6000]


def test_without_users_file_entry_is_the_first_activity(files):
    answer = _months(files, users=False)
    assert answer["entry"] == "first_activity"
    starts = {(cell["cohort_start"], cell["cohort_size"]) for cell in answer["cells"]}
    assert starts == {("2031-01-01", 1), ("2031-02-01", 2), ("2031-03-01", 1)}


def test_entry_by_first_payment_counts_payers_only(files):
    cells = _months(files, "--entry", "first_payment")["cells"]
    assert {(cell["cohort_start"], cell["cohort_size"]) for cell in cells} == {("2031-01-01", 1)}


def test_entry_by_a_named_first_event(files):
    cells = _months(files, "--entry", "first_event", "--target-events", "refunded")["cells"]
    assert {(cell["cohort_start"], cell["cohort_size"]) for cell in cells} == {("2031-02-01", 1)}


def test_as_of_is_the_end_of_the_last_local_day_unless_it_is_said(files):
    answer = json.loads(_run(files, "--timezone", "Asia/Tokyo"))
    assert answer["as_of"] == "2031-03-03T15:00:00+00:00"  # 4 March begins in Tokyo


@pytest.mark.parametrize(
    "words",
    [
        ("--grain", "year"),
        ("--brackets", "0,x"),
        ("--anchor", "31 January"),
        ("--segment", "country"),
        ("--round", "up"),
        ("--as-of", "yesterday"),
        ("--entry", "first_event"),
    ],
)
def test_a_wrong_option_is_told_with_what_is_allowed(files, words):
    with pytest.raises(UsageError) as refused:
        _run(files, *words)
    assert refused.value.remedy


def test_where_nobody_paid_the_named_currency_holds(files):
    (files / "activity.csv").write_text("user_id,occurred_at,revenue\nu1,2031-01-05,\n")
    row = _months(files, "--currency", "EUR")["cells"][0]
    assert (row["revenue_minor"], row["currency"], row["revenue"]) == (0, "eur", None)


@pytest.mark.parametrize(
    "words", [("--events", "opened"), ("--entry", "first_event", "--target-events", "opened")]
)
def test_named_events_need_the_column_that_names_them(files, words):
    (files / "activity.csv").write_text("user_id,occurred_at\nu1,2031-01-05\n")
    with pytest.raises(UsageError, match="no column event"):
        _run(files, *words)


def test_without_target_events_the_returning_ones_enter(files):
    named = _months(files, "--entry", "first_event", "--events", "refunded")
    assert named["target_events"] == ["refunded"]
    assert [cell["cohort_size"] for cell in named["cells"]] == [1, 1, 1]


def test_all_segments_together_are_a_last_segment(files):
    split = _months(files, "--segment", "plan", "--total", "all", "--currency", "usd")
    whole = _months(files, "--currency", "usd")

    last = [cell for cell in split["cells"] if cell["segment"] == "all"]

    assert last == [{**cell, "segment": "all"} for cell in whole["cells"]]
    assert split["averages"][-3:] == [{**row, "segment": "all"} for row in whole["averages"]]
    assert split["dropped"] == whole["dropped"]
    assert split["total"] == "all"


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--total", "all"), "needs --segment"), (("--segment", "plan", "--total", "pro"), "called")],
)
def test_a_total_has_a_name_of_its_own(files, words, said):
    with pytest.raises(UsageError, match=said):
        _run(files, *words)
