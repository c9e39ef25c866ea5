"""Binary COPY rows decoded by column agree with psycopg, which decodes them one by one."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.binary_rows import COLUMN_TYPES, decode
from growth_pipeline.storage.postgres import connect, copy_batches

TEXT, INT8 = COLUMN_TYPES[25], COLUMN_TYPES[20]

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
rows = st.lists(
    st.tuples(
        st.none() | texts,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.booleans(),
        st.none() | instants,
        st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)),
        st.none() | st.binary(max_size=9),
        st.none() | texts,
    ),
    max_size=7,
)


@pytest.fixture(scope="module")
def connection(postgres_server):
    with connect(postgres_server.url("postgres"), autocommit=True) as opened:
        opened.execute(
            "create temporary table given"
            " (n serial, t text, i int8, f float8, b bool, at timestamptz, d date, by bytea, u text)"
        )
        yield opened


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=rows, batch_rows=st.integers(1, 4))
def test_any_rows_come_back_as_they_went_in(connection, rows, batch_rows):
    connection.execute("truncate given")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into given (t, i, f, b, at, d, by, u) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )

    query = "select t, i, f, b, at, d, by, u from given order by n"
    batches = copy_batches(connection, query, batch_rows=batch_rows)

    assert [row for batch in batches for row in batch.rows()] == rows


def test_a_row_is_read_from_the_documented_layout():
    row = struct.pack(">h", 2) + struct.pack(">i", 2) + b"ab" + struct.pack(">iq", 8, -5)
    empty = struct.pack(">h", 2) + struct.pack(">i", 0) + struct.pack(">i", -1)

    table = decode([row, empty], ["t", "n"], [TEXT, INT8])

    assert table.to_pylist() == [{"t": "ab", "n": -5}, {"t": "", "n": None}]


def test_no_rows_keep_the_columns_and_their_types():
    table = decode([], ["t", "n"], [TEXT, INT8])

    assert table.num_rows == 0
    assert table.schema == pa.schema([("t", pa.large_utf8()), ("n", pa.int64())])


def test_a_row_with_another_number_of_columns_is_an_error():
    with pytest.raises(GrowthError, match="another number of columns"):
        decode([struct.pack(">hi", 1, -1)], ["t", "n"], [TEXT, INT8])
