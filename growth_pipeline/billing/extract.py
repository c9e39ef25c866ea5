"""One month of one Stripe object, read from its list to the end, as an immutable file of the lake.

What an extract holds is evidence of what Stripe says; it never changes the books.
Contract: docs/decisions/0001, 0002; docs/stripe.md, "Lists". Columns: columns.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from growth_pipeline.billing.columns import SCHEMAS, typed_values
from growth_pipeline.billing.objects import STRIPE_OBJECTS
from growth_pipeline.core.errors import GrowthError, IncompleteError, UsageError
from growth_pipeline.core.periods import Month, PeriodState
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.client import Page, StripeReader
from growth_pipeline.stripe_api.time_windows import Window, month_windows
from growth_pipeline.stripe_api.versions import Object, adapter_for

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake, Manifest

__all__ = ["SCHEMAS", "STRIPE_OBJECTS", "dataset_of", "extract_month", "partition_of"]

# The default list of subscriptions hides the cancelled ones.
_PARAMS = {"subscriptions": {"status": "all"}}
# Lists inside an object that Stripe cuts off after ten.
_NESTED = {"subscriptions": "items", "invoices": "lines"}
_FRAME_ROWS = 2_000


def dataset_of(resource: str) -> str:
    """Name of a resource's dataset in the lake.

    Raises: UsageError for a resource that is not extracted.
    """
    if resource not in STRIPE_OBJECTS:
        raise UsageError(
            f"{resource!r} is not extracted from Stripe",
            remedy="use one of: " + ", ".join(STRIPE_OBJECTS),
        )
    return f"stripe/{resource}"


def partition_of(month: Month, reader: StripeReader) -> dict[str, str]:
    """Keys of the partition a month of the reader's account and mode lies in."""
    return {"account": reader.scope.account_id, "mode": reader.scope.mode, "month": month.key}


def extract_month(
    resource: str,
    month: Month,
    *,
    reader: StripeReader,
    lake: Lake,
    now: datetime,
    on_progress: Callable[[int], None] | None = None,
) -> Manifest:
    """The published file of one resource and month, with the certificate that it is complete.

    Grain: one Stripe object created in `[month start, earlier of month end and now)`.
    `on_progress` gets the number of objects read so far, after each page. Memory is bounded by
    one frame. Nothing is published unless Stripe said that the list had ended.
    Raises: UsageError for a month that has not begun; StripeError and its kinds naming object
    and window; UnknownValueError for a version or field that is not known; LakeWriteError.
    """
    dataset = dataset_of(resource)
    if month.state(now) is PeriodState.NOT_BEGUN:
        raise UsageError(
            f"month {month} has not begun", remedy=f"use {Month.of(now)} or an earlier month"
        )
    reading = _Reading(resource, reader, on_progress or (lambda _: None))
    with TemporaryFile(prefix="growth-extract-") as file:
        spool = _Spool(file)
        for window in month_windows(month, now):
            for frame in reading.frames(window):
                spool.add(frame)
        if not spool:
            spool.add(_frame(resource, []))
        return lake.write_partition(
            dataset, partition_of(month, reader), spool, reading.certificate(month, now)
        )


@dataclass
class _Totals:
    pages: int = 0
    objects: int = 0
    first_id: str | None = None
    last_id: str | None = None
    fetched_from: datetime | None = None
    fetched_to: datetime | None = None


class _Reading:
    """Reads windows of one resource and keeps what the certificate will state."""

    def __init__(
        self, resource: str, reader: StripeReader, on_progress: Callable[[int], None]
    ) -> None:
        self._resource = resource
        self._reader = reader
        self._version = adapter_for(reader.api_version)
        self._on_progress = on_progress
        self._requests_before = reader.request_count
        self._totals = _Totals()

    def frames(self, window: Window) -> Iterator[pl.DataFrame]:
        """Rows of one window in frames of bounded size. Raises IncompleteError at a false end."""
        rows: list[list[Any]] = []
        ended = False
        pages = self._reader.list_window(
            self._resource, window.gte, window.lt, _PARAMS.get(self._resource)
        )
        for page in pages:
            ended = not page.has_more
            rows += self._rows(page)
            self._count(page)
            if len(rows) >= _FRAME_ROWS:
                yield _frame(self._resource, rows)
                rows = []
        if not ended:
            raise IncompleteError(f"{self._resource} of {window} stopped before the end")
        if rows:
            yield _frame(self._resource, rows)

    def certificate(self, month: Month, now: datetime) -> dict[str, Any]:
        """What was read, stated for whoever doubts it. `window` is epoch seconds, half-open."""
        totals = self._totals
        window = _window(month, now)
        return {
            "resource": self._resource,
            "window": [window.gte, window.lt],
            "pages": totals.pages,
            "objects": totals.objects,
            "request_count": self._reader.request_count - self._requests_before,
            "first_id": totals.first_id,
            "last_id": totals.last_id,
            "has_more": False,
            "complete": True,
            "api_version": self._reader.api_version,
            "as_of": now.isoformat(),
            "fetched_from": totals.fetched_from and totals.fetched_from.isoformat(),
            "fetched_to": totals.fetched_to and totals.fetched_to.isoformat(),
        }

    def _rows(self, page: Page) -> list[list[Any]]:
        scope = self._reader.scope
        nested = _NESTED.get(self._resource)
        rows = []
        for found, raw in zip(page.objects, page.raws, strict=True):
            whole, text = self._whole(found, raw, nested)
            rows.append(
                [
                    scope.account_id,
                    scope.livemode,
                    whole["id"],
                    whole["created"],
                    self._version.api_version,
                    page.fetched_to,
                    text,
                    *typed_values(self._resource, self._version, whole),
                ]
            )
        return rows

    def _whole(self, found: Object, raw: str, nested: str | None) -> tuple[Object, str]:
        if nested is None:
            return found, raw
        whole = self._reader.complete_nested(found, nested)
        return whole, raw if whole is found else raw_text(whole)

    def _count(self, page: Page) -> None:
        totals = self._totals
        totals.pages += 1
        totals.objects += len(page.objects)
        totals.fetched_from = min(totals.fetched_from or page.fetched_from, page.fetched_from)
        totals.fetched_to = max(totals.fetched_to or page.fetched_to, page.fetched_to)
        if page.objects:
            totals.first_id = totals.first_id or page.objects[0]["id"]
            totals.last_id = page.objects[-1]["id"]
        self._on_progress(totals.objects)


class _Spool:
    """Frames on their way to the lake, kept on disk until the list is known to have ended.

    The lake states the certificate with the file, and what it says is known only at the end.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sizes: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._sizes)

    def add(self, frame: pl.DataFrame) -> None:
        """Keep a frame. Raises: GrowthError if the disk does not take it."""
        block = BytesIO()
        frame.write_ipc(block, compression="zstd")
        try:
            self._sizes.append(self._file.write(block.getvalue()))
            self._file.flush()
        except OSError as error:
            raise GrowthError(
                f"cannot keep pages in {gettempdir()}: {error.strerror or error}",
                remedy="free space there or set TMPDIR to a larger disk, then run again",
                retryable=True,
            ) from error

    def __iter__(self) -> Iterator[pl.DataFrame]:
        self._file.seek(0)
        for size in self._sizes:
            yield pl.read_ipc(BytesIO(self._file.read(size)))


def _frame(resource: str, rows: list[list[Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMAS[resource], orient="row", strict=True)


def _window(month: Month, now: datetime) -> Window:
    windows = month_windows(month, now)
    start = int(month.start.timestamp())
    return Window(windows[0].gte, windows[-1].lt) if windows else Window(start, start)
