"""What journeys would have done: played with the rule of the hourly run, on a real Postgres."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.journeys.model import DoesEvent, EntersStage, SendingPolicy
from growth_pipeline.lifecycle.journeys.plan import is_held_out
from growth_pipeline.lifecycle.journeys.preview import count_violations, preview
from growth_pipeline.lifecycle.journeys.store import plan_messages
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline_tests.lifecycle.journeys.lives import DAYTIME, a_journey, a_step, at
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company

WELCOME = a_journey(
    "welcome",
    trigger=EntersStage("signed_up"),
    steps=(a_step("hello", 0.25), a_step("help", 2)),
    goal=DoesEvent("Project Created"),
)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


def refresh(database, now):
    return refresh_stages(database, [SCOPE], RULES, now=now)


def play(database, journeys, first, last, *, policy=DAYTIME, against=None):
    return preview(
        database,
        journeys,
        policy,
        RULES,
        first=at(first).date(),
        last=at(last).date(),
        against=against,
    ).to_dict()


def test_it_tells_who_would_have_got_what_and_when(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    company.sign_up("bob", date(2026, 3, 2))
    company.tell("bob", "Project Created", at(4, 12))
    refresh(database, at(20))
    told = play(database, [WELCOME], 1, 10)
    assert told["users"] == 2
    assert told["entered"] == {"welcome": 2}
    assert told["messages"] == {"welcome/hello": 2, "welcome/help": 1}
    assert told["ended"] == {"finished": 1, "goal": 1}
    assert [(one["user"], one["message"], one["at"]) for one in told["who_gets_what"]] == [
        ("ann", "welcome/hello", "2026-03-02T06:00:00+00:00"),
        ("ann", "welcome/help", "2026-03-04T06:00:00+00:00"),
        ("bob", "welcome/hello", "2026-03-03T06:00:00+00:00"),
    ]
    assert told["who_gets_what"][0]["target"] == "growth/hello"
    assert told["held_back"] == {}
    assert told["against"] is None


def test_it_writes_nothing(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(20))
    assert play(database, [WELCOME], 1, 10)["entered"] == {"welcome": 1}
    for table in ("enrolments", "outbox"):
        assert company.rows(f"select * from lifecycle.{table}") == []


def test_only_the_days_asked_for_are_played_and_starts_on_does_not_matter(database, company):
    for day in (1, 5, 9):
        company.sign_up(f"day {day}", date(2026, 3, day))
    refresh(database, at(20))
    later = replace(WELCOME, starts_on=date(2027, 1, 1))
    told = play(database, [later], 5, 8)
    assert told["entered"] == {"welcome": 1}
    # 9 March is not played: the step of 2 days after 6 March, 6:00 is on 8 March.
    assert [(one["user"], one["at"][:13]) for one in told["who_gets_what"]] == [
        ("day 5", "2026-03-06T06"),
        ("day 5", "2026-03-08T06"),
    ]


def test_days_in_the_wrong_order_are_refused(database):
    with pytest.raises(UsageError, match="2026-03-01 is before 2026-03-02"):
        play(database, [WELCOME], 2, 1)


def test_cap_and_quiet_hours_and_what_would_break_the_cap_without_one(database, company):
    policy = SendingPolicy(1, 7, time(0), time(9))
    steps = tuple(a_step(f"s{number}", 0 if number == 0 else 1) for number in range(4))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(30))
    told = play(database, [replace(WELCOME, steps=steps)], 1, 28, policy=policy)
    # s0: due 2nd 0:00, quiet until 9:00. s1: due 3rd 9:00, free on the 9th: left out. s2: due 4th
    # 9:00: left out. s3: due 5th 9:00: left out.
    assert [(one["message"], one["at"][:13]) for one in told["who_gets_what"]] == [
        ("welcome/s0", "2026-03-02T09")
    ]
    assert told["held_back"] == {"quiet_hours": 1, "cap": 3}
    # Without a cap: 2nd, 3rd, 4th and 5th; all but the first are one too many.
    assert told["cap_violations_without_a_cap"] == 3


@pytest.mark.parametrize(
    ("days", "violations"),
    [((), 0), ((1, 2), 0), ((1, 2, 3), 1), ((1, 2, 7, 8), 2), ((1, 2, 8, 9), 0), ((1, 1, 1, 1), 2)],
)
def test_messages_over_a_cap_of_two_in_seven_days(days, violations):
    # (1, 2, 7, 8): that of day 7 is the third from day 1 on, that of day 8 the third from day 2 on.
    assert count_violations([at(day) for day in days], DAYTIME) == violations


def test_held_out_users_are_told_and_get_nothing(database, company):
    journey = replace(WELCOME, holdout=0.5)
    for number in range(30):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    refresh(database, at(20))
    keys = company.rows("select user_key from activity.user_numbers")
    held = sum(is_held_out(journey, bytes(key)) for (key,) in keys)
    told = play(database, [journey], 1, 10)
    assert (told["entered"], told["held_out"]) == ({"welcome": 30}, {"welcome": held})
    assert told["messages"]["welcome/hello"] == 30 - held
    assert 5 <= held <= 25


def test_two_definitions_differ_in_whom_they_reach(database, company):
    company.sign_up("quiet", date(2026, 3, 1))
    company.sign_up("busy", date(2026, 3, 1))
    company.use("busy", "Report Viewed", date(2026, 3, 3))
    company.sign_up("inviting", date(2026, 3, 1))
    company.use("inviting", "Report Viewed", date(2026, 3, 3))
    refresh(database, at(20))
    old = a_journey("viewed", trigger=DoesEvent("Report Viewed"))
    new = a_journey("viewed", trigger=EntersStage("signed_up"), version=2)
    only = a_journey("only-old", trigger=DoesEvent("Report Viewed"), steps=(a_step("x"),))
    told = play(database, [new], 1, 10, against=[old, only])
    assert told["audience_difference"] == {
        "only-old": {"only_new": 0, "only_old": 2, "both": 0},
        "viewed": {"only_new": 1, "only_old": 0, "both": 2},
    }
    assert told["against"]["messages"] == {"only-old/x": 2, "viewed/one": 2}
    assert told["messages"] == {"viewed/one": 3}


def test_the_hourly_run_and_the_preview_decide_the_same(database, company, seed):
    """Random users over 14 days: played at the end, and lived through hour by hour."""
    chance = random.Random(seed)
    policy = SendingPolicy(2, 5, time(21), time(8), "UTC")
    journeys = [
        replace(WELCOME, exits=("activated",), priority=1, holdout=0.2),
        a_journey(
            "viewed",
            trigger=DoesEvent("Report Viewed"),
            steps=(a_step("v1", 0), a_step("v2", 0.5), a_step("v3", 3)),
            goal=DoesEvent("Project Created"),
            priority=2,
        ),
        a_journey("active", trigger=EntersStage("activated"), steps=(a_step("a1", 0.5),)),
    ]
    calls = []
    for number in range(25):
        zone = chance.choice(["Asia/Tokyo", "America/New_York", "Europe/Berlin"])
        begins = at(1) + timedelta(minutes=chance.randrange(6 * 24 * 60))
        calls.append((begins, f"u{number}", "User Signed Up", zone))
        for _ in range(chance.randrange(6)):
            when = begins + timedelta(minutes=chance.randrange(8 * 24 * 60))
            event = chance.choice(["Report Viewed", "Report Viewed", "Project Created"])
            calls.append((when, f"u{number}", event, zone))
    calls.sort()
    lived, now = [], at(1)
    while now <= at(15):
        while calls and calls[0][0] <= now:
            when, user, event, zone = calls.pop(0)
            company.tell(user, event, when, context={"timezone": zone})
        refresh(database, now)
        done = plan_messages(database, journeys, policy, RULES, now=now, send=True)
        lived += [(one["user"], one["message"], now) for one in done.shown]
        company.connection.execute(  # what a sender does
            "update lifecycle.outbox set state = 'sent', called_at = due_at where state = 'pending'"
        )
        now += timedelta(hours=1)
    told = play(database, journeys, 1, 14, policy=policy)
    played = [
        (one["user"], one["message"], datetime.fromisoformat(one["at"]))
        for one in told["who_gets_what"]
    ]
    assert sorted(played) == sorted(lived), f"seed {seed}"
    assert len(lived) > 20
    states = dict(company.rows("select state, count(*) from lifecycle.enrolments group by state"))
    states.pop("active", None)
    assert told["ended"] == states
    assert {"cap", "quiet_hours"} <= set(told["held_back"])
