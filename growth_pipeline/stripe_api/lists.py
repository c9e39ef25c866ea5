"""Whole lists at the speed that Stripe allows: many windows of many lists at once, in one loop.

What is done with a page is the caller's business (`Keeper`); a window goes on only after its page
was kept, so that a kill costs each open window one page at most. Decision 0017.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.answers import Answer, ObjectGone
from growth_pipeline.stripe_api.errors import StripeAuthError, StripeError, StripeIncompleteError
from growth_pipeline.stripe_api.pages import (
    PAGE_SIZE,
    ListAnswer,
    first_of_each,
    never_ends,
    read_page,
)
from growth_pipeline.stripe_api.shards import Shard
from growth_pipeline.stripe_api.time_windows import Window
from growth_pipeline.stripe_api.transport import AsyncStripeTransport
from growth_pipeline.stripe_api.versions import Object, adapter_for

T = TypeVar("T")

_FIRST_LANES = 2  # until the first answers tell how long one takes
_MOST_LANES = 16
_SPARE = 1.5  # times what the rate and the time of one request make necessary
_SLOWER_WEIGHT = 0.02  # of a request that took longer than the fastest lately
_PAGES_A_WINDOW = 14  # on average, at least: windows then cost a twenty-eighth more requests
_GAPS_TOLD = 3


@dataclass(frozen=True)
class ListRange:
    """One list to be read whole: what was created in a window, or, without one, all there is.

    `params` are sent with every page; `nested` are lists inside the objects that Stripe cuts off
    after ten, and that are completed.
    """

    resource: str
    path: str
    window: Window | None
    params: Mapping[str, str] = field(default_factory=dict)
    nested: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """`charges of [2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)`, for messages."""
        return f"{self.resource} of {self.window}" if self.window else self.resource


@dataclass(frozen=True)
class FreshPage:
    """Objects of one page that were not given before, nested lists whole, newest first.

    Stripe saw them between the two instants.
    """

    objects: list[Object]
    fetched_from: datetime
    fetched_to: datetime


class Keeper(Protocol):
    """What one reading does with what it gets. Nothing else is asked for before it is done."""

    async def keep(self, shard: Shard, page: FreshPage) -> None:
        """Keep a page and how far its window is with it, so that neither is lost."""
        ...

    async def keep_cut(self, shard: Shard, parts: Sequence[Shard]) -> None:
        """Keep that the older part of a window is read in new ones."""
        ...


@dataclass
class Reading:
    """One range that is being read. `shards` may come from an earlier, killed reading."""

    range: ListRange
    keeper: Keeper
    shards: list[Shard] = field(default_factory=list)
    requests: int = 0
    ended: bool = False

    def __post_init__(self) -> None:
        window = self.range.window
        if not self.shards and window is None:
            self.shards = [Shard(0, None, None)]
        elif not self.shards and window is not None and not window.is_empty:
            self.shards = [Shard(0, window.gte, window.lt)]

    @property
    def is_done(self) -> bool:
        """Whether every window was read to its end."""
        return all(shard.done for shard in self.shards)

    @property
    def objects(self) -> int:
        """Objects read so far."""
        return sum(shard.objects for shard in self.shards)

    def cuts_left(self) -> int:
        """How many windows more are worth it: each wastes half a page at its end."""
        pages = sum(shard.pages + shard.pages_left() for shard in self.shards)
        return max(0, int(pages / _PAGES_A_WINDOW) - len(self.shards))

    def count_request(self) -> None:
        """One more request was made for it."""
        self.requests += 1

    def gaps(self) -> str:
        """Windows that were not read to their ends, for the message of a failure."""
        open_windows = [
            Window(shard.gte, shard.upto if shard.cursor is None else shard.cursor.created + 1)
            for shard in self.shards
            if not shard.done and shard.upto is not None
        ]
        told = ", ".join(map(str, open_windows[:_GAPS_TOLD]))
        more = len(open_windows) - _GAPS_TOLD
        return f"{told} and {more} more" if more > 0 else told


Finish = Callable[[Reading, GrowthError | None], Awaitable[None]]


@dataclass
class _Lanes:
    """One list endpoint: windows that wait, windows that are read, how long a request takes."""

    endpoint: str
    waiting: deque[tuple[Reading, Shard]] = field(default_factory=deque)
    running: dict[asyncio.Task[None], tuple[Reading, Shard]] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    seconds: float | None = None
    failed: bool = False

    @property
    def is_idle(self) -> bool:
        return not self.waiting and not self.running

    def took(self, seconds: float) -> None:
        """Follow the fastest requests: where a slow one waited for us, more lanes do not help."""
        if self.seconds is None or seconds < self.seconds:
            self.seconds = seconds
        else:
            self.seconds += _SLOWER_WEIGHT * (seconds - self.seconds)


class ListEngine:
    """Reads lists of one account in one mode; all engines of a scope share its request budget.

    Belongs to one event loop. `finish` is awaited once for each reading: when it was read to its
    end, or with the error that ended its list. One list's failure leaves the others alone; only a
    key that Stripe does not accept ends all.
    """

    def __init__(
        self,
        access: StripeAccess,
        finish: Finish,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_page: Callable[[Reading], None] = lambda _: None,
    ) -> None:
        adapter_for(access.api_version)
        self._access = access
        self._finish = finish
        self._on_page = on_page
        self._transport = AsyncStripeTransport(access, clock)
        self._lanes: dict[str, _Lanes] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._bug: BaseException | None = None

    @property
    def scope(self) -> Scope:
        """Account and mode of everything it reads."""
        return self._access.scope

    @property
    def request_count(self) -> int:
        """Requests made so far, tries that failed included."""
        return self._transport.request_count

    async def read(self, readings: Sequence[Reading]) -> None:
        """Read all; returns when `finish` was awaited for each.

        Raises: nothing that `finish` was told; what `finish` raises, and errors of ours.
        """
        try:
            for reading in readings:
                self._plan(reading)
            for lanes in self._lanes.values():
                self._fill(lanes)
            self._note_idle()
            await self._idle.wait()
            await asyncio.gather(*self._finishing)
            if self._bug is not None:
                raise self._bug
        finally:
            await self._stop()

    async def _stop(self) -> None:
        for lanes in self._lanes.values():
            lanes.failed = True  # a window that ends now starts no other
        tasks = [task for lanes in self._lanes.values() for task in lanes.running]
        for task in [*tasks, *self._finishing]:
            task.cancel()
        await asyncio.gather(*tasks, *self._finishing, return_exceptions=True)
        await self._transport.close()

    def _plan(self, reading: Reading) -> None:
        endpoint = f"list {reading.range.resource}"
        lanes = self._lanes.setdefault(endpoint, _Lanes(endpoint))
        lanes.readings.append(reading)
        lanes.waiting.extend((reading, shard) for shard in reading.shards if not shard.done)
        if reading.is_done:
            self._end(reading, None)

    # --- lanes -----------------------------------------------------------------------------------

    def _fill(self, lanes: _Lanes) -> None:
        """As many windows at once as it takes to use the rate; cut one when none waits."""
        wanted = self._wanted(lanes)
        while not lanes.failed and len(lanes.running) < wanted:
            if not lanes.waiting and not self._cut(lanes, wanted - len(lanes.running)):
                return
            reading, shard = lanes.waiting.popleft()
            task = asyncio.create_task(self._read_shard(lanes, reading, shard))
            lanes.running[task] = (reading, shard)
            task.add_done_callback(lambda task: self._ended(lanes, task))

    def _wanted(self, lanes: _Lanes) -> int:
        if lanes.seconds is None:
            return _FIRST_LANES
        busy = sum(1 for other in self._lanes.values() if not other.is_idle)
        rate = self._transport.budget.rate_of(lanes.endpoint, busy)
        return max(_FIRST_LANES, min(_MOST_LANES, math.ceil(rate * lanes.seconds * _SPARE)))

    def _cut(self, lanes: _Lanes, more: int) -> bool:
        if not lanes.running:
            return False
        reading, longest = max(lanes.running.values(), key=lambda one: one[1].pages_left())
        parts = longest.cut(min(more, reading.cuts_left()) + 1, len(reading.shards))
        if not parts:
            return False
        reading.shards += parts
        lanes.waiting.extend((reading, part) for part in parts)
        self._background(reading.keeper.keep_cut(longest, parts))
        return True

    def _ended(self, lanes: _Lanes, task: asyncio.Task[None]) -> None:
        reading, _ = lanes.running.pop(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(lanes, reading, error)
        elif reading.is_done and not any(one is reading for one, _ in lanes.running.values()):
            self._end(reading, None)
        self._fill(lanes)
        self._note_idle()

    def _fail(self, lanes: _Lanes, reading: Reading, error: BaseException) -> None:
        if not isinstance(error, GrowthError):
            self._bug = self._bug or error
            error = StripeError(f"{lanes.endpoint}: unexpected {type(error).__name__}")
            self._fail_lanes(list(self._lanes.values()), reading, error)
        elif isinstance(error, StripeAuthError):
            self._fail_lanes(list(self._lanes.values()), reading, error)
        else:
            self._fail_lanes([lanes], reading, error)

    def _fail_lanes(self, failing: list[_Lanes], reading: Reading, error: GrowthError) -> None:
        for lanes in failing:
            if lanes.failed:
                continue
            lanes.failed = True
            lanes.waiting.clear()
            for task in lanes.running:
                task.cancel()
            for one in lanes.readings:
                self._end(one, _told(error, one) if one is reading else error)

    def _end(self, reading: Reading, error: GrowthError | None) -> None:
        if not reading.ended:
            reading.ended = True
            self._background(self._finish(reading, error))

    def _background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._background_ended)

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._bug = self._bug or task.exception()
            self._idle.set()
        self._finishing.discard(task)

    def _note_idle(self) -> None:
        if all(lanes.is_idle for lanes in self._lanes.values()):
            self._idle.set()

    # --- one window ------------------------------------------------------------------------------

    async def _read_shard(self, lanes: _Lanes, reading: Reading, shard: Shard) -> None:
        while not shard.done:
            try:
                await self._read_page(lanes, reading, shard)
            except ObjectGone:
                if not shard.step_over_cursor():
                    raise never_ends(reading.range.subject) from None
            self._fill(lanes)

    async def _read_page(self, lanes: _Lanes, reading: Reading, shard: Shard) -> None:
        # A function of its own: its page must be gone before the next one is waited for.
        page = await self._ask(lanes.endpoint, reading, shard)
        answered_at = monotonic()
        fresh = shard.take(page.objects, has_more=page.has_more)
        if fresh or (fresh is not None and shard.done):
            await self._keep(reading, shard, fresh, page.answer)
        lanes.took(page.answer.elapsed.total_seconds() + monotonic() - answered_at)

    async def _keep(
        self, reading: Reading, shard: Shard, fresh: list[Object], answer: Answer
    ) -> None:
        for name in reading.range.nested:
            fresh = await self._complete_all(reading, fresh, name)
        await reading.keeper.keep(shard, FreshPage(fresh, *answer.fetched))
        self._on_page(reading)

    async def _ask(self, endpoint: str, reading: Reading, shard: Shard) -> ListAnswer:
        """The next page of a window. Raises: ObjectGone only for a cursor that is gone."""
        asked, what = shard.window(), reading.range
        sent = {"limit": str(PAGE_SIZE), **(asked.params() if asked else {}), **what.params}
        if shard.cursor is not None:
            sent["starting_after"] = shard.cursor.id

        def read(answer: Answer) -> ListAnswer:
            return read_page(
                answer,
                self._access,
                what.subject,
                window=asked,
                already_given=shard.given.were_listed,
            )

        return await self._ask_list(endpoint, f"/v1/{what.path}", sent, reading, read)

    async def _ask_list(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, str],
        reading: Reading,
        read: Callable[[Answer], T],
    ) -> T:
        subject = reading.range.subject
        try:
            return await self._transport.ask(
                endpoint, path, params, subject=subject, read=read, on_request=reading.count_request
            )
        except ObjectGone as gone:
            if gone.param == "starting_after":
                raise
            raise StripeError(f"{subject}: Stripe knows no such list ({gone.param})") from None

    async def _complete_all(
        self, reading: Reading, owners: list[Object], name: str
    ) -> list[Object]:
        if not any(_is_cut_off(owner.get(name)) for owner in owners):
            return owners
        return await asyncio.gather(*(self._complete(reading, one, name) for one in owners))

    async def _complete(self, reading: Reading, owner: Object, name: str) -> Object:
        """The object with its nested list whole; Stripe puts only the first ten inside."""
        nested: Any = owner.get(name)
        if not _is_cut_off(nested):
            return owner
        url = urlsplit(str(nested["url"]))
        subject = f"{name} of {owner['id']}"
        objects = list(nested["data"])
        listed = {found["id"] for found in objects}

        def read(answer: Answer) -> ListAnswer:
            return read_page(
                answer,
                self._access,
                subject,
                window=None,
                already_given=lambda page: (
                    bool(listed) and all(found["id"] in listed for found in page)
                ),
            )

        more = True
        while more:
            sent = {"limit": str(PAGE_SIZE), **dict(parse_qsl(url.query))}
            if objects:
                sent["starting_after"] = objects[-1]["id"]
            try:
                page = await self._ask_list(f"list {name}", url.path, sent, reading, read)
            except ObjectGone:
                raise never_ends(subject) from None
            objects += first_of_each(page.objects, listed)
            more = page.has_more
        return owner | {name: nested | {"data": objects, "has_more": False}}


def _is_cut_off(nested: Any) -> bool:
    return isinstance(nested, dict) and bool(nested.get("has_more"))


def _told(error: GrowthError, reading: Reading) -> GrowthError:
    """The error with the gap it left: what of the range was not read."""
    gaps = reading.gaps()
    if isinstance(error, StripeIncompleteError) and gaps:
        return type(error)(
            f"{error.message}; not read: {gaps}", remedy=error.remedy, retryable=error.retryable
        )
    return error
