"""The pool, COPY in and out, upserts and locks on a real Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import polars as pl
import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.storage.postgres import (
    Connection,
    Database,
    OutcomeUnknownError,
    connect,
    copy_batches,
    copy_in,
    copy_out,
    dagster_url,
    lock_partition,
    normalise_url,
    raw_json,
    upsert,
)

NOON = datetime(2025, 10, 31, 12, 0, tzinfo=UTC)


@pytest.fixture
def numbers(database: Database) -> Database:
    """A database with one small table: n (key), note, version."""
    with database.connection() as connection:
        connection.execute("create table numbers (n int8 primary key, note text, version int4)")
    return database


def rows_of(database: Database, query: str = "select n, note from numbers order by n") -> list[Any]:
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def terminate(database_url: str, pid: int) -> None:
    """End a backend from outside and wait until it is gone."""
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("postgres://u:p%40ss@db:5432/growth", "postgresql://u:p%40ss@db:5432/growth"),
        (" postgresql://u@/growth?host=/run/pg \n", "postgresql://u@/growth?host=/run/pg"),
        ("postgresql+psycopg2://u@db/growth", "postgresql://u@db/growth"),
        ("postgresql+psycopg:///growth", "postgresql:///growth"),
    ],
)
def test_addresses_of_other_libraries_are_understood(given, plain):
    assert normalise_url(given) == plain
    assert dagster_url(given) == plain.replace("postgresql://", "postgresql+psycopg2://")


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u:hunter2@db/growth",
        "db.example.com/hunter2",
        "postgres://u:hun/ter2@db/growth",
        "postgres://u:hunter2 x@db/growth",
        "postgres://[u:hunter2@db/growth",
        "postgres://u:hunter2@db:port/growth",
        "postgres://u:hunter2@db/growth?sslmode=require&colour=red",
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(address):
    with pytest.raises(ConfigurationError) as caught:
        Database(address)

    shown = f"{caught.value} {caught.value.remedy} {caught.value.__cause__}"
    assert not any(part in shown for part in ("hunter2", "hun", "ter2"))


def test_a_database_that_does_not_answer_is_named_with_the_reason():
    started = time.monotonic()
    address = "postgresql://u:hunter2@127.0.0.1:1/growth"
    with (
        Database(address) as database,
        pytest.raises(RemoteUnavailableError, match=r"growth at 127\.0\.0\.1 .*refused") as caught,
    ):
        rows_of(database)

    assert time.monotonic() - started < 20
    assert "hunter2" not in str(caught.value)
    assert caught.value.retryable


def test_an_unknown_user_or_database_is_a_matter_of_configuration(database_url):
    with pytest.raises(ConfigurationError, match="refuses nobody_known"):
        connect(
            database_url.replace("postgres@", "nobody_known@").replace("postgres:", "nobody_known:")
        )
    with pytest.raises(ConfigurationError, match=r"database nowhere at .* does not exist"):
        connect(
            normalise_url(database_url).replace(database_url.split("/")[3].split("?")[0], "nowhere")
        )


# --- transactions --------------------------------------------------------------------------------


def insert(connection: Connection, n: int, note: str) -> None:
    connection.execute("insert into numbers values (%s, %s, 1)", [n, note])


def run(database: Database, *actions: Callable[[Connection], object]) -> None:
    """One transaction with the given actions."""
    with database.connection() as connection:
        for action in actions:
            action(connection)


def fail(_: Connection) -> None:
    raise ZeroDivisionError


def test_a_block_is_one_transaction(numbers):
    run(numbers, lambda connection: insert(connection, 1, "kept"))
    with pytest.raises(ZeroDivisionError):
        run(numbers, lambda connection: insert(connection, 2, "dropped"), fail)

    assert rows_of(numbers) == [(1, "kept")]


def test_a_dry_run_executes_everything_and_keeps_nothing(numbers):
    numbers.dry_run = True
    with numbers.connection() as connection:
        insert(connection, 1, "seen inside")
        assert connection.execute("select count(*) from numbers").fetchone() == (1,)
    with pytest.raises(psycopg.errors.UndefinedTable):
        run(numbers, lambda connection: connection.execute("insert into nowhere values (1)"))
    numbers.dry_run = False

    assert rows_of(numbers) == []


def test_nobody_commits_inside_the_block(numbers):
    with pytest.raises(psycopg.ProgrammingError):
        run(numbers, lambda connection: insert(connection, 1, "half"), Connection.commit)

    assert rows_of(numbers) == []


def test_a_swallowed_error_does_not_pass_for_a_commit(numbers):
    def insert_again(connection: Connection) -> None:
        with suppress(psycopg.errors.UniqueViolation):
            insert(connection, 1, "twice")

    with pytest.raises(GrowthError, match="nothing of it was stored"):
        run(numbers, lambda connection: insert(connection, 1, "gone"), insert_again)

    assert rows_of(numbers) == []


def test_instants_come_back_in_utc_whatever_the_server_shows(database, database_url):
    with psycopg.connect(database_url, autocommit=True) as other:
        (name,) = other.execute("select current_database()").fetchone()
        other.execute(f"alter database {name} set timezone = 'Asia/Tokyo'")

    [(instant,)] = rows_of(database, "select timestamptz '2025-10-31 12:00:00Z'")

    assert instant.isoformat() == "2025-10-31T12:00:00+00:00"


def test_a_connection_that_broke_is_never_given_out_again(numbers, database_url):
    backends: list[int] = []

    def break_it(connection: Connection) -> None:
        backends.append(connection.info.backend_pid)
        terminate(database_url, connection.info.backend_pid)

    with pytest.raises(RemoteUnavailableError, match="nothing of this transaction") as caught:
        run(
            numbers,
            lambda connection: insert(connection, 1, "lost"),
            break_it,
            lambda connection: insert(connection, 2, "lost"),
        )

    assert caught.value.retryable
    assert rows_of(numbers) == []
    assert rows_of(numbers, "select pg_backend_pid()") != [(backends[0],)]


def test_connections_that_broke_while_idle_are_replaced_unseen(numbers, database_url):
    [(broken,)] = rows_of(numbers, "select pg_backend_pid()")
    terminate(database_url, broken)

    assert rows_of(numbers) == []


def test_a_connection_lost_during_commit_is_an_unknown_outcome_not_a_failure(numbers, database_url):
    with pytest.raises(OutcomeUnknownError, match="is not known") as caught:
        run(
            numbers,
            lambda connection: insert(connection, 1, "stored?"),
            lambda connection: terminate(database_url, connection.info.backend_pid),
        )

    assert caught.value.retryable is False
    assert rows_of(numbers) in ([], [(1, "stored?")])


def test_a_missing_right_names_the_grant(numbers):
    def read_as_reader(connection: Connection) -> None:
        connection.execute("create role growth_test_reader")
        connection.execute("set local role growth_test_reader")
        connection.execute("select * from numbers")

    with pytest.raises(ConfigurationError, match="permission denied for table numbers") as caught:
        run(numbers, read_as_reader)

    assert "GRANT the right on table numbers" in caught.value.remedy


def test_an_exhausted_pool_says_so_instead_of_waiting_for_ever(database_url):
    with (
        Database(database_url, max_size=1, timeout=3) as database,  # the first one needs time too
        database.connection(),
        pytest.raises(RemoteUnavailableError, match="became free in 3 s"),
    ):
        run(database)


def test_a_closed_database_opens_again_at_next_use(numbers):
    numbers.close()
    numbers.close()

    assert rows_of(numbers) == []


def test_a_representation_shows_no_password():
    shown = repr(Database("postgresql://u:hunter2@db:5432/growth"))
    assert shown == "Database(database growth at db)"


# --- COPY ----------------------------------------------------------------------------------------

EVERYTHING = (
    "create table everything (t text, i2 int2, i4 int4, i8 int8, f8 float8, b bool, at timestamptz,"
    " d date, by bytea, j jsonb, a text[])"
)
COLUMNS = ["t", "i2", "i4", "i8", "f8", "b", "at", "d", "by", "j", "a"]
TYPES = [
    "text",
    "int2",
    "int4",
    "int8",
    "float8",
    "bool",
    "timestamptz",
    "date",
    "bytea",
    "jsonb",
    "text[]",
]


def test_rows_written_by_copy_come_back_as_they_were(database):
    tokyo = timezone(timedelta(hours=9))
    rows = [
        (
            "",
            -32768,
            -1,
            2**63 - 1,
            0.1,
            True,
            NOON,
            date(1969, 12, 31),
            b"\x00\xff",
            {"a": [1]},
            ["x", ""],
        ),
        (
            "ünï\n\t,\"'\\N",
            0,
            0,
            -(2**63),
            -0.0,
            False,
            NOON.astimezone(tokyo),
            date(2025, 2, 28),
            b"",
            [],
            [],
        ),
        (None,) * 11,
    ]
    with database.connection() as connection:
        connection.execute(EVERYTHING)
        assert copy_in(connection, "everything", COLUMNS, TYPES, rows) == 3
        back = connection.execute("select * from everything").fetchall()
        frame = copy_out(connection, "select t, i2, i4, i8, f8, b, at, d, by, j from everything")

    assert back == rows  # Tokyo's noon is the same instant
    assert frame.rows()[0] == (
        "",
        -32768,
        -1,
        2**63 - 1,
        0.1,
        True,
        NOON,
        date(1969, 12, 31),
        b"\x00\xff",
        '{"a": [1]}',
    )
    assert frame.rows()[1][0] == "ünï\n\t,\"'\\N"
    assert frame.rows()[2] == (None,) * 10
    assert frame["at"].dtype == pl.Datetime("us", "UTC")


def test_json_text_is_stored_without_being_read(database):
    with database.connection() as connection:
        connection.execute("create table documents (body jsonb)")
        copy_in(
            connection,
            "documents",
            ["body"],
            ["jsonb"],
            [(raw_json('{"a": 1.10}'),), (raw_json(b"[]"),)],
        )
        assert connection.execute("select body::text from documents").fetchall() == [
            ('{"a": 1.10}',),
            ("[]",),
        ]


def test_a_result_without_rows_keeps_its_columns_and_types(database):
    with database.connection() as connection:
        frame = copy_out(connection, "select 1::int8 as n, now() as at, ''::text as t where false")

    assert frame.schema == {"n": pl.Int64, "at": pl.Datetime("us", "UTC"), "t": pl.String}
    assert frame.height == 0


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (1, [1]), (3, [3]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_a_result_comes_in_batches_of_bounded_size(database, rows, sizes):
    with database.connection() as connection:
        batches = list(
            copy_batches(
                connection, "select n from generate_series(1, %s) as n", [rows], batch_rows=3
            )
        )

    assert [batch.height for batch in batches] == sizes
    assert [n for batch in batches for n in batch["n"]] == list(range(1, rows + 1))


def test_values_are_bound_even_though_copy_has_no_parameters(database):
    hostile = "'; drop table billing.payments; --%s\\"
    with database.connection() as connection:
        frame = copy_out(connection, "select %(x)s::text as x, 10 %% 3 as r", {"x": hostile})

    assert frame.rows() == [(hostile, 1)]


def test_a_batch_reader_that_stops_early_costs_the_transaction_and_no_more(numbers):
    def read_ten_rows(connection: Connection) -> None:
        query = "select n from generate_series(1, 100000) n"
        batches = copy_batches(connection, query, batch_rows=10)
        assert next(batches).height == 10
        batches.close()  # type: ignore[attr-defined]

    with pytest.raises(GrowthError, match="nothing of it was stored"):
        run(numbers, lambda connection: insert(connection, 1, "with it"), read_ten_rows)

    assert rows_of(numbers) == []


def test_a_type_that_a_frame_cannot_hold_exactly_must_be_cast_in_the_query(database):
    with database.connection() as connection:
        with pytest.raises(GrowthError, match="column s of the query has type numeric") as caught:
            copy_out(connection, "select sum(n) as s from generate_series(1::int8, 3) n")
        assert "s::text" in caught.value.remedy
        assert copy_out(
            connection, "select sum(n)::int8 as s from generate_series(1::int8, 3) n"
        ).rows() == [(6,)]


def test_an_infinite_time_is_refused_rather_than_wrapped(database):
    with pytest.raises(GrowthError, match="infinite time"):
        run(
            database, lambda connection: copy_out(connection, "select timestamptz 'infinity' as at")
        )


def test_a_large_result_agrees_with_sums_made_by_postgres(database, full):
    size = 3_000_000 if full else 200_000
    with database.connection() as connection:
        connection.execute(
            "create table large as select n, md5(n::text) as id, case when n %% 7 = 0 then null else n * 3 end"
            " as amount, timestamptz 'epoch' + n * interval '1 second' as at"
            " from generate_series(1::int8, %s) n",
            [size],
        )
        expected = connection.execute(
            "select count(*), sum(amount)::int8, count(amount), sum(length(id))::int8, min(id), max(at) from large"
        ).fetchone()
        frame = copy_out(connection, "select * from large")

    found = (
        frame.height,
        frame["amount"].sum(),
        frame["amount"].count(),
        frame["id"].str.len_bytes().sum(),
        frame["id"].min(),
        frame["at"].max(),
    )
    assert found == expected


# --- upserts -------------------------------------------------------------------------------------


def write(database: Database, rows: list[tuple[Any, ...]], **options: Any) -> int:
    with database.connection() as connection:
        return upsert(
            connection,
            "numbers",
            ["n", "note", "version"],
            ["int8", "text", "int4"],
            rows,
            key=["n"],
            **options,
        )


def test_an_upsert_inserts_then_updates_by_its_key(numbers):
    assert write(numbers, [(1, "one", 1), (2, "two", 1)]) == 2
    assert write(numbers, [(2, "deux", 2), (3, "trois", 2)]) == 2
    assert write(numbers, [(2, "deux", 2), (3, "trois", 2)]) == 2
    assert write(numbers, []) == 0

    assert rows_of(numbers) == [(1, "one"), (2, "deux"), (3, "trois")]


def test_an_older_row_never_replaces_a_newer_one(numbers):
    write(numbers, [(1, "new", 5)])

    assert (
        write(numbers, [(1, "old", 4), (2, "first", 1)], where="stored.version < excluded.version")
        == 1
    )

    assert rows_of(numbers) == [(1, "new"), (2, "first")]


def test_two_rows_with_one_key_are_refused_by_name(numbers):
    with pytest.raises(GrowthError, match=r"two rows for numbers have the same key \(n\)"):
        write(numbers, [(1, "a", 1), (1, "b", 1)])


def test_rows_that_are_all_key_are_inserted_once(database):
    with database.connection() as connection:
        connection.execute("create table seen (id text primary key)")
        first = upsert(connection, "seen", ["id"], ["text"], [("a",), ("b",)], key=["id"])
        second = upsert(connection, "seen", ["id"], ["text"], [("b",), ("c",)], key=["id"])

    assert (first, second) == (2, 1)


def test_a_partial_unique_index_serves_as_key(database):
    columns = [
        "account_id",
        "livemode",
        "charge_id",
        "status",
        "captured",
        "currency",
        "amount_minor",
    ]
    columns += ["created_at", "written_by", "written_at"]
    types = [
        "text",
        "bool",
        "text",
        "text",
        "bool",
        "text",
        "int8",
        "timestamptz",
        "text",
        "timestamptz",
    ]

    def book(amount: int, by: str) -> tuple[Any, ...]:
        return ("acct_1", True, "ch_1", "succeeded", True, "usd", amount, NOON, by, NOON)

    with database.connection() as connection:
        copy_in(connection, "billing.payments", columns, types, [book(1, "hand"), book(2, "hand")])
        for amount in (500, 700):
            upsert(
                connection,
                "billing.payments",
                columns,
                types,
                [book(amount, "mirror")],
                key=["account_id", "livemode", "charge_id"],
                key_where="written_by = 'mirror'",
            )
        found = connection.execute(
            "select written_by, amount_minor from billing.payments order by amount_minor"
        ).fetchall()

    assert found == [("hand", 1), ("hand", 2), ("mirror", 700)]


def test_writers_of_the_same_rows_in_opposite_order_do_not_deadlock(numbers):
    forward = [(n, "x", 1) for n in range(300)]
    orders = [forward, forward[::-1]] * 2
    failures: list[BaseException] = []

    def write_often(rows: list[tuple[Any, ...]]) -> None:
        try:
            for _ in range(10):
                write(numbers, rows)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=write_often, args=[rows]) for rows in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(rows_of(numbers)) == 300


@contextmanager
def owner_without_superuser_rights(database: Database, name: str) -> Iterator[Connection]:
    """A transaction as a plain role that owns a table with forced row security, as in production."""
    try:
        with database.connection() as connection:
            connection.execute(f"create role {name}")
            connection.execute(f"create schema owned authorization {name}")
            connection.execute(f"set local role {name}")
            connection.execute("create table owned.secured (n int8 primary key, note text)")
            connection.execute("alter table owned.secured enable row level security")
            connection.execute("alter table owned.secured force row level security")
            connection.execute("create policy own on owned.secured to current_user using (true)")
            yield connection
    finally:
        with database.connection() as connection:
            connection.execute(f"drop owned by {name} cascade; drop role {name}")


def test_a_table_under_row_security_is_filled_although_copy_is_refused_there(database):
    with owner_without_superuser_rights(database, "growth_test_owner") as connection:
        assert (
            copy_in(
                connection, "owned.secured", ["n", "note"], ["int8", "text"], [(1, "a"), (2, None)]
            )
            == 2
        )
        upsert(connection, "owned.secured", ["n", "note"], ["int8", "text"], [(2, "b")], key=["n"])
        assert copy_out(connection, "select * from owned.secured order by n").rows() == [
            (1, "a"),
            (2, "b"),
        ]


# --- partition locks -----------------------------------------------------------------------------


def run_in_thread(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_a_partition_is_worked_on_by_one_transaction_at_a_time(numbers):
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with numbers.connection() as connection:
            waiting.set()
            lock_partition(connection, "payments", "2025-10")
            order.append("second")

    with numbers.connection() as connection:
        lock_partition(connection, "payments", "2025-10")
        lock_partition(connection, "payments", "2025-10")  # once more by the same holder: fine
        thread = run_in_thread(second)
        assert waiting.wait(60)
        time.sleep(0.2)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


@pytest.mark.parametrize("other", [("payments", "2025-11"), ("payments2025", "-10"), ("payments",)])
def test_other_partitions_go_on(numbers, other):
    with numbers.connection() as connection, numbers.connection() as neighbour:
        lock_partition(connection, "payments", "2025-10")
        neighbour.execute("set local lock_timeout = '100ms'")
        lock_partition(neighbour, *other)


def test_a_failed_transaction_gives_its_lock_back(numbers):
    def lock(connection: Connection) -> None:
        connection.execute("set local lock_timeout = '100ms'")
        lock_partition(connection, "payments", "2025-10")

    with pytest.raises(ZeroDivisionError):
        run(numbers, lock, fail)
    run(numbers, lock)
