"""GitHub issues: one open issue a problem, commented when it changes, closed when it is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from githubkit import GitHub, TokenAuthStrategy
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed

from growth_pipeline.alerts.answers import LATER, forbidden, retry_after
from growth_pipeline.alerts.deliver import (
    ChannelRefusedError,
    OutcomeUnknownError,
    Sent,
    WaitingAlert,
    newest,
)
from growth_pipeline.alerts.limits import GITHUB_RATES
from growth_pipeline.alerts.outbound import ForbiddenAddressError, OutboundTransport
from growth_pipeline.core.errors import ConfigurationError

TIMEOUT_SECONDS = 10
PAGE_LENGTH = 100
# Open issues looked through for a marker when our own outbox does not know the issue.
PAGES_READ = 10
BASE_SETTING = "GROWTH_ALERTS__GITHUB_API_BASE or GROWTH_ALERTS__GITHUB_REPOSITORY"
_CLOSING = frozenset({"recovery", "test"})
_HTTP_NOT_FOUND = (404, 410)
_HTTP_SETTINGS = (401, 403, 404, 410)
_HTTP_TOO_MANY = 429
_HTTP_SERVER_ERROR = 500
_MENTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?\Z")
_REPOSITORY = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)\Z")


def fence(text: str) -> str:
    """Text as a code block that it cannot leave: no mention, link or image comes out of it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{text}\n{ticks}"


def mention_of(name: str) -> str:
    """The markup that calls one user or team. Raises: ValueError for any other text."""
    if not _MENTION.match(name):
        raise ValueError("not the name of a GitHub user or team")
    return f"@{name}"


def plain_title(title: str) -> str:
    """A title that calls nobody and points nowhere: GitHub reads @name and #12 in titles too."""
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", title)


def marker(name: str) -> str:
    """Hidden comment that a later call finds its own issue or comment by."""
    return f"<!-- growth-alert {name} -->"


