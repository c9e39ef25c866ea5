"""GitHub issues: one open issue a problem, commented when it changes, closed when it is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import httpx
from githubkit import GitHub, TokenAuthStrategy
from githubkit.exception import GitHubException, RateLimitExceeded, RequestError, RequestFailed
from githubkit.utils import UNSET

from growth_pipeline.alerts.answers import LATER, forbidden, retry_after
from growth_pipeline.alerts.decide import is_older_report
from growth_pipeline.alerts.deliver import (
    ChannelRefusedError,
    OutcomeUnknownError,
    Sent,
    WaitingAlert,
    newest,
)
from growth_pipeline.alerts.issue_text import (
    fence,
    is_marked,
    marker,
    marks_of,
    mention_of,
    plain_title,
)
from growth_pipeline.alerts.limits import GITHUB_RATES
from growth_pipeline.alerts.outbound import ForbiddenAddressError, OutboundTransport
from growth_pipeline.core.errors import ConfigurationError

TIMEOUT_SECONDS = 10
PAGE_LENGTH = 100
# Of one list. What lies beyond is unknown, never "made nothing".
PAGES_READ = 10
# For people who look for our issues, and for us when nobody can say whose token it is.
LABEL = "growth-alert"
REPORT_LABEL = "growth-report"
# Lists begin this long before the call they are to tell about: clocks differ.
_CLOCK_MARGIN = timedelta(hours=1)
BASE_SETTING = "GROWTH_ALERTS__GITHUB_API_BASE or GROWTH_ALERTS__GITHUB_REPOSITORY"
_NOT_ASKED: Final = ""
# Beside the new one: with it no more writes than any other call makes.
_OLDER_CLOSED = 2
_CLOSING = frozenset({"recovery", "test"})
_HTTP_NOT_FOUND = (404, 410)
_HTTP_FORBIDDEN = 403
_HTTP_SETTINGS = (401, 403, 404, 410)
_HTTP_TOO_MANY = 429
_HTTP_SERVER_ERROR = 500
_REPOSITORY = re.compile(r"([A-Za-z0-9_.-]+)/([A-Za-z0-9_.-]+)\Z")


class GitHubChannel:
    """Writes issues with a token. Its calls are made once: githubkit's own retries are off."""

    name = "github"
    audiences = frozenset({"all", "issues", "reports"})
    batch = 100
    pictures = False
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
        self._author: str | None = _NOT_ASKED
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
        number, double = self._issue_of(last)
        if number and double:
            self._close_double(double, number)
        if last.kind not in _CLOSING:
            if number:
                return Sent(self._repeat(number, last, keys), self._writes)
            number = self._create(last, keys)
            if last.kind == "report":
                self._close_older(last.fingerprint)
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
        since = alert.claimed_at - _CLOCK_MARGIN if alert.claimed_at else None
        try:
            for issue in self._candidates(alert, since):
                number = str(issue["number"])
                if is_marked(issue, alert.alert_key) or self._has_comment(
                    number, alert.alert_key, since
                ):
                    return number
        except _TooManyError as error:
            raise OutcomeUnknownError(str(error)) from None
        return None

    def _candidates(self, alert: WaitingAlert, since: datetime | None) -> Iterator[dict[str, Any]]:
        """The issue the outbox knows, then those with the problem's mark that changed since."""
        known = self._read_issue(alert.known_as) if alert.known_as else None
        if known is not None:
            yield known
        for issue in self._issues("all", since):
            if is_marked(issue, alert.fingerprint) and str(issue["number"]) != alert.known_as:
                yield issue

    def _has_comment(self, number: str, key: str, since: datetime | None) -> bool:
        def page_of(page: int) -> Any:
            return self._github.rest.issues.list_comments(
                self._owner,
                self._repository,
                int(number),
                since=since or UNSET,
                per_page=PAGE_LENGTH,
                page=page,
            )

        ours = (one for one in _pages(page_of, "comments of one issue") if self._is_ours(one))
        return any(is_marked(one, key) for one in ours)

    def _issue_of(self, alert: WaitingAlert) -> tuple[str | None, str | None]:
        """The issue of a problem, and another open one: a create took effect that seemed lost.

        The older one is the problem's. Raises: ChannelRefusedError when it cannot be told.
        """
        numbers = set()
        if alert.known_as and self._read_issue(alert.known_as) is not None:
            numbers.add(int(alert.known_as))
        try:
            for issue in self._issues("open", None):
                if is_marked(issue, alert.fingerprint):
                    numbers.add(int(issue["number"]))
        except _TooManyError as error:
            if not numbers:
                raise ChannelRefusedError(
                    str(error),
                    remedy="close issues that are done; the alert is tried again in an hour",
                    blocks_channel=False,
                ) from None
        first, second, *_ = [*map(str, sorted(numbers)), None, None]
        return first, second

    def _read_issue(self, number: str) -> dict[str, Any] | None:
        with _reading(missing_ok=True):
            issue: Any = self._github.rest.issues.get(
                self._owner, self._repository, int(number)
            ).json()
            return dict(issue)
        return None

    def _issues(
        self, state: Literal["open", "all"], since: datetime | None
    ) -> Iterator[dict[str, Any]]:
        """Issues that we wrote, the youngest first; of those that changed since an instant."""
        login = self._login()

        def page_of(page: int) -> Any:
            return self._github.rest.issues.list_for_repo(
                self._owner,
                self._repository,
                state=state,
                creator=login or UNSET,
                labels=UNSET if login else LABEL,
                since=since or UNSET,
                per_page=PAGE_LENGTH,
                page=page,
            )

        return (one for one in _pages(page_of, "issues of ours") if self._is_ours(one))

    def _login(self) -> str | None:
        """Name of the token's user, asked for once; None: the token is an app's."""
        if self._author == _NOT_ASKED:
            login = None
            with _reading(app_ok=True):
                user: Any = self._github.rest.users.get_authenticated().json()
                login = str(user["login"])
            self._author = login
        return self._author

    def _is_ours(self, text: Mapping[str, Any]) -> bool:
        """Whether we wrote it: a stranger may copy our marks. An app writes as a bot."""
        author, login = text.get("user") or {}, self._login()
        if login is None:
            return author.get("type") == "Bot"
        return str(author.get("login", "")).casefold() == login.casefold()

    def _create(self, alert: WaitingAlert, keys: Sequence[str]) -> str:
        text = [*self._called(alert), fence(alert.body), marker(alert.fingerprint)]
        body = "\n".join([*text, *map(marker, keys)])
        self._writes += 1
        with _writing():
            made = self._github.rest.issues.create(
                self._owner,
                self._repository,
                title=plain_title(alert.title),
                body=body,
                labels=[LABEL, REPORT_LABEL] if alert.kind == "report" else [LABEL],
            )
            return str(made.json()["number"])

    def _repeat(self, number: str, alert: WaitingAlert, keys: Sequence[str]) -> str:
        # Reopening first: done twice it is done once, while a comment is not.
        self._update(number, state="open", title=plain_title(alert.title))
        self._comment(number, alert, keys)
        return number

    def _close(self, number: str, alert: WaitingAlert, keys: Sequence[str]) -> str:
        self._update(number, state="closed", state_reason="completed")
        self._comment(number, alert, keys)
        return number

    def _close_double(self, number: str, first: str) -> None:
        """One write, done twice it is done once: the note stands above the issue's text."""
        issue = self._read_issue(number) or {}
        note = f"The same problem as #{first}, made twice because an answer was lost. See there."
        body = f"{note}\n\n{issue.get('body') or ''}"
        self._update(number, state="closed", state_reason="not_planned", body=body)

    def _close_older(self, newest: str) -> None:
        """Reports of earlier weeks, two at most: what is not closed now is with the next one."""
        with suppress(ChannelRefusedError, OutcomeUnknownError, _TooManyError):
            older = [
                str(issue["number"])
                for issue in self._issues("open", None)
                if any(is_older_report(mark, newest) for mark in marks_of(issue))
            ]
            for number in older[:_OLDER_CLOSED]:
                self._update(number, state="closed", state_reason="completed")

    def _update(self, number: str, **fields: Any) -> None:
        self._writes += 1
        with _writing():
            self._github.rest.issues.update(self._owner, self._repository, int(number), **fields)

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


class _TooManyError(Exception):
    """A list goes on behind the pages that are read."""


def _pages(page_of: Callable[[int], Any], what: str) -> Iterator[dict[str, Any]]:
    """All entries of a list. Raises: _TooManyError behind the last page that is read."""
    for page in range(1, PAGES_READ + 1):
        with _reading():
            entries: Any = page_of(page).json()
        yield from entries
        if len(entries) < PAGE_LENGTH:
            return
    raise _TooManyError(f"GitHub lists more than {PAGES_READ * PAGE_LENGTH - 1} {what}")


@contextmanager
def _reading(*, missing_ok: bool = False, app_ok: bool = False) -> Iterator[None]:
    try:
        yield
    except RequestFailed as error:
        status = error.response.status_code
        if missing_ok and status in _HTTP_NOT_FOUND:
            return
        limited = isinstance(error, RateLimitExceeded)
        if app_ok and not limited and status == _HTTP_FORBIDDEN:
            return  # an app is no user and may not ask who it is
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
