"""Published cohorts by first activity and first payment, against a plain loop and a rebuild."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest

from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.money.rollup import MONEY, STATE
from growth_pipeline.cohorts.refresh.entries import ENTRIES
from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.cohorts.refresh.published import CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, answers_of, refresh
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import floor_day, index_of, write_day

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
LAST = {"day": 30, "week": 12, "month": 12}


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 2, tmp_path / "engine")


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    _write_users(lake)
    return lake


@pytest.fixture
def connection(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def _write_users(lake):
    """Everybody signed up on one day, which no entry below may take for its own."""
    rows = [(number, (START - EPOCH).days - 400) for number in range(30)]
    schema = {"user_number": pl.Int32, "entry_day": pl.Int32}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    lake.write_partition(USERS, {"part": "all"}, [frame], {})


def _write_money(lake, paid, until):
    """`paid`: day -> user -> gross, net in USD; known up to the end of a day, which is in."""
    months = defaultdict(list)
    for day in sorted(paid):
        rows = [
            (user, (day - EPOCH).days, "usd", net, gross)
            for user, (gross, net) in sorted(paid[day].items())
        ]
        months[f"{day:%Y-%m}"].append((day, rows))
    columns = ("user_number", "day", "currency", "minor", "gross_minor")
    kinds = (pl.Int32, pl.Int32, pl.String, pl.Int64, pl.Int64)
    for month, days in months.items():
        rows = [row for _, of_day in days for row in of_day]
        frame = pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row")
        words = {
            str((day - EPOCH).days): hashlib.sha256(repr(of_day).encode()).hexdigest()[:16]
            for day, of_day in days
        }
        told = {"tz": "UTC", "days": words, "currencies": ["usd"]}
        lake.write_partition(MONEY, {"month": month}, [frame], told)
    end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
    state = {"tz": "UTC", "until": end.isoformat()}
    lake.put_artifact(STATE, json.dumps(state).encode())


def _first_days(facts, through):
    """User -> first of the days on which somebody is, up to a last one."""
    first = {}
    for day in sorted(facts):
        for user in facts[day]:
            if day <= through:
                first.setdefault(user, day)
    return first


def _by_hand(entries, days, grain, through):
    """(cohort, index) -> (size, users or None) by a plain loop over the contract's words."""
    members = defaultdict(set)
    for user, day in entries.items():
        members[floor_day(day, grain)].add(user)
    cells = {}
    for cohort, users in members.items():
        came = defaultdict(set)
        for day, active in days.items():
            if day <= through:
                came[index_of(cohort, day, grain)] |= users & active.keys()
        end = index_of(cohort, through + timedelta(days=1), grain)
        for index in range(LAST[grain] + 1):
            cells[cohort, index] = (len(users), len(came[index]) if index < end else None)
    return cells


def _published(lake, entry, grain):
    return {
        (row["cohort_start"], row["period_index"]): (row["cohort_size"], row["users"])
        for row in CellStore(lake, entry).read(grain).frame.iter_rows(named=True)
    }


def _random_day(chance):
    return {user: chance.randint(1, 5) for user in range(30) if chance.random() < 0.1}


def _random_payments(chance):
    """Some pay nothing, some get all of it back: only the first of the two enters nobody."""
    paid = {}
    for user in range(30):
        if chance.random() < 0.06:
            gross = chance.choice((0, 500, 1000))
            paid[user] = (gross, chance.choice((gross, 0)))
    return paid


def _payers(paid):
    return {day: {u for u, (gross, _) in users.items() if gross > 0} for day, users in paid.items()}


def _revenue(entries, paid, grain, through):
    """(cohort, index) -> paid net in closed periods, by a plain loop."""
    told = defaultdict(int)
    for day, users in paid.items():
        for user, (_, net) in users.items():
            if day <= through and user in entries:
                cohort = floor_day(entries[user], grain)
                told[cohort, index_of(cohort, day, grain)] += net
    return told


def _random_step(chance, lake, days, paid, today):
    """One more day; one in five times another day is told anew, in activity or in money."""
    for day in {today, chance.choice([*days, today]) if chance.random() < 0.2 else today}:
        days[day] = _random_day(chance)
        write_day(lake, day, days[day])
    for day in {today, chance.choice([*paid, today]) if chance.random() < 0.2 else today}:
        paid[day] = _random_payments(chance)
    _write_money(lake, paid, today)


