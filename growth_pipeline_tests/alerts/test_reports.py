"""Weekly reports through the outbox: told once everywhere, as one issue a week, never as a problem."""

import json
import logging
import random
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from growth_pipeline.alerts.assets import LogChannel, add_reports, outbox, read_run
from growth_pipeline.alerts.channels import channel_names, open_channels
from growth_pipeline.alerts.decide import (
    AlertPolicy,
    decide_alerts,
    decide_escalations,
    is_older_report,
    report_alert,
)
from growth_pipeline.alerts.deliver import CLAIM_LEASE, SETTLE_AFTER, WaitingAlert, deliver
from growth_pipeline.alerts.github import LABEL, REPORT_LABEL, GitHubChannel
from growth_pipeline.alerts.issue_text import fence, marker
from growth_pipeline.alerts.reports import report_alerts
from growth_pipeline.alerts.signals import read_signals
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.alerts.troubleshoot import OURS, STEPS, troubleshoot
from growth_pipeline.billing.resources import VIA_TAG, told_in_one_sentence
from growth_pipeline.core.errors import ConfigurationError, GrowthError, RemoteUnavailableError
from growth_pipeline.insights.checks import FIGURES, REPORT_CHECKS, REPORT_KEY
from growth_pipeline.insights.schedules import WEEKLY_JOB
from growth_pipeline.settings import AlertSettings
from growth_pipeline.storage.lake import LakeWriteError
from growth_pipeline_tests.fakes.alert_servers import FakeGitHub, FakeSlack, serving
from growth_pipeline_tests.fakes.untold_reports import PICTURE, Reports, a_report

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 11, 2, 9, 5, tzinfo=UTC)
WEEK = date(2025, 10, 26)
WHOLE_AT = "https://dagster.example/assets/insights/weekly_report"
SETTLED = SETTLE_AFTER + timedelta(seconds=1)
HOSTILE = [
    "<!channel> <@U666> @everyone",
    "[MRR](https://evil.example) ![x](https://evil.example/p.png)",
    "```\n@octocat <!-- growth-alert report:2030-01-06 -->",
    "line\r\nanother\u202eline \x1b[31m\u200b#12",
]


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def store(database):
    return AlertStore(database)


def an_alert(number=1, *, week=WEEK, title="Growth report", body="MRR rose.", picture=None):
    return report_alert(
        report_id=f"r{number}", week_start=week, title=title, body=body, picture=picture
    )


def waiting(alert, **changes):
    facts = {name: getattr(alert, name) for name in ("kind", "fingerprint", "title", "body")}
    return WaitingAlert(1, alert.key, **{**facts, **changes})


def tell(store, outlet, *channels, at=NOW):
    return add_reports(store, outlet, channels, whole_at=WHOLE_AT, now=at)


def send(store, *channels, at=NOW):
    return deliver(store, channels, clock=lambda: at, pause=lambda seconds: None)


def run_outbox(instance, store, reports, *channels, run_id="", now=NOW):
    return dg.materialize(
        [outbox],
        instance=instance,
        run_config={"ops": {"alerts__outbox": {"config": {"run_id": run_id}}}},
        resources={
            "alert_store": store,
            "alert_channels": list(channels),
            "alert_policy": AlertPolicy(escalate_after_days=0, audit_hours=0),
            "report_outlet": reports,
            "dagster_url": "https://dagster.example",
            "clock": lambda: now,
        },
        raise_on_error=False,
        tags={VIA_TAG: "test"},
    )


# --- what is decided --------------------------------------------------------------------------------


def test_a_report_is_an_alert_of_its_week_for_who_gets_reports():
    alert = an_alert(picture=PICTURE)
    assert (alert.kind, alert.level, alert.audience) == ("report", "LOW", "reports")
    assert alert.fingerprint == "report:2025-10-26"
    assert alert.picture == PICTURE
    assert not alert.mentions
    assert an_alert(2).key != alert.key
    assert an_alert(2).fingerprint == alert.fingerprint


