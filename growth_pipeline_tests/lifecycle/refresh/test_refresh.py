"""Stages from rows of the sources, brought up to date by what is new; on a real Postgres."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company, days, noon

FIRST = date(2026, 3, 1)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


def run(database, day, **options):
    now = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    return refresh_stages(database, [SCOPE], RULES, now=now, **options)


def test_a_user_who_signs_up_is_activated_and_goes_dormant(database, company):
    company.sign_up("ann", FIRST)
    company.use("ann", "Project Created", FIRST + timedelta(days=3))
    run(database, FIRST + timedelta(days=60))
    assert company.transitions("ann") == [
        (date(2026, 3, 1), None, "signed_up"),
        (date(2026, 3, 4), "signed_up", "activated"),
        (date(2026, 4, 3), "activated", "dormant"),  # 30 days after the last use
    ]
    assert company.stages() == {"ann": ("dormant", date(2026, 4, 3))}


def test_a_second_run_looks_at_nobody(database, company):
    company.sign_up("ann", FIRST)
    run(database, FIRST + timedelta(days=60))
    done = run(database, FIRST + timedelta(days=60))
    assert (done.looked_at, done.written) == (0, 0)


def test_a_stage_changes_by_the_time_alone(database, company):
    company.sign_up("ann", FIRST)
    run(database, FIRST + timedelta(days=10))
    assert company.stages()["ann"] == ("signed_up", FIRST)
    done = run(database, FIRST + timedelta(days=31))
    assert (done.looked_at, done.due) == (1, 1)
    assert company.stages()["ann"] == ("dormant", date(2026, 3, 31))


def test_a_late_event_rewrites_the_stages_it_touches(database, company):
    company.sign_up("ann", FIRST)
    run(database, FIRST + timedelta(days=60))
    late = noon(FIRST + timedelta(days=60))
    company.tell("ann", "Report Viewed", noon(FIRST + timedelta(days=20)), received=late)
    done = run(database, FIRST + timedelta(days=61))
    assert (done.looked_at, done.written, done.superseded) == (1, 1, 1)
    assert company.transitions("ann") == [
        (date(2026, 3, 1), None, "signed_up"),
        (date(2026, 4, 20), "signed_up", "dormant"),
    ]


def test_who_signs_up_today_has_a_stage_tomorrow(database, company):
    day = FIRST + timedelta(days=5)
    run(database, day)
    company.tell("bob", "User Signed Up", datetime(2026, 3, 6, 5, tzinfo=UTC))
    run(database, day)
    assert company.stages() == {}
    run(database, day + timedelta(days=1))
    assert company.stages() == {"bob": ("signed_up", day)}


def test_everything_anew_gives_the_same(database, company):
    for number, user in enumerate(("ann", "bob", "cid")):
        company.sign_up(user, FIRST + timedelta(days=number))
        company.use(user, "Feature Used", *days(FIRST + timedelta(days=number), 20, number + 1))
    for day in days(FIRST, 70, 3):
        run(database, day)
    before = company.rows("select * from lifecycle.user_days order by 1, 2")
    stages = company.stages()
    done = run(database, FIRST + timedelta(days=69), anew=True)
    assert (done.written, done.superseded) == (0, 0)
    assert company.rows("select * from lifecycle.user_days order by 1, 2") == before
    assert company.stages() == stages


def test_a_clock_that_was_set_back_changes_nothing(database, company):
    company.sign_up("ann", FIRST)
    run(database, FIRST + timedelta(days=60))
    before = company.transitions("ann")
    company.use("ann", "Report Viewed", FIRST + timedelta(days=2), received=noon(FIRST))
    with pytest.raises(GrowthError, match="the clock says 2026-03-31"):
        run(database, FIRST + timedelta(days=30))
    assert company.transitions("ann") == before


def test_a_clock_that_was_ahead_is_made_good_by_reading_everything_anew(database, company):
    company.sign_up("ann", FIRST)
    run(database, FIRST + timedelta(days=400))
    run(database, FIRST + timedelta(days=10), anew=True)
    assert company.stages() == {"ann": ("signed_up", FIRST)}
    late = noon(FIRST + timedelta(days=10))
    company.tell("ann", "Project Created", late)
    run(database, FIRST + timedelta(days=12))
    assert company.stages() == {"ann": ("activated", FIRST + timedelta(days=10))}
