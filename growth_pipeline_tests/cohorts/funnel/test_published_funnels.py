"""Published funnels: events and payments in Postgres, against a plain loop over every attempt."""

from __future__ import annotations

import json
import random
import statistics
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import psycopg
import pytest

from growth_pipeline.cohorts.active_users.published.publish import judge_store
from growth_pipeline.cohorts.activity_store import PublishedActivity
from growth_pipeline.cohorts.assets import funnels
from growth_pipeline.cohorts.funnel.published.definition import funnels_of
from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
from growth_pipeline.cohorts.funnel.published.judge import judge_funnels
from growth_pipeline.cohorts.funnel.published.publish import FUNNEL, answers_of, changes_of
from growth_pipeline.cohorts.funnel.published.refresh import FUNNEL_COLUMNS, refresh_funnels
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import floor_day, write_day, write_users

START = datetime(2031, 1, 6, tzinfo=UTC)  # a Monday
LAST = date(2031, 4, 30)
END = datetime(2031, 5, 1, tzinfo=UTC)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
SCOPE = Scope("self", False)
DAY = timedelta(days=1)
DEFAULT = "activation=Signed Up,Project Created[plan=pro],stripe:payment"


class Company:
    """Tells events and payments; knows what it told."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.count = 0

    def knows(self, user: str) -> None:
        self.connection.execute(
            "insert into activity.user_numbers (user_key, user_id, signed_up_at) "
            "values (sha256(convert_to(%(user)s, 'UTF8')), %(user)s, %(at)s)",
            {"user": user, "at": START},
        )

    def number(self, user: str) -> int:
        row = self.connection.execute(
            "select user_number from activity.user_numbers where user_id = %s", [user]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def track(self, user: str, at: datetime, event: str, **properties: str) -> None:
        self.count += 1
        self.connection.execute(
            "insert into events.events (source_id, message_id, type, event, user_id, occurred_at, "
            "received_at, properties, body) values (1, %s, 'track', %s, %s, %s, %s, %s, '{}')",
            [str(self.count), event, user, at, at, json.dumps(properties)],
        )

    def merge(self, anonymous: str, user: str) -> None:
        self.connection.execute(
            "insert into activity.merged_ids (merged_key, user_key, merged_at) values "
            "(sha256(convert_to(%s, 'UTF8')), sha256(convert_to(%s, 'UTF8')), now())",
            [anonymous, user],
        )

    def pay(self, user: str, at: datetime, minor: int = 900, status: str = "succeeded") -> None:
        self.count += 1
        self.connection.execute(
            "insert into billing.user_customers (account_id, livemode, user_id, customer_id) "
            "values ('self', false, %(user)s, %(customer)s) on conflict do nothing",
            {"user": user, "customer": f"cus_{user}"},
        )
        self.connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, customer_id, status, "
            "captured, currency, amount_minor, created_at, written_by, written_at) values "
            "('self', false, %s, %s, %s, true, 'usd', %s, %s, 'mirror', now())",
            [f"ch_{self.count}", f"cus_{user}", status, minor, at],
        )

    def read_until(self, at: datetime) -> None:
        """Payments are known up to an instant: the newest one, of a stranger."""
        self.count += 1
        self.connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, customer_id, status, "
            "captured, currency, amount_minor, created_at, written_by, written_at) values "
            "('self', false, %s, 'cus_stranger', 'succeeded', true, 'usd', 1, %s, 'mirror', now())",
            [f"ch_{self.count}", at],
        )


@pytest.fixture
def company(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Company(connection)


@pytest.fixture
def store(database):
    return FunnelStore(database, [SCOPE])


@pytest.fixture
def lake(tmp_path):
    """Rolled up to the end of April."""
    lake = Lake(str(tmp_path / "lake"))
    write_users(lake, {1: START.date()})
    write_day(lake, LAST, {1: 1})
    return lake


def named(*texts: str, window: str = "30d", order: str = "ordered"):
    return funnels_of(texts, window=window, order=order, week_start="monday", as_of=END)


def count(lake, store, *texts: str, segments: tuple[str, ...] = (), **options: str):
    return refresh_funnels(lake, store, named(*texts, **options), segments=segments)


def months(counted) -> dict[date, list[int | None]]:
    """First day of a month -> users by stage."""
    told = defaultdict(list)
    for row in counted.rows():
        if row["grain"] == "month":
            told[row["period_start"]].append(row["users"])
    return dict(told)


def test_users_are_told_in_the_month_in_which_they_began_once_all_had_their_window(
    lake, store, company
):
    for user in ("ann", "bob", "cyd"):
        company.knows(user)
    company.merge("device", "ann")
    company.track("device", START, "Signed Up")
    company.track("ann", START + DAY, "Project Created", plan="pro")
    company.pay("ann", START + 30 * DAY)  # the last instant of the window
    company.track("bob", START, "Signed Up")
    company.track("bob", START + DAY, "Project Created", plan="free")
    company.pay("bob", START + 2 * DAY)
    company.track("cyd", START + 60 * DAY, "Signed Up")  # 7 March
    company.track("nobody", START, "Signed Up")
    company.pay("cyd", START + 61 * DAY, status="failed")
    company.read_until(END)

    (made,) = count(lake, store, DEFAULT)

    assert months(made) == {
        date(2031, 1, 1): [2, 1, 1],
        date(2031, 2, 1): [0, 0, 0],
        date(2031, 3, 1): [1, 0, 0],  # its last attempt begins on 31 March, and is over on 30 April
        date(2031, 4, 1): [None, None, None],
    }
    january = [row for row in made.rows() if row["grain"] == "month"][:3]
    assert [row["from_previous"] for row in january] == [None, Decimal("0.5"), Decimal(1)]
    assert [row["median_seconds"] for row in january] == [None, 86_400, 29 * 86_400]
    assert made.users == 3


def test_payments_that_nobody_can_place_leave_the_funnel_open(lake, store, company):
    company.knows("ann")
    company.track("ann", START, "Signed Up")
    (made, without) = count(lake, store, DEFAULT, "plain=Signed Up,Project Created")
    assert set(map(tuple, months(made).values())) == {(None, None, None)}
    assert months(without)[date(2031, 1, 1)] == [1, 0]
    company.pay("ann", START + DAY)  # the newest payment: what came after it is not known
    (made, _) = count(lake, store, DEFAULT, "plain=Signed Up,Project Created")
    assert months(made) == {date(2031, 1, 1): [None, None, None]}


# Clocks change by an hour, by half an hour, at midnight, and never.
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Pacific/Apia")
PLAIN = "a=A,B[plan=pro]|C,stripe:payment"


class Told:
    """What a user did: seconds from START, stage or None."""

    def __init__(self) -> None:
        self.events: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.plans: dict[str, str] = {}


def live(chance: random.Random, company: Company, end: datetime) -> Told:
    told = Told()
    for number in range(25):
        user = f"u{number}"
        company.knows(user)
        if chance.random() < 0.7:
            told.plans[user] = chance.choice(("x", "y"))
        for at in chance.sample(range(110 * 86_400), chance.randint(0, 9)):
            kind = chance.choice("AABBCP")
            when = START + timedelta(seconds=at)
            if kind == "P":
                company.pay(user, when)
                told.events[user].append((at, 2))
            elif kind == "B":
                plan = chance.choice(("pro", "free"))
                company.track(user, when, "B", plan=plan)
                if plan == "pro":
                    told.events[user].append((at, 1))
            else:
                company.track(user, when, kind)
                told.events[user].append((at, 0 if kind == "A" else 1))
    company.read_until(end)
    return told


def best(events: list[tuple[int, int]], first: int, after: int, window: int) -> list[int]:
    """Seconds at which the stages of the best attempt were reached, of those begun in a range."""
    found: list[int] = []
    for begun, stage in sorted(events):
        if stage == 0 and first <= begun < after:
            reached = [begun]
            for at, later in sorted(events):
                if at > begun and later == len(reached) < 3 and at - begun <= window:
                    reached.append(at)
            if len(reached) > len(found):
                found = reached
    return found


def second_of(day: date, zone: str) -> int:
    """Seconds from START at which the clocks of a zone first show a day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return int(midnight.timestamp() - START.timestamp())