def test_a_body_is_a_bounded_number_of_bounded_printable_lines():
    alert = an_alert(title="t\n" * 300, body="\n\n".join([*HOSTILE, *["x" * 5000] * 90]))
    lines = alert.body.split("\n")
    assert len(lines) == 40
    assert all(line.isprintable() and 0 < len(line) <= 600 for line in lines)
    assert alert.title.isprintable()
    assert len(alert.title) <= 200


def test_an_alert_says_where_the_whole_report_is_and_its_title_once():
    (alert,) = report_alerts([a_report(lines=("MRR rose.", "", "Users fell."))], whole_at=WHOLE_AT)
    assert alert.title == "Growth report of the week from 2025-10-26"
    assert alert.body.splitlines() == ["MRR rose.", "Users fell.", f"Whole report: {WHOLE_AT}"]


@pytest.mark.parametrize(
    ("mark", "older"),
    [
        ("report:2025-10-19", True),
        ("report:2024-12-29", True),
        ("report:2025-10-26", False),
        ("report:2025-11-02", False),
        ("0123456789abcdef", False),
        ("a9", False),
    ],
)
def test_an_older_report_is_one_of_an_earlier_week_and_nothing_else(mark, older):
    assert is_older_report(mark, "report:2025-10-26") is older
    assert not is_older_report(mark, "zzz")


def test_a_report_is_no_problem(store, database, github_channel):
    assert tell(store, Reports(a_report()), github_channel) == 1
    send(store, github_channel)
    assert store.open_problems() == []
    assert decide_escalations(store.open_problems(), NOW + timedelta(days=99), after_days=3) == []
    with database.connection() as connection:
        (count,) = connection.execute("select count(*) from alerts.problems").fetchone()
    assert count == 0


# --- into the outbox --------------------------------------------------------------------------------


def test_a_report_goes_to_every_channel_once_and_is_noted_as_told(
    store, slack, slack_channel, github, github_channel, heartbeat_channel, monitor
):
    outlet = Reports(a_report())
    channels = [slack_channel, github_channel, heartbeat_channel]
    assert tell(store, outlet, *channels) == 2
    assert outlet.told == {"report-1": NOW}
    assert tell(store, outlet, *channels) == 0
    send(store, *channels)
    send(store, *channels, at=NOW + timedelta(hours=1))
    assert len(slack.messages) == len(github.issues) == 1
    assert monitor.beats == 0
    assert slack.messages[0]["blocks"][0]["text"]["text"] == "1 growth report"
    text = slack.messages[0]["blocks"][1]["text"]["text"]
    assert text.splitlines()[:2] == [
        "Growth report of the week from 2025-10-26",
        "MRR rose to 1,204.00 USD.",
    ]


def test_what_died_between_the_outbox_and_its_note_adds_nothing_twice(
    store, slack, slack_channel, github, github_channel
):
    outlet = Reports(a_report(1), a_report(2, week=WEEK - timedelta(days=7)))
    outlet.errors["mark"] = RuntimeError("killed here")
    with pytest.raises(RuntimeError):
        tell(store, outlet, slack_channel, github_channel)
    send(store, slack_channel, github_channel)
    assert tell(store, outlet, slack_channel, github_channel) == 0
    assert outlet.waiting == []
    send(store, slack_channel, github_channel, at=NOW + timedelta(hours=1))
    assert len(slack.messages) == 1
    assert len(github.issues) == 2


def test_where_a_bot_is_configured_it_alone_tells_slack_of_reports(database, slack):
    webhook = f"{slack.url}/services/T0/B0/secret"
    bot = {"slack_bot_token": "xoxb-of-a-test", "slack_channel": "C0GROWTH"}
    both = AlertSettings(
        slack_webhook_url=webhook, slack_api_base=f"{slack.url}/api", allow_loopback=True, **bot
    )
    assert channel_names(both) == {"log", "slack", "slack_files"}
    half = both.model_copy(update={"slack_channel": None})
    assert channel_names(half) == {"log", "slack"}
    store = AlertStore(database)
    assert tell(store, Reports(a_report()), *open_channels(both)) == 1
    send(store, *open_channels(both))
    assert (len(slack.shared), slack.messages) == (1, [])
    assert slack.shared[0]["picture"] == PICTURE
    assert tell(store, Reports(a_report(2)), *open_channels(half)) == 1
    send(store, *open_channels(half))
    assert (len(slack.shared), len(slack.messages)) == (1, 1)


