"""Published cells and cohorts in Postgres: only what differs is written, all or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from growth_pipeline.cohorts.cohort_store import Answer, Assigned
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.retention.result import RetentionCell, RetentionResult
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.storage.postgres import RowsRefusedError

NOW, LATER = datetime(2031, 3, 1, 2, tzinfo=UTC), datetime(2031, 3, 2, 2, tzinfo=UTC)
AS_OF = datetime(2031, 3, 1, tzinfo=UTC)
JANUARY, FEBRUARY = date(2031, 1, 1), date(2031, 2, 1)
MONTHS = RetentionDefinition(as_of=AS_OF, grain="month", max_period=1)
KEY = ("signup", "month", "")


def cell(cohort: date, index: int, users: int | None, **more) -> RetentionCell:
    """A cell of a cohort of 4."""
    rate = None if users is None else Decimal(users) / 4
    plain = dict.fromkeys(RetentionCell.__dataclass_fields__)
    state = PeriodState.OPEN if users is None else PeriodState.CLOSED
    told = {"cohort_start": cohort, "cohort_size": 4, "period_index": index, "users": users}
    return RetentionCell(**{**plain, **told, "rate": rate, "state": state, "final": True, **more})


def frame(*cells: RetentionCell, definition: RetentionDefinition = MONTHS) -> pl.DataFrame:
    result = RetentionResult(definition.resolved(), definition.as_of, list(cells), [], {}, ())
    return result.frame()


WHOLE = (cell(JANUARY, 0, 4), cell(JANUARY, 1, 3), cell(FEBRUARY, 0, 2), cell(FEBRUARY, 1, None))


def test_what_was_published_is_read_back_with_its_types(store):
    rich = cell(
        JANUARY,
        0,
        4,
        segment="pro",
        currency="usd",
        rate_low=0.51,
        rate_high=1.0,
        events=9,
        revenue_minor=1200,
        revenue=Decimal("0.000000000000000001"),
        revenue_per_customer_minor=300,
        cumulative_revenue_minor=1200,
        nrr=Decimal("1.250000"),
    )
    split = replace(MONTHS, segment="plan")
    cells = frame(rich, replace(rich, segment=None, currency=None, revenue=None), definition=split)
    store.publish([Answer(split, cells)], now=NOW)

    assert_frame_equal(store.read(split), cells, check_row_order=False)
    assert store.read(MONTHS).is_empty()


def test_publishing_again_writes_nothing(store, company):
    first = store.publish([Answer(MONTHS, frame(*WHOLE))], now=NOW)
    again = store.publish([Answer(MONTHS, frame(*WHOLE))], now=LATER)

    assert (first.written, first.withdrawn) == ({KEY: 4}, {KEY: 0})
    assert (again.written, again.withdrawn) == ({KEY: 0}, {KEY: 0})
    assert company.ask("select distinct published_at from cohorts.retention_metrics") == [(NOW,)]


def test_only_cells_that_differ_are_written_and_those_gone_are_withdrawn(store, company):
    store.publish([Answer(MONTHS, frame(*WHOLE))], now=NOW)
    changed = frame(WHOLE[0], cell(JANUARY, 1, 2), cell(FEBRUARY, 0, 2))
    done = store.publish([Answer(MONTHS, changed)], now=LATER)

    assert (done.written, done.withdrawn) == ({KEY: 1}, {KEY: 1})
    assert company.ask(
        "select cohort_start, period_index, users from cohorts.retention_metrics"
        " where published_at = %s",
        LATER,
    ) == [(JANUARY, 1, 2)]


def test_cohorts_that_are_not_named_stay_as_they_are(store):
    store.publish([Answer(MONTHS, frame(*WHOLE))], now=NOW)
    february = frame(cell(FEBRUARY, 0, 1))
    done = store.publish([Answer(MONTHS, february, cohorts={FEBRUARY})], now=LATER)

    assert (done.written, done.withdrawn) == ({KEY: 1}, {KEY: 1})
    assert_frame_equal(store.read(MONTHS), frame(*WHOLE[:2], cell(FEBRUARY, 0, 1)))


def test_a_failed_publication_leaves_everything_as_it_was(store, company):
    store.publish([Answer(MONTHS, frame(*WHOLE))], now=NOW)
    company.sign_up(("u1", AS_OF))
    company.ask("delete from cohorts.user_cohorts")
    broken = frame(cell(JANUARY, 0, 5))
    with pytest.raises(RowsRefusedError):
        store.publish([Answer(MONTHS, broken)], now=LATER)

    assert_frame_equal(store.read(MONTHS), frame(*WHOLE))
    assert company.cohorts() == {}


def test_publishers_at_once_write_each_cell_once(store, company):
    company.ask("alter table activity.user_numbers disable trigger all")
    company.sign_up(("u1", AS_OF), ("u2", AS_OF))
    with ThreadPoolExecutor(4) as pool:
        answers = [[Answer(MONTHS, frame(*WHOLE))]] * 4
        done = list(pool.map(lambda answer: store.publish(answer, now=NOW), answers))

    assert sum(one.written[KEY] for one in done) == len(WHOLE)
    assert sum(one.users.assigned for one in done) == 2
    assert_frame_equal(store.read(MONTHS), frame(*WHOLE))


def test_a_sign_up_during_a_publication_is_in_its_cohort_at_once(store, company, database_url):
    company.ask("alter table activity.user_numbers disable trigger all")
    company.sign_up(("early", AS_OF))
    company.ask("alter table activity.user_numbers enable trigger all")
    with psycopg.connect(database_url) as publisher:
        publisher.execute("select cohorts.assign_all_users()")
        company.sign_up(("late", NOW))
        assert company.cohorts() == {"late": date(2031, 3, 1)}
        publisher.commit()
    assert company.cohorts() == dict.fromkeys(("early", "late"), date(2031, 3, 1))


def test_a_dry_run_says_what_would_change_and_changes_nothing(store, company, database):
    company.sign_up(("u1", AS_OF))
    company.ask("delete from cohorts.user_cohorts")
    database.dry_run = True
    done = store.publish([Answer(MONTHS, frame(*WHOLE))], now=NOW)
    database.dry_run = False

    assert (done.users, done.written) == (Assigned(assigned=1), {KEY: 4})
    assert store.read(MONTHS).is_empty()
    assert company.cohorts() == {}


def test_existing_users_are_put_into_cohorts_once(store, company):
    company.ask("alter table activity.user_numbers disable trigger all")
    company.sign_up(("u1", NOW), ("u2", AS_OF))
    assert company.cohorts() == {}

    assert store.assign_users() == Assigned(assigned=2)
    assert store.assign_users() == Assigned()
    assert company.cohorts() == {"u1": date(2031, 3, 1), "u2": date(2031, 3, 1)}


def test_users_who_do_not_count_leave_their_cohort_and_come_back_with_their_sign_up(store, company):
    company.sign_up(("u1", NOW), ("u2", AS_OF), ("u3", AS_OF))
    company.ask(
        "insert into activity.excluded_users values (sha256('u1'), 'ours');"
        "insert into activity.merged_ids values (sha256('u2'), sha256('u3'))"
    )
    assert store.assign_users() == Assigned(removed=2)
    assert company.cohorts().keys() == {"u3"}

    company.ask("truncate activity.excluded_users, activity.merged_ids")
    assert store.assign_users() == Assigned(assigned=2)


def test_another_zone_or_start_of_weeks_moves_users_of_every_entry(store, company):
    company.sign_up(("u1", datetime(2031, 2, 28, 23, 30, tzinfo=UTC)))  # a Friday
    company.ask("select cohorts.assign_user_to_cohort('u1', '2031-02-28 23:40Z', 'first_payment')")
    berlin = replace(MONTHS, tz="Europe/Berlin", week_start="saturday")
    done = store.publish([Answer(berlin, frame(definition=berlin))], now=NOW)

    assert done.users == Assigned(moved=2)
    assert company.ask(
        "select entry, entered_on, week_start, month_start from cohorts.user_cohorts order by 1"
    ) == [(entry, *[date(2031, 3, 1)] * 3) for entry in ("first_payment", "signup")]


def test_members_of_another_entry_are_those_of_the_answer(store, company):
    company.sign_up(("u1", NOW), ("u2", NOW), ("u3", NOW))
    numbers = dict(company.ask("select user_id, user_number from activity.user_numbers"))
    paying = replace(MONTHS, entry="first_payment")

    def publish(*members: tuple[str, date]) -> Assigned:
        rows = [(numbers[user], (day - date(1970, 1, 1)).days) for user, day in members]
        kinds = {"user_number": pl.Int32, "entry_day": pl.Int32}
        told = pl.DataFrame(rows, schema=kinds, orient="row")
        answer = Answer(paying, frame(definition=paying), members=told)
        return store.publish([answer], now=NOW).users

    assert publish(("u1", JANUARY), ("u2", JANUARY)) == Assigned(assigned=2)
    assert publish(("u1", JANUARY), ("u2", JANUARY)) == Assigned()
    assert publish(("u2", FEBRUARY), ("u3", JANUARY)) == Assigned(assigned=1, moved=1, removed=1)
    assert company.ask(
        "select user_id, month_start from cohorts.user_cohorts where entry = 'first_payment'"
        " order by 1"
    ) == [("u2", FEBRUARY), ("u3", JANUARY)]
    company.ask("insert into activity.excluded_users values (sha256('u3'), 'ours')")
    assert publish(("u2", FEBRUARY), ("u3", JANUARY)) == Assigned(removed=2)  # of both entries


def test_answers_of_two_calendars_and_brackets_are_refused(store):
    tokyo = replace(MONTHS, grain="week", tz="Asia/Tokyo")
    with pytest.raises(UsageError, match="one zone"):
        store.publish([Answer(MONTHS, frame()), Answer(tokyo, frame())], now=NOW)
    ranges = replace(MONTHS, retention="bracket")
    with pytest.raises(UsageError, match="brackets"):
        store.publish([Answer(ranges, frame())], now=NOW)


def test_the_overview_has_one_row_a_cohort_and_never_adds_currencies(store, company):
    cells = [
        cell(JANUARY, 0, 4, currency="usd", revenue_minor=100),
        cell(JANUARY, 0, 4, currency="jpy", revenue_minor=7),
        cell(JANUARY, 1, 3, currency="usd", revenue_minor=50),
        cell(JANUARY, 1, 3, currency="jpy", revenue_minor=0),
        cell(FEBRUARY, 0, 2),
        cell(FEBRUARY, 1, None),
    ]
    store.publish([Answer(MONTHS, frame(*cells))], now=NOW)
    assert company.ask(
        "select cohort_start, cohort_size, closed_periods, latest_period, latest_users,"
        " latest_rate, rates, revenue_minor, as_of from cohorts.cohort_overview order by 1"
    ) == [
        (JANUARY, 4, 2, 1, 3, Decimal("0.75"), [1, Decimal("0.75")], {"usd": 150, "jpy": 7}, AS_OF),
        (FEBRUARY, 4, 1, 0, 2, Decimal("0.5"), [Decimal("0.5"), None], None, AS_OF),
    ]


def test_a_user_is_assigned_by_hand_once_and_the_earlier_entry_counts(company):
    def assign(*values) -> tuple:
        marks = ", ".join(["%s"] * len(values))
        (row,) = company.ask(
            f"select user_id, entered_on, month_start from cohorts.assign_user_to_cohort({marks})",
            *values,
        )
        return row

    new_year = datetime(2031, 1, 1, tzinfo=UTC)
    assert assign("u1", NOW) == ("u1", date(2031, 3, 1), date(2031, 3, 1))
    assert assign("u1", new_year) == (
        "u1",
        date(2031, 3, 1),
        date(2031, 3, 1),
    )  # the sign-up is known
    assert assign("u1", NOW, "first_activity") == ("u1", date(2031, 3, 1), date(2031, 3, 1))
    assert assign("u1", new_year, "first_activity") == ("u1", JANUARY, JANUARY)
    assert assign("u1", NOW, "first_activity") == ("u1", JANUARY, JANUARY)
    assert assign("u1") == ("u1", date(2031, 3, 1), date(2031, 3, 1))

    company.ask("alter table app.users disable trigger all")
    company.sign_up(("u2", new_year), ("u3", new_year))
    company.ask("insert into activity.excluded_users values (sha256('u3'), 'ours')")
    assert assign("u2") == ("u2", JANUARY, JANUARY)
    assert assign("u3") == (None, None, None)


REFUSED = [
    ("cohorts.get_cohort_size('2031-01-01', 'year')", "day, week, month"),
    ("cohorts.get_cohort_size('2031-01-01', entry => 'trial')", "signup"),
    ("cohorts.get_cohort_size('infinity')", "give a day"),
    ("cohorts.get_cohort_size('2031-01-01', as_of => 'infinity')", "give an instant"),
    ("cohorts.calculate_retention_rate('2031-01-01', 1, as_of => 'infinity')", "give an instant"),
    ("cohorts.calculate_retention_rate('2031-01-01', 1, as_of => '-infinity')", "give an instant"),
    ("cohorts.calculate_retention_rate('2031-01-01', -1)", "from 0"),
    ("cohorts.calculate_retention_rate('2031-01-01', null)", "from 0"),
    ("cohorts.calculate_retention_rate('2031-01-01', 100001)", "100000"),
    ("cohorts.calculate_retention_rate(null, 1)", "give a day"),
    ("cohorts.calculate_retention_rate('2031-01-01', 1, period_days => 3)", "1, 7, 30"),
    (
        "cohorts.calculate_retention_rate('2031-01-01', 1, retention => 'bracket')",
        "on_or_after",
    ),
    ("cohorts.calculate_retention_rate('2031-01-01', 1, periods => null)", "calendar"),
    ("cohorts.calculate_retention_rate('2031-01-01', 1, min_events => 0)", "from 1"),
    ("cohorts.assign_user_to_cohort('')", "not empty"),
    ("cohorts.assign_user_to_cohort('u1', '0001-01-01Z')", "1900"),
    ("cohorts.assign_user_to_cohort('stranger')", "entered_at"),
    ("cohorts.assign_user_to_cohort('u1', 'infinity')", "entered_at"),
]


def test_a_function_refuses_what_it_does_not_know_and_names_what_is_allowed(company):
    for call, hint in REFUSED:
        with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
            company.ask(f"select {call}")
        assert hint in caught.value.diag.message_hint, call


def test_what_nobody_knows_is_null_and_what_is_known_to_be_nobody_is_zero(company):
    company.sign_up(("u1", NOW))

    def ask(cohort: str, entry: str, as_of: datetime) -> list[tuple]:
        return company.ask(
            "select cohorts.get_cohort_size(d, 'month', e, a), cohort_size, users, rate, state,"
            " cohorts.calculate_retention_rate(d, 0, 'month', e, a)"
            " from (values (%s::date, %s, %s)) as v (d, e, a),"
            " cohorts.measure_cell(d, 0, 'month', e, a)",
            *(cohort, entry, as_of),
        )

    april = datetime(2031, 4, 1, tzinfo=UTC)
    assert ask("2031-03-09", "signup", april) == [(1, 1, 0, 0, "closed", 0)]
    assert ask("2031-02-09", "signup", april) == [(0, 0, 0, None, "closed", None)]
    assert ask("2031-03-09", "signup", NOW) == [(0, 0, None, None, "open", None)]
    assert ask("2031-04-09", "signup", april) == [(None, None, None, None, "not_begun", None)]
    assert ask("2031-03-09", "first_payment", april) == [(None, None, None, None, "closed", None)]


def test_before_the_first_publication_rates_are_unknown_and_sizes_are_of_all_users(company):
    company.sign_up(("u1", NOW))
    assert company.ask(
        "select cohorts.get_cohort_size('2031-03-01'),"
        " cohorts.calculate_retention_rate('2031-03-01', 0)"
    ) == [(1, None)]