class GitHubChannel:
    """Writes issues with a token. Its calls are made once: githubkit's own retries are off."""

    name = "github"
    audiences = frozenset({"all", "issues"})
    batch = 100
    threads = True
    readable = True
    rates = GITHUB_RATES
    requests = 3

    def __init__(
        self,
        token: str,
        repository: str,
        *,
        api_base: str = "https://api.github.com",
        transport: httpx.BaseTransport | None = None,
        mention: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        match = _REPOSITORY.match(repository)
        if match is None:
            raise ConfigurationError(
                "the alert repository is not of the form owner/name",
                remedy="correct GROWTH_ALERTS__GITHUB_REPOSITORY",
            )
        self._owner, self._repository = match[1], match[2]
        self._mention = mention
        self._writes = 0
        self._github = GitHub(
            TokenAuthStrategy(token),
            base_url=_readable(api_base),
            timeout=timeout_seconds,
            auto_retry=False,
            http_cache=False,
            follow_redirects=False,
            trust_env=False,
            transport=transport or OutboundTransport(),
        )

    def send(self, alerts: Sequence[WaitingAlert]) -> Sent:
        """Create, comment, close or reopen the one issue of these alerts. See `Channel.send`.

        Several alerts of one problem that waited are one comment: the newest says what holds.
        """
        self._writes = 0
        last, keys = newest(alerts), [alert.alert_key for alert in alerts]
        number = self._issue_of(last)
        if last.kind not in _CLOSING:
            number = self._repeat(number, last, keys) if number else self._create(last, keys)
            return Sent(number, self._writes)
        # What came and went while nothing could be sent is told too: made, and closed at once.
        came = [alert for alert in alerts if alert.kind != "recovery"]
        if number is None and came:
            number = self._create(came[-1], [alert.alert_key for alert in came])
        if number is not None:
            self._close(number, last, keys)
        return Sent(number, max(1, self._writes))

    def find(self, alert: WaitingAlert) -> str | None:
        """Number of the issue that already carries this very alert. See `Channel.find`."""
        number = self._issue_of(alert)
        if number is None:
            return None
        wanted = marker(alert.alert_key)
        texts = [self._read_issue(number) or {}, *self._comments(number)]
        return number if any(wanted in (text.get("body") or "") for text in texts) else None

    def _issue_of(self, alert: WaitingAlert) -> str | None:
        if alert.known_as and self._read_issue(alert.known_as) is not None:
            return alert.known_as
        wanted = marker(alert.fingerprint)
        for issue in self._open_issues():
            if wanted in (issue.get("body") or ""):
                return str(issue["number"])
        return None

    def _read_issue(self, number: str) -> dict[str, Any] | None:
        with _reading(missing_ok=True):
            issue: Any = self._github.rest.issues.get(
                self._owner, self._repository, int(number)
            ).json()
            return dict(issue)
        return None

    def _open_issues(self) -> Iterator[dict[str, Any]]:
        for page in range(1, PAGES_READ + 1):
            with _reading():
                issues: Any = self._github.rest.issues.list_for_repo(
                    self._owner,
                    self._repository,
                    state="open",
                    per_page=PAGE_LENGTH,
                    page=page,
                ).json()
            yield from issues
            if len(issues) < PAGE_LENGTH:
                return

    def _comments(self, number: str) -> Iterator[dict[str, Any]]:
        for page in range(1, PAGES_READ + 1):
            with _reading():
                comments: Any = self._github.rest.issues.list_comments(
                    self._owner, self._repository, int(number), per_page=PAGE_LENGTH, page=page
                ).json()
            yield from comments
            if len(comments) < PAGE_LENGTH:
                return

    def _create(self, alert: WaitingAlert, keys: Sequence[str]) -> str:
        text = [*self._called(alert), fence(alert.body), marker(alert.fingerprint)]
        body = "\n".join([*text, *map(marker, keys)])
        self._writes += 1
        with _writing():
            made = self._github.rest.issues.create(
                self._owner, self._repository, title=plain_title(alert.title), body=body
            )
            return str(made.json()["number"])

    def _repeat(self, number: str, alert: WaitingAlert, keys: Sequence[str]) -> str:
        # Reopening first: done twice it is done once, while a comment is not.
        self._writes += 1
        with _writing():
            self._github.rest.issues.update(
                self._owner,
                self._repository,
                int(number),
                state="open",
                title=plain_title(alert.title),
            )
        self._comment(number, alert, keys)
        return number

    def _close(self, number: str, alert: WaitingAlert, keys: Sequence[str]) -> str:
        self._writes += 1
        with _writing():
            self._github.rest.issues.update(
                self._owner,
                self._repository,
                int(number),
                state="closed",
                state_reason="completed",
            )
        self._comment(number, alert, keys)
        return number

    def _comment(self, number: str, alert: WaitingAlert, keys: Sequence[str]) -> None:
        text = [*self._called(alert), fence(f"{alert.title}\n{alert.body}")]
        body = "\n".join([*text, *map(marker, keys)])
        self._writes += 1
        with _writing():
            self._github.rest.issues.create_comment(
                self._owner, self._repository, int(number), body=body
            )

    def _called(self, alert: WaitingAlert) -> list[str]:
        """The configured person, named outside the code block; only an escalation does so."""
        if self._mention and alert.kind == "escalation":
            return [mention_of(self._mention)]
        return []


def _readable(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        raise ConfigurationError(
            "the base URL of GitHub's API cannot be read", remedy=f"correct {BASE_SETTING}"
        ) from None


@contextmanager
def _reading(*, missing_ok: bool = False) -> Iterator[None]:
    try:
        yield
    except RequestFailed as error:
        if missing_ok and error.response.status_code in _HTTP_NOT_FOUND:
            return
        raise _refusal(error) from None
    except RequestError as error:
        if isinstance(error.exc, ForbiddenAddressError):
            raise forbidden(str(error.exc), BASE_SETTING) from None
        raise _refused("GitHub does not answer") from None
    except (GitHubException, httpx.HTTPError, KeyError, TypeError, ValueError):
        raise _refused("GitHub does not answer") from None


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except RequestFailed as error:
        if error.response.status_code >= _HTTP_SERVER_ERROR:
            raise OutcomeUnknownError(f"GitHub answered {error.response.status_code}") from None
        raise _refusal(error) from None
    except RequestError as error:
        if isinstance(error.exc, ForbiddenAddressError):
            raise forbidden(str(error.exc), BASE_SETTING) from None
        if isinstance(error.exc, (httpx.ConnectError, httpx.ConnectTimeout)):
            raise _refused("GitHub does not answer") from None
        raise OutcomeUnknownError("GitHub's answer was lost") from None
    except (KeyError, TypeError, ValueError):
        raise OutcomeUnknownError("GitHub's answer could not be read") from None


def _refusal(error: RequestFailed) -> ChannelRefusedError:
    status = error.response.status_code
    wait = retry_after(error.response.headers, datetime.now(UTC))
    limited = isinstance(error, RateLimitExceeded) or status == _HTTP_TOO_MANY
    if limited or status >= _HTTP_SERVER_ERROR:
        # GitHub asks for a minute when it names no time. Source: "Best practices", REST API.
        return ChannelRefusedError(
            f"GitHub answered {status}", remedy=LATER, retry_after=wait or timedelta(minutes=1)
        )
    if status in _HTTP_SETTINGS:
        return ChannelRefusedError(
            f"GitHub answered {status}",
            remedy="check GROWTH_ALERTS__GITHUB_TOKEN (right to write issues) and "
            "GROWTH_ALERTS__GITHUB_REPOSITORY; the alerts wait",
            retryable=False,
        )
    return ChannelRefusedError(
        f"GitHub refused one alert with {status}",
        remedy="read the alert in the log; it is tried again in an hour",
        blocks_channel=False,
    )


def _refused(message: str) -> ChannelRefusedError:
    return ChannelRefusedError(message, remedy=LATER)
