"""Months of Stripe's lists, read to the end, as immutable files of the lake with certificates.

What an extract holds is evidence of what Stripe says; it never changes the books by itself.
Contract: docs/decisions/0001, 0002, 0017; docs/stripe.md, "Lists". Columns: columns.py. Reading at
once is stripe_api/lists.py, keeping pages until all are there checkpoints.py.
"""

from __future__ import annotations

import asyncio
import gc
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Condition, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from growth_pipeline.billing.certificate import Certificate
from growth_pipeline.billing.checkpoints import Journal, JournalWriter, state_of
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.billing.objects import BY_RESOURCE, STRIPE_OBJECTS, WHOLE_OBJECTS
from growth_pipeline.billing.page_rows import block_of, read_block, rows_of
from growth_pipeline.core.errors import GrowthError, IncompleteError, UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.lists import FreshPage, ListEngine, ListRange, Reading
from growth_pipeline.stripe_api.shards import Shard
from growth_pipeline.stripe_api.time_windows import Window, month_windows
from growth_pipeline.stripe_api.versions import adapter_for

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake, Manifest
    from growth_pipeline.stripe_api.client import StripeReader

__all__ = [
    "SCHEMAS",
    "STRIPE_OBJECTS",
    "Extracted",
    "Part",
    "dataset_of",
    "extract_lists",
    "extract_month",
    "one_error",
    "partition_of",
    "told_now_and_then",
]

# Files written at once: each takes the memory of one row group, and most of a core at times.
_EARLY_PUBLISHERS = 4
_LATE_PUBLISHERS = 2
_COLLECT_AFTER = 100_000  # new containers; Python's own number is 700
_PARTS_AT_ONCE = 150
_PROGRESS_SECONDS = 10.0
_ERRORS_TOLD = 3
_LAYOUT = 1  # of the pages that are kept; a change makes older ones unusable


@dataclass(frozen=True)
class Part:
    """One list to extract: a resource in a month, or, `month` None, a list that has no months."""

    resource: str
    month: Month | None

    def __str__(self) -> str:
        """`charges 2025-10`, for logs."""
        return f"{self.resource} {self.month}" if self.month else self.resource


@dataclass(frozen=True)
class Extracted:
    """How one part of one account ended: with a published file, or with an error."""

    part: Part
    scope: Scope
    manifest: Manifest | None
    error: GrowthError | None = None

    def __str__(self) -> str:
        """One line for logs."""
        if self.manifest is not None:
            return f"{self.part}: {self.manifest.row_count} objects"
        return f"{self.part}: not read"


Progress = Callable[[Part, int], None]


def dataset_of(resource: str) -> str:
    """Name of a resource's dataset in the lake.

    Raises: UsageError for a resource that is not extracted.
    """
    if resource not in (extracted := (*STRIPE_OBJECTS, *WHOLE_OBJECTS)):
        raise UsageError(
            f"{resource!r} is not extracted from Stripe",
            remedy="use one of: " + ", ".join(extracted),
        )
    return f"stripe/{resource}"


def partition_of(month: Month | None, reader: StripeReader) -> dict[str, str]:
    """Keys of the partition a month of the reader's account and mode lies in."""
    return _partition(reader.scope, month)


