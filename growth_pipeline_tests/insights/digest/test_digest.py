"""The digest on a real Postgres: few rows in, facts worked out by hand out."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from growth_pipeline.core.ids import Scope
from growth_pipeline.insights.digest.measure import last_week_end, measure_digest
from growth_pipeline.insights.digest.restated import ACTIVITY_LATER, PAID_LATER, restated_since
from growth_pipeline.insights.facts import State
from growth_pipeline.insights.sources import open_sources
from growth_pipeline_tests.fakes.weekly_company import NOW, WEEK_END, write_company

ACTIVE = [40, 40, 50]
SIGNUPS = [21, 14, 28]
PAYMENTS = [[1_000] * 3, [], [2_500, 500]]


class Revenue:
    policies = ("growth",)
    timezone = "UTC"


@pytest.fixture
def measure(database, engine):
    def run(
        *, tz="UTC", week_start="sunday", week_end=WEEK_END, now=NOW, previous=None, scopes=None
    ):
        class Money(Revenue):
            timezone = tz

        sources = open_sources(
            database,
            engine,
            scopes=scopes or [Scope("self", False)],
            revenue=Money,
            cohort_entry="signup",
            activity_tz="UTC",
            week_start=week_start,
        )
        return measure_digest(sources, week_end=week_end, weeks=8, now=now, previous=previous)

    return run


def execute(database, statement, **values):
    with database.connection() as connection:
        connection.execute(statement, values)


def values(digest, fact_id):
    return [point.value for point in digest.by_id[fact_id].series.points]


def test_signups_payments_and_activity_by_week(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    digest = measure()
    assert values(digest, "signups") == SIGNUPS
    assert values(digest, "payments.usd") == [3_000, 0, 3_000]
    assert values(digest, "payment_count.usd") == [3, 0, 2]
    assert digest.by_id["payments.usd"].series.last.sample == 2
    assert values(digest, "wau") == [120, 120, 150]
    assert values(digest, "mau") == [200, 200, 250]
    assert values(digest, "dau") == [Decimal(40), Decimal(40), Decimal(50)]
    # 7 days of 50 users of 150 in the week: 350 / 1050
    assert digest.by_id["stickiness"].value == Decimal("0.333333")
    assert values(digest, "dau.monday") == ACTIVE
    assert digest.by_id["dau.monday"].series.last.start == date(2025, 3, 3)
    assert digest.by_id["dau.sunday"].series.last.start == date(2025, 3, 2)
    periods = {(p.start, p.end) for p in digest.by_id["signups"].series.points[-1:]}
    assert periods == {(date(2025, 3, 2), date(2025, 3, 9))}


def test_an_empty_company_has_no_facts_and_notes_that_name_what_to_do(measure):
    digest = measure()
    assert digest.facts == ()
    text = " ".join(digest.notes)
    for command in ("growth mrr refresh", "growth cohorts refresh", "growth audit --month 2025-03"):
        assert command in text


def test_a_company_of_one_day_has_no_whole_week(database, measure):
    execute(
        database,
        "insert into billing.payments (account_id, livemode, charge_id, status, captured, currency,"
        " amount_minor, created_at, written_by, written_at) values ('self', false, 'ch_1',"
        " 'succeeded', true, 'usd', 100, '2025-03-08 12:00Z', 'hand', now())",
    )
    digest = measure()
    assert "payments.usd" not in digest.by_id
    assert any("Payments begin on 2025-03-08" in note for note in digest.notes)


def test_a_source_that_is_behind_is_open_with_its_reason(database, measure):
    behind = datetime(2025, 3, 8, 23, tzinfo=UTC)
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS, as_of=behind)
    last = measure().by_id["signups"].series.last
    assert (last.value, last.state) == (None, State.OPEN)
    assert last.reason == "known only up to 2025-03-08 23:00 UTC"


def test_books_are_known_as_far_as_sweeps_have_read(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    execute(
        database,
        "insert into billing.sweeps (account_id, livemode, swept_to) values"
        " ('self', false, '2025-03-07 00:00Z')",
    )
    last = measure().by_id["payments.usd"].series.last
    assert (last.value, last.state) == (None, State.OPEN)


@pytest.mark.parametrize(
    ("tz", "last_week"),
    [("UTC", [100, 1]), ("America/Los_Angeles", [101, 0]), ("Asia/Kolkata", [100, 1])],
)
def test_a_payment_near_midnight_is_in_the_week_of_its_zone(database, measure, tz, last_week):
    rows = (
        ("a", 10, "2025-02-10 12:00Z"),
        ("b", 100, "2025-02-27 12:00Z"),
        ("c", 1, "2025-03-02 06:00Z"),
    )
    for name, amount, at in rows:
        execute(
            database,
            "insert into billing.payments (account_id, livemode, charge_id, status, captured,"
            " currency, amount_minor, created_at, written_by, written_at) values ('self', false,"
            " %(name)s, 'succeeded', true, 'jpy', %(amount)s, %(at)s, 'hand', now())",
            name=name,
            amount=amount,
            at=at,
        )
    digest = measure(tz=tz, now=NOW + timedelta(hours=12))
    assert values(digest, "payments.jpy")[-2:] == last_week


def test_weeks_may_begin_on_monday(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    digest = measure(week_start="monday", week_end=date(2025, 3, 3))
    # Payments fall on Sunday, Monday, Tuesday of their Sunday-weeks: 2025-02-16 and 2025-03-02 on.
    assert digest.by_id["payments.usd"].series.last.start == date(2025, 2, 24)
    assert digest.by_id["payments.usd"].value == 2_500
    assert digest.by_id["dau.monday"].series.last.start == date(2025, 2, 24)


def test_events_by_category_and_name_without_users_who_do_not_count(database, measure):
    events = {"Project Created": [5, 30], "User Signed In": [50, 50], "acme <b>": [0, 7]}
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS, events=events)
    digest = measure()
    assert values(digest, "events") == [55, 87]
    assert values(digest, "events.activation") == [5, 30]
    assert values(digest, "events.engagement") == [50, 50]
    assert values(digest, "events.other") == [0, 7]
    named = {fact.series.name: fact.value for fact in digest.of_family("event")}
    assert named == {"Project Created": 30, "acme <b>": 7}
    execute(
        database,
        "insert into activity.excluded_users (user_key, reason)"
        " values (activity.user_key('user1'), 'test')",
    )
    assert values(measure(), "events") == [53, 84]


def test_retention_is_pooled_over_everybody_whose_day_fell_into_the_week(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    cells = (  # cohort, N, size, users; Day 1 of 03-01 and 03-07 falls into the last week
        *((date(2025, 2, 20), 1, 10, 9), (date(2025, 3, 1), 1, 30, 6)),
        *((date(2025, 3, 7), 1, 10, 4), (date(2025, 3, 8), 1, 99, 99)),
        *((date(2025, 2, 25), 7, 40, 10),),
    )
    for cohort, number, size, users in cells:
        for currency in ("usd", "eur"):  # a row a currency, the same users
            execute(
                database,
                "insert into cohorts.retention_metrics (entry, grain, cohort_start, period_index,"
                " currency, cohort_size, users, state, final) values ('signup', 'day', %(cohort)s,"
                " %(number)s, %(currency)s, %(size)s, %(users)s, 'closed', true)",
                cohort=cohort,
                number=number,
                currency=currency,
                size=size,
                users=users,
            )
    digest = measure()
    day1, day7 = digest.by_id["retention.day1"], digest.by_id["retention.day7"]
    assert (day1.value, day1.series.last.numerator, day1.series.last.denominator) == (
        *(Decimal("0.25"), 10, 40),
    )
    assert day7.value == Decimal("0.25")
    assert "retention.day30" not in digest.by_id


def test_calendar_weeks_funnels_and_their_own_dates(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    for question, name in (("lifecycle", ""), ("funnel", "activation")):
        execute(
            database,
            "insert into cohorts.activity_definitions (question, name, as_of, options) values"
            " (%(question)s, %(name)s, '2025-03-09 01:00Z', %(options)s)",
            question=question,
            name=name,
            options=json.dumps({"tz": "UTC", "week_start": "monday"}),
        )
    execute(
        database,
        "insert into cohorts.lifecycle (grain, period_start, active_users, new_users,"
        " returning_users, resurrecting_users, dormant_users, state) values"
        " ('week', '2025-02-17', 100, 40, 50, 10, 0, 'closed'),"
        " ('week', '2025-02-24', 110, 30, 60, 20, 40, 'closed')",
    )
    execute(
        database,
        "insert into cohorts.funnels (funnel, grain, period_start, stage, step, users, from_first,"
        " state) values ('activation', 'week', '2025-01-20', 1, 'Signed Up', 50, 1, 'closed'),"
        " ('activation', 'week', '2025-01-20', 2, 'Created', 20, 0.4, 'closed'),"
        " ('activation', 'week', '2025-01-27', 1, 'Signed Up', null, null, 'open')",
    )
    digest = measure()
    active = digest.by_id["active_week"]
    assert (active.value, active.series.last.start) == (110, date(2025, 2, 24))
    # 110 - 100 = 30 new + 20 resurrected - 40 dormant
    assert [(one.fact_id, one.contribution) for one in active.drivers] == [
        *(("dormant_users", -40), ("new_users", 30), ("resurrecting_users", 20)),
    ]
    stage = digest.by_id["funnel.1.2"]
    assert (stage.value, stage.series.last.start) == (Decimal("0.4"), date(2025, 1, 20))
    assert stage.series.name == "Created"
    assert digest.by_id["funnel.1.entered"].value == 50


def audit(database, account, verdict, findings=()):
    execute(
        database,
        "insert into audit.audits (audit_id, account_id, livemode, month, definition, state, as_of,"
        " started_at, finished_at, verdict, counts, totals, sources) values (gen_random_uuid(),"
        " %(account)s, false, '2025-03-01', 'd', 'open', '2025-03-09Z', now(), now(), %(verdict)s,"
        " '{}', '{}', '{}')",
        account=account,
        verdict=verdict,
    )
    for number, (severity, suppressed) in enumerate(findings):
        execute(
            database,
            "insert into audit.findings (account_id, livemode, month, fingerprint, audit_id, code,"
            " severity, object, object_id, cause, action, command, evidence, first_seen_at,"
            " last_seen_at, suppression) select account_id, livemode, month, %(name)s, audit_id,"
            " 'x', %(severity)s, 'charge', 'ch', 'c', 'a', 'k', '{}', now(), now(),"
            " %(suppression)s::jsonb from audit.audits where account_id = %(account)s",
            name=f"{account}{number}",
            severity=severity,
            account=account,
            suppression=json.dumps({"reason": "known"}) if suppressed else None,
        )


def test_audits_of_all_accounts_count_together_and_suppressed_findings_do_not(database, measure):
    audit(database, "self", "PASS", [("LOW", False), ("HIGH", True)])
    audit(database, "acct_2", "FAIL", [("HIGH", False), ("HIGH", False), ("MEDIUM", False)])
    digest = measure(scopes=[Scope("self", False), Scope("acct_2", False)])
    (status,) = digest.statuses
    assert (status.status_id, status.value) == ("audit.2025-03", "FAIL")
    assert status.detail == "2 HIGH, 1 MEDIUM, 1 LOW open"
    assert digest.by_id["audit.high"].value == 2
    assert any("2025-02 was not audited" in note for note in digest.notes)


def test_only_what_changed_since_is_restated_with_its_reason(database, measure):
    write_company(database, signups=SIGNUPS, active=ACTIVE, payments=PAYMENTS)
    told = json.loads(measure().to_json())
    assert measure(previous=told).restated == ()
    write_company(
        database, signups=[21, 15, 28], active=ACTIVE, payments=[[1_000] * 3, [70], [2_500, 500]]
    )
    found = measure(previous=told).restated
    assert {(one.fact_id, one.before, one.now, one.reason) for one in found} == {
        ("signups", 14, 15, ACTIVITY_LATER),
        ("payments.usd", 0, 70, PAID_LATER),
        ("payment_count.usd", 0, 1, PAID_LATER),
    }
    assert {one.start for one in found} == {date(2025, 2, 23)}
    assert restated_since(None, measure().facts) == ()


@pytest.mark.parametrize(
    ("now", "tz", "week_start", "end"),
    [
        ("2025-03-09T00:00:00", "UTC", "sunday", "2025-03-09"),
        ("2025-03-08T23:59:59", "UTC", "sunday", "2025-03-02"),
        ("2025-03-09T07:59:59", "America/Los_Angeles", "sunday", "2025-03-02"),
        ("2025-03-09T08:00:00", "America/Los_Angeles", "sunday", "2025-03-09"),
        ("2025-03-08T18:30:00", "Asia/Kolkata", "sunday", "2025-03-09"),
        ("2025-03-08T18:29:59", "Asia/Kolkata", "sunday", "2025-03-02"),
        ("2025-03-09T12:00:00", "UTC", "monday", "2025-03-03"),
        ("2025-11-02T12:00:00", "America/New_York", "sunday", "2025-11-02"),
    ],
)
def test_the_last_week_is_over_by_the_clocks_of_its_zone(now, tz, week_start, end):
    instant = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert last_week_end(instant, tz=tz, week_start=week_start) == date.fromisoformat(end)
