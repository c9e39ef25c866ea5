"""Events told over HTTP become published retention, in one Dagster job, as a plain loop counts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.cohorts.assets import retention_cells
from growth_pipeline.cohorts.cohort_store import CohortStore
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
            [activity, retention_cells],
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


def test_events_told_over_http_are_published_as_a_plain_loop_counts_them(
    ingest_server, lake, engine, midnight, seed
):
    calls, signed_up, plans, active = history(random.Random(seed), midnight)
    late, in_time = calls[:20], calls[20:]
    last = (midnight - timedelta(days=1)).date()
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
    for plan in ("free", "pro", None):
        members = {user: day for user, day in signed_up.items() if plans[user] == plan}
        assert of_plan(ingest_server.database, plan) == counted(members, active, last)
