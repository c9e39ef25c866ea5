"""A bot that tells Slack of a report with its picture: what arrives, what is refused, what is lost."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.alerts.decide import Alert
from growth_pipeline.alerts.deliver import (
    CLAIM_LEASE,
    ChannelRefusedError,
    OutcomeUnknownError,
    WaitingAlert,
    deliver,
)
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.alerts.slack_files import SlackFilesChannel
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline_tests.alerts.conftest import on_loopback
from growth_pipeline_tests.fakes.alert_servers import BOT_CHANNEL, BOT_TOKEN
from growth_pipeline_tests.fakes.untold_reports import PICTURE

NOW = datetime(2025, 11, 2, 9, 5, tzinfo=UTC)
PLACE, SHARE, POST = (
    "files.getUploadURLExternal",
    "files.completeUploadExternal",
    "chat.postMessage",
)
HOSTILE = "<!channel> <@U666> <https://evil.example|MRR> *bold* `x` & https://evil.example/x"


def a_report(**changes):
    facts = {"title": "Growth report", "body": "MRR rose.\nWhole report: x", "picture": PICTURE}
    return WaitingAlert(
        1, "report:2025-10-26:r1", "report", "report:2025-10-26", **{**facts, **changes}
    )


def texts_of(shared):
    return [block["text"] for block in shared["blocks"]]


def calls_of(slack):
    return [path.split("/")[2].split("?")[0] for _, path in slack.requests]


def test_a_report_is_one_message_with_its_picture_whole(slack, files_channel):
    files_channel.send([a_report()])
    (shared,) = slack.shared
    assert shared["picture"] == PICTURE
    assert shared["channel"] == BOT_CHANNEL
    assert shared["title"] == "growth-report-2025-10-26"
    assert shared["alt"].startswith("Growth report: a drawing of figures")
    assert [text["text"] for text in texts_of(shared)] == [
        "Growth report",
        "MRR rose.\nWhole report: x",
    ]
    assert calls_of(slack) == [PLACE, "v1", SHARE]


def test_the_token_goes_to_the_api_and_not_to_the_url_that_takes_the_picture(slack, files_channel):
    files_channel.send([a_report()])
    (headers,) = slack.uploaded_with
    assert BOT_TOKEN not in str(headers)
    assert BOT_TOKEN not in str(slack.requests)
    assert headers["Content-Type"] == "application/octet-stream"


def test_a_report_without_a_picture_is_a_message_of_words(slack, files_channel):
    files_channel.send([a_report(picture=None)])
    (shared,) = slack.shared
    assert "picture" not in shared
    assert texts_of(shared)[0]["text"] == "Growth report"


@pytest.mark.parametrize("picture", [PICTURE, None])
def test_no_text_of_a_report_is_read_as_a_mention_or_a_link(slack, files_channel, picture):
    files_channel.send([a_report(title=HOSTILE, body=HOSTILE, picture=picture)])
    (shared,) = slack.shared
    assert {text["type"] for text in texts_of(shared)} == {"plain_text"}
    assert "<" not in shared.get("alt", "")
    assert "evil" not in shared.get("title", "")
    assert all("<" not in part for part in plain_parts(slack))


def plain_parts(slack):
    """What Slack might read markup in: all of a message but its plain-text blocks."""
    return [
        str(value)
        for shared in slack.shared
        for name, value in shared.items()
        if name not in ("blocks", "picture")
    ]


def test_a_long_report_is_told_in_blocks_that_slack_takes(slack, files_channel):
    lines = [f"{number} " + "x" * 590 for number in range(40)]
    files_channel.send([a_report(body="\n".join(lines))])
    texts = [text["text"] for text in texts_of(slack.shared[0])]
    assert "\n".join(texts[1:]).splitlines() == lines
    assert max(map(len, texts)) <= 3000
    assert len(texts) <= 50


# --- refused: certainly nothing was told ----------------------------------------------------------


@pytest.mark.parametrize("method", [PLACE, SHARE])
@pytest.mark.parametrize(
    ("word", "setting"),
    [
        ("invalid_auth", "SLACK_BOT_TOKEN"),
        ("missing_scope", "SLACK_BOT_TOKEN"),
        ("not_in_channel", "SLACK_CHANNEL"),
        ("is_archived", "SLACK_CHANNEL"),
    ],
)
def test_a_no_names_the_setting_to_correct(slack, files_channel, method, word, setting):
    slack.answers[method] = [word]
    with pytest.raises(ChannelRefusedError, match=word) as caught:
        files_channel.send([a_report()])
    assert not caught.value.retryable
    assert setting in caught.value.remedy
    assert slack.shared == []


def test_a_wrong_token_and_a_wrong_channel_are_settings_to_correct_and_not_shown(slack):
    for token, channel, setting in (
        ("xoxb-wrong", BOT_CHANNEL, "SLACK_BOT_TOKEN"),
        (BOT_TOKEN, "C0OTHER", "SLACK_CHANNEL"),
    ):
        wrong = SlackFilesChannel(
            token, channel, api_base=f"{slack.url}/api", transport=on_loopback()
        )
        with pytest.raises(ChannelRefusedError) as caught:
            wrong.send([a_report()])
        assert setting in caught.value.remedy
        assert "xoxb" not in str(caught.value) + caught.value.remedy
    assert slack.shared == []


def test_a_word_that_we_do_not_know_is_not_shown_and_holds_up_no_other(slack, files_channel):
    slack.answers[SHARE] = ["SECRET_canary"]
    with pytest.raises(ChannelRefusedError) as caught:
        files_channel.send([a_report()])
    assert not caught.value.blocks_channel
    assert "canary" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_slack_asks_to_wait_is_obeyed_at_each_call(slack, files_channel, before):
    slack.faults = [*["ok"] * before, "429:30"]
    with pytest.raises(ChannelRefusedError) as caught:
        files_channel.send([a_report()])
    assert caught.value.retryable
    assert caught.value.retry_after == timedelta(seconds=30)
    assert slack.shared == []


@pytest.mark.parametrize("fault", ["lost", "slow", "500"])
@pytest.mark.parametrize("before", [0, 1])
def test_an_answer_that_is_lost_before_anybody_sees_anything_is_no_message(
    slack, files_channel, fault, before
):
    slack.faults = [*["ok"] * before, fault]
    with pytest.raises(ChannelRefusedError) as caught:
        files_channel.send([a_report()])
    assert caught.value.retryable
    assert slack.shared == []
    files_channel.send([a_report()])
    assert len(slack.shared) == 1


@pytest.mark.parametrize("word", ["<html>", "[]", "{}", "null ", '"ok"', "9" * 5000])
def test_what_cannot_be_read_is_no_yes(slack, files_channel, word):
    slack.answers[PLACE] = [word]
    with pytest.raises(ChannelRefusedError, match="could not be read"):
        files_channel.send([a_report()])
    slack.answers[SHARE] = [word]
    with pytest.raises(OutcomeUnknownError):
        files_channel.send([a_report()])


def test_an_answer_without_an_end_is_not_read_to_its_end(slack, files_channel):
    slack.answers[PLACE] = ["x" * (3 << 20)]
    with pytest.raises(ChannelRefusedError, match="lost"):
        files_channel.send([a_report()])


def test_nobody_listening_is_certainly_not_sent(nobody_listens):
    channel = SlackFilesChannel("t", "C1", api_base=nobody_listens, transport=on_loopback())
    with pytest.raises(ChannelRefusedError) as caught:
        channel.send([a_report()])
    assert caught.value.retryable


# --- where the picture may go ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://files.slack.com/upload/v1/x",
        "https://10.0.0.1/upload",
        "https://169.254.169.254/latest",
        "https://files.slack.com:22/upload",
        "https://user:pass@files.slack.com/x",
        "https://intranet/upload",
        "file:///etc/passwd",
        "not a url",
        "https://[::ffff:10.0.0.1]/x",
        "https://files.slack.com\r\nHost: x/",
    ],
)
def test_a_picture_goes_nowhere_that_no_alert_may_go(slack, files_channel, url):
    slack.upload_url = url
    with pytest.raises(ChannelRefusedError) as caught:
        files_channel.send([a_report()])
    assert not caught.value.retryable
    assert "SLACK_API_BASE" in caught.value.remedy
    assert url not in str(caught.value) + caught.value.remedy
    assert calls_of(slack) == [PLACE]


def test_a_name_that_resolves_inside_gets_no_picture(slack):
    sent = []

    class Inner:
        def handle_request(self, request):
            sent.append(str(request.url))
            raise AssertionError("nothing may be sent there")

    door = OutboundTransport(resolve=lambda host, port: ["10.0.0.7"], inner=Inner())
    channel = SlackFilesChannel(BOT_TOKEN, BOT_CHANNEL, transport=door)
    with pytest.raises(ChannelRefusedError, match="not public"):
        channel.send([a_report()])
    assert sent == []


@pytest.mark.parametrize("answer", ["302", "307"])
def test_a_redirect_of_the_picture_is_not_followed(slack, files_channel, answer):
    slack.faults = ["ok", answer]
    with pytest.raises(ChannelRefusedError, match="not followed"):
        files_channel.send([a_report()])
    assert calls_of(slack) == [PLACE, "v1"]


@pytest.mark.parametrize("file_id", ["../x", "", None, 7, "f1", "F1 OR 1"])
def test_an_id_that_is_none_is_not_handed_on(slack, files_channel, file_id):
    slack.answers[PLACE] = [json.dumps({"ok": True, "upload_url": slack.url, "file_id": file_id})]
    with pytest.raises(ChannelRefusedError, match="could not be read"):
        files_channel.send([a_report()])
    assert calls_of(slack) == [PLACE]


# --- lost: it may have been told -------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost", "slow", "500", "503"])
def test_a_lost_answer_to_the_last_call_is_unknown_and_made_once(slack, files_channel, fault):
    slack.faults = ["ok", "ok", fault]
    with pytest.raises(OutcomeUnknownError):
        files_channel.send([a_report()])
    assert calls_of(slack).count(SHARE) == 1


@pytest.mark.parametrize("word", ["internal_error", "fatal_error"])
def test_a_no_of_which_slack_itself_is_not_sure_is_unknown(slack, files_channel, word):
    slack.answers[SHARE] = [word]
    with pytest.raises(OutcomeUnknownError, match=word):
        files_channel.send([a_report()])


def test_it_cannot_be_read_back(files_channel):
    with pytest.raises(OutcomeUnknownError):
        files_channel.find(a_report())


def test_what_may_have_been_read_is_told_again_in_words_and_says_so(slack, files_channel):
    files_channel.send([a_report(repeated=True)])
    (shared,) = slack.shared
    assert "picture" not in shared
    texts = [text["text"] for text in texts_of(shared)]
    assert texts[0].startswith("The answer to an earlier message was lost")
    assert texts[1] == "Growth report"


# --- through the outbox ----------------------------------------------------------------------------


def waiting(database):
    store = AlertStore(database)
    alert = Alert(
        "k", "report", "report:2025-10-26", "title", "body", audience="reports", picture=PICTURE
    )

    def add(channel):
        store.add([], lambda known: [alert], channels=[channel], now=NOW)
        return store

    return add


def send(store, channel, *, after=timedelta()):
    return deliver(store, [channel], clock=lambda: NOW + after, pause=lambda seconds: None)


@pytest.mark.parametrize(
    ("faults", "messages", "pictures"),
    [
        (["ok"], 1, 1),
        (["lost"], 1, 1),
        (["ok", "500"], 1, 1),
        (["429:30"], 1, 1),
        (["ok", "ok", "429:30"], 1, 1),
        (["ok", "ok", "lost"], 2, 1),  # the second says that the first may have been read
        (["ok", "ok", "500"], 1, 0),
    ],
)
def test_each_fault_ends_in_one_report_and_no_second_picture(
    database, slack, files_channel, faults, messages, pictures
):
    store, slack.faults = waiting(database)(files_channel), list(faults)
    for minutes in (0, 1, 2, 5, 11, 12, 30):
        send(store, files_channel, after=timedelta(minutes=minutes))
    assert len(slack.shared) == messages
    assert [one["picture"] for one in slack.shared if "picture" in one] == [PICTURE] * pictures
    assert store.unsent(9) == []


def test_a_process_that_died_before_or_after_the_call_tells_it_again_in_words_and_says_so(
    database, slack, files_channel
):
    store = waiting(database)(files_channel)
    (claimed,) = store.claim(files_channel, now=NOW)
    assert claimed.picture == PICTURE
    send(store, files_channel, after=timedelta(minutes=1))
    assert slack.shared == []
    send(store, files_channel, after=CLAIM_LEASE + timedelta(seconds=1))
    (shared,) = slack.shared
    assert shared["blocks"][0]["text"]["text"].startswith("The answer to an earlier message")


def test_a_wrong_token_is_left_alone_for_an_hour_and_stops_no_webhook(
    database, slack, files_channel, slack_channel
):
    slack.answers[PLACE] = ["token_revoked"]
    store = waiting(database)(files_channel)
    alert = Alert("p", "failed_check", "f", "problem", "")
    store.add([], lambda known: [alert], channels=[slack_channel], now=NOW)
    delivered = deliver(store, [files_channel, slack_channel], clock=lambda: NOW)
    assert (delivered.sent, delivered.waiting) == (1, 1)
    assert len(slack.messages) == 1
    send(store, files_channel, after=timedelta(minutes=59))
    assert slack.shared == []
    send(store, files_channel, after=timedelta(minutes=60))
    assert len(slack.shared) == 1


def test_the_outbox_keeps_no_picture_that_arrived(database, slack, files_channel, github_channel):
    store = waiting(database)(files_channel)
    alert = Alert("k2", "report", "f", "t", "b", audience="reports", picture=PICTURE)
    store.add([], lambda known: [alert], channels=[github_channel], now=NOW)
    assert pictures_of(database) == [("github", None), ("slack_files", len(PICTURE))]
    slack.faults = ["429"]
    send(store, files_channel)
    assert pictures_of(database)[1] == ("slack_files", len(PICTURE))
    send(store, files_channel, after=timedelta(minutes=5))
    assert pictures_of(database)[1] == ("slack_files", None)


def pictures_of(database):
    with database.connection() as connection:
        statement = "select channel, length(picture) from alerts.outbox order by 1"
        return connection.execute(statement).fetchall()
