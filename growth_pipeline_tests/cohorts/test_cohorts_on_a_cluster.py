"""Cohorts on a Spark cluster of two workers, against the embedded engine: equal in every cell."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from growth_pipeline.cohorts.active_users.definition import KINDS, ActiveUsersDefinition
from growth_pipeline.cohorts.active_users.measure import measure_active_users
from growth_pipeline.cohorts.active_users.published.refresh import refresh_active_users
from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.files.facts import read_history
from growth_pipeline.cohorts.money.rollup import MONEY as MONEY_SET
from growth_pipeline.cohorts.money.rollup import STATE
from growth_pipeline.cohorts.refresh.facts import ACTIVITY as ACTIVITY_SET
from growth_pipeline.cohorts.refresh.facts import USERS as USER_SET
from growth_pipeline.cohorts.refresh.published import CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, refresh
from growth_pipeline.cohorts.retention.grains import measure_grains
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.cluster import Cluster
from growth_pipeline.storage.engine import CreatedBetween, Engine, TextFile
from growth_pipeline.storage.lake import Lake, LakeUnreadableError
from growth_pipeline_tests.cohorts.plain_facts import write_day, write_users
from growth_pipeline_tests.fakes.spark_cluster import OPTIONS, NoJavaError, spark_cluster

# Java starts slowly on a machine that is busy with other tests.
pytestmark = pytest.mark.timeout(900)

EPOCH = date(1970, 1, 1)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
FIRST = (date(2030, 11, 1) - EPOCH).days
USERS = {"user_number": pl.Int32, "entry_day": pl.Int32, "segment": pl.String}
ACTIVITY = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
MONEY = {"user_number": pl.Int32, "day": pl.Int32, "currency": pl.String, "minor": pl.Int64}
EXACT = {**MONEY, "minor": pl.Decimal(38, 18)}
# Each has something that another query, branch or type of the engine serves.
QUESTIONS = (
    {"grain": "day", "segment": "plan"},
    {"grain": "week", "anchor": date(2031, 1, 29), "retention": "on_or_after", "min_events": 2},
    {"grain": "month", "periods": "since_entry", "retention": "bracket", "tz": "Pacific/Apia"},
    {"grain": "week", "mode": "recurring", "max_period": 80, "open_cells": "so_far"},
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        with (
            spark_cluster(tmp_path_factory.mktemp("spark")) as address,
            Cluster(address, OPTIONS) as opened,
        ):
            yield opened
    except NoJavaError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 1, tmp_path / "engine")


def _frame(rows, schema):
    return pl.DataFrame(rows, schema=schema, orient="row")


def _facts(rng, folder, *, recurring):
    """A random history, in files of the forms that the lake and the engine write."""
    entries = {(user, FIRST + rng.randrange(150)) for user in range(60)}
    if recurring:
        entries |= {(user, day + rng.randrange(40)) for user, day in entries}
    segments = {user: rng.choice((None, "", "pro", "Gründer")) for user in range(60)}
    users = [(user, day, segments[user]) for user, day in sorted(entries)]
    days = {(rng.randrange(66), FIRST + rng.randrange(-9, 220)) for _ in range(900)}
    activity = [(user, day, rng.choice((1, 1, 2, 7))) for user, day in sorted(days)]
    has_currency = rng.random() < 0.5
    money = [
        (user, day, rng.choice(("eur", "jpy")), rng.randrange(-500, 5000))
        if has_currency
        else (user, day, None, Decimal(rng.randrange(-500, 5000)).scaleb(-rng.randrange(18)))
        for user, day in rng.sample(sorted(days), 200)
    ]
    paths = {}
    for name, rows, schema in (
        ("users", users, USERS),
        ("activity-1", activity[:450], ACTIVITY),
        ("activity-2", activity[450:], ACTIVITY),
        ("money", money, MONEY if has_currency else EXACT),
    ):
        part = folder / "day=2031-01-01" / f"{name} [{{*?}}].parquet"
        part.parent.mkdir(exist_ok=True)
        _frame(rows, schema).write_parquet(part, compression=rng.choice(("zstd", "snappy", "lz4")))
        paths[name] = str(part)
    return RetentionFacts(
        users=[paths["users"]],
        activity=[paths["activity-1"], paths["activity-2"]],
        money=[paths["money"]],
        has_currency=has_currency,
    )


@pytest.mark.parametrize("options", QUESTIONS, ids=lambda options: "-".join(map(str, options)))
def test_retention_has_the_same_cells(cluster, engine, tmp_path, seed, options):
    _compare(cluster, engine, tmp_path, random.Random(seed), options)


def test_day_week_and_month_at_once_have_the_same_cells(cluster, engine, tmp_path, seed):
    facts = replace(_facts(random.Random(seed), tmp_path, recurring=False), money=None)
    as_of = datetime(2031, 5, 1, tzinfo=UTC)
    asked = [
        RetentionDefinition(as_of=as_of, grain=grain, segment="plan", max_period=9)
        for grain in ("day", "week", "month")
    ]
    assert measure_grains(cluster, facts, asked) == measure_grains(engine, facts, asked)


@pytest.mark.full
@pytest.mark.parametrize("number", range(30))
def test_retention_has_the_same_cells_for_random_questions(cluster, engine, tmp_path, seed, number):
    rng = random.Random(f"{seed}/{number}")
    options = {
        "grain": rng.choice(("day", "week", "month")),
        "periods": rng.choice(("calendar", "since_entry")),
        "period_days": rng.choice((1, 7, 30)),
        "retention": rng.choice(("on", "on_or_after", "bracket")),
        "mode": rng.choice(("first_ever", "recurring")),
        "basis": rng.choice(("first", "previous")),
        "open_cells": rng.choice(("null", "so_far")),
        "min_events": rng.choice((1, 1, 3)),
        "max_period": rng.choice((None, 3, 70)),
        "segment": rng.choice((None, "plan")),
        "tz": rng.choice(("UTC", "America/St_Johns", "Pacific/Apia")),
    }
    _compare(cluster, engine, tmp_path, rng, options)


def _compare(cluster, engine, folder, rng, options):
    recurring = options.get("mode") == "recurring"
    facts = _facts(rng, folder, recurring=recurring)
    if not options.get("segment"):
        facts = replace(
            facts,
            users=pl.read_parquet(facts.users[0], glob=False).with_columns(
                segment=pl.lit(None, pl.String)
            ),
        )
    as_of = datetime.combine(EPOCH, datetime.min.time(), UTC) + timedelta(
        days=FIRST + rng.randrange(100, 220)
    )
    definition = RetentionDefinition(as_of=as_of, **options)
    embedded = measure_retention(engine, facts, definition)
    assert measure_retention(cluster, facts, definition) == embedded
    assert embedded.cells


@pytest.mark.parametrize("kind", KINDS)
def test_active_users_are_the_same(cluster, engine, tmp_path, seed, kind):
    rng = random.Random(f"{seed}/{kind}")
    start = datetime(2031, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(minutes=rng.randrange(200_000)) for _ in range(400)]
    activity = tmp_path / "activity.csv"
    rows = (f"u{rng.randrange(30)},{moment.isoformat()}\n" for moment in moments)
    activity.write_text("user_id,occurred_at\n" + "".join(rows))
    users = tmp_path / "users.csv"
    signed_up = (f"u{user},{rng.choice(moments).isoformat()}\n" for user in range(30))
    users.write_text("user_id,signed_up_at\n" + "".join(signed_up))
    with engine.spool() as spool:
        history = read_history(engine, spool, activity=activity, users=users)
        definition = ActiveUsersDefinition(
            as_of=history.as_of,
            kind=kind,
            min_events=rng.choice((1, 2)),
            new_by="signup",
            silent_days=3,
            retained=(1, 5),
            open_cells="so_far",
        )
        asked = (engine, spool, history, definition)
        embedded = measure_active_users(*asked)
        assert measure_active_users(*asked, cluster) == embedded
    assert embedded.rows


def test_a_refresh_publishes_the_same_cells(cluster, engine, tmp_path, seed):
    rng = random.Random(seed)
    lakes = [Lake(str(tmp_path / name)) for name in ("embedded", "cluster")]
    users = _frame([(user, FIRST + user % 9) for user in range(40)], dict(list(USERS.items())[:2]))
    days = {
        day: _frame([(user, day, 1) for user in range(40) if rng.random() < 0.4], ACTIVITY)
        for day in range(FIRST, FIRST + 12)
    }
    paid = [
        (user, day, rng.choice(("usd", "jpy")), rng.randrange(1, 900), 900)
        for user in range(40)
        for day in rng.sample(range(FIRST, FIRST + 12), 2)
    ]
    for lake in lakes:
        lake.write_partition(USER_SET, {"part": "all"}, [users], {})
        for day, active in days.items():
            partition = {"day": (EPOCH + timedelta(days=day)).isoformat()}
            lake.write_partition(ACTIVITY_SET, partition, [active], {})
        _write_money(lake, paid)
    for lake, queries in zip(lakes, (engine, cluster), strict=True):
        for through in (2, 5, 11):  # everything, then days in short, then a week made of them
            wanted = Wanted(grains=("week",), through=EPOCH + timedelta(days=FIRST + through))
            refresh(lake, queries, wanted, now=datetime(2031, 1, 1, tzinfo=UTC))
        for entry in ("first_activity", "first_payment"):
            wanted = Wanted(grains=("week",), entry=entry)
            refresh(lake, queries, wanted, now=datetime(2031, 1, 1, tzinfo=UTC))
    for entry in ("signup", "first_activity", "first_payment"):
        embedded, there = (CellStore(lake, entry).read("week").frame for lake in lakes)
        assert there.equals(embedded)
        assert embedded["users"].sum() > 0
        assert embedded["revenue_minor"].sum() > 0


def _write_money(lake, paid):
    """As the rollup of the books writes it: a file a month."""
    kinds = {**dict.fromkeys(("user_number", "day"), pl.Int32), "currency": pl.String}
    kinds |= dict.fromkeys(("minor", "gross_minor"), pl.Int64)
    months = {}
    for row in paid:
        months.setdefault(f"{EPOCH + timedelta(days=row[1]):%Y-%m}", []).append(row)
    for month, rows in months.items():
        days = dict.fromkeys((str(row[1]) for row in rows), "a")
        told = {"tz": "UTC", "days": days, "currencies": ["jpy", "usd"]}
        lake.write_partition(MONEY_SET, {"month": month}, [_frame(rows, kinds)], told)
    lake.put_artifact(STATE, b'{"tz": "UTC", "until": "2031-12-01T00:00:00+00:00"}')


def test_values_bounds_instants_and_sums_mean_the_same(cluster, engine, tmp_path):
    rows = pl.DataFrame(
        {"created": [9, 10, 19, 20], "moment": [datetime(2031, 3, 30, 1, tzinfo=UTC)] * 4}
    )
    path = tmp_path / "rows.parquet"
    rows.write_parquet(path)
    sql = "select sum(created) as total, max(moment) as latest, $name as name from rows"
    tables = {"rows": CreatedBetween((str(path),), 10, 20), "unused": ["/nowhere.parquet"]}
    there = cluster.query(sql, tables, {"name": "O'Hara"})
    assert there.rows() == [(29, datetime(2031, 3, 30, 1, tzinfo=UTC), "O'Hara")]
    assert there.equals(engine.query(sql, {"rows": tables["rows"]}, {"name": "O'Hara"}))


def test_what_cannot_be_answered_says_so_in_one_sentence(cluster, tmp_path):
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    count = "select count(*) as n from t"
    for paths in ([str(damaged)], [str(tmp_path / "missing.parquet")]):
        with pytest.raises(LakeUnreadableError, match="cannot be read by the cluster"):
            cluster.query(count, {"t": paths})
    large = pl.DataFrame({"n": [2**62, 2**62]})
    for sql, table, message in (
        ("select nope from t", large, "refuses the query: .*nope"),
        ("select sum(n) as n from t", large, "refuses the query: .*(?i:overflow)"),
        (count, [], "table t has no files"),
        (count, TextFile("people.csv", {}), "table t is a file that people made"),
    ):
        with pytest.raises(GrowthError, match=message):
            cluster.query(sql, {"t": table})


def test_a_process_works_with_one_cluster_at_a_time(cluster):
    assert cluster.query("select 1 as n", {}).rows() == [(1,)]
    with pytest.raises(GrowthError, match="already works with the cluster at spark://"):
        Cluster("local[1]").query("select 1 as n", {})


def test_published_active_users_are_the_same_also_after_a_late_event(
    cluster, engine, tmp_path, seed
):
    rng = random.Random(seed)
    lakes = [Lake(str(tmp_path / name)) for name in ("embedded", "spark")]
    first = date(2031, 1, 20)
    days = {
        first + timedelta(days=step): {user: 1 for user in range(30) if rng.random() < 0.2}
        for step in range(45)
    }
    days[first] = {1: 1}
    plans = [(user, rng.choice(("pro", "Gründer"))) for user in range(0, 30, 2)]
    frame = _frame(plans, {"user_number": pl.Int32, "segment": pl.String})
    for lake in lakes:
        write_users(lake, {1: first})
        lake.write_partition("user_segments", {"segment_by": "plan"}, [frame], {})
        for day, active in days.items():
            write_day(lake, day, active)
    late = {first + timedelta(days=20): {99: 1}, first + timedelta(days=45): {1: 1, 99: 1}}
    for change in ({}, late):
        done = []
        for lake, queries in zip(lakes, (engine, cluster), strict=True):
            for day, active in change.items():
                write_day(lake, day, active)
            done.append(refresh_active_users(lake, queries, now=NOW, segments=["plan"]))
        for one, other in zip(*done, strict=True):
            assert one.counted.frame.equals(other.counted.frame)
            assert one.restatements == other.restatements
            assert (one.computed, one.read_days) == (other.computed, other.read_days)
    assert all(made.computed and not made.touched.is_rebuild for made in done[1])
