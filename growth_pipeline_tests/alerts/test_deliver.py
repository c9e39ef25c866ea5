"""The outbox on a real Postgres and delivery through channels that fail: none lost, none doubled."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.alerts.decide import Alert
from growth_pipeline.alerts.deliver import (
    CLAIM_LEASE,
    SETTLE_AFTER,
    ChannelRefusedError,
    OutcomeUnknownError,
    Sent,
    deliver,
    pause_after,
)
from growth_pipeline.alerts.limits import CALL_LEASE
from growth_pipeline.alerts.store import AlertStore

NOW = datetime(2025, 11, 1, 0, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
SETTLED = NOW + SETTLE_AFTER
MUCH_LATER = NOW + CLAIM_LEASE + timedelta(seconds=1)


class FakeChannel:
    """Takes alerts, or fails as told: one word a call."""

    audiences = frozenset({"all"})
    rates = ()
    requests = 1
    pictures = False
    threads = False

    def __init__(self, name="slack", *, batch=20, outcomes=(), readable=False):
        self.name, self.batch, self.outcomes = name, batch, list(outcomes)
        self.readable, self.taken, self.told_again = readable, [], []

    def send(self, alerts):
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if outcome == "refused":
            raise ChannelRefusedError("the channel says no", remedy="wait")
        if outcome == "refused for an hour":
            raise ChannelRefusedError("too many", retry_after=timedelta(hours=1))
        if outcome == "refused one":
            raise ChannelRefusedError("this one is wrong", blocks_channel=False)
        if outcome != "lost before":
            self.taken += [alert.alert_key for alert in alerts if not alert.repeated]
            self.told_again += [alert.alert_key for alert in alerts if alert.repeated]
        if outcome in ("lost before", "lost after"):
            raise OutcomeUnknownError("no answer")
        return Sent("made")

    def find(self, alert):
        if not self.readable:
            raise OutcomeUnknownError("it cannot be read back")
        return "made" if alert.alert_key in self.taken else None


def an_alert(number=1, kind="failed_check", **changes):
    return Alert(f"key-{number}", kind, f"f{number}", f"problem {number}", "body", **changes)


def add(store, *alerts, channels=("slack",)):
    wanted = [FakeChannel(name) for name in channels]
    return store.add([], lambda known: alerts, channels=wanted, now=NOW)


def send_what_waits(store, *channels, at=NOW):
    return deliver(store, channels, clock=lambda: at, pause=lambda seconds: None)


def states(database):
    with database.connection() as connection:
        rows = connection.execute(
            "select channel, alert_key, state from alerts.outbox order by 1, 2"
        )
        return {(channel, key): state for channel, key, state in rows}


@pytest.fixture
def store(database):
    return AlertStore(database)


def test_an_intent_is_one_row_a_channel_and_the_same_decision_adds_none(store, database):
    assert add(store, an_alert(), channels=("log", "slack", "github")) == 3
    assert add(store, an_alert(), channels=("log", "slack", "github")) == 0
    assert set(states(database).values()) == {"pending"}


def test_a_decision_sees_what_was_last_said_about_each_fingerprint(store):
    add(store, an_alert(1), channels=("log", "slack"))
    add(store, Alert("key-9", "recovery", "f1", "Recovered: problem 1", ""), channels=("log",))
    seen = {}
    store.add(["f1", "f2"], lambda known: seen.update(known) or [], channels=(), now=NOW)
    (problem,) = seen.values()
    assert (problem.fingerprint, problem.title) == ("f1", "problem 1")
    assert not problem.is_open
    assert store.open_problems() == []


def test_a_problem_that_returns_begins_anew_and_one_that_lasts_keeps_its_beginning(store):
    for hour, alert in enumerate(
        [an_alert(1), Alert("k2", "failed_check", "f1", "grown", "", level="MEDIUM")]
    ):
        at = NOW + timedelta(hours=hour)
        store.add([], lambda known, alert=alert: [alert], channels=(), now=at)
    (problem,) = store.open_problems()
    assert (problem.title, problem.level, problem.opened_at) == ("grown", "MEDIUM", NOW)
    for hour, kind in enumerate(["recovery", "failed_check"], start=5):
        alert = Alert(f"k{hour}", kind, "f1", "back", "")
        at = NOW + timedelta(hours=hour)
        store.add([], lambda known, alert=alert: [alert], channels=(), now=at)
    (problem,) = store.open_problems()
    assert problem.opened_at == NOW + timedelta(hours=6)


def test_an_alert_goes_to_the_channels_of_its_audience(store, database):
    stream, thread = FakeChannel("slack"), FakeChannel("github")
    stream.audiences, thread.audiences = {"all", "messages"}, {"all", "issues"}
    alerts = [
        an_alert(1),
        an_alert(2, audience="issues"),
        an_alert(3, kind="summary", audience="messages"),
    ]
    store.add([], lambda known: alerts, channels=[stream, thread], now=NOW)
    assert sorted(states(database)) == [
        ("github", "key-1"),
        ("github", "key-2"),
        ("slack", "key-1"),
        ("slack", "key-3"),
    ]


def test_two_runs_that_end_together_decide_one_after_the_other(store):
    started, decided = threading.Event(), []

    def first(last):
        started.set()
        decided.append(("first", dict(last)))
        return [an_alert(1)]

    def second(last):
        decided.append(("second", dict(last)))
        return []

    threads = [
        threading.Thread(
            target=store.add, args=(["f1"], first), kwargs={"channels": (), "now": NOW}
        )
    ]
    threads[0].start()
    started.wait(10)
    store.add(["f1"], second, channels=(), now=NOW)
    threads[0].join()
    assert [name for name, _ in decided] == ["first", "second"]
    assert decided[1][1]["f1"].title == "problem 1"


def test_what_waits_is_sent_in_as_few_calls_as_the_channel_allows(store, database):
    add(store, *(an_alert(number) for number in range(30)))
    channel = FakeChannel(batch=20)
    delivered = send_what_waits(store, channel)
    assert (delivered.sent, delivered.waiting, delivered.unknown) == (30, 0, 0)
    assert len(channel.taken) == len(set(channel.taken)) == 30
    assert set(states(database).values()) == {"sent"}
    assert send_what_waits(store, channel, at=LATER).sent == 0


def test_a_dead_channel_keeps_its_alerts_and_stops_no_other(store, database):
    add(store, an_alert(1), an_alert(2), channels=("github", "log"))
    dead = FakeChannel("github", batch=1, outcomes=["refused"] * 9)
    living = FakeChannel("log", batch=1)
    delivered = send_what_waits(store, dead, living)
    assert (delivered.sent, delivered.waiting) == (2, 1)
    assert delivered.errors["github"].message == "the channel says no"
    assert states(database)["github", "key-1"] == states(database)["github", "key-2"] == "pending"
    dead.outcomes = []
    assert send_what_waits(store, dead).sent == 0, "it is left alone for a while"
    assert send_what_waits(store, dead, at=LATER).sent == 2
    assert sorted(dead.taken) == ["key-1", "key-2"]


def test_one_wrong_alert_does_not_hold_up_the_next(store):
    add(store, an_alert(1), an_alert(2))
    channel = FakeChannel(batch=1, outcomes=["refused one"])
    delivered = send_what_waits(store, channel)
    assert (delivered.sent, delivered.waiting) == (1, 1)
    assert channel.taken == ["key-2"]


@pytest.mark.parametrize("outcome", ["lost before", "lost after"])
def test_a_channel_that_cannot_be_read_back_is_told_once_that_an_answer_was_lost(
    store, database, outcome
):
    add(store, an_alert(1))
    channel = FakeChannel(outcomes=[outcome])
    send_what_waits(store, channel)
    soon = send_what_waits(store, channel, at=LATER)
    assert (soon.sent, soon.unknown, channel.told_again) == (0, 1, [])
    for minutes in (11, 12, 30):
        send_what_waits(store, channel, at=NOW + timedelta(minutes=minutes))
    assert channel.taken == (["key-1"] if outcome == "lost after" else [])
    assert channel.told_again == ["key-1"]
    assert states(database)["slack", "key-1"] == "sent"


def test_what_was_told_again_and_refused_is_still_of_unknown_outcome(store, database):
    add(store, an_alert(1))
    channel = FakeChannel(outcomes=["lost before", "refused"])
    send_what_waits(store, channel)
    send_what_waits(store, channel, at=MUCH_LATER)
    assert states(database)["slack", "key-1"] == "unknown"
    send_what_waits(store, channel, at=MUCH_LATER + timedelta(minutes=11))
    assert (channel.taken, channel.told_again) == ([], ["key-1"])


@pytest.mark.parametrize("outcome", ["lost before", "lost after"])
def test_a_channel_that_can_be_read_back_gets_each_alert_exactly_once(store, database, outcome):
    add(store, an_alert(1), channels=("github",))
    channel = FakeChannel("github", batch=1, outcomes=[outcome], readable=True)
    send_what_waits(store, channel)
    send_what_waits(store, channel, at=SETTLED)
    assert channel.taken == ["key-1"]
    assert states(database)["github", "key-1"] == "sent"


def test_an_unknown_outcome_is_not_read_back_before_it_can_have_taken_effect(store, database):
    add(store, an_alert(1), an_alert(2), channels=("github",))
    channel = FakeChannel("github", batch=1, outcomes=["lost before"], readable=True)
    channel.threads = True
    send_what_waits(store, channel)
    send_what_waits(store, channel, at=SETTLED - timedelta(seconds=1))
    assert states(database)["github", "key-1"] == "unknown"
    assert channel.taken == ["key-2"], "another problem does not wait for it"
    send_what_waits(store, channel, at=SETTLED)
    assert channel.taken == ["key-2", "key-1"]


def test_an_issue_that_github_makes_after_our_timeout_is_not_made_again(
    store, github, github_channel
):
    add(store, an_alert(1), channels=("github",))
    github.faults = ["late"]
    for seconds in (0, 10, 30, 60, 120, 180, 240):
        github.ahead = seconds
        send_what_waits(store, github_channel, at=NOW + timedelta(seconds=seconds))
    github.catch_up()
    assert len(github.issues) == 1
    assert store.unsent(1) == []


def test_one_alert_that_cannot_be_read_back_stays_unknown_and_holds_up_no_other(store, database):
    add(store, an_alert(1), channels=("github",))
    channel = FakeChannel("github", batch=1, outcomes=["lost before"], readable=True)
    channel.threads = True
    send_what_waits(store, channel)
    add(store, an_alert(2), channels=("github",))
    channel.find = FakeChannel(readable=False).find
    delivered = send_what_waits(store, channel, at=SETTLED)
    assert (delivered.sent, delivered.unknown) == (1, 1)
    assert states(database)["github", "key-1"] == "unknown"


def test_an_alert_claimed_by_a_deliverer_that_died_is_told_again_after_its_lease(store, database):
    add(store, an_alert(1))
    channel = FakeChannel()
    assert len(store.claim(channel, now=NOW)) == 1
    send_what_waits(store, channel, at=LATER)
    assert states(database)["slack", "key-1"] == "sending"
    assert send_what_waits(store, channel, at=MUCH_LATER).sent == 1
    assert (channel.taken, channel.told_again) == ([], ["key-1"])


def test_what_the_channel_called_the_first_alert_is_told_with_the_next(store):
    add(store, an_alert(1), channels=("github",))
    send_what_waits(store, FakeChannel("github", batch=1))
    store.add(
        [],
        lambda known: [Alert("key-2", "failed_check", "f1", "again", "")],
        channels=[FakeChannel("github")],
        now=LATER,
    )
    (waiting,) = store.claim(FakeChannel("github"), now=LATER)
    assert waiting.known_as == "made"


def test_four_deliverers_at_once_send_each_alert_once(store, database):
    add(store, *(an_alert(number) for number in range(60)))
    channels = [FakeChannel(batch=3) for _ in range(4)]
    threads = [threading.Thread(target=send_what_waits, args=(store, one)) for one in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send_what_waits(store, channels[0])  # what a deliverer without patience has left
    taken = [key for channel in channels for key in channel.taken]
    assert sorted(taken) == sorted(f"key-{number}" for number in range(60))
    assert set(states(database).values()) == {"sent"}


def test_a_thousand_alerts_are_one_message(store, slack, slack_channel):
    add(store, *(an_alert(number) for number in range(1000)))
    assert send_what_waits(store, slack_channel).sent == 1000
    assert len(slack.messages) == 1


def test_six_messages_take_more_than_a_minute_of_slack(store, slack, slack_channel, clock):
    for number in range(6):
        add(store, an_alert(number))
        deliver(store, [slack_channel], clock=clock, pause=clock.pause)
    assert len(slack.messages) == 5
    clock.pause(60)
    deliver(store, [slack_channel], clock=clock, pause=clock.pause)
    assert len(slack.messages) == 6


def test_a_call_of_another_process_is_waited_for_and_one_that_died_ends_with_its_lease(
    store, slack, slack_channel, clock
):
    add(store, an_alert(1))
    assert isinstance(store.begin_call(slack_channel, now=clock()), int)
    assert deliver(store, [slack_channel], clock=clock, pause=clock.pause).sent == 0
    clock.pause(CALL_LEASE.total_seconds())
    assert deliver(store, [slack_channel], clock=clock, pause=clock.pause).sent == 1
    assert len(slack.messages) == 1


def test_what_a_channel_asks_to_wait_is_obeyed_whoever_delivers(store):
    add(store, an_alert(1))
    channel = FakeChannel(outcomes=["refused for an hour"])
    send_what_waits(store, channel)
    for minutes in (5, 30, 59):
        assert send_what_waits(store, channel, at=NOW + timedelta(minutes=minutes)).sent == 0
    assert store.channels_with_work(now=NOW + timedelta(minutes=59)) == set()
    assert store.channels_with_work(now=NOW + timedelta(minutes=60)) == {"slack"}
    assert send_what_waits(store, channel, at=NOW + timedelta(minutes=60)).sent == 1
    assert store.blocked_until("slack") is None


def test_a_channel_that_goes_on_refusing_is_asked_more_and_more_seldom():
    minutes = [pause_after(failures).total_seconds() / 60 for failures in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_after(1, retryable=False) == timedelta(hours=1)
    assert pause_after(1, retry_after=timedelta(minutes=7)) == timedelta(minutes=7)
    assert pause_after(1, retry_after=timedelta(days=400)) == timedelta(days=1)


@pytest.mark.parametrize("fault", ["500", "429", "429:30", "lost", "slow", "422", "ok"])
def test_each_fault_of_github_ends_in_one_issue(store, github, github_channel, fault):
    add(store, an_alert(1), channels=("github",))
    github.faults = [fault]
    for minute in (0, 1, 2, 62):
        send_what_waits(store, github_channel, at=NOW + timedelta(minutes=minute))
    assert len(github.issues) == 1


@pytest.mark.parametrize("fault", ["500", "429", "429:30", "lost", "slow", "ok"])
def test_each_fault_of_slack_ends_in_one_message(store, slack, slack_channel, fault):
    add(store, an_alert(1))
    slack.faults = [fault]
    for minute in range(3):
        send_what_waits(store, slack_channel, at=NOW + timedelta(minutes=minute))
    assert len(slack.messages) == 1


def test_alerts_of_one_problem_that_waited_for_github_are_one_comment(
    store, github, github_channel
):
    first = Alert("k0", "failed_check", "f1", "problem 0", "body")
    add(store, first, channels=("github",))
    send_what_waits(store, github_channel)
    for number in range(1, 5):
        grown = Alert(f"k{number}", "failed_check", "f1", f"problem {number}", "body")
        add(store, grown, channels=("github",))
    send_what_waits(store, github_channel, at=LATER)
    assert github.issues[0]["title"] == "problem 4"
    (comment,) = github.comments[1]
    assert all(f"problem {number}" in comment["body"] for number in range(1, 5))


def test_a_problem_that_came_and_went_while_github_was_down_is_told_and_closed(
    store, github, github_channel
):
    add(store, an_alert(1), channels=("github",))
    add(store, Alert("k2", "recovery", "f1", "Recovered: problem 1", ""), channels=("github",))
    send_what_waits(store, github_channel)
    (issue,) = github.issues
    assert (issue["title"], issue["state"]) == ("problem 1", "closed")
    assert "Recovered" in github.comments[1][0]["body"]


def test_a_heartbeat_whose_answer_was_lost_is_sent_again(store, monitor, heartbeat_channel):
    beat = Alert("k1", "heartbeat", "h", "has run", "", audience="heartbeat")
    store.add([], lambda known: [beat], channels=[heartbeat_channel], now=NOW)
    monitor.faults = ["lost"]
    for minute in (0, 1, 2):
        send_what_waits(store, heartbeat_channel, at=NOW + timedelta(minutes=minute))
    assert monitor.beats == 2
    assert store.channels_with_work(now=MUCH_LATER) == set()