def extract_month(
    resource: str,
    month: Month | None,
    *,
    reader: StripeReader,
    lake: Lake,
    now: datetime,
    checkpoints: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Manifest:
    """The published file of one resource and month, with the certificate that it is complete.

    Grain, shapes and errors are those of `extract_lists`; the error is raised.
    """
    tell = on_progress or (lambda _: None)
    (done,) = extract_lists(
        [Part(resource, month)],
        accesses=[reader.access],
        lake=lake,
        now=now,
        checkpoints=checkpoints,
        on_progress=lambda _, objects: tell(objects),
    )
    if done.manifest is None:
        raise done.error or IncompleteError(f"{done.part} was not read")
    return done.manifest


def extract_lists(
    parts: Sequence[Part],
    *,
    accesses: Sequence[StripeAccess],
    lake: Lake,
    now: datetime,
    checkpoints: Path | None = None,
    on_progress: Progress | None = None,
) -> Iterator[Extracted]:
    """Read many lists at once, of each account; one result a part and account, as they end.

    Grain of a file: one Stripe object created in `[month start, earlier of month end and now)`.
    `on_progress` gets the number of objects of a part read so far, after each page. Memory is
    bounded by the pages that are on their way. Pages wait in `checkpoints`; what a killed or
    failed extract left there is used for a day. Nothing is published unless Stripe said that
    every window of the list had ended. An error of one list leaves the others alone.
    Raises: UsageError for a resource that is not extracted or a month that has not begun. Errors in
    results: StripeError and its kinds naming object and window; UnknownValueError for a field
    that is not known; LakeWriteError.
    """
    for part in parts:
        _check(part, now)
    run = _Run(parts, accesses, lake, now, checkpoints)
    try:
        for told in run.results():
            if isinstance(told, Extracted):
                yield told
            elif on_progress is not None:
                on_progress(*told)
    finally:
        run.stop()


def one_error(errors: Sequence[GrowthError]) -> GrowthError:
    """The error of a run whose lists failed for one reason or for several; each is named."""
    first = errors[0]
    messages = list(dict.fromkeys(error.message for error in errors))
    if len(messages) == 1:
        return first
    shown = "; ".join(messages[:_ERRORS_TOLD])
    left = len(messages) - _ERRORS_TOLD
    return type(first)(
        f"{shown}; and {left} more" if left > 0 else shown,
        remedy=first.remedy,
        retryable=any(error.retryable for error in errors),
    )


def told_now_and_then(tell: Callable[[str], None]) -> Progress:
    """A progress that tells of all lists together, every few seconds."""
    told_at = monotonic()
    read: dict[Part, int] = {}

    def progress(part: Part, objects: int) -> None:
        nonlocal told_at
        read[part] = objects
        if monotonic() - told_at >= _PROGRESS_SECONDS:
            told_at = monotonic()
            tell(f"{sum(read.values())} objects read so far, now {part}")

    return progress


def _check(part: Part, now: datetime) -> None:
    dataset_of(part.resource)
    by_month = part.resource in STRIPE_OBJECTS
    if by_month is not (part.month is not None):
        raise UsageError(
            f"{part.resource} is {'' if by_month else 'not '}extracted by month",
            remedy="give a month" if by_month else "leave the month out",
        )
    if part.month is not None and part.month.state(now) is PeriodState.NOT_BEGUN:
        raise UsageError(
            f"month {part.month} has not begun", remedy=f"use {Month.of(now)} or an earlier month"
        )


def _partition(scope: Scope, month: Month | None) -> dict[str, str]:
    keys = {"account": scope.account_id, "mode": scope.mode}
    return keys | ({"month": month.key} if month else {})


# --- the run: a thread with an event loop, and a queue to whoever waits --------------------------


class _Run:
    """Extracts in a thread of its own, so that whoever waits can be interrupted at any time."""

    def __init__(
        self,
        parts: Sequence[Part],
        accesses: Sequence[StripeAccess],
        lake: Lake,
        now: datetime,
        checkpoints: Path | None,
    ) -> None:
        self._parts = parts
        self._accesses = accesses
        self._lake = lake
        self._now = now
        self._checkpoints = checkpoints
        self._told: queue.SimpleQueue[Extracted | tuple[Part, int] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name="extract", daemon=True)

    def results(self) -> Iterator[Extracted | tuple[Part, int]]:
        """What is told, until all is done. Raises what nobody expected."""
        self._thread.start()
        while (told := self._told.get()) is not None:
            if isinstance(told, BaseException):
                raise told
            yield told

    def stop(self) -> None:
        """End at once if it still runs; what was kept stays for the next time."""
        loop, task = self._loop, self._task
        if self._thread.is_alive() and loop is not None and task is not None:
            with suppress(RuntimeError):  # it ended in this very moment
                loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            with _calm_collector, asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._told.put(error)
        finally:
            self._told.put(None)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        with ExitStack() as stack:
            publishers = stack.enter_context(_Publishers(self._lake))
            writer = stack.enter_context(JournalWriter())
            await asyncio.gather(
                *(self._extract(access, writer, publishers) for access in self._accesses)
            )

    async def _extract(
        self, access: StripeAccess, writer: JournalWriter, publishers: _Publishers
    ) -> None:
        extracts: dict[int, _Extract] = {}

        async def finish(reading: Reading, error: GrowthError | None) -> None:
            extract = extracts[id(reading)]
            extract.close()
            manifest = None
            try:
                manifest = await publishers.file_of(extract, reading, failed=error is not None)
            except GrowthError as unpublished:
                error = error or unpublished
            if manifest is not None:
                extract.journal.discard()
            self._told.put(Extracted(extract.part, access.scope, manifest, error))

        def tell(reading: Reading) -> None:
            extract = extracts[id(reading)]
            publishers.begin(extract, reading)
            self._told.put((extract.part, reading.objects))

        for parts in _groups(self._parts):
            engine = ListEngine(access, finish, on_page=tell)
            with ExitStack() as stack:
                readings = []
                for part in parts:
                    extract = _Extract(
                        part, access, self._now, self._checkpoints, self._lake, writer
                    )
                    stack.callback(extract.journal.close)
                    stack.callback(extract.close)
                    reading = extract.reading()
                    extracts[id(reading)] = extract
                    readings.append(reading)
                await engine.read(readings)
            extracts.clear()


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Parts that are read at once: all lists of some months. Each has a file open meanwhile."""
    by_month = sorted(parts, key=lambda part: part.month.key if part.month else "")
    for start in range(0, len(by_month), _PARTS_AT_ONCE):
        yield by_month[start : start + _PARTS_AT_ONCE]


class _Publishers:
    """Threads that write files: of a few long lists while they are read, of others at their end."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._early = ThreadPoolExecutor(_EARLY_PUBLISHERS, "extract-publish-early")
        self._late = ThreadPoolExecutor(_LATE_PUBLISHERS, "extract-publish")
        self._begun: dict[int, asyncio.Future[Manifest]] = {}
        self._open = 0

    def __enter__(self) -> _Publishers:
        return self

    def __exit__(self, *_: object) -> None:
        self._early.shutdown(cancel_futures=True)
        self._late.shutdown(cancel_futures=True)

    def begin(self, extract: _Extract, reading: Reading) -> None:
        """Begin to write a list that is being read, if a thread is free for it."""
        free = self._open < _EARLY_PUBLISHERS and id(reading) not in self._begun
        if free and extract.is_streaming() and not reading.is_done:
            self._open += 1
            self._begun[id(reading)] = self._submit(self._early, extract, reading)

    async def file_of(
        self, extract: _Extract, reading: Reading, *, failed: bool
    ) -> Manifest | None:
        """The published file; None for a reading that failed. Raises: GrowthError."""
        begun = self._begun.pop(id(reading), None)
        if begun is None:
            return None if failed else await self._submit(self._late, extract, reading)
        try:
            return await begun
        except GrowthError:
            if failed:
                return None
            raise
        finally:
            self._open -= 1

    def _submit(
        self, pool: ThreadPoolExecutor, extract: _Extract, reading: Reading
    ) -> asyncio.Future[Manifest]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(pool, extract.publish, reading, self._lake)


class _CalmCollector:
    """Look for cycles less often: a page is thousands of dicts, and all die by their counts.

    As it is, a quarter of the time of a reading goes into looking at them. The last of several
    readings at once puts Python's own rule back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._readings = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            if not self._readings:
                self._usual = gc.get_threshold()
                gc.set_threshold(_COLLECT_AFTER, *self._usual[1:])
            self._readings += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readings -= 1
            if not self._readings:
                gc.set_threshold(*self._usual)


_calm_collector = _CalmCollector()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


# --- one part -----------------------------------------------------------------------------------


class _Extract:
    """One part of one account: its pages on their way, and in the end its file."""

    def __init__(
        self,
        part: Part,
        access: StripeAccess,
        now: datetime,
        checkpoints: Path | None,
        lake: Lake,
        writer: JournalWriter,
    ) -> None:
        self.part = part
        self._scope = access.scope
        self._version = adapter_for(access.api_version)
        self._writer = writer
        self._kind = BY_RESOURCE[part.resource]
        self._reading: Reading | None = None
        self._changed = Condition()
        self._ended: dict[int | None, Shard] = {}
        self._is_over = False
        window = _window(part.month, now)
        folder = checkpoints and checkpoints / f"{self._scope.account_id}-{self._scope.mode}"
        about = {
            "layout": _LAYOUT,
            "base": access.api_base,
            "account": self._scope.account_id,
            "livemode": self._scope.livemode,
            "api_version": access.api_version,
            "path": self._kind.path,
            "params": dict(self._kind.params),
            "columns": {name: str(type) for name, type in SCHEMAS[part.resource].items()},
        }
        fresh = {"window": window and list(window), "reading": uuid.uuid4().hex}
        self.journal = Journal(
            folder,
            str(part).replace(" ", "-"),
            about=about,
            fresh=fresh,
            now=now,
            is_usable=lambda head: (
                _still_covers(head.get("window"), window, part.month, now)
                and not self._is_published(lake, head)
            ),
        )
        kept = self.journal.head["window"]
        self._window = Window(*kept) if kept else None

    def reading(self) -> Reading:
        """What the engine is to read: all of it, or what an earlier reading left."""
        shards = self.journal.shards()
        for shard in shards:
            if shard.done:
                self._end(shard)
            else:
                self._give_again(shard)
        self._reading = Reading(
            ListRange(
                resource=self.part.resource,
                path=self._kind.path,
                window=self._window,
                params=self._kind.params,
                nested=self._kind.nested,
            ),
            keeper=self,
            shards=shards,
            requests=self.journal.requests,
        )
        return self._reading

    def _give_again(self, shard: Shard) -> None:
        """Tell an open window what it gave before the kill, so that nothing comes twice."""
        for block in self.journal.blocks(shard.number):
            rows = read_block(block)
            pairs = zip(rows.ids, rows.created, strict=True)
            shard.given.take([{"id": id, "created": created} for id, created in pairs])

    async def keep(self, shard: Shard, page: FreshPage) -> None:
        """Keep one page's rows and how far its window is."""
        rows = rows_of(self.part.resource, self._version, page)
        await self._writer.append(
            self.journal,
            {
                "shards": [state_of(shard)],
                "requests": self._reading.requests if self._reading else 0,
                "fetched": [page.fetched_from.isoformat(), page.fetched_to.isoformat()],
            },
            lambda: block_of(rows),
        )
        if shard.done:
            self._end(shard)

    def _end(self, shard: Shard) -> None:
        with self._changed:
            self._ended[shard.lt] = shard
            self._changed.notify_all()

    async def keep_cut(self, shard: Shard, parts: Sequence[Shard]) -> None:
        """Keep that the older part of a window is read in new ones."""
        cut = {"number": shard.number, "gte": shard.gte, "lt": shard.lt}
        meta = {"cut": cut, "shards": [state_of(part) for part in parts]}
        await self._writer.append(self.journal, meta)

    def ended(self, window: Window | None) -> Iterator[Shard]:
        """Windows newest first, each as soon as all its pages are kept.

        Waits for them, so that the file is written while the list is read. Raises: IncompleteError
        when no more will come.
        """
        upto = window and window.lt
        while window is None or (upto is not None and upto != window.gte):
            with self._changed:
                self._changed.wait_for(lambda upto=upto: upto in self._ended or self._is_over)  # type: ignore[misc]
                shard = self._ended.get(upto)
            if shard is None:
                raise IncompleteError(f"{self.part} stopped before the end")
            yield shard
            if window is None:
                return
            upto = shard.gte

    def is_streaming(self) -> bool:
        """Whether the newest window has ended, so that its rows may go to the lake already."""
        return self._window is not None and self._window.lt in self._ended

    def close(self) -> None:
        """No more will be kept; who waits for windows is told."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def publish(self, reading: Reading, lake: Lake) -> Manifest:
        """Write the file as windows end. Raises: IncompleteError if not all do; LakeWriteError."""
        certificate = Certificate(
            reading,
            self.journal,
            self.ended(self._window),
            scope=self._scope,
            window=self._window,
            api_version=self._version.api_version,
        )
        return lake.write_partition(
            dataset_of(self.part.resource),
            _partition(self._scope, self.part.month),
            certificate.frames(),
            certificate,
        )

    def _is_published(self, lake: Lake, head: Mapping[str, Any]) -> bool:
        """Whether a reading is in the lake already: it was killed just before it was cleared."""
        try:
            manifest = lake.read_manifest(
                dataset_of(self.part.resource), _partition(self._scope, self.part.month)
            )
        except GrowthError:
            return False
        return manifest is not None and manifest.certificate.get("reading") == head.get("reading")


def _window(month: Month | None, now: datetime) -> Window | None:
    """The part of a month before `now`; empty in its first second; None without a month."""
    if month is None:
        return None
    start = int(month.start.timestamp())
    return next(iter(month_windows(month, now)), Window(start, start))


def _still_covers(
    kept: Sequence[int | None] | None, window: Window | None, month: Month | None, now: datetime
) -> bool:
    """Whether a reading that was begun earlier is still one of the whole month.

    Of a month that goes on, it may end a little earlier than one that begins now.
    """
    if kept is None or window is None or month is None:
        return kept is None and window is None
    if kept[0] != window.gte:
        return False
    return kept[1] == window.lt or month.state(now) is PeriodState.OPEN