def expected(
    told: Told, grain: str, users: set[str], window: int, zone: str
) -> dict[date, list[Any]]:
    """First day of a period -> per stage (users, median seconds), None while it is open."""
    begun = [at for events in told.events.values() for at, stage in events if stage == 0]
    if not begun:
        return {}
    first_one = START + timedelta(seconds=min(begun))
    start = floor_day(first_one.astimezone(ZoneInfo(zone)).date(), grain)
    known = second_of(LAST + DAY, zone)
    answer: dict[date, list[Any]] = {}
    while start <= LAST:
        after = start + 7 * DAY if grain == "week" else (start + 32 * DAY).replace(day=1)
        first, end = second_of(start, zone), second_of(after, zone)
        answer[start] = [None] * 3
        if known - end >= window:
            paths = [best(told.events[user], first, end, window) for user in sorted(users)]
            answer[start] = [
                (sum(len(path) > stage for path in paths), middle(paths, stage))
                for stage in range(3)
            ]
        start = after
    return answer


def middle(paths: list[list[int]], stage: int) -> Fraction | None:
    """The median of seconds from the stage before to this one."""
    times = [Fraction(path[stage] - path[stage - 1]) for path in paths if len(path) > stage > 0]
    return statistics.median(times) if times else None


def found(rows: list[dict[str, Any]], grain: str, segment: str | None) -> dict[date, list[Any]]:
    answer: dict[date, list[Any]] = defaultdict(list)
    for row in rows:
        if (row["grain"], row["segment"]) == (grain, segment):
            told = row["users"], row["median_seconds"]
            answer[row["period_start"]].append(None if row["state"] == "open" else told)
    return dict(answer)


