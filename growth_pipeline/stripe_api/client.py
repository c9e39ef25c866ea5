"""The reader of Stripe's API: lists in windows, single objects, a check. It never writes.

Asking is transport.py, what an answer means answers.py, what an object means versions/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from urllib.parse import quote as quote_path

from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, ObjectGone, TryAgain, raw_text, read_answer
from growth_pipeline.stripe_api.errors import StripeError
from growth_pipeline.stripe_api.pages import (
    FRUITLESS_RESTARTS,
    PAGE_SIZE,
    ListAnswer,
    first_of_each,
    never_ends,
    read_page,
    refuse_foreign,
)
from growth_pipeline.stripe_api.time_windows import Window
from growth_pipeline.stripe_api.transport import StripeTransport
from growth_pipeline.stripe_api.versions import Object, adapter_for

__all__ = ["LookedUp", "Page", "StripeAccess", "StripeCheck", "StripeReader"]


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
class LookedUp:
    """One object as Stripe showed it between the two instants; None: Stripe knows no such id."""

    object: Object | None
    fetched_from: datetime
    fetched_to: datetime


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
    def access(self) -> StripeAccess:
        """What it reads with; the engine that reads whole lists at once takes the same."""
        return self._access

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
                if cursor is None or fruitless > FRUITLESS_RESTARTS:
                    raise never_ends(subject) from None
                rest, cursor, listed = rest.up_to_second(cursor["created"]), None, set()
                continue
            fresh = first_of_each(page.objects, known)
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
        return self.look_up(resource, id).object

    def look_up(self, resource: str, id: str, params: Mapping[str, str] | None = None) -> LookedUp:
        """One object as it is now, or that there is none, and when Stripe said so."""
        subject = f"{resource} {id!r}"
        if not id:
            raise StripeError(f"{subject}: an empty id names no object")
        answers: list[Answer] = []

        def read(answer: Answer) -> Object:
            answers.append(answer)
            found = read_answer(answer, subject)
            if not isinstance(found, dict) or found.get("id") != id:
                raise TryAgain("answered with another object")
            refuse_foreign([found], answer, self._access, subject)
            return found

        path = f"/v1/{resource}/{quote_path(id, safe='')}"
        found: Object | None
        try:
            found = self._transport.ask(
                f"retrieve {resource}", path, params or {}, subject=subject, read=read
            )
        except ObjectGone:
            found = None
        return LookedUp(found, *answers[-1].fetched)

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
                raise never_ends(subject) from None
            objects += first_of_each(page.objects, listed)
            more = page.has_more
        return owner | {name: nested | {"data": objects, "has_more": False}}

    def list_whole(self, resource: str) -> list[Object]:
        """All objects of a short list that knows no `created`, such as webhook endpoints.

        Asks once, without retries: somebody is waiting to be told what to fix.
        """
        objects: list[Object] = []
        listed: set[str] = set()
        more = True
        while more:
            sent = {"limit": str(PAGE_SIZE)}
            if objects:
                sent["starting_after"] = objects[-1]["id"]
            try:
                page = self._list(
                    resource, f"/v1/{resource}", sent, subject=resource, listed=listed, once=True
                )
            except ObjectGone:
                raise never_ends(resource) from None
            objects += first_of_each(page.objects, listed)
            more = page.has_more
        return objects

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
    ) -> ListAnswer:
        """One page. Raises ObjectGone only for a cursor that is gone."""

        def read(answer: Answer) -> ListAnswer:
            return read_page(
                answer,
                self._access,
                subject,
                window=window,
                already_given=lambda objects: (
                    bool(listed) and all(found["id"] in listed for found in objects)
                ),
            )

        try:
            return self._transport.ask(
                f"list {resource}", path, params, subject=subject, read=read, once=once
            )
        except ObjectGone as gone:
            if gone.param == "starting_after":
                raise
            raise StripeError(f"{subject}: Stripe knows no such list ({gone.param})") from None


def _page(page: ListAnswer, fresh: list[Object]) -> Page:
    fetched_from, fetched_to = page.answer.fetched
    return Page(
        objects=fresh,
        raws=[raw_text(found) for found in fresh],
        fetched_from=fetched_from,
        fetched_to=fetched_to,
        request_id=page.answer.request_id,
        has_more=page.has_more,
    )
