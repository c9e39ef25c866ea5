"""A process that decides alerts and delivers what waits, and dies where it is told to.

`python -m growth_pipeline_tests.fakes.alert_deliverer '{...}'`; see `Task`. Its clock is the real
one, moved on by `ahead_seconds`: between two rounds of a test, time passes that nobody waits for.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from growth_pipeline.alerts.decide import Alert, report_alert
from growth_pipeline.alerts.deliver import deliver
from growth_pipeline.alerts.github import GitHubChannel
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.alerts.slack import SlackChannel
from growth_pipeline.alerts.slack_files import SlackFilesChannel
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.core.ids import fingerprint
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.alert_servers import BOT_CHANNEL, BOT_TOKEN
from growth_pipeline_tests.fakes.untold_reports import PICTURE


@dataclass(frozen=True)
class Task:
    """What one process does: alerts `first` up to `last` (not included), then deliveries.

    `reports`: so many weekly reports are told too, to Slack by a bot at `slack_api` where it is given.
    """

    database_url: str
    slack_url: str
    github_url: str
    first: int
    last: int
    problems: int
    deliveries: int
    ahead_seconds: float
    seed: int
    death: float  # chance of a SIGKILL before a call, and the same after it
    timeout_seconds: float
    reports: int = 0
    slack_api: str = ""


class Mortal:
    """A channel whose process may be killed right before the post, or between post and record."""

    def __init__(self, channel, chance: random.Random, death: float) -> None:
        self._channel, self._chance, self._death = channel, chance, death

    def __getattr__(self, name):
        return getattr(self._channel, name)

    def send(self, alerts):
        self._maybe_die()
        sent = self._channel.send(alerts)
        self._maybe_die()
        return sent

    def _maybe_die(self) -> None:
        if self._chance.random() < self._death:
            os.kill(os.getpid(), signal.SIGKILL)


def an_alert(number: int, problems: int) -> Alert:
    """Alert of a number; every `problems`-th is about the same problem."""
    name = fingerprint("flood", str(number % problems))
    return Alert(
        f"key-{number}.", "failed_check", name, f"problem {number}", "body <!channel> @all"
    )


def weekly_reports(count: int) -> list[Alert]:
    """Reports of so many weeks."""
    return [
        report_alert(
            report_id=f"r{week}",
            week_start=date(2025, 1, 5) + timedelta(weeks=week),
            title=f"report {week}",
            body="body <!channel> @all",
            picture=PICTURE,
        )
        for week in range(count)
    ]


def open_slack(task: Task, door: OutboundTransport):
    """The webhook, and the bot that tells reports in its place."""
    webhook = SlackChannel(
        task.slack_url,
        transport=door,
        reports=not task.slack_api,
        timeout_seconds=task.timeout_seconds,
    )
    if not task.slack_api:
        return [webhook]
    bot = SlackFilesChannel(
        BOT_TOKEN,
        BOT_CHANNEL,
        api_base=task.slack_api,
        transport=door,
        timeout_seconds=task.timeout_seconds,
    )
    return [webhook, bot]


def work(task: Task) -> None:
    """Add the task's alerts in small decisions, with deliveries in between."""
    ahead, chance = timedelta(seconds=task.ahead_seconds), random.Random(task.seed)
    door = OutboundTransport(allow_loopback=True)
    inner = [
        *open_slack(task, door),
        GitHubChannel(
            "ghp_test",
            "acme/books",
            api_base=task.github_url,
            transport=door,
            timeout_seconds=task.timeout_seconds,
        ),
    ]
    channels = [Mortal(channel, chance, task.death) for channel in inner]
    with Database(task.database_url, application_name="alert deliverer") as database:
        store = AlertStore(database)

        def clock() -> datetime:
            return datetime.now(UTC) + ahead

        reports = weekly_reports(task.reports)
        store.add([], lambda _known: reports, channels=inner, now=clock())
        numbers = range(task.first, task.last)
        step = max(1, len(numbers) // max(1, task.deliveries))
        for at in range(0, max(len(numbers), task.deliveries * step), step):
            alerts = [an_alert(number, task.problems) for number in numbers[at : at + step]]
            store.add([], lambda _known, made=alerts: made, channels=inner, now=clock())
            deliver(store, channels, clock=clock)


if __name__ == "__main__":
    work(Task(**json.loads(sys.argv[1])))
