"""One page of a list as rows of an extract: as the block it is kept as, and as a frame.

Which columns there are and where their values come from is columns.py. No I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any

import orjson
import polars as pl
import pyarrow as pa

from growth_pipeline.billing.columns import COLUMNS, SCHEMAS, kept_fields, typed_values
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.lists import FreshPage
from growth_pipeline.stripe_api.versions import VersionAdapter

# Pages wait for minutes: cheap to write and to read matters more than small.
_CODEC = pa.Codec("lz4")
_SIZE = struct.Struct("<Q")


@dataclass
class PageRows:
    """Rows of one page, column by column; `raws` are the objects as JSON text, without newlines."""

    fetched_from: datetime
    fetched_to: datetime
    ids: list[str]
    created: list[int]
    typed: list[list[Any]] = field(repr=False)
    raws: list[str] = field(repr=False)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


def rows_of(resource: str, version: VersionAdapter, page: FreshPage) -> PageRows:
    """Rows of a page as it was fetched.

    Raises: UnknownValueError naming object and field for a value that cannot be stored.
    """
    objects = page.objects
    typed = [typed_values(resource, version, found) for found in objects]
    return PageRows(
        fetched_from=page.fetched_from,
        fetched_to=page.fetched_to,
        ids=[found["id"] for found in objects],
        created=[found["created"] for found in objects],
        typed=list(map(list, zip(*typed, strict=True))),
        raws=[raw_text(kept_fields(resource, found)) for found in objects],
    )


def block_of(rows: PageRows) -> bytes:
    """Rows as bytes to be kept; empty for a page without rows."""
    if not rows.ids:
        return b""
    instants = [rows.fetched_from.isoformat(), rows.fetched_to.isoformat()]
    head = orjson.dumps([*instants, rows.ids, rows.created, rows.typed])
    text = b"\n".join([head, *(raw.encode() for raw in rows.raws)])
    packed: bytes = _CODEC.compress(text, asbytes=True)
    return _SIZE.pack(len(text)) + packed


def read_block(block: bytes) -> PageRows:
    """The rows that `block_of` was given."""
    (size,) = _SIZE.unpack_from(block)
    text = _CODEC.decompress(memoryview(block)[_SIZE.size :], size, asbytes=True)
    head, *raws = text.decode().split("\n")
    fetched_from, fetched_to, ids, created, typed = orjson.loads(head)
    return PageRows(
        fetched_from=datetime.fromisoformat(fetched_from),
        fetched_to=datetime.fromisoformat(fetched_to),
        ids=ids,
        created=created,
        typed=typed,
        raws=raws,
    )


def frame_of(
    resource: str, scope: Scope, api_version: str, pages: Iterable[PageRows]
) -> pl.DataFrame:
    """Rows of pages as the extract's columns; no pages make a frame without rows."""
    kept = list(pages)
    values: dict[str, Any] = {
        "account_id": [scope.account_id] * sum(map(len, kept)),
        "livemode": [scope.livemode] * sum(map(len, kept)),
        "id": _joined(page.ids for page in kept),
        "created": _joined(page.created for page in kept),
        "api_version": [api_version] * sum(map(len, kept)),
        "fetched_from": _joined([page.fetched_from] * len(page) for page in kept),
        "fetched_at": _joined([page.fetched_to] * len(page) for page in kept),
        "raw": _joined(page.raws for page in kept),
    }
    for place, name in enumerate(COLUMNS[resource]):
        values[name] = _joined(page.typed[place] for page in kept)
    schema = SCHEMAS[resource]
    return pl.DataFrame({name: values[name] for name in schema}, schema=schema, strict=True)


def _joined(lists: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(lists))


def in_frames(pages: Iterable[PageRows], rows: int) -> Iterator[list[PageRows]]:
    """Pages in groups of at least so many rows; the last group may be smaller."""
    group: list[PageRows] = []
    size = 0
    for page in pages:
        group.append(page)
        size += len(page)
        if size >= rows:
            yield group
            group, size = [], 0
    if group:
        yield group
