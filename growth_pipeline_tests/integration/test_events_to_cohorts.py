"""Events told over HTTP become published retention, in one Dagster job, as a plain loop counts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.cohorts.active_users.published.rows import ACTIVE_COLUMNS, LIFECYCLE_COLUMNS
from growth_pipeline.cohorts.activity_store import PublishedActivity
from growth_pipeline.cohorts.assets import active_users, funnels, retention_cells
from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.funnel.published.definition import funnels_of
from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
from growth_pipeline.cohorts.funnel.published.refresh import FUNNEL_COLUMNS
from growth_pipeline.cohorts.money.money_store import MoneyStore
from growth_pipeline.cohorts.refresh.published import CELLS
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.assets import activity

PERIODS = 31
BATCH = 400


@pytest.fixture
def midnight():
    """The last midnight in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def history(rng, midnight):
    """Calls of 30 people over 40 days, and what a plain reader makes of them.

    Returns calls, user -> day of sign-up, user -> plan, and the (user, day) pairs of activity.
    """
    calls, signed_up, plans, active = [], {}, {}, set()
    for number in range(30):
        user, device = f"user-{number}", f"device-{number}"
        first = midnight - timedelta(days=rng.randrange(1, 41))
        at = first + timedelta(seconds=rng.randrange(40_000, 80_000))
        signed_up[user], plans[user] = first.date(), rng.choice(("free", "pro", None))
        visit = at - timedelta(hours=rng.randrange(1, 60))
        calls.append({"type": "page", "anonymousId": device, "timestamp": visit.isoformat()})
        active.add((user, visit.date()))
        if rng.random() < 0.5:
            calls.append(
                {
                    "type": "track",
                    "event": "User Signed Up",
                    "userId": user,
                    "properties": {"method": "google"},
                    "timestamp": at.isoformat(),
                }
            )
            active.add((user, at.date()))
        calls.append(
            {
                "type": "identify",
                "userId": user,
                "anonymousId": device,
                "traits": {"createdAt": at.isoformat(), "plan": plans[user]},
                "timestamp": at.isoformat(),
            }
        )
        day = first
        while day < midnight:
            for _ in range(rng.choice((0, 0, 1, 2))):
                then = day + timedelta(seconds=rng.randrange(80_000, 86_400))
                calls.append(
                    {
                        "type": "track",
                        "event": "Feature Used",
                        "userId": user,
                        "properties": {"feature": "search"},
                        "timestamp": then.isoformat(),
                    }
                )
                active.add((user, then.date()))
            day += timedelta(days=1)
    for number, call in enumerate(calls):
        call["messageId"] = f"m-{number}"
    rng.shuffle(calls)
    return calls, signed_up, plans, active


def counted(signed_up, active, last):
    """(cohort day, n) -> (size, users) of closed cells, one user at a time."""
    found = {}
    for first in set(signed_up.values()):
        members = [user for user, day in signed_up.items() if day == first]
        for n in range(PERIODS):
            day = first + timedelta(days=n)
            users = sum((user, day) in active for user in members)
            found[first, n] = (len(members), users if day <= last else None)
    return found


def run(resources, first, last):
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [activity, retention_cells, active_users, funnels],
            instance=instance,
            resources=resources,
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": last.isoformat(),
            },
        )


def published(lake):
    frame = lake.read(lake.read_manifest(CELLS, {"grain": "day"}))
    return {
        (cohort, n): (size, users)
        for cohort, n, size, users in frame.select(
            "cohort_start", "period_index", "cohort_size", "users"
        ).iter_rows()
    }


def in_postgres(database):
    with database.connection() as connection:
        rows = connection.execute(
            "select cohort_start, period_index, cohort_size, users from cohorts.retention_metrics "
            "where grain = 'day' and segment_by = ''"
        ).fetchall()
    return {(cohort, n): (size, users) for cohort, n, size, users in rows}


def of_plan(database, plan):
    with database.connection() as connection:
        rows = connection.execute(
            "select cohort_start, period_index, cohort_size, users from cohorts.retention_metrics "
            "where grain = 'day' and segment_by = 'plan' and segment is not distinct from %s",
            (plan,),
        ).fetchall()
    return {(cohort, n): (size, users) for cohort, n, size, users in rows}


def funnels_of_the_test(as_of):
    texts = ["start=User Signed Up,Feature Used[feature=search]"]
    return funnels_of(texts, window="1d", order="ordered", week_start="monday", as_of=as_of)


