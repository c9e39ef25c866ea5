"""What an extract states about itself, and its rows on their way from the kept pages to the lake.

How the pages were read is extract.py's business; what must hold of them is stated here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from growth_pipeline.billing.checkpoints import Journal
from growth_pipeline.billing.page_rows import PageRows, frame_of, in_frames, read_block
from growth_pipeline.core.errors import IncompleteError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.lists import Reading
from growth_pipeline.stripe_api.shards import Shard, are_whole
from growth_pipeline.stripe_api.time_windows import Window

_FRAME_ROWS = 2_000


class Certificate(Mapping[str, Any]):
    """What was read, stated for whoever doubts it; filled once `frames` was used up.

    `ended` gives the windows newest first, each once all its pages are kept.

    `window` and the bounds of `windows` are epoch seconds, half-open; together the windows cover
    the range without gap. `ids_sha256` is the hash of all ids, each followed by a line feed, in
    the order of the file. `request_count` counts failed tries too, and those before a kill.
    """

    def __init__(
        self,
        reading: Reading,
        journal: Journal,
        ended: Iterable[Shard],
        *,
        scope: Scope,
        window: Window | None,
        api_version: str,
    ) -> None:
        self._range = reading.range
        self._reading = reading
        self._ended = ended
        self._shards: list[Shard] = []
        self._journal = journal
        self._scope = scope
        self._window = window
        self._api_version = api_version
        self._ids = hashlib.sha256()
        self._rows = 0
        self._stated: dict[str, Any] = {}

    def frames(self) -> Iterator[pl.DataFrame]:
        """Rows of all windows, newest first, in frames of bounded size; at least one.

        Raises: IncompleteError if the windows leave a gap, or the rows are not those that were
        counted; what `ended` raises when the reading failed.
        """
        for group in in_frames(self._pages(), _FRAME_ROWS):
            yield self._frame(group)
        if not self._rows:
            yield self._frame([])
        window, counted = self._window, sum(shard.objects for shard in self._shards)
        bounds = (window.gte, window.lt) if window else (None, None)
        if not are_whole(self._shards, *bounds) and not (window and window.is_empty):
            raise IncompleteError(f"{self._range.subject} stopped before the end")
        if self._rows != counted:
            raise IncompleteError(
                f"{self._range.subject}: {counted} objects were read, {self._rows} were kept",
                remedy="run it again",
            )
        self._stated = self._state()

    def _pages(self) -> Iterator[PageRows]:
        for shard in self._ended:
            self._shards.append(shard)
            for block in self._journal.blocks(shard.number):
                yield read_block(block)

    def _frame(self, pages: list[PageRows]) -> pl.DataFrame:
        for page in pages:
            self._rows += len(page)
            self._ids.update("".join(f"{id}\n" for id in page.ids).encode())
        return frame_of(self._range.resource, self._scope, self._api_version, pages)

    def _state(self) -> dict[str, Any]:
        firsts = [shard.first_id for shard in self._shards if shard.first_id]
        lasts = [shard.last_id for shard in self._shards if shard.last_id]
        return {
            "resource": self._range.resource,
            "window": list(self._window) if self._window else None,
            "windows": [shard.certificate() for shard in self._shards],
            "pages": sum(shard.pages for shard in self._shards),
            "objects": self._rows,
            "request_count": self._reading.requests,
            "first_id": firsts[0] if firsts else None,
            "last_id": lasts[-1] if lasts else None,
            "ids_sha256": self._ids.hexdigest(),
            "has_more": False,
            "complete": True,
            "api_version": self._api_version,
            "as_of": self._journal.head["as_of"],
            "fetched_from": self._journal.fetched_from,
            "fetched_to": self._journal.fetched_to,
            "resumed": self._journal.resumed,
            "reading": self._journal.head["reading"],
        }

    def __getitem__(self, name: str) -> Any:
        """One statement."""
        return self._stated[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the statements."""
        return iter(self._stated)

    def __len__(self) -> int:
        """How many statements; none before the last frame."""
        return len(self._stated)
