"""The reader of Stripe's API: lists in windows, single objects, a check. It never writes.

Asking is transport.py, what an answer means answers.py, what an object means versions/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.parse import quote as quote_path

from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, ObjectGone, TryAgain, raw_text, read_answer
from growth_pipeline.stripe_api.errors import StripeError, StripeIncompleteError
from growth_pipeline.stripe_api.time_windows import Window
from growth_pipeline.stripe_api.transport import StripeTransport
from growth_pipeline.stripe_api.versions import Object, adapter_for

__all__ = ["Page", "StripeAccess", "StripeCheck", "StripeReader"]

PAGE_SIZE = 100  # the most Stripe gives
# A list that is cut off this often without giving one new object will not end.
_FRUITLESS_RESTARTS = 5


@dataclass(frozen=True)
class Page:
    """One page of a list, newest objects first, ids that were already given left out.

    `raws` are the objects as JSON text. Stripe saw this state between the two fetched instants.
    """

    objects: list[Object]
    raws: list[str]
    fetched_from: datetime
    fetched_to: datetime
    request_id: str | None
    has_more: bool


@dataclass(frozen=True)
class StripeCheck:
    """What one cheap request told: the key works, of which kind and mode it is, how fast it was."""

    key_kind: str
    livemode: bool
    account_id: str
    api_base: str
    api_version: str
    request_id: str | None
    elapsed_seconds: float


@dataclass(frozen=True)
class _ListAnswer:
    objects: list[Object]
    has_more: bool
    answer: Answer


class StripeReader:
    """Reads one account in one mode. Give it up with `close()` or a `with` block.

    Not for several threads at once; readers of one account share their request budget.
    Raises (all reads): StripeAuthError, StripePermissionError, StripeIncompleteError,
    StripeUnreachableError, StripeError; each sentence names what was read.
    """

    def __init__(
        self, access: StripeAccess, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        adapter_for(access.api_version)
        self._access = access
        self._transport = StripeTransport(access, clock)

    @property
    def scope(self) -> Scope:
        """Account and mode of everything this reader gives."""
        return self._access.scope

    @property
    def api_version(self) -> str:
        """Version that all objects are rendered in."""
        return self._access.api_version

    @property
    def request_count(self) -> int:
        """Requests made so far, tries that failed included."""
        return self._transport.request_count

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> StripeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"StripeReader({self.scope}, {self._access.api_base!r})"

    def list_window(
        self,
        resource: str,
        gte: int | None,
        lt: int,
        params: Mapping[str, str] | None = None,
    ) -> Iterator[Page]:
        """Pages of all objects created in `[gte, lt)` epoch seconds, until Stripe says it was all.

        Grain: a page. Shapes: every id once; the last page alone has `has_more` False; no page
        for an empty window. A cursor object that was deleted meanwhile is stepped over by time.
        Raises: StripeIncompleteError naming resource and window if the end was not reached.
        """
        window = rest = Window(gte, lt)
        subject = f"{resource} of {window}"
        known: set[str] = set()
        listed: set[str] = set()
        cursor: Object | None = None
        fruitless = 0
        while not window.is_empty:
            sent = {"limit": str(PAGE_SIZE), **rest.params(), **(params or {})}
            if cursor is not None:
                sent["starting_after"] = cursor["id"]
            try:
                page = self._list(
                    resource, f"/v1/{resource}", sent, subject=subject, listed=listed, window=rest
                )
            except ObjectGone:
                fruitless += 1
                if cursor is None or fruitless > _FRUITLESS_RESTARTS:
                    raise _never_ends(subject) from None
                rest, cursor, listed = rest.up_to_second(cursor["created"]), None, set()
                continue
            fresh = _first_of_each(page.objects, known)
            fruitless = 0 if fresh else fruitless
            listed.update(found["id"] for found in page.objects)
            yield _page(page, fresh)
            if not page.has_more:
                return
            cursor = page.objects[-1]

    def retrieve(self, resource: str, id: str) -> Object | None:
        """One object as it is now; None only if Stripe itself says that it knows no such id.

        A deleted customer is not None: Stripe answers `{"id": ..., "deleted": true}`.
        """
        subject = f"{resource} {id!r}"
        if not id:
            raise StripeError(f"{subject}: an empty id names no object")

        def read(answer: Answer) -> Object:
            found = read_answer(answer, subject)
            if not isinstance(found, dict) or found.get("id") != id:
                raise TryAgain("answered with another object")
            self._refuse_foreign([found], answer, subject)
            return found

        path = f"/v1/{resource}/{quote_path(id, safe='')}"
        try:
            return self._transport.ask(f"retrieve {resource}", path, {}, subject=subject, read=read)
        except ObjectGone:
            return None

    def complete_nested(self, owner: Object, name: str) -> Object:
        """The object with its nested list `name` whole; Stripe puts only the first ten inside.

        Returns the same object, without a request, if nothing was missing; else a copy.
        """
        nested = owner.get(name)
        if not isinstance(nested, dict) or not nested.get("has_more"):
            return owner
        url = urlsplit(str(nested["url"]))
        subject = f"{name} of {owner['id']}"
        objects = list(nested["data"])
        listed = {found["id"] for found in objects}
        more = True
        while more:
            sent = {"limit": str(PAGE_SIZE), **dict(parse_qsl(url.query))}
            if objects:
                sent["starting_after"] = objects[-1]["id"]
            try:
                page = self._list(name, url.path, sent, subject=subject, listed=listed)
            except ObjectGone:
                raise _never_ends(subject) from None
            objects += _first_of_each(page.objects, listed)
            more = page.has_more
        return owner | {name: nested | {"data": objects, "has_more": False}}

    def check(self, resource: str = "balance_transactions") -> StripeCheck:
        """Asks once, without retries, whether Stripe lets this key read a resource.

        Raises: as every read, and at once: somebody is waiting to be told what to fix.
        """
        page = self._list(
            resource, f"/v1/{resource}", {"limit": "1"}, subject=resource, listed=set(), once=True
        )
        return StripeCheck(
            key_kind=self._access.key_kind,
            livemode=self._access.livemode,
            account_id=self._access.account_id,
            api_base=self._access.api_base,
            api_version=self._access.api_version,
            request_id=page.answer.request_id,
            elapsed_seconds=page.answer.elapsed.total_seconds(),
        )

    def _list(
        self,
        resource: str,
        path: str,
        params: Mapping[str, str],
        *,
        subject: str,
        listed: set[str],
        window: Window | None = None,
        once: bool = False,
    ) -> _ListAnswer:
        """One page. Raises ObjectGone only for a cursor that is gone."""

        def read(answer: Answer) -> _ListAnswer:
            objects, has_more = _list_of(read_answer(answer, subject))
            if has_more and not objects:
                raise TryAgain("answered with an empty page and says there is more")
            if listed and objects and all(found["id"] in listed for found in objects):
                raise TryAgain("answered with a page that it had already given")
            if window and not all(window.holds(found.get("created")) for found in objects):
                raise TryAgain("answered with objects from outside the window")
            self._refuse_foreign(objects, answer, subject)
            return _ListAnswer(objects, has_more, answer)

        try:
            return self._transport.ask(
                f"list {resource}", path, params, subject=subject, read=read, once=once
            )
        except ObjectGone as gone:
            if gone.param == "starting_after":
                raise
            raise StripeError(f"{subject}: Stripe knows no such list ({gone.param})") from None

    def _refuse_foreign(self, objects: list[Object], answer: Answer, subject: str) -> None:
        livemode = self._access.livemode
        if any(found.get("livemode", livemode) is not livemode for found in objects):
            raise ConfigurationError(
                f"{subject}: Stripe answered with objects that are not of {self.scope.mode} mode",
                remedy="check which account and mode GROWTH_STRIPE__API_KEY belongs to",
            )
        version = answer.headers.get("stripe-version", self.api_version)
        if version != self.api_version:
            raise ConfigurationError(
                f"{subject}: Stripe answered in API version {version!r}, not {self.api_version!r}",
                remedy="set GROWTH_STRIPE__API_VERSION to a version that Stripe offers",
            )


def _list_of(body: Any) -> tuple[list[Object], bool]:
    objects = body.get("data") if isinstance(body, dict) else None
    if not isinstance(objects, list) or not isinstance(body.get("has_more"), bool):
        raise TryAgain("answered with JSON that is not a list")
    if not all(isinstance(found, dict) and isinstance(found.get("id"), str) for found in objects):
        raise TryAgain("answered with a list of things that are not Stripe objects")
    return objects, body["has_more"]


def _first_of_each(objects: list[Object], known: set[str]) -> list[Object]:
    fresh = []
    for found in objects:
        if found["id"] not in known:
            known.add(found["id"])
            fresh.append(found)
    return fresh


def _page(page: _ListAnswer, fresh: list[Object]) -> Page:
    fetched_from, fetched_to = page.answer.fetched
    return Page(
        objects=fresh,
        raws=[raw_text(found) for found in fresh],
        fetched_from=fetched_from,
        fetched_to=fetched_to,
        request_id=page.answer.request_id,
        has_more=page.has_more,
    )


def _never_ends(subject: str) -> StripeIncompleteError:
    return StripeIncompleteError(
        f"{subject} could not be read to the end: "
        "Stripe no longer knows the object to continue from",
        remedy="run it again later; nothing of this reading was kept",
    )