def active_on_each_day(active, last):
    """Day -> (DAU, WAU, MAU, new, dormant), one day at a time."""
    days = sorted({day for _, day in active})
    found = {}
    for step in range((last - days[0]).days + 1):
        day = days[0] + timedelta(days=step)

        def users(first, until):
            return {user for user, one in active if first <= one <= until}

        back = [len(users(day - timedelta(days=length - 1), day)) for length in (1, 7, 30)]
        now, before = users(day, day), users(day - timedelta(days=1), day - timedelta(days=1))
        ever = users(days[0], day - timedelta(days=1))
        found[day] = (*back, len(now - ever), len(before - now))
    return found


def published_days(shown):
    told = {}
    for row in shown.rows("active_users", ACTIVE_COLUMNS):
        told[row["metric"], row["period_start"]] = row["users"]
    found = {}
    for row in shown.rows("lifecycle", LIFECYCLE_COLUMNS):
        if row["grain"] == "day":
            day = row["period_start"]
            back = [told[metric, day] for metric in ("dau", "wau", "mau")]
            found[day] = (*back, row["new_users"], row["dormant_users"])
    return found


def who_began(calls, midnight):
    """Monday -> users who signed up in that week and used the product within a day after."""
    times = {}
    for call in calls:
        if call["type"] == "track":
            at = datetime.fromisoformat(call["timestamp"])
            times.setdefault((call["userId"], call["event"]), []).append(at)
    found = {}
    for (user, event), (begun, *_) in times.items():
        if event == "User Signed Up":
            week = begun.date() - timedelta(days=begun.weekday())
            over = datetime.combine(week, datetime.min.time(), UTC) + timedelta(days=8)
            used = times.get((user, "Feature Used"), [])
            soon = any(begun <= at <= begun + timedelta(days=1) for at in used)
            count, reached = found.get(week, (0, 0))
            found[week] = (count + 1, reached + soon) if over <= midnight else (None, None)
    return found


def published_weeks(shown):
    found = {}
    for row in shown.rows("funnel", FUNNEL_COLUMNS, name="start"):
        if row["grain"] == "week":
            found.setdefault(row["period_start"], []).append(row["users"])
    return {week: tuple(users) for week, users in found.items() if users != [0, 0]}


def test_events_told_over_http_are_published_as_a_plain_loop_counts_them(
    ingest_server, lake, engine, midnight, seed
):
    calls, signed_up, plans, active = history(random.Random(seed), midnight)
    late, in_time = calls[:20], calls[20:]
    last = (midnight - timedelta(days=1)).date()
    shown = PublishedActivity(ingest_server.database)
    resources = {
        "activity_store": ActivityStore(ingest_server.database),
        "activity_zone": "UTC",
        "lake": lake,
        "engine": engine,
        "queries": engine,
        "cohort_store": CohortStore(ingest_server.database),
        "money_store": MoneyStore(ingest_server.database, []),
        "cohort_entry": "signup",
        "cohort_segments": ["plan"],
        "cohort_week_start": "monday",
        "published_activity": shown,
        "published_funnels": funnels_of_the_test,
        "funnel_store": FunnelStore(ingest_server.database, []),
        "clock": lambda: datetime.now(UTC),
    }
    for some in (in_time, late):
        for start in range(0, len(some), BATCH):
            answer = ingest_server.post("/v1/batch", {"batch": some[start : start + BATCH]})
            assert (answer.status_code, answer.json().get("success")) == (200, True)
        result = run(resources, last - timedelta(days=1), last)
        assert result.success
        failed = [one for one in result.get_asset_check_evaluations() if not one.passed]
        assert [one.check_name for one in failed if one.severity.value == "ERROR"] == []
    expected = counted(signed_up, active, last)
    assert published(lake) == expected
    assert in_postgres(ingest_server.database) == expected
    assert published_days(shown) == active_on_each_day(active, last)
    weeks, began = published_weeks(shown), who_began(calls, midnight)
    assert {week: users for week, users in weeks.items() if week in began} == began
    assert {users for week, users in weeks.items() if week not in began} <= {(None, None)}
    for plan in ("free", "pro", None):
        members = {user: day for user, day in signed_up.items() if plans[user] == plan}
        assert of_plan(ingest_server.database, plan) == counted(members, active, last)
