"""News that comes while a refresh is under way, or before what it needs is there, is never lost."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline_tests.fakes.stripe_events import a_charge, a_dispute, a_subscription, an_event
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company

FIRST = date(2026, 3, 1)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


def run(database, day, hour=6):
    now = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    return refresh_stages(database, [SCOPE], RULES, now=now)


def test_a_note_that_commits_while_its_user_is_looked_at_is_not_forgotten(
    database, database_url, company
):
    company.sign_up("ann", FIRST)
    day = FIRST + timedelta(days=10)
    run(database, day)
    with psycopg.connect(database_url) as early, psycopg.connect(database_url) as gate:
        early.execute(  # its note has the smaller id, and is not committed yet
            "insert into activity.excluded_users (user_key, reason)"
            " values (sha256('ann'), 'internal')"
        )
        company.connection.execute("update activity.user_numbers set signed_up_at = '2026-02-20Z'")
        gate.execute("lock table lifecycle.users in share mode")  # facts are read, nothing written
        refresh = threading.Thread(target=run, args=(database, day))
        refresh.start()
        wait_for_a_waiting_lock(company)
        early.commit()
        gate.commit()
        refresh.join(30)
    run(database, day)
    assert company.stages() == {}


def wait_for_a_waiting_lock(company):
    until = time.monotonic() + 20
    while not company.rows("select 1 from pg_locks where not granted and relation is not null"):
        assert time.monotonic() < until, "the refresh never came to write users"
        time.sleep(0.02)


def test_a_dispute_that_is_told_before_its_charge_counts_when_the_charge_comes(database, company):
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    opened = int(at.timestamp())
    billing = BillingStore(database)
    company.sign_up("ann", FIRST)
    company.customer("ann", "cus_1")
    tell(billing, "charge.dispute.created", a_dispute("dp_1", "ch_1", created=opened), at)
    run(database, date(2026, 3, 4))
    run(database, date(2026, 3, 8))
    told = datetime(2026, 3, 9, 12, tzinfo=UTC)
    tell(billing, "charge.succeeded", a_charge("ch_1", created=opened - 60), told)
    run(database, date(2026, 3, 10))
    spans = company.rows("select kind, from_on, until_on, why from lifecycle.billing_spans")
    assert spans == [("disputed", date(2026, 3, 2), None, "dp_1")]


def tell(billing, type, object, at):
    body = an_event(type, object, id=f"evt_{type}_{object['id']}", created=object["created"])
    event = received_event(parse_envelope(body), body, account_id=SCOPE.account_id, received_at=at)
    billing.insert_events([event])
    apply_waiting(billing, now=at)


def zone_of(company, user):
    return company.rows(
        "select z.tz from lifecycle.zones as z inner join activity.user_numbers as n"
        " using (user_number) where n.user_id = %s",
        user,
    )


def test_the_zone_of_who_signs_up_today_is_known_tomorrow(database, company):
    run(database, FIRST)
    company.tell(
        "ann",
        "User Signed Up",
        datetime(2026, 3, 1, 7, tzinfo=UTC),
        context={"timezone": "Asia/Tokyo"},
    )
    for hour in (8, 12, 16, 20):
        run(database, FIRST, hour)
    run(database, FIRST + timedelta(days=1))
    assert zone_of(company, "ann") == [("Asia/Tokyo",)]


def test_a_zone_outlives_an_exclusion_that_is_taken_back(database, company):
    at = datetime(2026, 3, 1, 7, tzinfo=UTC)
    company.tell("ann", "User Signed Up", at, context={"timezone": "Asia/Tokyo"})
    run(database, date(2026, 3, 2))
    run(database, date(2026, 3, 3))
    company.connection.execute(
        "insert into activity.excluded_users (user_key, reason) values (sha256('ann'), 'a test')"
    )
    run(database, date(2026, 3, 4))
    company.connection.execute("delete from activity.excluded_users")
    run(database, date(2026, 3, 5))
    assert zone_of(company, "ann") == [("Asia/Tokyo",)]


def test_what_a_killed_build_did_not_come_to_is_done_by_the_next_run(database, company):
    billing = BillingStore(database)
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for number in range(24):
        company.sign_up(f"user-{number}", FIRST)
        company.customer(f"user-{number}", f"cus_{number}")
        told = a_subscription(
            f"sub_{number}",
            customer=f"cus_{number}",
            created=int(at.timestamp()),
            start_date=int(at.timestamp()),
        )
        tell(billing, "customer.subscription.created", told, at)

    def die(words):
        if "looked at" in words:
            raise KeyboardInterrupt

    now = datetime(2026, 3, 5, 6, tzinfo=UTC)
    with pytest.raises(KeyboardInterrupt):
        refresh_stages(database, [SCOPE], RULES, now=now, batch=1, tell=die)
    run(database, date(2026, 3, 5))
    paying = {f"user-{number}": ("paying", date(2026, 3, 2)) for number in range(24)}
    assert company.stages() == paying
