"""`growth mrr normalise`: the cases of docs/metrics.md, options, and files that are wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from growth_pipeline.cli import app
from growth_pipeline.core.errors import GrowthError


def run(tmp_path, text, *words):
    path = tmp_path / "items.csv"
    path.write_text(text)
    return ask(path, *words)


def ask(path, *words):
    found = CliRunner().invoke(app, ["mrr", "normalise", "--items", str(path), *words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.stdout


def values(tmp_path, text, *words, column="monthly_amount"):
    told = run(tmp_path, text, "--format", "csv", *words)
    return [row[column] for row in csv.DictReader(io.StringIO(told))]


@pytest.mark.parametrize(
    ("row", "words", "amount", "minor"),
    [
        ("1188.00,year,1,1,,usd", (), "99.00", "9900"),
        ("1188.00,year,1,1,20%;10%,usd", (), "71.28", "7128"),
        ("90.00,month,3,1,,usd", (), "30.00", "3000"),
        ("7.00,week,2,2,,usd", (), "30.3333333333", "3033"),
        ("7.00,week,2,2,,usd", ("--week-factor", "4.33"), "30.31", "3031"),
        ("7.00,week,2,2,,usd", ("--week-factor", "0"), "0.00", "0"),
        ("7.00,week,2,2,,usd", ("--week-factor", "365.2425/84"), "30.436875", "3044"),
        ("0.50,day,1,1,,usd", (), "15.2184375", "1522"),
        ("0.50,day,1,1,,usd", ("--day-factor", "30"), "15.00", "1500"),
        ("0.50,day,1,1,,usd", ("--day-factor", "365/12"), "15.2083333333", "1521"),
        ("980,month,1,1,,jpy", (), "980", "980"),
        ("10000,year,1,1,,jpy", (), "833.3333333333", "833"),
        ("7.450,year,1,2,,kwd", (), "1.2416666667", "1242"),
        ("49.00,one_time,1,1,,usd", (), "0.00", "0"),
        (",month,1,1,,usd", (), "", ""),
        ("100.00,month,1,1,10% once,usd", (), "100.00", "10000"),
        ("100.00,month,1,1,10% once,usd", ("--policy", "chartmogul"), "90.00", "9000"),
        ("100.00,month,1,1,10% repeating,usd", ("--discounts", "forever"), "100.00", "10000"),
        ("100.00,month,1,1,12.50 off,usd", (), "87.50", "8750"),
        ("100.00,month,1,1,12.50 eur,usd", (), "100.00", "10000"),
        ("0.015,month,1,3,,usd", (), "0.045", "4"),
        ("0.015,month,1,3,,usd", ("--rounding", "half_up"), "0.05", "5"),
        ("7.00,week,2,2,,usd", ("--rounding", "half_even"), "30.33", "3033"),
        (
            "0.50,day,1,1,,usd",
            ("--rounding", "half_even", "--rounding-places", "4"),
            "15.2184",
            "1522",
        ),
    ],
)
def test_cases_worked_by_hand(tmp_path, row, words, amount, minor):
    text = f"amount,interval,interval_count,quantity,discounts,currency\n{row}\n"
    assert values(tmp_path, text, *words) == [amount]
    assert values(tmp_path, text, *words, column="monthly_minor") == [minor]


def cases_of_the_page():
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text("utf-8")
    table = page.split("### Items of a file")[1].split("\n## ")[0].splitlines()
    for line in table:
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield cells


def test_every_case_of_the_page_holds(tmp_path):
    cases = list(cases_of_the_page())
    assert len(cases) >= 14
    head = "amount,interval,interval_count,quantity,discounts,currency\n"
    for row, words, amount, minor in cases:
        told = values(tmp_path, f"{head}{row}\n", *words.split())
        whole = values(tmp_path, f"{head}{row}\n", *words.split(), column="monthly_minor")
        assert (told, whole) == ([amount], [minor]), row


def test_tiers_and_transformed_quantities(tmp_path):
    # 60 units: graduated 10 x 5.00 + 40 x 4.00 + 10.00 + 10 x 3.00 = 250.00; volume 60 x 3.00.
    # 25 units in tens: 3 packs upwards, 2 downwards, of 7.00.
    text = (
        "amount,interval,quantity,tiers_mode,tiers,divide_by,round\n"
        ",month,60,graduated,10:5.00;50:4.00+10.00;inf:3.00,,\n"
        ",month,60,volume,10:5.00;50:4.00+10.00;inf:3.00,,\n"
        "7.00,month,25,,,10,up\n"
        "7.00,month,25,,,10,down\n"
    )
    assert values(tmp_path, text, "--currency", "usd") == ["250.00", "180.00", "21.00", "14.00"]


SUBSCRIPTION = """item_id,customer_id,subscription_id,amount,interval,currency,subscription_discounts
si_1,cus_1,sub_1,40.00,month,usd,8.00 off
si_2,cus_1,sub_1,120.00,year,usd,
"""


def test_items_of_a_subscription_share_its_amount_off(tmp_path):
    # 8.00 off a bill of 160.00: 2.00 off 40.00 and 6.00 off 120.00 a year.
    assert values(tmp_path, SUBSCRIPTION) == ["38.00", "9.50"]


def test_items_share_their_customers_rounded_amount(tmp_path):
    text = "customer_id,item_id,amount,interval,currency\n" + "".join(
        f"cus_1,si_{n},10.00,year,usd\n" for n in (1, 2, 3)
    )
    assert values(tmp_path, text, column="monthly_minor") == ["84", "83", "83"]
    # To four places: 2.5000 in three parts.
    words = ("--rounding", "half_even", "--rounding-places", "4")
    assert values(tmp_path, text, *words) == ["0.8334", "0.8333", "0.8333"]


def test_status_grace_trials_and_pauses(tmp_path):
    text = """amount,interval,status,past_due_since,pause_collection,free_until,discounts
