"""R32: a flood of alerts, channels that fail, limit and time out, deliverers that are killed.

Several processes decide and deliver at once, and die before a post or between a post and its
record. Afterwards every alert is in Slack (one by one or in a digest) and in its GitHub issue, none
twice, each problem has one issue, and neither Slack nor GitHub was ever called faster than its
limits allow. Time between rounds passes by moving the clock, never by waiting.
"""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from growth_pipeline.alerts.deliver import deliver
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.alerts.slack import SlackChannel
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.alert_deliverer import Task, an_alert, work
from growth_pipeline_tests.fakes.alert_servers import FakeGitHub, FakeSlack, serving

ROOT = Path(__file__).parents[2]
ROUNDS = 80
DEADLY_ROUNDS = 4  # in these, processes are killed; in later ones what they left is delivered
ROUND_SECONDS = 660.0  # longer than a claim's lease: what a killed process held is free again
SLACK_FAULTS = ("500", "503", "429", "429:2", "lost", "slow")
# "late" comes first: the fast size has as many faults as it names.
GITHUB_FAULTS = ("late", "late", *SLACK_FAULTS, "403:3", "502")
# "slow" is slower. An honest answer that takes longer is one more lost answer: no test depends on it.
TIMEOUT_SECONDS = 1.5


class Size:
    def __init__(self, full):
        self.alerts = 1000 if full else 200
        self.processes = 20 if full else 4
        self.problems = 45 if full else 20
        self.faults = 40 if full else 8


def some_faults(chance, kinds, count):
    """Fault plan of a server: some good answers between the bad ones."""
    words = [kinds[number % len(kinds)] for number in range(count)]
    words += ["ok"] * (2 * count)
    chance.shuffle(words)
    return words