@pytest.mark.parametrize("entry", ["first_activity", "first_payment"])
def test_refreshes_over_a_random_history_are_what_a_plain_loop_counts(
    lake, engine, tmp_path, seed, entry
):
    chance = random.Random(f"{seed} {entry}")
    days, paid = {}, {}
    wanted = Wanted(entry=entry)
    for step in range(40):
        today = START + timedelta(days=step)
        _random_step(chance, lake, days, paid, today)
        if step < 39 and step % 13 and chance.random() > 0.06:
            continue
        done = refresh(lake, engine, wanted, now=NOW)
        entries = _first_days(days if entry == "first_activity" else _payers(paid), today)
        for grain in LAST:
            assert _published(lake, entry, grain) == _by_hand(entries, days, grain, today)
            revenue = _revenue(entries, paid, grain, today)
            for cell in CellStore(lake, entry).read(grain).frame.iter_rows(named=True):
                place = cell["cohort_start"], cell["period_index"]
                assert cell["revenue_minor"] in (None, revenue[place])
                assert (cell["revenue_minor"] is None) == (cell["state"] != "closed")
    anew = Lake(str(tmp_path / "anew"))
    _write_users(anew)
    for day, active in days.items():
        write_day(anew, day, active)
    _write_money(anew, paid, today)
    rebuilt = refresh(anew, engine, wanted, now=NOW)
    assert [one.answer() for one in done] == [one.answer() for one in rebuilt]
    assert CellStore(lake).read("day") is None


def test_a_new_day_reads_no_other_to_find_who_entered_first(lake, engine):
    for step in range(3):
        write_day(lake, START + timedelta(days=step), {1: 1, 2 + step: 1})
    wanted = Wanted(entry="first_activity", grains=("day",))
    refresh(lake, engine, wanted, now=NOW)
    (kept,) = lake.manifests(ENTRIES)
    assert lake.read(kept).rows() == [
        (1, (START - EPOCH).days),
        (2, (START - EPOCH).days),
        (3, (START - EPOCH).days + 1),
        (4, (START - EPOCH).days + 2),
    ]
    for manifest in lake.manifests(ACTIVITY):  # the days before cannot even be read any more
        Path(manifest.path).write_bytes(bytes(manifest.byte_count))
    write_day(lake, START + timedelta(days=3), {1: 1, 9: 1})
    (done,) = refresh(lake, engine, wanted, now=NOW)
    assert done.published.basis.members[(START - EPOCH).days + 3].size == 1


def test_by_first_payment_days_count_once_their_payments_are_known(lake, engine):
    for step in range(4):
        write_day(lake, START + timedelta(days=step), {1: 1})
    _write_money(lake, {START: {1: (500, 500)}}, START + timedelta(days=1))
    (done,) = refresh(lake, engine, Wanted(entry="first_payment", grains=("day",)), now=NOW)
    assert done.definition.as_of == datetime(2031, 1, 22, tzinfo=UTC)
    (signup,) = refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    assert signup.definition.as_of == datetime(2031, 1, 24, tzinfo=UTC)


def test_first_payments_that_nobody_tells_are_refused_with_what_to_do(lake, engine):
    write_day(lake, START, {1: 1})
    with pytest.raises(GrowthError, match="payments of users are not known") as refused:
        refresh(lake, engine, Wanted(entry="first_payment"), now=NOW)
    assert "billing.user_customers" in refused.value.remedy


def test_an_entry_that_is_not_published_is_refused():
    with pytest.raises(UsageError, match="'first_mrr' is not published"):
        Wanted(entry="first_mrr")


def test_a_dry_run_keeps_no_entries(lake, engine):
    write_day(lake, START, {1: 1})
    (done,) = refresh(
        lake, engine, Wanted(entry="first_activity", grains=("day",)), now=NOW, dry_run=True
    )
    assert done.published.basis.members[(START - EPOCH).days].size == 1
    assert lake.manifests(ENTRIES) == []


def test_members_and_cells_of_each_entry_stand_side_by_side_in_postgres(
    lake, engine, database, connection
):
    for number in range(5):
        connection.execute(
            "insert into activity.user_numbers (user_key, user_id, signed_up_at) "
            "values (sha256(convert_to(%(id)s, 'UTF8')), %(id)s, %(at)s)",
            {"id": f"u{number}", "at": datetime(2030, 1, 1, tzinfo=UTC)},
        )
    first, second = START, START + timedelta(days=1)
    write_day(lake, first, {1: 1, 2: 1})
    write_day(lake, second, {1: 1, 3: 1})
    store = CohortStore(database)
    for entry in ("signup", "first_activity"):
        done = refresh(lake, engine, Wanted(entry=entry), now=NOW)
        store.publish(answers_of(done), now=NOW)
        for made in done:
            assert store.read(made.definition).rows() == made.published.frame.rows()
    told = connection.execute(
        "select user_number, entered_on from cohorts.user_cohorts "
        "where entry = 'first_activity' order by 1"
    ).fetchall()
    assert told == [(1, first), (2, first), (3, second)]
    sizes = connection.execute(
        "select cohorts.get_cohort_size(%s, 'day', 'first_activity'), "
        "cohorts.get_cohort_size(%s, 'day', 'signup')",
        (first, date(2030, 1, 1)),
    ).fetchone()
    assert sizes == (2, 5)
    again = store.publish(answers_of(done), now=NOW)
    assert set(again.written.values()) == {0}
    assert (again.users.assigned, again.users.moved, again.users.removed) == (0, 0, 0)
