"""What `growth alerts` shows and tries, on a real outbox and fakes of Slack and GitHub."""

from datetime import UTC, datetime

import pytest

from growth_pipeline.alerts.channels import channel_names, open_channels
from growth_pipeline.alerts.decide import Alert
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.operate import doctor
from growth_pipeline.operate.alerts import Listing, send_test
from growth_pipeline.operate.doctor import examine_addresses
from growth_pipeline.settings import AlertSettings, Settings
from growth_pipeline_tests.fakes.alert_servers import (
    BOT_CHANNEL,
    BOT_TOKEN,
    FakeGitHub,
    FakeMonitor,
    FakeSlack,
    serving,
)

NOW = datetime(2025, 11, 1, 0, 5, tzinfo=UTC)


@pytest.fixture
def store(database):
    return AlertStore(database)


@pytest.fixture
def servers():
    with (
        serving(FakeSlack()) as slack,
        serving(FakeGitHub()) as github,
        serving(FakeMonitor()) as monitor,
    ):
        yield slack, github, monitor


@pytest.fixture
def settings(servers):
    slack, github, monitor = servers
    return AlertSettings(
        slack_webhook_url=f"{slack.url}/services/T0/B0/secret",
        github_repository="acme/books",
        github_token="ghp_of_a_test",
        github_api_base=github.url,
        heartbeat_url=f"{monitor.url}/ping/secret",
        allow_loopback=True,
    )


def test_a_test_reaches_every_configured_channel(store, servers, settings):
    slack, github, monitor = servers
    tested = send_test(store, open_channels(settings), now=NOW)
    assert tested.states == {"slack": "sent", "github": "sent", "heartbeat": "sent"}
    assert tested.exit_code == 0
    assert len(slack.messages) == 1
    assert "1 test" in str(slack.messages[0])
    assert [issue["state"] for issue in github.issues] == ["closed"]
    assert monitor.beats == 1
    assert store.open_problems() == []


@pytest.mark.parametrize(("fault", "code"), [("403", 5), ("429:30", 6), ("302", 5), ("500", 6)])
def test_a_channel_that_refuses_the_test_says_why_and_what_to_do(
    store, servers, settings, fault, code
):
    servers[0].faults = [fault]
    tested = send_test(store, open_channels(settings), now=NOW)
    assert tested.states["slack"] == "pending"
    assert tested.states["github"] == "sent"
    assert fault[:3] in tested.as_dict()["slack"]["reason"]
    assert any(line.startswith("    next: ") for line in tested.lines())
    assert tested.exit_code == code
    assert "secret" not in str(tested.as_dict()) + "\n".join(tested.lines())


def test_a_test_asks_a_channel_that_was_left_alone(store, servers, settings):
    servers[0].faults = ["403"]
    send_test(store, open_channels(settings), now=NOW)
    assert [state.channel for state in store.channels()] == ["slack"]
    assert send_test(store, open_channels(settings), now=datetime.now(UTC)).exit_code == 0
    assert store.channels() == []


@pytest.fixture
def with_bot(servers, settings):
    bot = {"slack_bot_token": BOT_TOKEN, "slack_channel": BOT_CHANNEL}
    given = settings.model_dump() | bot | {"slack_api_base": f"{servers[0].url}/api"}
    return AlertSettings(**given)


def test_a_test_tries_the_bot_with_a_picture_and_says_it_nowhere_twice(store, servers, with_bot):
    slack, github, monitor = servers
    tested = send_test(store, open_channels(with_bot), now=NOW)
    assert tested.states == dict.fromkeys(("slack", "slack_files", "github", "heartbeat"), "sent")
    (shared,) = slack.shared
    assert shared["picture"].startswith(b"\x89PNG\r\n")
    assert (len(slack.messages), len(github.issues), monitor.beats) == (1, 1, 1)
    assert github.comments[1] != []  # the note that closes it, and nothing more
    assert len(github.comments[1]) == 1


def test_a_bot_that_may_not_send_files_is_named_with_its_setting(store, servers, with_bot):
    servers[0].answers["files.getUploadURLExternal"] = ["missing_scope"]
    tested = send_test(store, open_channels(with_bot), now=NOW)
    assert tested.states["slack_files"] == "pending"
    assert tested.states["slack"] == "sent"
    assert tested.exit_code == 5
    lines = "\n".join(tested.lines())
    assert "slack_files pending: Slack answered missing_scope" in lines
    assert "GROWTH_ALERTS__SLACK_BOT_TOKEN" in lines
    assert BOT_TOKEN not in lines
    found = Listing(store.open_problems(), store.unsent(9), store.channels())
    assert "slack_files refused 1 times: Slack answered missing_scope" in "\n".join(found.lines())


def test_doctor_knows_the_bot_and_one_that_is_configured_by_half(with_bot):
    checks = list(doctor._alerts(Settings(alerts=with_bot)))
    assert "Slack by a bot (weekly reports with pictures)" in checks[0].sentence
    assert "GROWTH_ALERTS__SLACK_API_BASE leads outside" in [check.sentence for check in checks]
    for name in ("slack_bot_token", "slack_channel"):
        half = with_bot.model_copy(update={name: None})
        (check,) = doctor._alerts(Settings.model_construct(alerts=half))
        assert (check.state, check.sentence) == ("fail", "Slack's bot is configured by half")
        assert "GROWTH_ALERTS__SLACK_CHANNEL" in check.fix


def test_the_list_shows_what_lasts_what_waits_and_who_refuses(store, servers, settings):
    servers[0].faults = ["429:600"]
    alert = Alert("k", "failed_check", "f", "it is wrong", "", level="HIGH")
    store.add([], lambda known: [alert], channels=open_channels(settings), now=NOW)
    send_test(store, open_channels(settings)[:1], now=NOW)
    found = Listing(store.open_problems(), store.unsent(9), store.channels())
    lines = "\n".join(found.lines())
    assert "problems that last: 1" in lines
    assert "HIGH     since 2025-11-01 00:05  it is wrong" in lines
    assert "github      pending  it is wrong" in lines
    assert "slack       refused 1 times: Slack answered 429" in lines
    assert {row["channel"] for row in found.as_dict()["unsent"]} == {"slack", "github"}


def test_the_configured_channels_are_known_without_opening_them(settings):
    assert channel_names(settings) == {"log", "slack", "github", "heartbeat"}
    assert channel_names(AlertSettings()) == {"log"}
    assert open_channels(AlertSettings()) == []


def test_doctor_says_of_each_address_whether_it_leads_outside(settings):
    checks = list(examine_addresses(Settings(alerts=settings)))
    assert [check.state for check in checks] == ["ok", "ok", "ok", "warn"]
    assert "for tests" in checks[-1].sentence
    closed = settings.model_copy(update={"allow_loopback": False})
    refused = list(examine_addresses(Settings.model_construct(alerts=closed)))
    assert {check.state for check in refused} == {"fail"}
    assert "secret" not in "".join(check.sentence + check.fix for check in refused)