def run_round(tasks):
    """Processes at once; their exit codes. A killed one ends with -9, any other with 0."""
    command = [sys.executable, "-m", "growth_pipeline_tests.fakes.alert_deliverer"]
    started = [
        subprocess.Popen([*command, json.dumps(task)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for task in tasks
    ]
    ends = []
    for process in started:
        _, errors = process.communicate(timeout=240)
        ends.append((process.returncode, errors[-2000:] if process.returncode > 0 else ""))
    return ends


def unsettled(database_url):
    with psycopg.connect(database_url) as connection:
        (count,) = connection.execute(
            "select count(*) from alerts.outbox where state <> 'sent'"
        ).fetchone()
    return count


@pytest.mark.parametrize(
    "size", [pytest.param("fast"), pytest.param("full", marks=pytest.mark.full)]
)
@pytest.mark.timeout(900)
def test_a_flood_through_failing_channels_and_dying_processes_loses_and_doubles_nothing(
    size, full, seed, database_url, acceptance_line
):
    if size == "fast" and full:
        pytest.skip("the full size runs instead")
    sizes, chance = Size(size == "full"), random.Random(seed)
    slack, github = FakeSlack(), FakeGitHub()
    slack.slow_seconds = github.slow_seconds = TIMEOUT_SECONDS + 0.5
    slack.faults = some_faults(chance, SLACK_FAULTS, sizes.faults)
    github.faults = some_faults(chance, GITHUB_FAULTS, sizes.faults)
    planned = len(slack.faults) + len(github.faults)
    kills, crashes, flood_messages, rounds, late = 0, [], 0, 0, github.faults.count("late")
    with serving(slack), serving(github):
        for number in range(ROUNDS):
            rounds = number + 1
            slack.ahead = github.ahead = number * ROUND_SECONDS
            tasks = [
                a_task(worker, number, sizes, chance, database_url, slack, github)
                for worker in range(sizes.processes if number == 0 else 2)
            ]
            if number < DEADLY_ROUNDS:
                ends = run_round(tasks)
                kills += sum(code == -9 for code, _ in ends)
                crashes += [text for code, text in ends if code not in (0, -9)]
            else:
                work(Task(**tasks[0]))
            if number == 0:
                flood_messages = len(slack.messages)
                add_what_the_killed_did_not(database_url, sizes)
            if number >= DEADLY_ROUNDS and unsettled(database_url) == 0:
                break
        slack.ahead = github.ahead = rounds * ROUND_SECONDS
        slack.catch_up()
        github.catch_up()
    violations = [
        *crashes,
        *slack_violations(slack, sizes),
        *github_violations(github, sizes),
        *([] if unsettled(database_url) == 0 else [f"{unsettled(database_url)} never arrived"]),
        *([] if flood_messages <= 10 else [f"{flood_messages} messages for one flood"]),
    ]
    acceptance_line(
        "R32",
        load=f"{sizes.alerts} alerts about {sizes.problems} problems, {sizes.processes} processes",
        faults=planned - len(slack.faults) - len(github.faults),
        late=late - github.faults.count("late"),
        kills=kills,
        rounds=rounds,
        slack_messages=len(slack.messages),
        flood_messages=flood_messages,
        github_writes=len(github.arrivals),
        issues=len(github.issues),
        violations=violations,
    )


def a_task(worker, number, sizes, chance, database_url, slack, github):
    """The flood comes in the first round, from all processes; later ones deliver the rest."""
    share = sizes.alerts // sizes.processes if number == 0 else 0
    return {
        "database_url": database_url,
        "slack_url": f"{slack.url}/services/T0/B0/secret",
        "github_url": github.url,
        "first": worker * share,
        "last": (worker + 1) * share,
        "problems": sizes.problems,
        "deliveries": 4 if number == 0 else 1,
        "ahead_seconds": number * ROUND_SECONDS,
        "seed": chance.randrange(2**31),
        "death": 0.15 if number < DEADLY_ROUNDS else 0.0,
        "timeout_seconds": TIMEOUT_SECONDS,
    }


def add_what_the_killed_did_not(database_url, sizes):
    """A decision that a process was killed before is made again by the next run: same keys."""

    class Everywhere:
        audiences = frozenset({"all"})

        def __init__(self, name):
            self.name = name

    with Database(database_url) as database:
        alerts = [an_alert(number, sizes.problems) for number in range(sizes.alerts)]
        channels = [Everywhere("slack"), Everywhere("github")]
        AlertStore(database).add([], lambda known: alerts, channels=channels, now=datetime.now(UTC))


def slack_violations(slack, sizes):
    """Alerts told as new are never more than there are; with those told again, never fewer."""
    new = again = 0
    problems = []
    for message in slack.messages:
        texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
        found = re.match(r"(\d+) problems?\b", texts[0])
        new += int(found[1]) if found else 0
        lost = [text for text in texts if text.startswith("The answer to an earlier message")]
        again += sum(count_of_titles(text) for text in lost)
        problems += [f"markup: {text}" for text in [message["text"]] if "<" in text]
    if new > sizes.alerts:
        problems.append(f"{new - sizes.alerts} doubled in Slack")
    if new + again < sizes.alerts:
        problems.append(f"{sizes.alerts - new - again} lost in Slack")
    return problems + too_fast("Slack", slack.arrivals, ((1, 1.0),))


def count_of_titles(text):
    more = re.search(r"and (\d+) more", text)
    return text.count("\n• ") + (int(more[1]) if more else 0)


def github_violations(github, sizes):
    """Each problem has one issue, and each alert is in it once."""
    issues, keys = Counter(), Counter()
    for issue in github.issues:
        (name,) = set(re.findall(r"<!-- growth-alert ([0-9a-f]{16}) -->", issue["body"]))
        issues[name] += 1
        texts = [issue["body"], *(one["body"] for one in github.comments[issue["number"]])]
        keys.update(key for text in texts for key in re.findall(r"growth-alert (key-\d+\.)", text))
    wanted = {an_alert(number, sizes.problems).fingerprint for number in range(sizes.problems)}
    expected = {f"key-{number}." for number in range(sizes.alerts)}
    return [
        *(f"{count} issues for {name}" for name, count in issues.items() if count != 1),
        *(f"no issue for {name}" for name in wanted - set(issues)),
        *(f"{key} lost on GitHub" for key in sorted(expected - set(keys))),
        *(f"{key} {count} times on GitHub" for key, count in keys.items() if count > 1),
        *too_fast("GitHub", github.arrivals, ((80, 60.0), (500, 3600.0))),
    ]


def too_fast(name, arrivals, rates):
    """Every window in which the server saw more writes than its limit: a plain loop."""
    breaches = []
    for limit, seconds in rates:
        for last, instant in enumerate(arrivals):
            first = last - limit
            if first >= 0 and instant - arrivals[first] < seconds:
                breaches.append(f"{name}: more than {limit} in {seconds:g} s")
    return breaches


def test_a_thousand_alerts_within_a_minute_are_at_most_ten_messages_with_every_alert_counted(
    database, acceptance_line
):
    """Slack is well; the flood comes in sixty decisions, each delivered at once."""
    slack, alerts, now = FakeSlack(), 1000, [datetime(2025, 11, 1, tzinfo=UTC)]

    def pause(seconds):
        now[0] += timedelta(seconds=seconds)

    with serving(slack):
        channel = SlackChannel(
            f"{slack.url}/services/T0/B0/secret",
            transport=OutboundTransport(allow_loopback=True),
            timeout_seconds=60,
        )
        store = AlertStore(database)
        for second in range(60):
            share = range(second * alerts // 60, (second + 1) * alerts // 60)
            made = [an_alert(number, alerts) for number in share]
            store.add([], lambda known, made=made: made, channels=[channel], now=now[0])
            deliver(store, [channel], clock=lambda: now[0], pause=lambda seconds: None)
            pause(1)
        while store.unsent(1):
            pause(30)
            deliver(store, [channel], clock=lambda: now[0], pause=lambda seconds: None)
    told = sum(int(message["blocks"][0]["text"]["text"].split()[0]) for message in slack.messages)
    violations = [] if told == alerts else [f"{told} of {alerts} alerts counted"]
    violations += [] if len(slack.messages) <= 10 else [f"{len(slack.messages)} messages"]
    acceptance_line(
        "R32",
        load=f"{alerts} alerts in a minute, Slack is well",
        slack_messages=len(slack.messages),
        violations=violations,
    )