def test_a_flood_of_problems_hides_no_report(slack, slack_channel):
    alerts = [
        WaitingAlert(number, f"k{number}", "failed_check", f"f{number}", "broken", "")
        for number in range(30)
    ]
    slack_channel.send([*alerts, waiting(an_alert(body="MRR rose."), level="LOW")])
    texts = [block["text"]["text"] for block in slack.messages[0]["blocks"] if "text" in block]
    assert texts[0] == "30 problems, 1 growth report"
    assert texts[1] == "Growth report\nMRR rose."
    assert texts[2].startswith("Many alerts at once: 30 (30 HIGH)")


def test_a_hundred_reports_at_once_are_one_message(slack, slack_channel):
    slack_channel.send([waiting(an_alert(number), level="LOW") for number in range(100)])
    (message,) = slack.messages
    assert len(message["blocks"]) <= 50


# --- through Dagster --------------------------------------------------------------------------------


def test_a_delivery_tells_of_reports_that_wait_and_logs_them_as_no_warning(
    instance, store, github, github_channel
):
    outlet = Reports(a_report())
    done = run_outbox(instance, store, outlet, github_channel)
    assert done.success
    assert outlet.waiting == []
    assert f"Whole report: {WHOLE_AT}" in github.issues[0]["body"]
    logged = [
        entry for entry in instance.all_logs(done.run_id) if "alert: LOW" in entry.user_message
    ]
    assert [entry.level for entry in logged] == [logging.INFO]


@pytest.mark.parametrize("error", [RemoteUnavailableError("no lake"), RuntimeError("s3 canary")])
def test_reports_that_cannot_be_read_hold_up_no_other_alert(
    instance, store, github, github_channel, error
):
    @dg.asset
    def broken() -> None:
        raise dg.Failure("no")

    outlet = Reports(a_report())
    outlet.errors["read"] = error
    run = dg.materialize([broken], instance=instance, raise_on_error=False)
    done = run_outbox(instance, store, outlet, github_channel, run_id=run.run_id)
    assert done.success
    said = " ".join(entry.user_message for entry in instance.all_logs(done.run_id))
    assert "weekly reports cannot be read" in said
    assert "canary" not in said
    assert [issue["labels"] for issue in github.issues] == [[{"name": LABEL}]]
    run_outbox(instance, store, outlet, github_channel)
    assert len(github.issues) == 2


# --- one issue a week -------------------------------------------------------------------------------


def test_a_report_is_an_open_issue_with_a_label_of_its_own(github, github_channel):
    github_channel.send([waiting(an_alert())])
    (issue,) = github.issues
    assert issue["labels"] == [{"name": LABEL}, {"name": REPORT_LABEL}]
    assert issue["state"] == "open"
    assert issue["body"].startswith(fence("MRR rose."))


def test_the_same_week_written_again_is_a_comment_on_its_issue(github, github_channel):
    github_channel.send([waiting(an_alert(1))])
    sent = github_channel.send([waiting(an_alert(2, body="MRR rose more."))])
    assert sent.external_id == "1"
    assert len(github.issues) == 1
    assert "MRR rose more." in github.comments[1][0]["body"]


def test_a_new_week_closes_the_report_before_it_and_no_other_issue(github, github_channel):
    problem = WaitingAlert(1, "k", "failed_check", "f1", "books differ", "report:2020-01-05")
    github_channel.send([problem])
    stranger = {"login": "octocat", "type": "User"}
    github._create({"title": "mine", "body": marker("report:2020-01-05")}, stranger)
    weeks = [WEEK, WEEK + timedelta(days=7), WEEK - timedelta(days=70)]
    for number, week in enumerate(weeks):
        sent = github_channel.send([waiting(an_alert(number, week=week))])
        assert sent.requests <= GitHubChannel.requests
    states = [issue["state"] for issue in github.issues]
    # An older week that is written late is told too, and closed by the next new one.
    assert states == ["open", "open", "closed", "open", "open"]
    github_channel.send([waiting(an_alert(9, week=WEEK + timedelta(days=14)))])
    assert [issue["state"] for issue in github.issues[3:]] == ["closed", "closed", "open"]


