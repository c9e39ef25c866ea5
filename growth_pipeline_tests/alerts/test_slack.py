"""The Slack channel against a webhook on loopback."""

import json

import pytest

from growth_pipeline.alerts.deliver import ChannelRefusedError, OutcomeUnknownError, WaitingAlert
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.alerts.slack import SlackChannel, escape_mrkdwn, mention_of


def an_alert(number=1, **changes):
    facts = {"kind": "failed_check", "title": f"problem {number}", "body": "line one\nline two"}
    return WaitingAlert(number, f"key-{number}", fingerprint=f"f{number}", **{**facts, **changes})


def test_several_alerts_are_one_message(slack, slack_channel):
    slack_channel.send([an_alert(1), an_alert(2), an_alert(3, kind="recovery")])
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
    open_door = OutboundTransport(allow_loopback=True)
    channel = SlackChannel(f"{nobody_listens}/x", transport=open_door, timeout_seconds=1)
    with pytest.raises(ChannelRefusedError) as caught:
        channel.send([an_alert()])
    assert caught.value.retryable


@pytest.mark.parametrize(
    "address",
    [
        "hooks.slack.com/services/secret",
        "ftp://hooks.example/secret",
        "https://[secret",
        "http://127.0.0.1:9/secret",
        "https://10.0.0.1/secret",
        "",
    ],
)
def test_a_wrong_address_is_a_setting_to_correct_and_is_not_shown(address):
    with pytest.raises(ChannelRefusedError) as caught:
        SlackChannel(address).send([an_alert()])
    assert not caught.value.retryable
    assert "SLACK_WEBHOOK_URL" in caught.value.remedy
    assert "secret" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize("status", ["301", "302", "307"])
def test_a_redirect_is_not_followed(slack, slack_channel, status):
    slack.faults = [status]
    with pytest.raises(ChannelRefusedError, match="not followed") as caught:
        slack_channel.send([an_alert()])
    assert not caught.value.retryable
    assert len(slack.requests) == 1


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [("30", 30), ("0", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", None), ("-5", None)],
)
def test_what_slack_asks_to_wait_is_read(slack, slack_channel, wait, seconds):
    slack.faults = [f"429:{wait}"]
    with pytest.raises(ChannelRefusedError) as caught:
        slack_channel.send([an_alert()])
    asked = caught.value.retry_after
    assert (None if asked is None else asked.total_seconds()) == seconds


@pytest.mark.parametrize("count", [10, 11, 1000])
def test_any_number_of_long_alerts_fits_into_one_message(slack, slack_channel, count):
    alerts = [an_alert(number, title="t" * 200, body="b" * 5000) for number in range(count)]
    slack_channel.send(alerts)
    (message,) = slack.messages
    assert len(message["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in message["blocks"] if "text" in block)
    assert len(json.dumps(message)) < 100_000


def test_a_flood_is_a_digest_of_counts_and_the_worst_titles(slack, slack_channel):
    alerts = [an_alert(number, level="MEDIUM") for number in range(40)]
    alerts += [an_alert(99, level="CRITICAL", title="the worst"), an_alert(100, kind="recovery")]
    slack_channel.send(alerts)
    header, counts, titles = [
        block["text"]["text"] for block in slack.messages[0]["blocks"] if "text" in block
    ]
    assert header == "41 problems, 1 recovered"
    assert counts == "Many alerts at once: 42 (1 CRITICAL, 40 MEDIUM)"
    lines = titles.splitlines()
    assert lines[0] == "• the worst"
    assert lines[-1] == "and 27 more: growth alerts list"


def test_only_an_escalation_mentions_the_configured_member_and_nobody_else(slack, slack_channel):
    slack_channel.send([an_alert(title="<@U666> <!channel>")])
    slack_channel.send([an_alert(kind="escalation", title="<@U666> <!channel>")])
    plain, escalated = (json.dumps(message["blocks"]) for message in slack.messages)
    assert "mrkdwn" not in plain
    marked = [
        block["text"]["text"]
        for block in slack.messages[1]["blocks"]
        if block.get("text", {}).get("type") == "mrkdwn"
    ]
    assert marked == ["<@U0MEMBER>"]
    assert "1 escalation" in escalated


@pytest.mark.parametrize("name", ["channel", "!channel", "U1> <!channel", "u0member", "@here", ""])
def test_a_mention_is_the_id_of_a_member_or_group_and_no_other_text(name):
    assert mention_of("S0GROUP") == "<!subteam^S0GROUP>"
    with pytest.raises(ValueError, match="Slack member"):
        mention_of(name)


def test_what_may_have_been_read_is_told_apart(slack, slack_channel):
    slack_channel.send([an_alert(1), an_alert(2, repeated=True)])
    texts = [block["text"]["text"] for block in slack.messages[0]["blocks"] if "text" in block]
    assert texts[0] == "1 problem"
    assert texts[-1].splitlines()[0].startswith("The answer to an earlier message was lost")
    assert "problem 2" in texts[-1]


def test_a_summary_is_cut_without_half_an_escape(slack, slack_channel):
    for length in range(140, 152):
        slack_channel.send([an_alert(title="x" * length + "<" * 9)])
    for message in slack.messages:
        assert "&" not in message["text"].replace("&lt;", "")
