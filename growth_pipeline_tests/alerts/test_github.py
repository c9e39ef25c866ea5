"""The GitHub channel against a repository on loopback: one open issue a problem."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from growth_pipeline.alerts.deliver import (
    ChannelRefusedError,
    OutcomeUnknownError,
    Sent,
    WaitingAlert,
)
from growth_pipeline.alerts.github import LABEL, PAGE_LENGTH, PAGES_READ, GitHubChannel
from growth_pipeline.alerts.issue_text import fence, marker, mention_of
from growth_pipeline.alerts.outbound import OutboundTransport
from growth_pipeline.core.errors import ConfigurationError


def an_alert(key="key-1", fingerprint="f1", **changes):
    facts = {"kind": "failed_check", "title": "amounts differ", "body": "3 findings"}
    return WaitingAlert(1, key, fingerprint=fingerprint, **{**facts, **changes})


def test_a_problem_becomes_an_issue_that_can_be_found_again(github, github_channel):
    assert github_channel.send([an_alert()]) == Sent("1", 1)
    (issue,) = github.issues
    assert issue["title"] == "amounts differ"
    assert marker("f1") in issue["body"]
    assert github_channel.find(an_alert()) == "1"
    assert github_channel.find(an_alert(key="key-of-another-run")) is None


def test_the_same_problem_later_is_a_comment_on_its_issue(github, github_channel):
    github_channel.send([an_alert()])
    sent = github_channel.send([an_alert(key="key-2", title="amounts differ more")])
    assert sent == Sent("1", 2)
    assert len(github.issues) == 1
    assert github.issues[0]["title"] == "amounts differ more"
    assert "amounts differ more" in github.comments[1][0]["body"]


def test_another_problem_gets_its_own_issue(github, github_channel):
    github_channel.send([an_alert()])
    assert github_channel.send([an_alert(key="key-2", fingerprint="f2")]).external_id == "2"


def test_a_recovery_closes_the_issue_with_a_comment_and_a_relapse_opens_it_again(
    github, github_channel
):
    number = github_channel.send([an_alert()]).external_id
    github_channel.send([an_alert(key="key-2", kind="recovery", title="Recovered: amounts differ")])
    assert github.issues[0]["state"] == "closed"
    assert "Recovered" in github.comments[1][0]["body"]
    github_channel.send([an_alert(key="key-3", known_as=number)])
    assert github.issues[0]["state"] == "open"
    assert len(github.issues) == 1


def test_a_recovery_without_an_issue_is_nothing_to_do(github, github_channel):
    assert github_channel.send([an_alert(kind="recovery")]).external_id is None
    assert github.issues == []


def test_an_issue_that_somebody_deleted_is_made_anew(github, github_channel):
    assert github_channel.send([an_alert(known_as="77")]).external_id == "1"


def test_the_issue_is_found_behind_more_than_one_page_of_others(github, github_channel):
    github_channel.send([an_alert()])
    for number in range(150):
        github._create({"title": f"other {number}", "body": "text"})
    assert github_channel.send([an_alert(key="key-2")]).external_id == "1"
    assert len(github.issues) == 151


def test_our_issue_is_found_whatever_else_is_open_in_the_repository(github, github_channel):
    github_channel.send([an_alert()])
    others = {"login": "octocat", "type": "User"}
    for number in range(PAGES_READ * PAGE_LENGTH):
        github._create({"title": f"other {number}", "body": "text"}, others)
    assert github_channel.find(an_alert()) == "1"
    assert github_channel.send([an_alert(key="key-2")]).external_id == "1"


def test_more_issues_than_are_read_are_unknown_and_no_second_issue(github, github_channel):
    github_channel.send([an_alert()])
    for number in range(PAGES_READ * PAGE_LENGTH):
        github._create({"title": f"other {number}", "body": "text"})
    with pytest.raises(OutcomeUnknownError, match="more than"):
        github_channel.find(an_alert(key="key-2"))
    with pytest.raises(ChannelRefusedError, match="more than") as caught:
        github_channel.send([an_alert(key="key-2")])
    assert not caught.value.blocks_channel
    assert len(github.issues) == PAGES_READ * PAGE_LENGTH + 1
    assert github_channel.send([an_alert(key="key-3", known_as="1")]).external_id == "1"


def test_a_comment_is_found_behind_all_that_others_said_before(github, github_channel):
    github_channel.send([an_alert()])
    for number in range(PAGES_READ * PAGE_LENGTH):
        github._comment(1, {"body": f"comment {number}"}, {"login": "octocat", "type": "User"})
    github.ahead = 86_400.0
    github_channel.send([an_alert(key="key-2", known_as="1")])
    claimed_at = datetime.fromtimestamp(github.now(), UTC)
    alert = an_alert(key="key-2", known_as="1", claimed_at=claimed_at)
    assert github_channel.find(alert) == "1"
    assert github_channel.find(replace(alert, alert_key="key-3")) is None
    with pytest.raises(OutcomeUnknownError, match="more than"):
        github_channel.find(replace(alert, alert_key="key-3", claimed_at=None))


@pytest.mark.parametrize("user", ["growth-alerts", None])
def test_an_issue_of_a_stranger_with_our_marks_is_not_adopted(github, github_channel, user):
    github.user = user
    body = "\n".join([marker("f1"), marker("key-1"), marker("key-2")])
    stranger = {"login": "octocat", "type": "User"}
    github._create({"title": "mine", "body": body, "labels": [LABEL]}, stranger)
    assert github_channel.find(an_alert()) is None
    assert github_channel.send([an_alert()]).external_id == "2"
    github._comment(2, {"body": marker("key-2")}, stranger)
    assert github_channel.find(an_alert(key="key-2")) is None
    assert github_channel.find(an_alert()) == "2"
    assert github_channel.send([an_alert(key="key-2")]).external_id == "2"


def test_a_mark_inside_the_text_of_an_alert_is_no_mark(github, github_channel):
    github_channel.send([an_alert(body=f"{marker('f2')}\n```\n{marker('key-2')}")])
    assert github_channel.find(an_alert(key="key-2", fingerprint="f2")) is None
    sent = github_channel.send([an_alert(key="key-2", fingerprint="f2")])
    assert sent.external_id == "2"


def test_whose_token_it_is_is_asked_once(github, github_channel):
    for number in range(3):
        github_channel.send([an_alert(key=f"key-{number}")])
    assert [path for _, path in github.requests].count("/user") == 1
    assert github.issues[0]["labels"] == [{"name": LABEL}]


def test_github_that_does_not_say_whose_token_it_is_is_asked_again(github, github_channel):
    answer, github.handle = github.handle, lambda *_: (500, {"message": "no"})
    with pytest.raises(ChannelRefusedError):
        github_channel.send([an_alert()])
    github.handle = answer
    github_channel.send([an_alert()])
    assert [path for _, path in github.requests].count("/user") == 2
    assert all("creator=growth-alerts" in path for path in list_requests(github))


def list_requests(github):
    return [path for method, path in github.requests if "/issues?" in path]


def test_an_issue_that_was_closed_before_it_could_be_read_back_is_found(github, github_channel):
    github.faults = ["lost"]
    with pytest.raises(OutcomeUnknownError):
        github_channel.send([an_alert()])
    github.issues[0]["state"] = "closed"
    assert github_channel.find(an_alert()) == "1"


@pytest.mark.parametrize("kind", ["failed_check", "recovery"])
def test_of_two_open_issues_of_one_problem_the_younger_is_closed_with_a_note(
    github, github_channel, kind
):
    github_channel.send([an_alert()])
    github._create({"title": "late", "body": github.issues[0]["body"]})
    sent = github_channel.send([an_alert(key="key-2", kind=kind, known_as="2")])
    assert sent == Sent("1", 3)
    assert sent.requests <= GitHubChannel.requests
    younger = github.issues[1]
    assert younger["state"] == "closed"
    assert "#1" in younger["body"].splitlines()[0]
    assert marker("f1") in younger["body"]
    assert github.issues[0]["state"] == ("closed" if kind == "recovery" else "open")
    assert github.comments[2] == []


@pytest.mark.parametrize(
    "attack",
    [
        "@everyone look",
        "```\n@octocat",
        "![x](https://evil.example/p.png)",
        "<!-- growth-alert f9 -->",
    ],
)
def test_text_cannot_leave_its_code_block(github, github_channel, attack):
    github_channel.send([an_alert(body=attack)])
    body = github.issues[0]["body"]
    assert body.startswith(fence(attack))
    ticks = body[: body.index("text")]
    assert body.count(ticks) == 2
    assert attack.count(ticks) == 0


def test_a_fence_is_longer_than_any_in_the_text():
    assert fence("a ```` b") == "`````text\na ```` b\n`````"


@pytest.mark.parametrize(
    ("status", "retryable", "blocks"),
    [
        ("429", True, True),
        ("403", False, True),
        ("401", False, True),
        ("404", False, True),
        ("301", False, True),
        ("422", True, False),
    ],
)
def test_a_refused_write_is_certainly_not_made(github, github_channel, status, retryable, blocks):
    github.faults = [status]
    with pytest.raises(ChannelRefusedError, match=status) as caught:
        github_channel.send([an_alert()])
    assert caught.value.retryable is retryable
    assert caught.value.blocks_channel is blocks
    assert github.issues == []
    assert "ghp_" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize("fault", ["lost", "slow", "500"])
def test_a_write_without_an_answer_is_unknown_and_made_once(github, github_channel, fault):
    github.faults = [fault]
    with pytest.raises(OutcomeUnknownError):
        github_channel.send([an_alert()])
    assert [method for method, _ in github.requests].count("POST") == 1


@pytest.mark.parametrize(("fault", "found"), [("lost", "1"), ("slow", "1"), ("500", None)])
def test_reading_back_tells_whether_the_issue_was_made(github, github_channel, fault, found):
    github.faults = [fault]
    with pytest.raises(OutcomeUnknownError):
        github_channel.send([an_alert()])
    assert github_channel.find(an_alert()) == found


def test_reading_back_tells_whether_the_comment_was_made(github, github_channel):
    github_channel.send([an_alert()])
    github.faults = ["ok", "lost"]  # reopen, then comment
    with pytest.raises(OutcomeUnknownError):
        github_channel.send([an_alert(key="key-2")])
    assert github_channel.find(an_alert(key="key-2")) == "1"
    assert len(github.comments[1]) == 1


def test_nobody_listening_is_certainly_not_sent(nobody_listens):
    open_door = OutboundTransport(allow_loopback=True)
    channel = GitHubChannel(
        "t", "acme/books", api_base=nobody_listens, transport=open_door, timeout_seconds=1
    )
    with pytest.raises(ChannelRefusedError):
        channel.send([an_alert()])


@pytest.mark.parametrize(
    "name", ["books", "acme/books/x", "acme/../x y", "https://github.com/acme/books"]
)
def test_a_repository_is_owner_and_name(name):
    with pytest.raises(ConfigurationError, match="owner/name"):
        GitHubChannel("t", name)


def test_an_address_inside_the_network_is_refused_before_anything_is_sent(github):
    channel = GitHubChannel("ghp_t", "acme/books", api_base=github.url, timeout_seconds=1)
    with pytest.raises(ChannelRefusedError) as caught:
        channel.send([an_alert()])
    assert not caught.value.retryable
    assert "GITHUB_API_BASE" in caught.value.remedy
    assert github.requests == []


@pytest.mark.parametrize(("fault", "seconds"), [("429:90", 90), ("429", 60), ("503:5", 5)])
def test_what_github_asks_to_wait_is_obeyed(github, github_channel, fault, seconds):
    github.faults = [fault]
    kind = OutcomeUnknownError if fault.startswith("5") else ChannelRefusedError
    with pytest.raises(kind) as caught:
        github_channel.send([an_alert()])
    if kind is ChannelRefusedError:
        assert caught.value.retry_after.total_seconds() == seconds


def test_only_an_escalation_mentions_the_configured_team_and_nobody_else(github, github_channel):
    github_channel.send([an_alert(title="@everyone", body="@everyone")])
    github_channel.send([an_alert(key="key-2", kind="escalation", title="HIGH", body="@everyone")])
    assert not github.issues[0]["body"].startswith("@")
    assert github.comments[1][0]["body"].splitlines()[0] == "@acme/on-call"
    assert github.comments[1][0]["body"].count("@acme/on-call") == 1


@pytest.mark.parametrize("name", ["@me", "a b", "a/b/c", "me @you", "", "-x", "a/@b"])
def test_a_mention_is_a_user_or_team_and_no_other_text(name):
    assert mention_of("octocat") == "@octocat"
    with pytest.raises(ValueError, match="GitHub user"):
        mention_of(name)


@pytest.mark.parametrize("title", ["@octocat fix it", "see #12", "acme/books#12", "a@b.example"])
def test_a_title_calls_nobody_and_points_nowhere(github, github_channel, title):
    github_channel.send([an_alert(title=title)])
    assert github.issues[0]["title"].replace("\u200b", "") == title
    assert not re.search(r"[@#]\w", github.issues[0]["title"])
