"""The digest by hand where it is easy to get wrong: zones, clocks, MRR, gaps, what changed since."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from growth_pipeline.insights.digest.measure import last_week_end
from growth_pipeline.insights.digest.restated import (
    ACTIVITY_LATER,
    MEASURED_OTHERWISE,
    OTHERWISE,
    PAID_LATER,
    TOLD_LATER,
)
from growth_pipeline.insights.facts import State
from growth_pipeline_tests.insights.digest.digest_rows import (
    active,
    cell,
    cohorts_known,
    digest_of,
    event,
    payment,
    put,
    question_known,
    run,
    signup,
    stage,
)
from growth_pipeline_tests.revenue.published.spell_rows import ACCOUNT, spell, write_spells

END = date(2025, 3, 9)
AS_OF = datetime(2025, 3, 9, 1, tzinfo=UTC)
NOW = datetime(2025, 3, 9, 20, tzinfo=UTC)
DAY = timedelta(days=1)
BEHIND = datetime(2025, 3, 8, 23, 30, tzinfo=UTC)
WHY_BEHIND = "known only up to 2025-03-08 23:30 UTC"
MOVEMENTS = ("new", "reactivation", "resumed", "expansion", "contraction", "paused", "churn")


@pytest.fixture
def measure(database, engine):
    def told(**given):
        return digest_of(database, engine, **{"week_end": END, "now": NOW, **given})

    return told


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def values(digest, fact_id):
    return [point.value for point in digest.by_id[fact_id].series.points]


def starts(digest, fact_id):
    return [point.start for point in digest.by_id[fact_id].series.points]


def opened(digest, fact_id):
    last = digest.by_id[fact_id].series.last
    assert (last.value, last.sample, last.numerator, last.denominator) == (None,) * 4
    return last.state, last.reason


def told_by(digest):
    return json.loads(digest.to_json())


# --- payments: zones, clocks, currencies, what counts ---------------------------------------------


@pytest.mark.parametrize(
    ("tz", "end", "begins", "ends"),
    [
        ("UTC", date(2025, 3, 9), "2025-03-02T00:00", "2025-03-09T00:00"),
        ("America/Los_Angeles", date(2025, 3, 9), "2025-03-02T08:00", "2025-03-09T08:00"),
        # Clocks go forward on the first day, so that the week has 167 hours, and back in autumn.
        ("America/Los_Angeles", date(2025, 3, 16), "2025-03-09T08:00", "2025-03-16T07:00"),
        ("America/Los_Angeles", date(2025, 11, 9), "2025-11-02T07:00", "2025-11-09T08:00"),
        ("Asia/Kolkata", date(2025, 3, 9), "2025-03-01T18:30", "2025-03-08T18:30"),
    ],
)
def test_a_payment_belongs_to_the_week_of_its_local_second(
    database, measure, tz, end, begins, ends
):
    second = timedelta(seconds=1)
    first, after = utc(begins), utc(ends)
    put(
        database,
        "billing.payments",
        payment("long_ago", 7, first - 30 * DAY),
        payment("before", 10, first - second),
        payment("first", 200, first),
        payment("last", 3_000, after - second),
        payment("after", 40_000, after),
    )
    digest = measure(revenue_tz=tz, week_end=end, now=after)
    assert values(digest, "payments.usd")[-2:] == [10, 3_200]
    assert values(digest, "payment_count.usd")[-2:] == [1, 2]
    assert digest.by_id["payments.usd"].series.source.tz == tz
    # One second earlier the week is not over: nothing is told of it.
    early = measure(revenue_tz=tz, week_end=end, now=after - second)
    assert values(early, "payments.usd")[-2:] == [10, None]


def test_only_settled_payments_of_our_accounts_and_mode_count_by_currency(database, measure):
    at = utc("2025-03-05T12:00")
    put(
        database,
        "billing.payments",
        payment("long_ago", 5, at - 20 * DAY, currency="jpy"),
        payment("yen", 1_234, at, currency="jpy"),
        payment("fils", 1_001, at, currency="kwd"),  # 1.001 KWD
        payment("fils_2", 2_000, at, currency="kwd", account="acct_2"),
        payment("failed", 9, at, currency="jpy", status="failed"),
        payment("asked", 9, at, currency="jpy", captured=False),
        payment("live", 9, at, currency="jpy", livemode=True),
        payment("stranger", 9, at, currency="eur", account="stranger"),
    )
    digest = measure(accounts=("self", "acct_2"))
    # 2025-02-13 is a Thursday: its week began before the data and is left out.
    assert starts(digest, "payments.jpy") == [
        *(date(2025, 2, 16), date(2025, 2, 23), date(2025, 3, 2)),
    ]
    assert values(digest, "payments.jpy") == [0, 0, 1_234]
    assert values(digest, "payments.kwd") == [0, 0, 3_001]
    assert values(digest, "payment_count.kwd") == [0, 0, 2]
    assert digest.by_id["payments.kwd"].series.last.sample == 2
    assert digest.by_id["payments.kwd"].series.currency == "kwd"
    assert not [one for one in digest.by_id if one.endswith((".usd", ".eur"))]


def test_books_are_known_as_far_as_the_account_that_was_swept_least(database, measure):
    put(database, "billing.payments", payment("a", 5, utc("2025-02-09T12:00")))
    sweep = {"account_id": "self", "livemode": False, "swept_to": AS_OF}
    other = {**sweep, "account_id": "acct_2", "swept_to": BEHIND}
    put(database, "billing.sweeps", sweep, other)
    assert values(measure(), "payments.usd")[-1] == 0
    both = measure(accounts=("self", "acct_2"))
    assert opened(both, "payments.usd") == (State.OPEN, WHY_BEHIND)
    assert opened(both, "payment_count.usd") == (State.OPEN, WHY_BEHIND)
    assert both.by_id["payments.usd"].before.change is None


# --- users ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "as_of", "known"),
    [
        ("UTC", "2025-03-09T00:00", True),
        ("America/Los_Angeles", "2025-03-09T07:59", False),
        ("America/Los_Angeles", "2025-03-09T08:00", True),
        ("Asia/Kolkata", "2025-03-08T18:29", False),
        ("Asia/Kolkata", "2025-03-08T18:30", True),
    ],
)
def test_a_week_is_over_at_midnight_where_cohorts_were_published(
    database, measure, tz, as_of, known
):
    cohorts_known(database, utc(as_of), tz=tz)
    days = [date(2025, 2, 12), date(2025, 2, 16), date(2025, 2, 22), date(2025, 3, 8)]
    put(database, "cohorts.user_cohorts", *(signup(n, day) for n, day in enumerate(days)))
    digest = measure(activity_tz="Europe/Berlin")  # the settings say another zone by now
    # The week of 02-09 began before the first sign-up; that of 02-23 had nobody.
    assert starts(digest, "signups") == [
        *(date(2025, 2, 16), date(2025, 2, 23), date(2025, 3, 2)),
    ]
    assert values(digest, "signups") == [2, 0, 1 if known else None]
    assert digest.by_id["signups"].series.source.tz == tz


def test_weeks_that_begin_on_monday_hold_other_days(database, measure):
    cohorts_known(database, AS_OF)
    days = [date(2025, 2, 17), *[date(2025, 3, 2)] * 2, *[date(2025, 3, 3)] * 4]
    put(database, "cohorts.user_cohorts", *(signup(n, day) for n, day in enumerate(days)))
    assert values(measure(), "signups") == [0, 6]
    monday = measure(week_start="monday", week_end=date(2025, 3, 3))
    assert starts(monday, "signups") == [date(2025, 2, 17), date(2025, 2, 24)]
    assert values(monday, "signups") == [1, 2]


def test_active_users_of_days_and_rolling_windows(database, measure):
    question_known(database, "active_users", AS_OF)
    week = date(2025, 3, 2)
    put(
        database,
        "cohorts.active_users",
        active("dau", date(2025, 2, 23), 1, truncated=True),
        *(active("dau", week + n * DAY, users) for n, users in enumerate((10, 20, 0, 5, 5, 1))),
        active("wau", date(2025, 3, 1), 1),
        active("wau", date(2025, 3, 8), 29),
        active("wau", date(2025, 3, 7), 999),
        active("mau", date(2025, 3, 8), 30, truncated=True),
    )
    digest = measure()
    assert values(digest, "wau") == [1, 29]
    # 30 days that end with 03-08 begin before the first day: not known, for a reason of its own.
    last = digest.by_id["mau"].series.last
    assert (last.value, last.state) == (None, State.CLOSED)
    assert last.reason == "its window begins before the first day of data"
    # (10 + 20 + 0 + 5 + 5 + 1 + 0) / 7 = 5.857142857…; 1 / 7 = 0.142857142…
    assert values(digest, "dau") == [Decimal("0.142857"), Decimal("5.857143")]
    # 41 pairs of user and day of 7 * 29
    assert digest.by_id["stickiness"].value == Decimal("0.201970")
    assert digest.by_id["stickiness"].series.last.denominator == 7 * 29
    weekdays = [fact.fact_id for fact in digest.of_family("dau") if fact.series.grain == "day"]
    names = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    assert weekdays == [f"dau.{name}" for name in names]
    assert [digest.by_id[one].value for one in weekdays] == [10, 20, 0, 5, 5, 1, 0]
    assert values(digest, "dau.sunday") == [1, 10]


def test_days_that_are_over_are_told_of_a_week_that_is_not(database, measure):
    question_known(database, "active_users", BEHIND)
    put(
        database,
        "cohorts.active_users",
        *(active("dau", date(2025, 2, 23) + n * DAY, 3) for n in range(13)),
    )
    digest = measure()
    for fact_id in ("wau", "mau", "dau", "stickiness", "dau.saturday"):
        assert opened(digest, fact_id) == (State.OPEN, WHY_BEHIND)
    assert values(digest, "dau.friday") == [3, 3]


def test_a_calendar_week_that_is_not_published_yet_is_open(database, measure):
    week = {"grain": "week", "state": "closed", "dormant_users": 2, "resurrecting_users": 0}
    for question in ("active_users", "lifecycle"):
        question_known(database, question, utc("2025-03-02T12:00"), week_start="monday")
    put(database, "cohorts.active_users", active("dau", date(2025, 2, 12), 3))
    rows = [
        {**week, "period_start": start, "active_users": users, "new_users": 1}
        for start, users in ((date(2025, 2, 10), 3), (date(2025, 2, 17), 5))
    ]
    put(
        database,
        "cohorts.lifecycle",
        *({**row, "returning_users": row["active_users"] - 1} for row in rows),
    )
    digest = measure()
    # Weeks of cohorts begin on Monday: 02-10 has its first day before the data, 02-24 is not told.
    assert starts(digest, "active_week") == [date(2025, 2, 17), date(2025, 2, 24)]
    assert values(digest, "active_week") == [5, None]
    assert values(digest, "returning_users") == [4, None]
    reason = (State.OPEN, "known only up to 2025-03-02 12:00 UTC")
    assert opened(digest, "dormant_users") == reason
    assert digest.by_id["active_week"].drivers == ()


def test_retention_is_told_by_when_the_day_fell_and_from_whole_weeks_on(database, measure):
    cohorts_known(database, BEHIND, entry="first_event")
    told = [  # Day N falls on cohort + N
        *((date(2025, 2, 16), 1, 10, 5), (date(2025, 2, 22), 1, 6, 3)),  # 02-17 and 02-23
        *((date(2025, 2, 28), 1, 4, 0), (date(2025, 2, 16), 7, 10, 4)),  # 03-01 and 02-23
        *((date(2025, 2, 17), 7, 9, 1), (date(2025, 2, 17), 2, 9, 9)),  # 02-24; no Day 2 is told
    ]
    put(
        database,
        "cohorts.retention_metrics",
        *(cell(*one, entry="first_event") for one in told),
        cell(date(2025, 3, 7), 1, 50, None, state="open", entry="first_event"),
    )
    digest = measure(entry="first_event")
    day1 = digest.by_id["retention.day1"].series.points
    # The first Day 1 was 02-17, in a week that began before it.
    assert [(p.start, p.value, p.numerator, p.denominator) for p in day1] == [
        (date(2025, 2, 23), Decimal("0.3"), 3, 10),
        (date(2025, 3, 2), None, None, None),
    ]
    assert opened(digest, "retention.day1") == (State.OPEN, WHY_BEHIND)
    day7 = digest.by_id["retention.day7"].series.points[0]
    # 5 of 19 = 0.263157894…
    assert (day7.start, day7.value) == (date(2025, 2, 23), Decimal("0.263158"))
    assert day7.sample == 19
    assert "retention.day30" not in digest.by_id  # from 03-18 on


def test_a_week_in_which_no_day_fell_has_no_rate(database, measure):
    cohorts_known(database, AS_OF)
    put(database, "cohorts.retention_metrics", cell(date(2025, 2, 15), 1, 10, 5))
    point = measure().by_id["retention.day1"].series.last
    assert (point.value, point.denominator, point.state) == (None, 0, State.CLOSED)
    assert point.reason == "there was nobody"


# --- product ----------------------------------------------------------------------------------


def put_events(database, *told):
    put(database, "events.sources", {"name": "app"})
    put(database, "events.events", *(event(n, *one) for n, one in enumerate(told)))


@pytest.mark.parametrize(
    ("tz", "activation", "other"),
    [
        ("UTC", [1, 0], [1, 2]),
        ("America/Los_Angeles", [1, 0], [2, 1]),
        ("Asia/Kolkata", [2, 0], [0, 3]),  # the first event was on 02-23, where a week begins
    ],
)
def test_events_fall_into_days_of_the_zone_of_activity(database, measure, tz, activation, other):
    put_events(
        database,
        ("Project Created", "u", utc("2025-02-22T20:00")),
        ("Project Created", "u", utc("2025-02-23T12:00")),
        ("acme", "u", utc("2025-03-01T19:00")),  # 03-02 in Kolkata
        ("acme", "u", utc("2025-03-02T07:30")),  # 03-01 in Los Angeles
        ("acme", "u", utc("2025-03-08T12:00")),
        ("Payment Failed", "u", utc("2025-03-08T12:00")),  # no user does that
        ("acme", "u", utc("2025-03-09T09:00")),  # after the week everywhere
    )
    digest = measure(activity_tz=tz)
    assert values(digest, "events.activation") == activation
    assert values(digest, "events.other") == other
    assert values(digest, "events") == [sum(both) for both in zip(activation, other, strict=True)]
    assert starts(digest, "events") == [date(2025, 2, 23), date(2025, 3, 2)]


def test_users_who_do_not_count_bring_no_event_and_no_first_week(database, measure):
    put_events(
        database,
        ("acme", "tester", utc("2024-06-01T12:00")),
        ("acme", "anon", utc("2024-06-02T12:00")),  # the tester before signing in
        ("acme", "tester", utc("2025-03-05T12:00")),
        ("acme", "user", utc("2025-02-26T12:00")),
        ("acme", "user", utc("2025-03-05T12:00")),
    )
    assert values(measure(), "events") == [0] * 7 + [1, 2]
    run(
        database,
        "insert into activity.merged_ids (merged_key, user_key)"
        " values (activity.user_key('anon'), activity.user_key('tester'))",
    )
    run(
        database,
        "insert into activity.excluded_users (user_key, reason)"
        " values (activity.user_key('tester'), 'test')",
    )
    # What counts began on 02-26: the week that began before it is left out.
    digest = measure()
    assert (starts(digest, "events"), values(digest, "events")) == ([date(2025, 3, 2)], [1])
    run(database, "delete from events.events where user_id = 'user'")
    digest = measure()
    assert "events" not in digest.by_id
    assert any(note.startswith("No product event came") for note in digest.notes)


def test_the_ten_names_that_moved_most_are_told(database, measure):
    before, now = utc("2025-02-25T12:00"), utc("2025-03-05T12:00")
    told = [("acme 0", "u", utc("2025-01-01T12:00")), ("still", "u", before), ("still", "u", now)]
    for number in range(12):  # "acme 11" moved by 12, and so on
        told += [(f"acme {number}", "u", before if number % 2 else now)] * (number + 1)
    put_events(database, *told)
    digest = measure()
    assert [fact.series.name for fact in digest.of_family("event")] == [
        f"acme {number}" for number in reversed(range(2, 12))
    ]
    assert digest.of_family("event")[0].before.change == -12


def test_funnels_are_told_by_their_newest_whole_week_in_their_own_zone(database, measure):
    question_known(database, "funnel", AS_OF, name="buying", tz="Asia/Kolkata")
    first, second = date(2025, 2, 3), date(2025, 2, 10)
    put(
        database,
        "cohorts.funnels",
        *(stage("buying", first, n, f"step {n}", users) for n, users in ((1, 40), (2, 10), (3, 0))),
        *(stage("buying", second, n, f"step {n}", users) for n, users in ((1, 0), (2, 0), (3, 0))),
        stage("buying", END, 1, "step 1", 99),  # a later week
        stage("gone", first, 1, "step 1", 99),  # no question of this name is published any more
    )
    digest = measure()
    assert starts(digest, "funnel.1.entered") == [first, second]
    assert values(digest, "funnel.1.entered") == [40, 0]
    assert values(digest, "funnel.1.2") == [Decimal("0.25"), None]
    assert values(digest, "funnel.1.3") == [Decimal(0), None]
    assert digest.by_id["funnel.1.2"].series.last.reason == "there was nobody"
    assert digest.by_id["funnel.1.2"].series.source.tz == "Asia/Kolkata"
    assert not digest.of_family("gone")
    assert not [one for one in digest.by_id if one.startswith("funnel.2")]


# --- nothing ----------------------------------------------------------------------------------


def test_an_empty_company_gets_one_note_for_each_thing_that_is_missing(measure):
    digest = measure(policy="growth")
    assert (digest.facts, digest.statuses, digest.restated) == ((), (), ())
    assert digest.notes == (
        "MRR under the policy growth@1 is not published: growth mrr refresh does so.",
        "The books hold no settled payment: growth backfill brings them.",
        "Cohorts are not published: growth cohorts refresh does so.",
        "Active users are not published: growth cohorts activity does so.",
        "No product event came: docs/events.md says how they are told.",
        "2025-03 was not audited: growth audit --month 2025-03.",
        "2025-02 was not audited: growth audit --month 2025-02.",
    )


def test_what_was_published_of_nobody_is_said_to_be_of_nobody(database, measure):
    cohorts_known(database, AS_OF)
    for question in ("active_users", "lifecycle"):
        question_known(database, question, AS_OF)
    write_spells_of_nobody(database)
    digest = measure()
    assert digest.facts == ()
    assert digest.notes[0] == "No subscription ever had MRR."
    assert "Nobody has signed up yet." in digest.notes
    assert "Nobody has been active yet." in digest.notes


def write_spells_of_nobody(database):
    write(database, [spell("a", "2025-01-05", None, 1)])
    for table in ("mrr_spells", "mrr_daily"):
        run(database, f"delete from revenue.{table}")


# --- MRR --------------------------------------------------------------------------------------


def write(database, spells, *, as_of="2025-03-10", tz="UTC"):
    with database.connection() as connection:
        write_spells(connection, spells, as_of=as_of, tz=tz)


ENDED = {"ends_by": "voluntary"}
COMPANY = [
    spell("grew", "2025-02-16", "2025-03-04", 1_000),
    spell("grew", "2025-03-04", None, 1_500),
    spell("left", "2025-02-16", "2025-03-05", 2_000, **ENDED),
    spell("came", "2025-03-06", None, 700),
    spell("shrank", "2025-02-16", "2025-03-03", 900),
    spell("shrank", "2025-03-03", None, 600),
    spell("back", "2025-02-16", "2025-02-25", 300, currency="eur", **ENDED),
    spell("back", "2025-03-03", None, 400, currency="eur", item="si_back_2"),
    spell("yen", "2025-03-07", None, 5_000, currency="jpy"),
]


def test_a_change_of_mrr_is_the_sum_of_what_moved_it(database, measure):
    write(database, COMPANY)
    digest = measure(accounts=(ACCOUNT,))
    assert starts(digest, "mrr.usd") == [date(2025, 2, 16), date(2025, 2, 23), date(2025, 3, 2)]
    assert values(digest, "mrr.usd") == [3_900, 3_900, 2_800]
    assert values(digest, "customers.usd") == [3, 3, 3]
    assert values(digest, "mrr_new.usd") == [3_900, 0, 700]
    assert values(digest, "mrr_churn.usd") == [0, 0, -2_000]
    assert [(one.fact_id, one.contribution) for one in digest.by_id["mrr.usd"].drivers] == [
        ("mrr_churn.usd", -2_000),
        ("mrr_new.usd", 700),
        ("mrr_expansion.usd", 500),
        ("mrr_contraction.usd", -300),
        ("mrr_paused.usd", 0),
        ("mrr_reactivation.usd", 0),
        ("mrr_resumed.usd", 0),
    ]
    # Nothing was live in euros at the end of the week before.
    assert values(digest, "mrr.eur") == [300, 0, 400]
    assert values(digest, "mrr_churn.eur") == [0, -300, 0]
    assert values(digest, "mrr_reactivation.eur") == [0, 0, 400]
    assert values(digest, "customers.eur") == [1, 0, 1]
    assert values(digest, "mrr.jpy") == [0, 0, 5_000]
    assert values(digest, "mrr_new.jpy") == [0, 0, 5_000]
    for currency in ("usd", "eur", "jpy"):
        sizes = values(digest, f"mrr.{currency}")
        moved = [values(digest, f"mrr_{name}.{currency}") for name in MOVEMENTS]
        for place in (1, 2):
            change = sum(one[place] for one in moved)
            assert sizes[place] - sizes[place - 1] == change
        drivers = digest.by_id[f"mrr.{currency}"].drivers
        assert sum(one.contribution for one in drivers) == sizes[2] - sizes[1]
    source = digest.by_id["mrr.usd"].series.source
    assert (source.policy, source.table, source.receipt_id) == (
        *("growth@1", "revenue.mrr_spells", "x"),
    )


@pytest.mark.parametrize(
    ("tz", "as_of"), [("UTC", "2025-03-08"), ("America/New_York", "2025-03-09")]
)
def test_mrr_of_a_week_that_its_policy_does_not_know_yet_is_open(database, measure, tz, as_of):
    write(database, COMPANY, as_of=as_of, tz=tz)
    digest = measure(accounts=(ACCOUNT,), revenue_tz="Asia/Kolkata")
    why = (State.OPEN, f"known only up to {as_of} 00:00 UTC")
    for name in ("mrr", "customers", *(f"mrr_{one}" for one in MOVEMENTS)):
        assert opened(digest, f"{name}.usd") == why
    assert values(digest, "mrr.usd")[:-1] == [3_900, 3_900]
    assert digest.by_id["mrr.usd"].drivers == ()
    assert digest.by_id["mrr.usd"].series.source.tz == tz


def test_mrr_by_day_that_differs_takes_the_movements_of_its_currency_with_a_note(database, measure):
    write(database, COMPANY)
    run(
        database,
        "update revenue.mrr_daily set mrr_minor = mrr_minor + 1"
        " where currency = 'usd' and day = '2025-03-01'",
    )
    digest = measure(accounts=(ACCOUNT,))
    assert [note for note in digest.notes if "growth mrr refresh" in note] == [
        "MRR by week and by day differ in usd, so its movements are left out: "
        "growth mrr refresh publishes both again."
    ]
    assert {one for one in digest.by_id if one.endswith(".usd")} == {"mrr.usd", "customers.usd"}
    assert values(digest, "mrr.usd") == [3_900, 3_900, 2_800]
    assert digest.by_id["mrr.usd"].drivers == ()
    assert values(digest, "mrr_reactivation.eur") == [0, 0, 400]
    # Days on which nothing is asked may differ: only ends of weeks are told.
    write(database, COMPANY)
    run(database, "update revenue.mrr_daily set mrr_minor = 0 where day = '2025-03-05'")
    assert values(measure(accounts=(ACCOUNT,)), "mrr_churn.usd") == [0, 0, -2_000]


def test_an_unknown_price_makes_mrr_of_its_currency_unknown(database, measure):
    write(database, [*COMPANY, spell("odd", "2025-03-04", None, None, contract=None)])
    digest = measure(accounts=(ACCOUNT,))
    last = digest.by_id["mrr.usd"].series.last
    assert (last.value, last.state, last.reason) == (
        *(None, State.CLOSED, "an item has an unknown price"),
    )
    assert values(digest, "mrr.usd")[:2] == [3_900, 3_900]
    assert values(digest, "mrr.eur") == [300, 0, 400]
    assert digest.by_id["mrr.usd"].drivers == ()
    assert any("the price of an item in usd is unknown" in note for note in digest.notes)


# --- audits -----------------------------------------------------------------------------------


def audit(account, verdict, month, *, finished, tz="UTC", livemode=False):
    return {
        "audit_id": uuid4(),
        "account_id": account,
        "livemode": livemode,
        "month": month,
        "definition": "d",
        "state": "open",
        "as_of": finished,
        "started_at": finished,
        "finished_at": finished,
        "verdict": verdict,
        "counts": {},
        "totals": {},
        "sources": {},
        "tz": tz,
    }


def finding(of, name, severity, *, suppression=None, closed_at=None):
    return {
        **{key: of[key] for key in ("account_id", "livemode", "month", "tz", "audit_id")},
        "fingerprint": name,
        "code": "x",
        "severity": severity,
        "object": "charge",
        "object_id": "ch",
        "cause": "c",
        "action": "a",
        "command": "k",
        "evidence": {},
        "first_seen_at": AS_OF,
        "last_seen_at": AS_OF,
        "closed_at": closed_at,
        "suppression": suppression,
    }


def test_audits_of_two_accounts_the_worst_verdict_and_all_open_findings(database, measure):
    march, february = date(2025, 3, 1), date(2025, 2, 1)
    early, late = utc("2025-03-07T06:00"), utc("2025-03-08T06:00")
    old = audit("self", "FAIL", march, finished=early)
    mine = audit("self", "PASS", march, finished=late)
    other = audit("acct_2", "WARNING", march, finished=early)
    past = audit("acct_2", "FAIL", february, finished=late)
    stranger = audit("stranger", "FAIL", march, finished=late)
    live = audit("self", "FAIL", march, finished=late, livemode=True)
    put(database, "audit.audits", old, mine, other, past, stranger, live)
    put(
        database,
        "audit.findings",
        finding(mine, "f1", "LOW"),
        finding(mine, "f2", "HIGH", suppression={"reason": "known"}),
        finding(mine, "f3", "HIGH", closed_at=late),
        finding(other, "f4", "HIGH"),
        finding(other, "f5", "LOW"),
        finding(past, "f6", "HIGH"),
        finding(past, "f7", "MEDIUM"),
        finding(stranger, "f8", "HIGH"),
        finding(live, "f9", "HIGH"),
    )
    digest = measure(accounts=("self", "acct_2"))
    assert [(one.status_id, one.value, one.detail, one.as_of) for one in digest.statuses] == [
        ("audit.2025-03", "WARNING", "1 HIGH, 0 MEDIUM, 2 LOW open", early),
        ("audit.2025-02", "FAIL", "1 HIGH, 1 MEDIUM, 0 LOW open", late),
    ]
    high = digest.by_id["audit.high"]
    assert (high.value, high.series.source.as_of, high.before.change) == (2, early, None)
    assert not any("was not audited" in note for note in digest.notes)


# --- what changed in past numbers --------------------------------------------------------------


def test_only_the_one_closed_value_that_changed_is_restated(database, measure):
    cohorts_known(database, AS_OF)
    days = [date(2025, 2, 16), date(2025, 2, 25), date(2025, 3, 4)]
    put(database, "cohorts.user_cohorts", *(signup(n, day) for n, day in enumerate(days)))
    put(database, "billing.payments", payment("a", 900, utc("2025-02-16T12:00")))
    write(database, COMPANY)
    told = told_by(measure(accounts=("self", ACCOUNT)))
    assert measure(accounts=("self", ACCOUNT), previous=told).restated == ()
    put(database, "cohorts.user_cohorts", signup(9, date(2025, 2, 26)))
    (one,) = measure(accounts=("self", ACCOUNT), previous=told).restated
    assert (one.fact_id, one.start, one.before, one.now, one.reason) == (
        *("signups", date(2025, 2, 23), 1, 2, ACTIVITY_LATER),
    )
    run(database, "delete from cohorts.user_cohorts where user_number = 9")
    run(database, "update billing.payments set amount_minor = 901")
    (one,) = measure(accounts=("self", ACCOUNT), previous=told).restated
    assert (one.fact_id, one.start, one.before, one.now, one.reason, one.currency) == (
        *("payments.usd", date(2025, 2, 16), 900, 901, PAID_LATER, "usd"),
    )


def test_a_value_that_was_open_when_it_was_told_is_not_restated(database, measure):
    cohorts_known(database, BEHIND)
    put(database, "cohorts.user_cohorts", signup(1, date(2025, 2, 23)))
    told = told_by(measure())
    assert [one["value"] for one in told["facts"][0]["points"]] == [1, None]
    run(database, "update cohorts.definitions set as_of = %s", [AS_OF])
    digest = measure(previous=told)
    assert (values(digest, "signups"), digest.restated) == ([1, 0], ())
    # Nor is one that nobody can tell any more because its source is behind again.
    told = told_by(digest)
    run(database, "update cohorts.definitions set as_of = %s", [BEHIND])
    assert measure(previous=told).restated == ()


@pytest.mark.parametrize(
    ("noted", "currency", "reason"),
    [
        (NOW + timedelta(hours=1), "usd", TOLD_LATER),
        (NOW - timedelta(hours=1), "usd", OTHERWISE),  # before the digest that is compared
        (NOW + timedelta(hours=1), "eur", OTHERWISE),
    ],
)
def test_restated_mrr_says_whether_stripe_told_of_it_later(
    database, measure, noted, currency, reason
):
    write(database, COMPANY)
    told = told_by(measure(accounts=(ACCOUNT,)))
    put(
        database,
        "revenue.restatements",
        {
            "policy": "growth@1",
            "account_id": ACCOUNT,
            "customer_id": "left",
            "currency": currency,
            "period_start": date(2025, 2, 1),
            "before_minor": 2_000,
            "now_minor": 2_100,
            "told_by": ["evt_9"],
            "known_before": NOW,
            "known_at": noted,
            "noted_at": noted,
        },
    )
    changed = [{**row, "minor": 2_100} if row["customer_id"] == "left" else row for row in COMPANY]
    write(database, changed)
    found = measure(accounts=(ACCOUNT,), previous=told, now=NOW + timedelta(hours=2)).restated
    assert [(one.fact_id, one.start.day, one.before, one.now) for one in found] == [
        ("mrr.usd", 16, 3_900, 4_000),
        ("mrr.usd", 23, 3_900, 4_000),
        ("mrr_new.usd", 16, 3_900, 4_000),
        ("mrr_churn.usd", 2, -2_000, -2_100),
    ]
    assert {one.reason for one in found} == {reason}


def test_numbers_of_another_zone_say_that_they_are(database, measure):
    put(
        database,
        "billing.payments",
        payment("a", 1, utc("2025-02-14T12:00")),
        payment("b", 2, utc("2025-02-28T12:00")),
        payment("c", 4, utc("2025-03-02T05:00")),
    )
    told = told_by(measure(now=AS_OF + DAY))
    found = measure(now=AS_OF + DAY, revenue_tz="America/Los_Angeles", previous=told).restated
    assert [(one.fact_id, one.start.day, one.before, one.now) for one in found] == [
        *(("payments.usd", 23, 2, 6), ("payments.usd", 2, 4, 0)),
        *(("payment_count.usd", 23, 1, 2), ("payment_count.usd", 2, 1, 0)),
    ]
    assert {one.reason for one in found} == {MEASURED_OTHERWISE}


def test_a_funnel_whose_number_moved_is_not_compared(database, measure):
    week = date(2025, 2, 3)

    def funnel(name, *users):
        question_known(database, "funnel", AS_OF, name=name)
        put(
            database,
            "cohorts.funnels",
            *(stage(name, week, n, f"{name} {n}", count) for n, count in enumerate(users, start=1)),
        )

    funnel("buying", 40, 10)
    told = told_by(measure())
    funnel("asking", 50, 30)  # before the other: it is number 1 now
    digest = measure(previous=told)
    assert values(digest, "funnel.1.2") == [Decimal("0.6")]
    assert values(digest, "funnel.2.2") == [Decimal("0.25")]
    assert digest.restated == ()
    told = told_by(digest)
    run(database, "update cohorts.funnels set users = 12 where funnel = 'buying' and stage = 2")
    (one,) = measure(previous=told).restated
    assert (one.fact_id, one.before, one.now) == ("funnel.2.2", Decimal("0.25"), Decimal("0.3"))
    assert one.reason == ACTIVITY_LATER


# --- the last week that is over ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "midnight", "week_start", "end"),
    [
        ("UTC", "2025-03-09T00:00", "sunday", "2025-03-09"),
        ("UTC", "2025-03-10T00:00", "monday", "2025-03-10"),
        ("America/Los_Angeles", "2025-03-09T08:00", "sunday", "2025-03-09"),  # then clocks change
        ("America/Los_Angeles", "2025-03-16T07:00", "sunday", "2025-03-16"),
        ("America/Los_Angeles", "2025-11-02T07:00", "sunday", "2025-11-02"),
        ("America/Los_Angeles", "2025-11-09T08:00", "sunday", "2025-11-09"),
        ("America/Los_Angeles", "2025-11-03T08:00", "monday", "2025-11-03"),
        ("Asia/Kolkata", "2025-03-08T18:30", "sunday", "2025-03-09"),
        # Clocks that skip midnight, and clocks that show the hour before it twice.
        ("America/Asuncion", "2023-10-01T04:00", "sunday", "2023-10-01"),
        ("America/Asuncion", "2024-03-24T04:00", "sunday", "2024-03-24"),
    ],
)
def test_a_week_is_over_with_the_last_second_of_its_last_day(tz, midnight, week_start, end):
    instant, day = utc(midnight), date.fromisoformat(end)
    least = timedelta(microseconds=1)
    given = {"tz": tz, "week_start": week_start}
    assert last_week_end(instant, **given) == day
    assert last_week_end(instant - least, **given) == day - 7 * DAY
    assert last_week_end(instant + 6 * DAY, **given) == day
