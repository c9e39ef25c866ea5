"""The hourly look at journeys, on a real Postgres with rows as the sources write them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from growth_pipeline.lifecycle.journeys.model import Audience, DoesEvent, EntersStage, SendingPolicy
from growth_pipeline.lifecycle.journeys.plan import is_held_out
from growth_pipeline.lifecycle.journeys.store import plan_messages
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.lifecycle.refresh.refresh import refresh_stages
from growth_pipeline_tests.lifecycle.journeys.lives import DAYTIME, a_journey, a_step, at
from growth_pipeline_tests.lifecycle.lifecycle_company import RULES, SCOPE, Company

NEW = a_journey(
    "welcome",
    trigger=EntersStage("signed_up"),
    steps=(a_step("hello", 0.25), a_step("help", 2)),
    goal=DoesEvent("Project Created"),
    exits=("dormant",),
)


@pytest.fixture
def company(database_url):
    made = Company(database_url)
    yield made
    made.close()


def refresh(database, now):
    return refresh_stages(database, [SCOPE], RULES, now=now)


def plan(database, now, journeys=(NEW,), policy=DAYTIME, *, send=True, **options):
    return plan_messages(database, journeys, policy, RULES, now=now, send=send, **options)


def outbox(company, columns="message, state"):
    return company.rows(f"select {columns} from lifecycle.outbox order by message_id")


def enrolments(company):
    return company.rows(
        "select n.user_id, e.journey, e.state, e.next_step, e.next_at from lifecycle.enrolments as e"
        " inner join activity.user_numbers as n using (user_number) order by 1, 2"
    )


def test_a_user_goes_through_a_journey_hour_by_hour_and_each_message_is_written_once(
    database, company
):
    company.sign_up("ann", date(2026, 3, 1))
    written = []
    now = at(1)
    while now <= at(7):
        refresh(database, now)
        written += [(now, message) for message in plan(database, now).messages.elements()]
        now += timedelta(hours=1)
    # signed_up at the end of 1 March; 6 hours; 2 days after that.
    assert written == [(at(2, 6), "welcome/hello"), (at(4, 6), "welcome/help")]
    assert outbox(
        company, "message, state, action, target, basis, trigger_at, due_at, late_at"
    ) == [
        *[
            (
                "welcome/hello",
                "pending",
                "tag",
                "growth/hello",
                "consent",
                at(2),
                at(2, 6),
                at(5, 6),
            )
        ],
        *[("welcome/help", "pending", "tag", "growth/help", "consent", at(2), at(4, 6), at(7, 6))],
    ]
    assert enrolments(company) == [("ann", "welcome", "finished", 2, None)]


def test_without_send_the_same_is_told_and_nothing_is_kept(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2, 7))
    dry = plan(database, at(2, 7), send=False)
    assert (enrolments(company), outbox(company)) == ([], [])
    assert company.rows("select count(*) from lifecycle.readings where what = 'plan'") == [(0,)]
    wet = plan(database, at(2, 7))
    told, kept = dry.to_dict(), wet.to_dict()
    assert (told.pop("is_dry"), kept.pop("is_dry")) == (True, False)
    assert told == kept
    assert told["messages"] == {"welcome/hello": 1}
    assert "dry run" in dry.in_words()
    assert outbox(company) == [("welcome/hello", "pending")]


def test_only_users_with_news_or_a_due_step_are_looked_at(database, company):
    for number in range(30):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    refresh(database, at(2))
    assert plan(database, at(2)).looked_at == 30
    assert plan(database, at(2, 4)).looked_at == 30  # rows may become visible an hour late
    assert plan(database, at(2, 5)).looked_at == 0  # the first step is due at 6
    assert plan(database, at(2, 6)).looked_at == 30
    company.tell("u7", "Project Created", at(2, 7, 30))
    company.tell("u8", "Report Viewed", at(2, 7, 30))  # no journey asks for it
    assert plan(database, at(2, 9)).looked_at == 1
    assert plan(database, at(2, 20)).looked_at == 0


def test_the_goal_ends_a_journey_and_a_message_that_waits_is_not_sent(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(2, 6))
    company.tell("ann", "Project Created", at(2, 6, 30))
    plan(database, at(2, 7))
    assert outbox(company, "message, state, reason") == [
        ("welcome/hello", "skipped", "journey_ended")
    ]
    assert enrolments(company) == [("ann", "welcome", "goal", 1, None)]
    assert company.rows("select goal_at from lifecycle.enrolments") == [(at(2, 6, 30),)]


def test_the_goal_after_the_last_step_takes_its_waiting_message_back_too(database, company):
    short = replace(NEW, steps=(a_step("hello", 0),))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(2), [short])
    assert enrolments(company) == [("ann", "welcome", "finished", 1, None)]
    company.tell("ann", "Project Created", at(2, 6, 30))
    plan(database, at(2, 7), [short])
    assert outbox(company) == [("welcome/hello", "skipped")]
    assert enrolments(company) == [("ann", "welcome", "goal", 1, None)]


def test_an_event_of_an_id_that_was_merged_is_the_users(database, company):
    journey = a_journey("merged", trigger=DoesEvent("Import Started"), steps=(a_step("one", 0),))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    company.rows(
        "insert into activity.merged_ids (merged_key, user_key)"
        " values (activity.user_key('anon'), activity.user_key('ann')) returning 1"
    )
    company.tell(None, "Import Started", at(3, 5), anonymous="anon")
    assert plan(database, at(3, 6), [journey]).messages == {"merged/one": 1}


def test_who_did_the_event_on_the_first_day_enters_when_that_day_is_over(database, company):
    journey = a_journey("made", trigger=DoesEvent("Project Created"), steps=(a_step("one", 0),))
    company.sign_up("ann", date(2026, 3, 1))
    company.tell("ann", "Project Created", at(1, 15))
    refresh(database, at(1, 16))
    assert plan(database, at(1, 16), [journey]).looked_at == 0  # no stage yet
    refresh(database, at(2, 1))
    assert plan(database, at(2, 1), [journey]).messages == {"made/one": 1}


def test_a_change_that_came_to_be_known_late_begins_nothing(database, company):
    for user, day in (("old", date(2026, 3, 1)), ("new", date(2026, 3, 3))):
        company.sign_up(user, day)
    refresh(database, at(5))  # the first refresh of all: 1 March ended 3 days ago, to the second
    plan(database, at(5, 1))
    assert [row[0] for row in enrolments(company)] == ["new"]


def test_late_facts_take_a_journey_back(database, company):
    gone = a_journey("gone", trigger=EntersStage("dormant"), steps=(a_step("come-back", 2),))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(32))  # dormant on 31 March
    plan(database, at(32), [gone])
    assert enrolments(company) == [("ann", "gone", "active", 0, at(34))]
    company.tell("ann", "Report Viewed", at(20), received=at(32, 5))
    refresh(database, at(32, 6))
    plan(database, at(34), [gone])
    assert outbox(company) == []
    assert enrolments(company) == [("ann", "gone", "exited", 0, None)]


def test_whoever_is_held_out_gets_nothing_and_the_others_do(database, company):
    journey = replace(NEW, holdout=0.5, steps=(a_step("hello", 0),))
    for number in range(40):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    refresh(database, at(2))
    planned = plan(database, at(2), [journey])
    keys = company.rows("select user_id, user_key from activity.user_numbers")
    held = {user for user, key in keys if is_held_out(journey, bytes(key))}
    assert 8 <= len(held) <= 32
    assert planned.held_out == {"welcome": len(held)}
    got = company.rows(
        "select n.user_id from lifecycle.outbox as o inner join activity.user_numbers as n"
        " on n.user_key = o.user_key"
    )
    assert {user for (user,) in got} == {user for user, _ in keys} - held


def test_an_excluded_user_leaves_every_journey_and_gets_no_message_that_waits(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    company.sign_up("bob", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(2, 6))
    company.rows(
        "insert into activity.excluded_users (user_key, reason)"
        " values (activity.user_key('ann'), 'test') returning 1"
    )
    refresh(database, at(2, 7))
    plan(database, at(2, 7))
    assert outbox(company, "state, reason") == [("skipped", "excluded"), ("pending", "")]
    assert [row[:3] for row in enrolments(company)] == [
        ("ann", "welcome", "exited"),
        ("bob", "welcome", "active"),
    ]


def test_a_message_that_waits_counts_for_the_cap_however_long_it_waits(database, company):
    policy = replace(DAYTIME, cap_messages=1, cap_days=1)
    first = a_journey("first", trigger=EntersStage("signed_up"), steps=(a_step("one", 0),))
    second = a_journey("second", trigger=DoesEvent("Came"), steps=(a_step("two", 0),))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(2), [first, second], policy)
    company.tell("ann", "Came", at(4))  # Kit is down since 2 March
    planned = plan(database, at(4), [first, second], policy)
    assert (planned.messages, planned.held_back) == ({}, {"cap": 1})
    company.rows(
        "update lifecycle.outbox set state = 'sent', called_at = %s, sent_at = %s returning 1",
        at(4, 0, 30),
        at(4, 0, 30),
    )
    assert plan(database, at(4, 12), [first, second], policy).messages == {}
    assert plan(database, at(5, 1), [first, second], policy).messages == {"second/two": 1}


def test_a_message_that_was_skipped_frees_its_place(database, company):
    policy = replace(DAYTIME, cap_messages=1)
    first = a_journey("first", trigger=EntersStage("signed_up"), steps=(a_step("one", 0),))
    second = a_journey("second", trigger=DoesEvent("Came"), steps=(a_step("two", 0),))
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(2), [first, second], policy)
    company.rows("update lifecycle.outbox set state = 'skipped' returning 1")
    company.tell("ann", "Came", at(4))
    assert plan(database, at(4), [first, second], policy).messages == {"second/two": 1}


def test_quiet_hours_are_those_of_the_zone_that_the_users_calls_told(database, company):
    policy = SendingPolicy(quiet_from=time(21), quiet_until=time(8))
    journey = replace(NEW, steps=(a_step("hello", 0),))
    for user, zone in (("ann", "Asia/Tokyo"), ("bob", "Mars/Olympus")):
        company.sign_up(user, date(2026, 3, 1), context={"timezone": zone})
    refresh(database, at(2))
    planned = plan(database, at(2), [journey], policy)  # 9:00 in Tokyo
    assert (planned.messages, planned.held_back) == ({"welcome/hello": 1}, {"quiet_hours": 1})
    assert enrolments(company)[1] == ("bob", "welcome", "active", 0, at(2, 8))
    assert plan(database, at(2, 8), [journey], policy).messages == {"welcome/hello": 1}
    assert outbox(company, "due_at, quiet_at") == [(at(2), at(2, 12)), (at(2, 8), at(2, 21))]


def test_a_message_that_could_not_be_sent_in_time_waits_out_the_quiet_hours(database, company):
    """By the clock of the database: hours are quiet from 6 hours before now until 6 hours after."""
    now = datetime.now(UTC).replace(microsecond=0)
    company.sign_up("ann", now.date() - timedelta(days=1), received=now - timedelta(hours=1))
    refresh(database, now)
    journey = replace(NEW, steps=(a_step("hello", 0),))
    plan(database, now, [journey])
    company.rows("update lifecycle.outbox set quiet_at = %s returning 1", now)
    assert OutboxStore(database).claim() is None  # quiet since now
    begins, ends = (now - timedelta(hours=6)).time(), (now + timedelta(hours=6)).time()
    night = replace(DAYTIME, quiet_from=begins, quiet_until=ends)
    plan(database, now, [journey], night)
    after = now + timedelta(hours=6)
    assert outbox(company, "state, due_at, quiet_at") == [
        ("pending", after, after + timedelta(hours=12))
    ]
    plan(database, after, [journey])  # hours are not quiet any more
    assert outbox(company, "due_at, quiet_at") == [(after, None)]


def test_two_looks_at_once_write_each_message_once(database, company):
    journey = replace(NEW, steps=(a_step("hello", 0),))
    for number in range(200):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    refresh(database, at(2))
    done = []

    def look():
        done.append(plan(database, at(2), [journey], batch=20).messages.total())

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(done), len(outbox(company))) == (200, 200)


def test_a_look_that_died_is_made_up_for_by_the_next(database, company):
    journey = replace(NEW, steps=(a_step("hello", 0),))
    for number in range(30):
        company.sign_up(f"u{number}", date(2026, 3, 1))
    refresh(database, at(2))
    company.connection.execute(
        "alter table lifecycle.outbox add constraint dies check (user_number <> 25)"
    )
    with pytest.raises(Exception, match="dies"):
        plan(database, at(2), [journey], batch=10)
    assert len(outbox(company)) == len(enrolments(company)) == 20  # whole batches only
    company.connection.execute("alter table lifecycle.outbox drop constraint dies")
    assert plan(database, at(2, 1), [journey], batch=10).messages.total() == 10
    assert len(outbox(company)) == len(enrolments(company)) == 30


def test_a_clock_that_was_ahead_once_hides_no_news(database, company):
    company.sign_up("ann", date(2026, 3, 1))
    refresh(database, at(2))
    plan(database, at(60))
    company.sign_up("bob", date(2026, 3, 2))
    refresh(database, at(3))
    assert plan(database, at(3)).entered == {"welcome": 1}


def test_a_score_is_that_of_the_day_before(database, company):
    asked = Audience(scores=(1, 100), active_within_days=2)
    journey = a_journey(
        "active", trigger=DoesEvent("Came"), audience=asked, steps=(a_step("one", 0),)
    )
    for user in ("ann", "bob"):
        company.sign_up(user, date(2026, 3, 1))
    company.tell("ann", "Report Viewed", at(9, 12))  # bob did nothing since 1 March
    refresh(database, at(10))
    for user in ("ann", "bob"):
        company.tell(user, "Came", at(10, 1))
    planned = plan(database, at(10, 2), [journey])
    assert planned.looked_at == 2
    assert [row[0] for row in enrolments(company)] == ["ann"]
