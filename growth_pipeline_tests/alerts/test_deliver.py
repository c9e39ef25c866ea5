"""The outbox on a real Postgres and delivery through channels that fail: none lost, none doubled."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.alerts.decide import Alert
from growth_pipeline.alerts.deliver import (
    CLAIM_LEASE,
    ChannelRefusedError,
    OutcomeUnknownError,
    deliver,
)
from growth_pipeline.alerts.store import AlertStore

NOW = datetime(2025, 11, 1, 0, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
MUCH_LATER = NOW + CLAIM_LEASE + timedelta(seconds=1)


class FakeChannel:
    """Takes alerts, or fails as told: one word a call."""

    def __init__(self, name="slack", *, batch=20, outcomes=(), readable=False):
        self.name, self.batch, self.outcomes = name, batch, list(outcomes)
        self.readable, self.taken = readable, []

    def send(self, alerts):
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        if outcome == "refused":
            raise ChannelRefusedError("the channel says no", remedy="wait")
        if outcome == "refused one":
            raise ChannelRefusedError("this one is wrong", blocks_channel=False)
        if outcome != "lost before":
            self.taken += [alert.alert_key for alert in alerts]
        if outcome in ("lost before", "lost after"):
            raise OutcomeUnknownError("no answer")
        return "made"

    def find(self, alert):
        if not self.readable:
            raise OutcomeUnknownError("it cannot be read back")
        return "made" if alert.alert_key in self.taken else None


def an_alert(number=1, kind="failed_check"):
    return Alert(f"key-{number}", kind, f"f{number}", f"problem {number}", "body")


def add(store, *alerts, channels=("slack",)):
    return store.add([], lambda last: alerts, channels=channels, now=NOW)


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
    store.add(["f1", "f2"], lambda last: seen.update(last) or [], channels=("log",), now=NOW)
    assert {name: (last.kind, last.title) for name, last in seen.items()} == {
        "f1": ("recovery", "Recovered: problem 1")
    }


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
            target=store.add, args=(["f1"], first), kwargs={"channels": ("log",), "now": NOW}
        )
    ]
    threads[0].start()
    started.wait(10)
    store.add(["f1"], second, channels=("log",), now=NOW)
    threads[0].join()
    assert [name for name, _ in decided] == ["first", "second"]
    assert decided[1][1]["f1"].title == "problem 1"


def test_what_waits_is_sent_in_as_few_calls_as_the_channel_allows(store, database):
    add(store, *(an_alert(number) for number in range(30)))
    channel = FakeChannel(batch=20)
    delivered = deliver(store, [channel], clock=lambda: NOW)
    assert (delivered.sent, delivered.waiting, delivered.unknown) == (30, 0, 0)
    assert len(channel.taken) == len(set(channel.taken)) == 30
    assert set(states(database).values()) == {"sent"}
    assert deliver(store, [channel], clock=lambda: LATER).sent == 0


def test_a_dead_channel_keeps_its_alerts_and_stops_no_other(store, database):
    add(store, an_alert(1), an_alert(2), channels=("github", "log"))
    dead = FakeChannel("github", batch=1, outcomes=["refused"] * 9)
    living = FakeChannel("log", batch=1)
    delivered = deliver(store, [dead, living], clock=lambda: NOW)
    assert (delivered.sent, delivered.waiting) == (2, 1)
    assert delivered.errors["github"].message == "the channel says no"
    assert states(database)["github", "key-1"] == states(database)["github", "key-2"] == "pending"
    dead.outcomes = []
    assert deliver(store, [dead], clock=lambda: LATER).sent == 2
    assert sorted(dead.taken) == ["key-1", "key-2"]


def test_one_wrong_alert_does_not_hold_up_the_next(store):
    add(store, an_alert(1), an_alert(2))
    channel = FakeChannel(batch=1, outcomes=["refused one"])
    delivered = deliver(store, [channel], clock=lambda: NOW)
    assert (delivered.sent, delivered.waiting) == (1, 1)
    assert channel.taken == ["key-2"]


@pytest.mark.parametrize("outcome", ["lost before", "lost after"])
def test_a_channel_that_cannot_be_read_back_is_never_asked_twice(store, database, outcome):
    add(store, an_alert(1))
    channel = FakeChannel(outcomes=[outcome])
    deliver(store, [channel], clock=lambda: NOW)
    delivered = deliver(store, [channel], clock=lambda: MUCH_LATER)
    assert (delivered.sent, delivered.unknown) == (0, 1)
    assert len(channel.taken) == (outcome == "lost after")
    assert states(database)["slack", "key-1"] == "unknown"


@pytest.mark.parametrize("outcome", ["lost before", "lost after"])
def test_a_channel_that_can_be_read_back_gets_each_alert_exactly_once(store, database, outcome):
    add(store, an_alert(1), channels=("github",))
    channel = FakeChannel("github", batch=1, outcomes=[outcome], readable=True)
    deliver(store, [channel], clock=lambda: NOW)
    deliver(store, [channel], clock=lambda: LATER)
    assert channel.taken == ["key-1"]
    assert states(database)["github", "key-1"] == "sent"


def test_an_alert_claimed_by_a_deliverer_that_died_is_unknown_after_its_lease(store, database):
    add(store, an_alert(1))
    assert len(store.claim("slack", 5, now=NOW)) == 1
    channel = FakeChannel()
    deliver(store, [channel], clock=lambda: LATER)
    assert states(database)["slack", "key-1"] == "sending"
    assert deliver(store, [channel], clock=lambda: MUCH_LATER).unknown == 1
    assert channel.taken == []


def test_what_the_channel_called_the_first_alert_is_told_with_the_next(store):
    add(store, an_alert(1), channels=("github",))
    deliver(store, [FakeChannel("github", batch=1)], clock=lambda: NOW)
    store.add(
        [],
        lambda last: [Alert("key-2", "failed_check", "f1", "again", "")],
        channels=("github",),
        now=LATER,
    )
    (waiting,) = store.claim("github", 5, now=LATER)
    assert waiting.known_as == "made"


def test_four_deliverers_at_once_send_each_alert_once(store, database):
    add(store, *(an_alert(number) for number in range(60)))
    channels = [FakeChannel(batch=3) for _ in range(4)]
    threads = [
        threading.Thread(target=deliver, args=(store, [channel]), kwargs={"clock": lambda: NOW})
        for channel in channels
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [key for channel in channels for key in channel.taken]
    assert sorted(taken) == sorted(f"key-{number}" for number in range(60))
    assert set(states(database).values()) == {"sent"}


def test_a_flood_is_a_few_messages(store, slack, slack_channel):
    add(store, *(an_alert(number) for number in range(200)))
    assert deliver(store, [slack_channel], clock=lambda: NOW).sent == 200
    assert len(slack.messages) == 10


@pytest.mark.parametrize("fault", ["500", "429", "lost", "slow", "422", "ok"])
def test_each_fault_of_github_ends_in_one_issue(store, github, github_channel, fault):
    add(store, an_alert(1), channels=("github",))
    github.faults = [fault]
    for minute in range(3):
        deliver(
            store, [github_channel], clock=lambda minute=minute: NOW + timedelta(minutes=minute)
        )
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    ("fault", "messages"), [("500", 1), ("429", 1), ("lost", 1), ("slow", 1), ("ok", 1)]
)
def test_each_fault_of_slack_ends_in_one_message(store, slack, slack_channel, fault, messages):
    add(store, an_alert(1))
    slack.faults = [fault]
    for minute in range(3):
        deliver(store, [slack_channel], clock=lambda minute=minute: NOW + timedelta(minutes=minute))
    assert len(slack.messages) == messages