50,month,active,,,,
50,month,past_due,2031-03-01,,,
50,month,trialing,,,,
50,month,active,,void,,
50,month,active,,,2031-04-02,
50,month,active,,,,10% repeating from 2031-01-01 until 2031-03-31
50,month,active,,,,10% repeating until 2031-03-31T00:00:01Z
"""
    words = ("--currency", "usd", "--at", "2031-03-31")
    # 31 March is 30 days after 1 March: grace is over.
    assert values(tmp_path, text, *words) == [
        *("50.00", "0.00", "0.00", "0.00", "0.00", "50.00", "45.00"),
    ]
    assert values(tmp_path, text, *words, column="reason") == [
        *("", "status_past_due", "status_trialing", "collection_paused", "free_trial", "", ""),
    ]
    more = ("--past-due-grace", "31", "--trials", "in", "--pause-collection", "stays")
    assert values(tmp_path, text, *words, *more)[1:4] == ["50.00"] * 3
    with pytest.raises(GrowthError, match="no instant is asked for") as refused:
        run(tmp_path, text, "--currency", "usd")
    assert refused.value.remedy == "give --at"


def test_json_tells_policy_totals_and_version(tmp_path):
    told = json.loads(
        run(tmp_path, SUBSCRIPTION, "--policy", "profitwell", "--set", "level=subscription")
    )
    assert told["definition"] == "profitwell+level@1"
    assert told["policy"]["past_due_grace_days"] == 15
    assert told["totals"] == [
        {"currency": "usd", "monthly_amount": "47.50", "monthly_minor": 4750, "customers": 1}
    ]
    assert told["rows"][1] == {
        "line": 3,
        "customer_id": "cus_1",
        "subscription_id": "sub_1",
        "item_id": "si_2",
        "currency": "usd",
        "contract_amount": "10.00",
        "monthly_amount": "9.50",
        "monthly_minor": 950,
        "monthly_exact": "19/2",
        "reason": None,
    }
    assert len(told["data_version"]) == 64


def test_without_currency_amounts_have_two_decimals_and_a_note(tmp_path):
    told = json.loads(run(tmp_path, "amount,interval\n12.50,month\n"))
    assert told["rows"][0]["monthly_minor"] == 1250
    assert told["rows"][0]["currency"] is None
    assert told["notes"] == ["1 rows name no currency: read with 2 decimals"]


def test_parquet_and_gzip_are_read_alike(tmp_path):
    packed, columns = tmp_path / "items.csv.gz", tmp_path / "items.parquet"
    packed.write_bytes(gzip.compress(SUBSCRIPTION.encode()))
    pl.read_csv(io.StringIO(SUBSCRIPTION), infer_schema=False).with_columns(
        pl.col("amount").cast(pl.Float64)
    ).write_parquet(columns)
    plain = run(tmp_path, SUBSCRIPTION, "--format", "csv")
    assert ask(packed, "--format", "csv") == plain
    numbered = [row.split(",", 1)[1] for row in ask(columns, "--format", "csv").splitlines()]
    assert numbered == [row.split(",", 1)[1] for row in plain.splitlines()]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,fortnight,usd,,", "line 3: interval 'fortnight' is not known"),
        ("1,,usd,,", "line 3: interval '' is not known"),
        ("-1,month,usd,,", "line 3: amount '-1' is not a number"),
        ("1e3,month,usd,,", "line 3: amount '1e3' is not a number"),
        ('"1,000",month,usd,,', "line 3: amount '1,000' is not a number"),
        ("1,month,xyz,,", "line 3: currency 'xyz' is not"),
        ("1,month,usd,1.5,", "line 3: quantity '1.5' is not a whole number"),
        ("1,month,usd,1,20", "line 3: discount '20' cannot be read"),
        ("1,month,usd,1,101%", "line 3: discount '101%' cannot be read"),
        ("1,month,usd,1,1.005 off", "line 3: discount '1.005 off' has more decimals"),
        ("1,month,usd,1,20% sometimes", "line 3: discount '20% sometimes' cannot be read"),
        ("1,month,usd,1,20% until", "line 3: discount '20% until' cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path, row, said):
    text = f"amount,interval,currency,quantity,discounts\n1,month,usd,1,\n{row}\n"
    with pytest.raises(GrowthError) as refused:
        run(tmp_path, text)
    assert said in refused.value.message
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,s,usd,active\nb,s,usd,active\n", "has another customer or currency"),
        ("a,s,usd,active\na,s,eur,active\n", "has another customer or currency"),
        ("a,s,usd,active\na,s,usd,paused\n", "status of subscription s differs from line 2"),
        ("a,s,usd,running\n", "status 'running' is not known"),
    ],
)
def test_a_subscription_that_contradicts_itself_is_refused(tmp_path, rows, said):
    head = "customer_id,subscription_id,currency,status,amount,interval\n"
    body = "".join(f"{row},1,month\n" for row in rows.splitlines())
    with pytest.raises(GrowthError, match=said):
        run(tmp_path, head + body)


@pytest.mark.parametrize(
    "tiers", ["10:5", "inf:3;10:5", "10:5;10:4;inf:3", "10:5;inf:x", "x", "0:5;inf:3"]
)
def test_tiers_that_have_no_end_or_order_are_refused(tmp_path, tiers):
    with pytest.raises(GrowthError, match="line 2: "):
        run(tmp_path, f"amount,interval,currency,tiers\n,month,usd,{tiers}\n")
