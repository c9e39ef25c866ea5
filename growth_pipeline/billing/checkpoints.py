"""Pages on their way to the lake, kept so that an extract that is killed goes on where it was.

One file a list and month: records of pages (a block of rows, and how far their window is), each
whole or not there. What a block holds is extract.py's business; what a window is, stripe_api's.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import struct
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import orjson

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.stripe_api.shards import Cursor, Shard

VALID_FOR = timedelta(days=1)
_RECORD = struct.Struct("<4sIII")  # magic, bytes of meta, bytes of rows, checksum of both
_MAGIC = b"gxp1"


class Journal:
    """The file of one reading, held alone while it is open. `folder` None: it dies with us.

    `about` is what the pages depend on; a file about something else, or older than a day at `now`,
    is begun anew. `head` is what the file says of itself, `resumed` whether it was there.
    `requests` and the two instants, in ISO 8601, are of all pages in it.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        *,
        about: Mapping[str, Any],
        fresh: Mapping[str, Any],
        now: datetime,
        is_usable: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> None:
        self._file, self.path = _open(None if folder is None else folder / f"{name}.pages")
        self._states: dict[int, Shard] = {}
        self._places: dict[int, array[int]] = {}
        self._end = 0
        self.requests = 0
        self.fetched_from: str | None = None
        self.fetched_to: str | None = None
        self.head = self._read_head()
        usable = (
            self.head.get("about") == orjson.loads(orjson.dumps(about))
            and _is_young(self.head, now)
            and is_usable(self.head)
        )
        self.resumed = usable
        if usable:
            self._read_records()
        else:
            self.head = {"about": about, "as_of": now.isoformat(), **fresh}
            self._begin()

    # --- writing ---------------------------------------------------------------------------------

    def append(self, meta: Mapping[str, Any], rows: bytes = b"") -> None:
        """Add a record; it is safe from a kill when this returns, from a power cut after `sync`."""
        head = orjson.dumps(meta)
        checksum = zlib.crc32(rows, zlib.crc32(head))
        place = self._end
        record = b"".join([_RECORD.pack(_MAGIC, len(head), len(rows), checksum), head, rows])
        written = 0
        while written < len(record):
            written += os.pwrite(self._file, record[written:], place + written)
        self._end = place + len(record)
        self._note(meta, place + _RECORD.size + len(head), len(rows))

    def sync(self) -> None:
        """Bring everything to the disk."""
        os.fdatasync(self._file)

    def discard(self) -> None:
        """The rows are in the lake: the file is no longer needed."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file; a named one stays for the next reading."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)

    # --- reading ---------------------------------------------------------------------------------

    def shards(self) -> list[Shard]:
        """Windows as an earlier reading left them, by their numbers; none at the beginning."""
        return [self._states[number] for number in sorted(self._states)]

    def blocks(self, number: int) -> Iterator[bytes]:
        """Rows of one window's pages, in the order in which they were listed."""
        places = self._places.get(number, array("q"))
        for at in range(0, len(places), 2):
            yield os.pread(self._file, places[at + 1], places[at])

    def _begin(self) -> None:
        os.ftruncate(self._file, 0)
        self._end = 0
        self.append(self.head)

    def _read_head(self) -> dict[str, Any]:
        found = self._record_at(0)
        return found[0] if found else {}

    def _read_records(self) -> None:
        while (found := self._record_at(self._end)) is not None:
            meta, place, size, self._end = found
            if cut := meta.get("cut"):
                # Its pages may not all be kept yet, so of the window itself only the bound counts.
                self._states.setdefault(cut["number"], _shard(cut)).gte = cut["gte"]
            for state in meta.get("shards", ()):
                self._states[state["number"]] = _shard(state)
            self._note(meta, place, size)
        os.ftruncate(self._file, self._end)  # a record that was cut by the kill

    def _record_at(self, place: int) -> tuple[dict[str, Any], int, int, int] | None:
        """Meta, place and size of the rows, end of the record; None if no whole one lies there."""
        start = os.pread(self._file, _RECORD.size, place)
        if len(start) < _RECORD.size:
            return None
        magic, head_size, size, checksum = _RECORD.unpack(start)
        if magic != _MAGIC:
            return None
        body = os.pread(self._file, head_size + size, place + _RECORD.size)
        if len(body) < head_size + size or zlib.crc32(body) != checksum:
            return None
        rows_at = place + _RECORD.size + head_size
        return orjson.loads(body[:head_size]), rows_at, size, rows_at + size

    def _note(self, meta: Mapping[str, Any], place: int, size: int) -> None:
        """Where a record's rows lie, and what it says of the reading as a whole."""
        if size:
            number = meta["shards"][0]["number"]
            self._places.setdefault(number, array("q")).extend([place, size])
        self.requests = meta.get("requests", self.requests)
        if fetched := meta.get("fetched"):
            self.fetched_from = min(self.fetched_from or fetched[0], fetched[0])
            self.fetched_to = max(self.fetched_to or fetched[1], fetched[1])