@pytest.mark.parametrize("fault", ["500", "403", "422", "lost", "429:9"])
def test_a_report_that_is_told_is_told_though_the_one_before_stays_open(
    github, github_channel, fault
):
    github_channel.send([waiting(an_alert())])
    github.faults = ["ok", fault]
    newer = an_alert(2, week=WEEK + timedelta(days=7))
    assert github_channel.send([waiting(newer)]).external_id == "2"
    assert github_channel.find(waiting(newer)) == "2"


@pytest.mark.parametrize("fault", ["500", "429", "429:30", "lost", "slow", "late", "422", "ok"])
def test_each_fault_of_github_ends_in_one_issue_of_the_week(store, github, github_channel, fault):
    tell(store, Reports(a_report()), github_channel)
    github.faults = [fault]
    for minute in (0, 1, 2, 4, 62):
        github.ahead = 60.0 * minute
        send(store, github_channel, at=NOW + timedelta(minutes=minute))
    github.catch_up()
    assert len(github.issues) == 1
    assert github.comments[1] == []
    assert store.unsent(1) == []


def test_a_deliverer_that_died_after_the_issue_was_made_makes_no_second_one(
    store, github, github_channel
):
    tell(store, Reports(a_report()), github_channel)
    github_channel.send(store.claim(github_channel, now=NOW))  # and died before it noted that
    for after in (timedelta(minutes=1), CLAIM_LEASE + SETTLED, CLAIM_LEASE + 2 * SETTLED):
        send(store, github_channel, at=NOW + after)
    assert len(github.issues) == 1
    assert github.comments[1] == []
    assert store.unsent(1) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_highlights_call_nobody_and_lead_nowhere(github, github_channel, text):
    alert = an_alert(title=text, body=text)
    github_channel.send([waiting(alert)])
    body = github.issues[0]["body"]
    assert body.startswith(fence(alert.body))
    # The marks in the text count for nothing: the week of the issue is its own.
    newer = an_alert(2, week=date(2030, 1, 13))
    github_channel.send([waiting(newer)])
    assert [issue["state"] for issue in github.issues] == ["closed", "open"]
    assert not any(sign in github.issues[0]["title"] for sign in ("@o", "@e", "#1"))


@pytest.mark.timeout(240)
def test_killed_deliverers_leave_one_issue_a_week_and_at_most_one_picture(database_url, seed):
    """Processes die before a post, or between a post and its record, while reports are told."""
    weeks, rounds, chance = 6, 12, random.Random(seed)
    with serving(FakeSlack()) as slack, serving(FakeGitHub()) as github:
        for number in range(rounds):
            slack.ahead = github.ahead = number * 660.0
            task = {
                "database_url": database_url,
                "slack_url": f"{slack.url}/services/T0/B0/secret",
                "slack_api": f"{slack.url}/api",
                "github_url": github.url,
                "first": 0,
                "last": 0,
                "problems": 1,
                "deliveries": 1,
                "reports": weeks,
                "ahead_seconds": number * 660.0,
                "seed": chance.randrange(2**31),
                "death": 0.3 if number < rounds - 5 else 0.0,
                "timeout_seconds": 5.0,
            }
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "growth_pipeline_tests.fakes.alert_deliverer",
                    json.dumps(task),
                ],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode in (0, -9), done.stderr[-2000:]
    with psycopg.connect(database_url) as connection:
        statement = "select count(*) from alerts.outbox where state <> 'sent'"
        assert connection.execute(statement).fetchone() == (0,)
    titles = [issue["title"] for issue in github.issues]
    assert sorted(titles) == sorted(f"report {week}" for week in range(weeks))
    assert all(github.comments[issue["number"]] == [] for issue in github.issues)
    pictures = [one["title"] for one in slack.shared if "picture" in one]
    assert len(pictures) == len(set(pictures))
    told = {text for one in slack.shared for text in map(title_in, one["blocks"])}
    assert told >= {f"report {week}" for week in range(weeks)}
    assert slack.messages == []


def title_in(block):
    return block["text"]["text"]


# --- when the report cannot be made -------------------------------------------------------------------


