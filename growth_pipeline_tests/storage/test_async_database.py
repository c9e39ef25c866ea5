"""Statements of an event loop: committed when they return, each on a connection that works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, RemoteUnavailableError
from growth_pipeline.storage.postgres import AsyncDatabase, Database, OutcomeUnknownError

INSERT = "insert into numbers values (%(n)s) on conflict do nothing"
BACKENDS = "select pid from pg_stat_activity where application_name = 'growth-test'"


@pytest.fixture
def numbers(database: Database) -> Database:
    with database.connection() as connection:
        connection.execute("create table numbers (n int8 primary key)")
    return database


def rows(database: Database, query: str = "select n from numbers order by n") -> list[Any]:
    with database.connection() as connection:
        return [value for (value,) in connection.execute(query).fetchall()]


def run(url: str, *steps: Callable[[AsyncDatabase], Awaitable[object]]) -> None:
    """One event loop with a database that is closed at the end."""

    async def main() -> None:
        database = AsyncDatabase(url, application_name="growth-test")
        try:
            for step in steps:
                await step(database)
        finally:
            await database.close()

    asyncio.run(main())


def insert(n: int) -> Callable[[AsyncDatabase], Awaitable[None]]:
    return lambda database: database.execute(INSERT, {"n": n})


def test_a_statement_is_stored_when_it_returns(numbers, database_url):
    seen = []

    async def look(_):
        seen.append(rows(numbers))

    run(database_url, insert(1), look, insert(2))
    assert seen == [[1]]
    assert rows(numbers) == [1, 2]


def test_statements_at_once_have_a_connection_each_and_share_it_later(numbers, database_url):
    open_at_once = []

    async def at_once(database):
        await asyncio.gather(*(insert(n)(database) for n in range(3)))
        await asyncio.gather(*(insert(n)(database) for n in range(3, 6)))
        open_at_once.extend(rows(numbers, BACKENDS))

    run(database_url, at_once)
    assert rows(numbers) == list(range(6))
    assert len(open_at_once) == 3


def test_a_connection_that_broke_is_an_unknown_outcome_and_never_used_again(numbers, database_url):
    async def break_it(_):
        for pid in rows(numbers, BACKENDS):
            rows(numbers, f"select pg_terminate_backend({pid}, 5000)")

    async def fail(database):
        with pytest.raises(OutcomeUnknownError):
            await insert(2)(database)

    run(database_url, insert(1), break_it, fail, insert(2))
    assert rows(numbers) == [1, 2]


def test_a_statement_that_fails_stays_the_error_it_is_and_the_next_one_works(numbers, database_url):
    async def fail(database):
        with pytest.raises(psycopg.errors.UndefinedTable):
            await database.execute("insert into nowhere values (1)", {})

    run(database_url, fail, insert(3))
    assert rows(numbers) == [3]


def test_a_statement_that_is_given_up_leaves_no_connection_in_the_middle_of_it(
    numbers, database_url
):
    async def give_up(database):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.execute("select pg_sleep(30)", {})

    run(database_url, give_up, insert(4))
    assert rows(numbers) == [4]


def test_a_missing_right_names_the_grant(numbers, database_url):
    async def fail(database):
        await database.execute("create role growth_async_reader", {})
        await database.execute("set role growth_async_reader", {})
        with pytest.raises(ConfigurationError, match="permission denied"):
            await insert(1)(database)
        await database.execute("reset role", {})
        await database.execute("drop role growth_async_reader", {})

    run(database_url, fail)


def test_a_database_that_does_not_answer_is_named_with_the_reason():
    async def fail(database):
        with pytest.raises(RemoteUnavailableError, match="does not answer"):
            await insert(1)(database)

    run("postgresql://u:secret@127.0.0.1:1/growth", fail)


def test_closing_twice_is_harmless_and_it_opens_again(numbers, database_url):
    async def close(database):
        await database.close()

    run(database_url, insert(1), close, close, insert(2))
    assert rows(numbers) == [1, 2]


def test_a_representation_shows_no_password():
    assert "secret" not in repr(AsyncDatabase("postgresql://u:secret@db:5432/growth"))