def test_funnels_of_a_random_company_are_what_trying_every_attempt_finds(
    lake, store, company, database, seed
):
    chance = random.Random(seed)
    zone = chance.choice(ZONES)
    end = START + timedelta(seconds=second_of(LAST + DAY, zone))
    write_day(lake, LAST, {1: 1}, {"tz": zone, "as_of": end.isoformat()})
    told = live(chance, company, end)
    rows = [(company.number(user), plan) for user, plan in told.plans.items()]
    kinds = {"user_number": pl.Int32, "segment": pl.String}
    frame = pl.DataFrame(rows, schema=kinds, orient="row")
    lake.write_partition("user_segments", {"segment_by": "team"}, [frame], {})
    days = chance.choice((0, 1, 9, 30))

    counted = count(lake, store, PLAIN, segments=("team",), window=f"{days}d")

    answers = answers_of(counted, ["team"])
    whole, split = answers
    everybody = {f"u{number}" for number in range(25)}
    for grain in ("week", "month"):
        plain = expected(told, grain, everybody, days * 86_400, zone)
        assert found(whole.rows, grain, None) == plain
        for segment in {row["segment"] for row in split.rows}:
            users = {user for user in everybody if told.plans.get(user) == segment}
            plain = expected(told, grain, users, days * 86_400, zone)
            assert found(split.rows, grain, segment) == plain
    assert set(map(str, judge_funnels(answers).values())) == {"[]"}
    published = PublishedActivity(database)
    first = published.publish(answers, kinds=[FUNNEL], now=NOW)
    assert first.written == len(whole.rows) + len(split.rows)
    assert judge_store(answers, published) == []
    again = published.publish(answers, kinds=[FUNNEL], now=NOW)
    assert (again.written, again.withdrawn, changes_of(answers, published)) == (0, 0, 0)


