"""A sign-up goes through whatever is wrong with our tables, and the next refresh finds the user."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import psycopg
import pytest
from psycopg import IsolationLevel

from growth_pipeline.events.activity.activity_store import ActivityStore

JANUARY, MAY = datetime(2031, 1, 30, 23, tzinfo=UTC), datetime(2031, 5, 1, tzinfo=UTC)
CANCEL_SLEEPERS = """
select pg_cancel_backend(pid) from pg_stat_activity
where datname = current_database() and wait_event = 'PgSleep'
"""
BOUND_SECONDS = 60  # what is waited for ends after tenths of a second; a busy machine may be slow
FAULTS = {
    "cohorts gone": (
        "alter table cohorts.user_cohorts rename to away",
        "alter table cohorts.away rename to user_cohorts",
    ),
    "a column gone": (
        "alter table cohorts.user_cohorts rename week_start to away",
        "alter table cohorts.user_cohorts rename away to week_start",
    ),
    "a column of another type": (
        "alter table cohorts.user_cohorts rename entered_on to away;"
        "alter table cohorts.user_cohorts add entered_on point",
        "alter table cohorts.user_cohorts drop entered_on;"
        "alter table cohorts.user_cohorts rename away to entered_on",
    ),
    "a constraint nothing fulfils": (
        "alter table cohorts.user_cohorts add constraint never check (false) not valid",
        "alter table cohorts.user_cohorts drop constraint never",
    ),
    "a default gone": (
        "alter table cohorts.user_cohorts alter assigned_at drop default",
        "alter table cohorts.user_cohorts alter assigned_at set default now()",
    ),
    "a zone that is none": (
        "update cohorts.calendar set tz = 'Middle/Earth'",
        "update cohorts.calendar set tz = 'UTC'",
    ),
    "no calendar": ("delete from cohorts.calendar", "insert into cohorts.calendar default values"),
    "the calendar gone": (
        "alter table cohorts.calendar rename to away",
        "alter table cohorts.away rename to calendar",
    ),
    "numbers gone": (
        "alter table activity.user_numbers rename to away",
        "alter table activity.away rename to user_numbers",
    ),
    "the schema gone": (
        "alter schema cohorts rename to away",
        "alter schema away rename to cohorts",
    ),
    "a trigger of somebody else that raises": (
        "create function app.no() returns trigger language plpgsql as"
        " $$ begin raise exception 'no'; end $$;"
        "create trigger no before insert on cohorts.user_cohorts"
        " for each row execute function app.no()",
        "drop trigger no on cohorts.user_cohorts",
    ),
    "an assertion of somebody else that fails": (
        "create function app.doubts() returns trigger language plpgsql as"
        " $$ begin assert false; return new; end $$;"
        "create trigger doubts before insert on cohorts.user_cohorts"
        " for each row execute function app.doubts()",
        "drop trigger doubts on cohorts.user_cohorts",
    ),
    "recursion without end": (
        "create function app.more() returns trigger language plpgsql as $$ begin"
        " insert into cohorts.user_cohorts select (new).*; return new; end $$;"
        "create trigger more before insert on cohorts.user_cohorts"
        " for each row execute function app.more()",
        "drop trigger more on cohorts.user_cohorts",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_sign_up_goes_through_and_the_refresh_finds_the_user(company, store, database, fault):
    breaks, mends = FAULTS[fault]
    company.sign_up(("early", JANUARY))
    company.ask(breaks)
    company.sign_up(("late", MAY))
    assert company.ask("select id from app.users order by 1") == [("early",), ("late",)]

    company.ask(mends)
    number_users(database)
    store.assign_users()
    assert company.cohorts() == {"early": date(2031, 1, 1), "late": date(2031, 5, 1)}


def number_users(database) -> None:
    ActivityStore(database).number_users(now=MAY)


@pytest.mark.parametrize(
    "locked", ["cohorts.user_cohorts", "cohorts.calendar", "activity.user_numbers"]
)
def test_a_sign_up_waits_for_no_lock_of_ours_longer_than_a_moment(
    company, store, database, database_url, locked
):
    with psycopg.connect(database_url) as holder:
        holder.execute(f"lock table {locked} in access exclusive mode")
        begun = time.monotonic()
        company.sign_up(("u1", MAY))
        assert time.monotonic() - begun < BOUND_SECONDS
        holder.rollback()
    number_users(database)
    store.assign_users()
    assert company.cohorts() == {"u1": date(2031, 5, 1)}


def test_a_sign_up_waits_for_nobody_who_writes_the_same_user(company, store, database_url):
    with psycopg.connect(database_url) as holder:
        holder.execute(
            "insert into activity.user_numbers (user_key, user_id, signed_up_at)"
            " values (sha256('u1'), 'u1', %s)",
            [JANUARY],
        )
        company.sign_up(("u1", MAY))
        holder.commit()
    assert company.cohorts() == {"u1": date(2031, 1, 1)}


def test_a_time_limit_or_cancel_that_strikes_while_we_work_ends_our_work_only(
    company, database_url
):
    company.ask(
        "create function app.slow() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(600); return new; end $$;"
        "create trigger slow before insert on cohorts.user_cohorts"
        " for each row execute function app.slow()"
    )
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        sign_up = elsewhere.submit(company.sign_up, ("u1", MAY))
        cancelled = False
        while not sign_up.done():
            cancelled = cancelled or bool(other.execute(CANCEL_SLEEPERS).fetchall())
            time.sleep(0.01)
        sign_up.result()
    assert cancelled
    assert company.ask("select id from app.users") == [("u1",)]


def test_sign_ups_at_once_in_serializable_transactions_all_commit(company, database_url):
    def begin() -> psycopg.Connection:
        connection = psycopg.connect(database_url)
        connection.isolation_level = IsolationLevel.SERIALIZABLE
        return connection

    with begin() as one, begin() as two, begin() as three:
        for name, connection in (("u1", one), ("u2", two), ("u3", three)):
            connection.execute("insert into app.users values (%s, %s)", [name, MAY])
        for connection in (one, two, three):
            connection.commit()
    assert len(company.cohorts()) == 3


@pytest.fixture
def stranger(company, database_url) -> Iterator[psycopg.Connection]:
    """A role that may add users of the company and has no right in any schema of ours."""
    name = f"growth_stranger_{uuid.uuid4().hex[:8]}"
    company.ask(
        f"create role {name}; grant usage on schema app to {name};"
        f"grant insert, select on app.users to {name}"
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"set role {name}")
        yield connection
    company.ask(f"drop owned by {name}; drop role {name}")


def test_a_role_without_any_right_in_our_schemas_signs_users_up(company, stranger):
    stranger.execute("insert into app.users values ('u1', %s)", [MAY])
    assert company.cohorts() == {"u1": date(2031, 5, 1)}


def test_a_sign_up_survives_that_our_functions_lose_their_rights(company, stranger):
    (role,) = stranger.execute("select current_user").fetchone()
    owners = company.ask(
        "select p.oid::regprocedure, p.proowner::regrole from pg_proc as p"
        " where p.oid in ('cohorts.note_users'::regproc, 'activity.note_user'::regproc)"
    )
    for function, _ in owners:
        company.ask(
            f"grant create on schema activity, cohorts to {role};"
            f"alter function {function} owner to {role}"
        )
    stranger.execute("insert into app.users values ('u1', %s)", [MAY])
    for function, owner in owners:
        company.ask(f"alter function {function} owner to {owner}")
    assert company.ask("select id from app.users") == [("u1",)]
    assert company.cohorts() == {}


@pytest.mark.parametrize(
    "at",
    [
        *("infinity", "-infinity", None, "0001-01-01Z", "4713-01-01Z BC", "294276-12-31 23:59Z"),
        *("1899-12-31 23:59:59Z", "2200-01-01Z"),
    ],
)
def test_a_user_without_an_instant_of_sign_up_is_in_no_cohort_and_stops_nobody(
    company, store, database, at
):
    company.ask("insert into app.users values ('u1', %s)", at)
    company.sign_up(("u2", MAY))
    company.ask("delete from cohorts.user_cohorts")
    company.ask("update cohorts.calendar set tz = 'Pacific/Auckland'")
    assert store.assign_users().assigned == 1
    assert company.ask("select id from app.users order by 1") == [("u1",), ("u2",)]
    assert company.cohorts() == {"u2": date(2031, 5, 1)}

    users = ActivityStore(database).users(
        tz="America/New_York", as_of=datetime.max.replace(tzinfo=UTC)
    )
    with users as batches:
        assert sum(batch.height for batch in batches) == 1


def test_a_sign_up_that_was_none_is_told_by_hand(company):
    company.ask("insert into app.users values ('u1', '0001-01-01Z')")
    company.ask("select cohorts.assign_user_to_cohort('u1', %s)", MAY)
    assert company.cohorts() == {"u1": date(2031, 5, 1)}


def test_many_users_of_one_statement_are_in_their_cohorts(company):
    company.ask(
        "insert into app.users select 'u' || n, timestamptz '2031-01-01' + n * interval '1 hour'"
        " from generate_series(0, 1999) as n"
    )
    assert company.ask(
        "select count(*), count(distinct entered_on), min(entered_on), max(entered_on),"
        " max(month_start) from cohorts.user_cohorts"
    ) == [(2000, 84, date(2031, 1, 1), date(2031, 3, 25), date(2031, 3, 1))]


def test_a_deleted_user_keeps_the_cohort_and_loses_the_id_until_restored(company, database):
    company.sign_up(("u1", JANUARY), ("u2", JANUARY))
    company.ask("delete from app.users where id = 'u1'")
    number_users(database)
    assert company.cohorts() == {None: date(2031, 1, 1), "u2": date(2031, 1, 1)}

    company.sign_up(("u1", MAY))
    number_users(database)
    assert company.cohorts() == {"u1": date(2031, 1, 1), "u2": date(2031, 1, 1)}
