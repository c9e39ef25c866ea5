"""Reads Postgres's binary COPY rows column by column into Arrow, without a Python object per value.

Pure: bytes in, Arrow out. Source: PostgreSQL documentation, "COPY", "Binary Format", and "Message
Formats", CopyData: messages sent from the backend always correspond to single data rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from growth_pipeline.core.errors import GrowthError

SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
HEADER_SIZE = len(SIGNATURE) + 8
END = b"\xff\xff"

_Bytes: TypeAlias = npt.NDArray[np.uint8]
_Offsets: TypeAlias = npt.NDArray[np.int64]

_DAYS_TO_2000 = 10_957  # from 1970-01-01 to Postgres's zero, 2000-01-01
_MICROSECONDS_TO_2000 = _DAYS_TO_2000 * 86_400_000_000
_PADDING = bytes(8)  # a NULL at the very end is read like a value and then masked


@dataclass(frozen=True)
class ColumnType:
    """How one Postgres type lies in a row and what it becomes."""

    arrow: pa.DataType
    width: int = 0  # bytes of a fixed-size value, 0 for text and bytes
    number: str = ""  # numpy's name of the big-endian number
    epoch: int = 0  # added to the number: Postgres counts time from 2000
    skip: int = 0  # bytes before the text (jsonb has a version byte)


_TEXT = ColumnType(pa.large_utf8())
_INSTANT = {"width": 8, "number": ">i8", "epoch": _MICROSECONDS_TO_2000}

# By type oid: fixed numbers of Postgres's catalog, pg_type.dat.
COLUMN_TYPES: dict[int, ColumnType] = {
    16: ColumnType(pa.bool_(), 1, "u1"),
    17: ColumnType(pa.large_binary()),
    20: ColumnType(pa.int64(), 8, ">i8"),
    21: ColumnType(pa.int16(), 2, ">i2"),
    23: ColumnType(pa.int32(), 4, ">i4"),
    25: _TEXT,
    114: _TEXT,  # json
    700: ColumnType(pa.float32(), 4, ">f4"),
    701: ColumnType(pa.float64(), 8, ">f8"),
    1042: _TEXT,  # char(n)
    1043: _TEXT,  # varchar
    1082: ColumnType(pa.date32(), 4, ">i4", _DAYS_TO_2000),
    1114: ColumnType(pa.timestamp("us"), **_INSTANT),  # type: ignore[arg-type]
    1184: ColumnType(pa.timestamp("us", "UTC"), **_INSTANT),  # type: ignore[arg-type]
    3802: ColumnType(pa.large_utf8(), skip=1),  # jsonb
}


def decode(rows: Sequence[bytes], names: Sequence[str], types: Sequence[ColumnType]) -> pa.Table:
    """A table of the rows, each as one message brought it (without header and end mark).

    Shapes: one column per name; no rows give an empty table with the same types.
    Raises: GrowthError for a row with another number of columns, or an infinite time.
    """
    data = np.frombuffer(b"".join([*rows, _PADDING]), dtype=np.uint8)
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    at = np.cumsum(lengths) - lengths
    if len(rows) and (_numbers(data, at, 2, ">i2") != len(names)).any():
        raise GrowthError("the database sent a row with another number of columns")
    at = at + 2
    columns = []
    for kind in types:
        size = _numbers(data, at, 4, ">i4").astype(np.int64)
        start = at + 4
        columns.append(_column(kind, data, start, size))
        at = start + np.maximum(size, 0)
    return pa.Table.from_arrays(columns, names=list(names))


def _numbers(data: _Bytes, at: _Offsets, width: int, number: str) -> npt.NDArray[Any]:
    """The numbers of one width that begin at the given places."""
    at_every_byte: npt.NDArray[Any] = np.ndarray(
        shape=(len(data) - width + 1,), dtype=number, buffer=data, strides=(1,)
    )
    return at_every_byte[at]


def _column(kind: ColumnType, data: _Bytes, start: _Offsets, size: _Offsets) -> pa.Array:
    missing = size < 0
    if not kind.width:
        return _texts(kind, data, start, size, missing)
    values = _numbers(data, start, kind.width, kind.number)
    if kind.epoch:
        values = _since_1970(values, missing, kind.epoch)
    native = (
        values.astype(bool)
        if kind.number == "u1"
        else values.astype(values.dtype.newbyteorder("="))
    )
    if kind.epoch:
        counted = pa.array(native, mask=missing)
        return counted.cast(kind.arrow)
    return pa.array(native, type=kind.arrow, mask=missing)


def _since_1970(
    values: npt.NDArray[Any], missing: npt.NDArray[np.bool_], epoch: int
) -> npt.NDArray[Any]:
    limits = np.iinfo(values.dtype)
    if (((values == limits.max) | (values == limits.min)) & ~missing).any():
        raise GrowthError(
            "the database holds an infinite time, which a frame cannot",
            remedy="leave such rows out in the query, or read the column as text",
        )
    return np.where(missing, 0, values.astype(values.dtype.newbyteorder("="))) + epoch


def _texts(
    kind: ColumnType,
    data: _Bytes,
    start: _Offsets,
    size: _Offsets,
    missing: npt.NDArray[np.bool_],
) -> pa.Array:
    """Text or bytes: the data is one long array of value, gap, value, gap; take the values."""
    begin = np.where(missing, start, start + kind.skip)
    edges = np.empty(2 * len(start), dtype=np.int64)
    edges[0::2] = begin
    edges[1::2] = np.where(missing, start, start + size)
    pieces = pa.Array.from_buffers(
        kind.arrow,
        max(len(edges) - 1, 0),
        [None, pa.py_buffer(edges), pa.py_buffer(data)],
    )
    wanted = pa.array(np.arange(0, len(edges), 2, dtype=np.int64), mask=missing)
    return pieces.take(wanted)