def state_of(shard: Shard) -> dict[str, Any]:
    """How far a window is, for a record."""
    return {
        "number": shard.number,
        "gte": shard.gte,
        "lt": shard.lt,
        "upto": shard.upto,
        "pages": shard.pages,
        "objects": shard.objects,
        "first_id": shard.first_id,
        "last_id": shard.last_id,
        "cursor": shard.cursor and list(shard.cursor),
        "done": shard.done,
    }


def _shard(state: Mapping[str, Any]) -> Shard:
    cursor = state.get("cursor")
    return Shard(**{**state, "cursor": Cursor(*cursor) if cursor else None})


def _is_young(head: Mapping[str, Any], now: datetime) -> bool:
    try:
        age = now - datetime.fromisoformat(head["as_of"])
    except (KeyError, ValueError, TypeError):
        return False
    return timedelta(0) <= age < VALID_FOR


def _open(path: Path | None) -> tuple[int, Path | None]:
    """The file of a name, locked; one without a name if another reading holds it.

    Raises: GrowthError naming the folder if it cannot be written.
    """
    try:
        if path is None:
            return _open_nameless(), None
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return _open_nameless(), None
            if os.fstat(descriptor).st_nlink:  # else it was discarded before it was locked
                return descriptor, path
            os.close(descriptor)
    except OSError as error:
        raise cannot_keep(path.parent if path else Path(tempfile.gettempdir()), error) from error


def _open_nameless() -> int:
    with tempfile.TemporaryFile(prefix="growth-extract-") as file:
        return os.dup(file.fileno())


def cannot_keep(place: Path | None, error: OSError) -> GrowthError:
    """The error of a disk that does not take the pages."""
    return GrowthError(
        f"cannot keep pages in {place or tempfile.gettempdir()}: {error.strerror or error}",
        remedy="free space there, or set GROWTH_STATE_DIR or TMPDIR to a larger disk, then run "
        "it again",
        retryable=True,
    )


@dataclass
class _Waiting:
    journal: Journal
    meta: Mapping[str, Any]
    rows: Callable[[], bytes]
    done: asyncio.Future[None]


class JournalWriter:
    """One thread that writes the records of many journals and brings them to the disk together.

    Use as a context manager, within the event loop whose tasks wait.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = Thread(target=self._run, name="extract-pages", daemon=True)

    def __enter__(self) -> JournalWriter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    async def append(
        self,
        journal: Journal,
        meta: Mapping[str, Any],
        rows: Callable[[], bytes] = bytes,
    ) -> None:
        """Returns when the record is on the disk. `rows` is called in the writer's thread.

        Raises: GrowthError if the disk does not take it.
        """
        done = self._loop.create_future()
        self._queue.put(_Waiting(journal, meta, rows, done))
        await done

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch: list[_Waiting] = [first]
            while not self._queue.empty():
                one = self._queue.get()
                if one is None:
                    self._queue.put(None)
                    break
                batch.append(one)
            self._write(batch)

    def _write(self, batch: Sequence[_Waiting]) -> None:
        errors: dict[int, BaseException] = {}
        journals: dict[int, Journal] = {id(one.journal): one.journal for one in batch}
        for one in batch:
            _try(errors, one.journal, lambda one=one: one.journal.append(one.meta, one.rows()))  # type: ignore[misc]
        for journal in journals.values():
            _try(errors, journal, journal.sync)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, batch, errors)


def _try(errors: dict[int, BaseException], journal: Journal, work: Callable[[], None]) -> None:
    if id(journal) in errors:
        return
    try:
        work()
    except OSError as error:
        errors[id(journal)] = cannot_keep(journal.path and journal.path.parent, error)
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
        errors[id(journal)] = error


def _settle(batch: Sequence[_Waiting], errors: Mapping[int, BaseException]) -> None:
    for one in batch:
        if one.done.done():
            continue
        error = errors.get(id(one.journal))
        if error is None:
            one.done.set_result(None)
        else:
            one.done.set_exception(error)
