"""Every spelling of a file is read alike, and a broken one is told with its line."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from growth_pipeline_tests.cohorts.files.reading import NOON, activity_of, read, refused, write

PLAIN = "user_id,occurred_at,event\na,2031-01-05T12:00:00Z,open\nb,2031-01-06T00:00:00Z,\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\r\n", 2),
        PLAIN.rstrip("\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace("user_id", "User ID").replace("occurred_at", " OCCURRED-AT "),
        PLAIN.replace("a,2031-01-05T12:00:00Z,open", '"a","2031-01-05T12:00:00Z","open"'),
        PLAIN.replace("user_id,occurred_at,event", '"user_id","occurred_at","event"'),
        PLAIN.replace("user_id,occurred_at,event", '"user_id","occurred_at","event"').replace(
            ",", ";"
        ),
        PLAIN.replace(",", ", "),
        PLAIN.replace("open\n", "open\n\n\n"),
        "event,occurred_at,user_id\nopen,2031-01-05T12:00:00Z,a\n,2031-01-06T00:00:00Z,b\n",
        "x,user_id,occurred_at\n1,a,2031-01-05T12:00:00Z\n,b,2031-01-06T00:00:00Z\n",
    ],
)
def test_the_same_rows_are_read_from_every_spelling_of_a_file(engine, tmp_path, text):
    found = read(engine, write(tmp_path / "activity.csv", text))

    assert found.activity == [("a", "2031-01-05", 1), ("b", "2031-01-06", 1)]
    assert found.as_of == datetime(2031, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("name", ["activity.csv.gz", "activity[1]*.gz", "without_ending"])
def test_gzip_is_seen_in_the_content_whatever_the_name(engine, tmp_path, name):
    found = read(engine, write(tmp_path / name, gzip.compress(PLAIN.encode())))

    assert found.activity == [("a", "2031-01-05", 1), ("b", "2031-01-06", 1)]


def test_quoted_fields_hold_separators_quotes_and_line_ends(engine, tmp_path):
    activity = write(
        tmp_path / "activity.csv",
        'user_id,occurred_at\n"a,1",2031-01-05\n"b ""x""",2031-01-05\n"c\r\nd",2031-01-05\n',
    )

    assert [row[0] for row in read(engine, activity).activity] == ["a,1", 'b "x"', "c\r\nd"]


def test_parquet_gives_its_types_and_csv_its_text_the_same_rows(engine, tmp_path):
    frame = pl.DataFrame(
        {
            "User_ID": [1, 2, 3],
            "occurred_at": [datetime(2031, 1, 5, 23, 30, tzinfo=UTC)] * 3,
            "revenue": [12.34, 0.1 + 0.2, None],
        }
    )
    for column in (
        frame["occurred_at"],
        frame["occurred_at"].dt.replace_time_zone(None),
        frame["occurred_at"].dt.cast_time_unit("ns"),
        frame["occurred_at"].dt.to_string("%Y-%m-%dT%H:%M:%SZ"),
        frame["occurred_at"].dt.timestamp("ms"),
        frame["occurred_at"].dt.convert_time_zone("Asia/Tokyo"),
    ):
        path = tmp_path / "activity.parquet"
        frame.with_columns(column.alias("occurred_at")).write_parquet(path)
        packed = write(tmp_path / "activity.parquet.gz", gzip.compress(path.read_bytes()))
        for activity in (path, packed):
            found = read(engine, activity)
            assert [row[:2] for row in found.activity] == [
                (number, "2031-01-05") for number in ("1", "2", "3")
            ]
            assert [row[-1] for row in found.money] == [
                Decimal("12.34"),
                Decimal("0.30000000000000004"),
            ]


def test_a_bad_value_in_parquet_is_told_with_its_row(engine, tmp_path):
    path = tmp_path / "activity.parquet"
    pl.DataFrame(
        {"user_id": ["a", "b", "c"], "occurred_at": [NOON, "yesterday", "soon"]}
    ).write_parquet(path)

    assert "row 2: occurred_at 'yesterday' is not an instant" in refused(engine, path).message


def test_a_file_without_rows_gives_nothing_to_tell(engine, tmp_path):
    activity = activity_of(tmp_path)
    users = write(tmp_path / "users.csv", "user_id,signed_up_at\na,2031-01-05\n")

    assert "has no rows" in refused(engine, activity).message
    alone = read(engine, activity, users)
    assert (alone.users, alone.activity) == ([("a", "2031-01-05", None)], [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("user_id,at\na,b\n", "has no column occurred_at"),
        ("user_id,user_id,occurred_at\na,a,2031-01-05\n", "has two columns user_id"),
        ("user_id,occurred_at\na,2031-01-05\nb\n", "line 3: 1 fields where the first line names 2"),
        ('user_id,occurred_at\n"a,2031-01-05\nb,2031-01-05\n', "line 2: unexpected end of data"),
        ('user_id,occurred_at\na,2031-01-05\n"b"c,2031-01-05\n', "line 3: "),
        (b"user_id,occurred_at\na,2031-01-05\n\xe4,2031-01-05\n", "line 3: the text is not UTF-8"),
        ("user_id,occurred_at\n".encode("utf-16"), "is UTF-16 text"),
        (gzip.compress(b"user_id,occurred_at\n" + b"a,2031-01-05\n" * 9_000)[:-30], "is cut off"),
        (b"PAR1 and no more", "is a damaged Parquet file"),
        ('user_id,occurred_at\n\n\na,2031-01-05\n\n"b\nc",nie\n', "line 6: occurred_at 'nie'"),
        ("user_id,occurred_at\n,2031-01-05\n", "line 2: user_id is empty"),
        ("user_id,occurred_at\na,\n", "line 2: occurred_at is empty"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(engine, tmp_path, text, said):
    activity = write(tmp_path / "activity.csv", text)

    message = refused(engine, activity).message
    assert str(activity) in message
    assert said in message


def test_a_missing_file_is_told(engine, tmp_path):
    assert "nowhere.csv cannot be read" in refused(engine, tmp_path / "nowhere.csv").message