def test_a_late_event_restates_a_closed_month_and_a_funnel_without_a_name_is_withdrawn(
    lake, store, company, database
):
    company.knows("ann")
    company.track("ann", START, "A")
    published = PublishedActivity(database)
    answers = answers_of(count(lake, store, "one=A,B", "two=A,C"), [])
    published.publish(answers, kinds=[FUNNEL], now=NOW)
    company.track("ann", START + DAY, "B")
    answers = answers_of(count(lake, store, "one=A,B"), [])
    assert changes_of(answers, published) == 2  # stage 2 of a week and of a month
    done = published.publish(answers, kinds=[FUNNEL], now=NOW)
    assert (done.written, done.withdrawn) == (2, len(answers[0].rows))
    assert [one.name for one in published.questions(FUNNEL)] == ["one"]
    rows = published.rows(FUNNEL, FUNNEL_COLUMNS, name="one")
    january = [row for row in rows if row["grain"] == "month"][:2]
    assert [(row["step"], row["users"]) for row in january] == [("A", 1), ("B", 1)]


def test_sessions_and_every_event_in_between_are_seen_where_a_funnel_asks_for_them(
    lake, store, company
):
    company.knows("ann")
    company.knows("bob")
    for user in ("ann", "bob"):
        company.track(user, START, "A", session_id=f"{user}-1")
        company.track(user, START + DAY, "B", session_id=f"{user}-1")
    company.track("bob", START + DAY / 2, "X")
    (made,) = count(lake, store, "s=A+B,B")
    assert months(made)[date(2031, 1, 1)] == [2, 2]
    (made,) = count(lake, store, "s=A,B", order="strict")
    assert months(made)[date(2031, 1, 1)] == [2, 1]


def test_imported_and_adopted_events_count_and_excluded_users_do_not(lake, store, company):
    for user in ("ann", "bob"):
        company.knows(user)
    company.connection.execute(
        "insert into activity.imported_files (kind, sha256, name, imported_at) values "
        "('activity', 'x', 'x', now())"
    )
    company.connection.execute(
        "insert into activity.imported_events (file_id, user_id, occurred_at, event, received_at) "
        "select 1, who, %s, 'A', now() from unnest(array['ann', 'bob']) as who",
        [START],
    )
    (made,) = count(lake, store, "f=A,B")
    assert months(made)[date(2031, 1, 1)] == [2, 0]
    company.connection.execute(
        "create or replace view activity.source_events as select 'ann'::text as user_id, "
        "'2031-01-07Z'::timestamptz as occurred_at, 'B'::text as event, "
        "null::timestamptz as received_at"
    )
    company.connection.execute(
        "insert into activity.excluded_users (user_key, reason) "
        "select user_key, 'test' from activity.user_numbers where user_id = 'bob'"
    )
    (made,) = count(lake, store, "f=A,B")
    assert months(made)[date(2031, 1, 1)] == [1, 1]


def test_a_funnel_that_cannot_be_read_is_told_by_its_name():
    with pytest.raises(UsageError, match="funnel 'bad': 'A\\[x=\\]' names no event"):
        named("bad=A[x=],B")


def test_the_checks_see_what_is_wrong(lake, store, company):
    company.knows("ann")
    company.track("ann", START, "A")
    answers = answers_of(count(lake, store, "f=A,B"), [])
    rows = answers[0].rows
    rows[1]["users"] = 3  # more at the second stage than at the first
    rows[0]["state"] = "open"
    rows.pop()
    judged = {name: len(faults) for name, faults in judge_funnels(answers).items()}
    assert judged["stages_are_whole"] == 2
    assert judged["no_stage_has_more_users_than_the_one_before"] == 1


def test_the_asset_publishes_with_passing_checks_and_a_page(lake, store, company, database):
    company.knows("ann")
    company.track("ann", START, "A")
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [funnels],
            instance=instance,
            partition_key="2026-01-05",
            resources={
                "lake": lake,
                "funnel_store": store,
                "published_activity": PublishedActivity(database),
                "published_funnels": lambda as_of: named("f=A,B"),
                "cohort_segments": [],
                "clock": lambda: NOW,
            },
        )
    assert all(one.passed for one in result.get_asset_check_evaluations())
    made = result.asset_materializations_for_node("cohorts__funnels")[-1].metadata
    assert "| 2031-01 | 1 (100.0 %) | 0 (0.0 %) |" in made["summary"].value
    assert "data:image/png;base64," in made["summary"].value
    assert made["users"].value == {"f": 1}
