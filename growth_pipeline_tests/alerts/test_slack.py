"""The Slack channel against a webhook on loopback."""

import json

import pytest

from growth_pipeline.alerts.deliver import ChannelRefusedError, OutcomeUnknownError, WaitingAlert
from growth_pipeline.alerts.slack import SlackChannel, escape_mrkdwn


def an_alert(number=1, **changes):
    facts = {"kind": "failed_check", "title": f"problem {number}", "body": "line one\nline two"}
    return WaitingAlert(number, f"key-{number}", fingerprint=f"f{number}", **{**facts, **changes})


def test_several_alerts_are_one_message(slack, slack_channel):
    assert slack_channel.send([an_alert(1), an_alert(2), an_alert(3, kind="recovery")]) is None
    (message,) = slack.messages
    texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
    assert texts == [
        "2 problems, 1 recovered",
        "problem 1\nline one\nline two",
        "problem 2\nline one\nline two",
        "problem 3\nline one\nline two",
    ]


@pytest.mark.parametrize(
    "attack", ["<!channel> now", "<@U123>", "<https://evil.example|click>", "a & b"]
)
def test_nothing_in_a_message_is_read_as_markup(slack, slack_channel, attack):
    slack_channel.send([an_alert(title=attack, body=attack)])
    (message,) = slack.messages
    assert message["text"] == attack.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for block in message["blocks"]:
        for text in [block.get("text"), *block.get("elements", [])]:
            assert text is None or text["type"] == "plain_text"


def test_escaping_leaves_no_angle_bracket_and_keeps_the_rest():
    assert escape_mrkdwn("1 < 2 & 3 > 2") == "1 &lt; 2 &amp; 3 &gt; 2"


@pytest.mark.parametrize(
    ("status", "retryable"),
    [("500", True), ("503", True), ("429", True), ("403", False), ("410", False)],
)
def test_an_answer_that_is_not_yes_was_certainly_not_sent(slack, slack_channel, status, retryable):
    slack.faults = [status]
    with pytest.raises(ChannelRefusedError, match=status) as caught:
        slack_channel.send([an_alert()])
    assert caught.value.retryable is retryable
    assert slack.messages == []


@pytest.mark.parametrize("fault", ["lost", "slow"])
def test_a_lost_answer_is_unknown_and_posted_once(slack, slack_channel, fault):
    slack.faults = [fault]
    with pytest.raises(OutcomeUnknownError):
        slack_channel.send([an_alert()])
    assert len(slack.requests) == 1


def test_nobody_listening_is_certainly_not_sent(nobody_listens):
    with pytest.raises(ChannelRefusedError) as caught:
        SlackChannel(f"{nobody_listens}/services/x", timeout_seconds=1).send([an_alert()])
    assert caught.value.retryable


@pytest.mark.parametrize(
    "address", ["hooks.slack.com/services/secret", "ftp://hooks.example/secret"]
)
def test_a_wrong_address_is_a_setting_to_correct_and_is_not_shown(address):
    with pytest.raises(ChannelRefusedError) as caught:
        SlackChannel(address).send([an_alert()])
    assert not caught.value.retryable
    assert "SLACK_WEBHOOK_URL" in caught.value.remedy
    assert "secret" not in str(caught.value) + caught.value.remedy


def test_twenty_long_alerts_fit_into_one_message(slack, slack_channel):
    alerts = [an_alert(number, title="t" * 200, body="b" * 5000) for number in range(20)]
    slack_channel.send(alerts)
    (message,) = slack.messages
    assert len(message["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in message["blocks"] if "text" in block)
    assert len(json.dumps(message)) < 100_000