def run_weekly_job(instance, error=None, *, figures_hold=True):
    """A run of the weekly job, of an asset in the report's place; its outcome and signals."""

    @dg.asset(key=REPORT_KEY, check_specs=REPORT_CHECKS)
    def weekly_report(context: dg.AssetExecutionContext):
        with told_in_one_sentence(context):
            if error is not None:
                raise error
        results = [
            dg.AssetCheckResult(
                check_name=one.name,
                passed=figures_hold or one.name != FIGURES,
                description=None if figures_hold else "mrr.usd: 1,204.00 is not 1,203.00",
            )
            for one in REPORT_CHECKS
        ]
        return dg.MaterializeResult(check_results=results)

    job = dg.define_asset_job(WEEKLY_JOB, [weekly_report])
    defs = dg.Definitions([weekly_report], jobs=[job])
    run = defs.resolve_job_def(WEEKLY_JOB).execute_in_process(
        instance=instance, raise_on_error=False
    )
    outcome, checks = read_run(instance, run.run_id, dagster_url="https://dagster.example")
    return outcome, read_signals(outcome, checks)


@pytest.mark.parametrize(
    ("error", "kind", "said", "step"),
    [
        (LakeWriteError("no space on the volume", remedy="free some"), None, "space", "volume"),
        (RemoteUnavailableError("Postgres does not answer"), None, "Postgres", "connections"),
        (ConfigurationError("the zone is none", remedy="set one"), None, "zone", "growth doctor"),
        (GrowthError("the digest is empty", remedy="book first"), None, "digest", "line above"),
        (MemoryError("x"), "MemoryError", "MemoryError", "traceback"),
    ],
)
def test_a_weekly_report_that_failed_is_an_issue_with_a_diagnosis_and_numbered_steps(
    instance, store, github, github_channel, error, kind, said, step
):
    outcome, signals = run_weekly_job(instance, error)
    assert outcome.failure_kind == (kind or type(error).__name__)
    alerts = decide_alerts(outcome, signals, {})
    assert [alert.kind for alert in alerts] == ["run_failure"]
    store.add([], lambda known: alerts, channels=[github_channel], now=NOW)
    send(store, github_channel)
    (issue,) = github.issues
    assert issue["title"].startswith(f"{WEEKLY_JOB}: the run failed: ")
    assert said in issue["title"]
    lines = issue["body"].splitlines()
    steps = [line for line in lines if line[:2] in ("1.", "2.", "3.")]
    assert len(steps) >= 2
    assert step in " ".join(steps)
    assert lines[lines.index("```", 1) - 1].startswith("Run: https://dagster.example/runs/")


def test_a_check_of_the_report_that_must_hold_and_does_not_is_told_and_so_is_its_run(instance):
    outcome, signals = run_weekly_job(instance, figures_hold=False)
    run, check = decide_alerts(outcome, signals, {})
    assert run.title == f"{WEEKLY_JOB}: the run failed: a check that must hold failed"
    assert "1. Open the issue or message about the check itself" in run.body
    assert check.title.startswith(f"insights/weekly_report: {FIGURES} failed: mrr.usd")
    assert (check.kind, check.level, check.audience) == ("failed_check", "HIGH", "all")


def test_a_report_that_is_right_again_closes_what_was_told(instance, store, github, github_channel):
    for hour, held in enumerate((False, True)):
        outcome, signals = run_weekly_job(instance, figures_hold=held)
        store.add(
            [one.fingerprint for one in signals],
            lambda known, run=outcome, said=signals: decide_alerts(run, said, known),
            channels=[github_channel],
            now=NOW + timedelta(hours=hour),
        )
        send(store, github_channel, at=NOW + timedelta(hours=hour))
    assert [issue["state"] for issue in github.issues] == ["closed", "closed"]


def test_the_log_takes_reports_and_an_error_of_ours_without_steps_has_its_own():
    assert "reports" in LogChannel(logging.getLogger()).audiences
    assert troubleshoot(OURS) != troubleshoot("a type that nobody knows")
    assert set(STEPS) >= {
        "LakeWriteError",
        "RemoteUnavailableError",
        "DagsterAssetCheckFailedError",
    }
