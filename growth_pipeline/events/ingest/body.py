"""The body of a request: inflated within a bound, then read as JSON. Pure.

One value that is not JSON must not sink a batch: SDKs drop a batch on 400. So what other programs
write as JSON (NaN, half a surrogate pair) is read too, and keeps out only the event it stands in.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from itertools import islice
from typing import Any, Final

import orjson

BATCH_LIMIT: Final = 500 * 1024
_GZIP: Final = 31  # of zlib's window bits: a gzip header is expected
_LONGEST: Final = len(str(-(2**63)))
_HUGE: Final = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}")  # what may be no 64 bits, or no double
_ODD_VALUES: Final = 1000
_SHOWN_KEY: Final = re.compile(rb'"writeKey"\s*:\s*"([^"\\]{1,256})"')
_KEYS_LOOKED_AT: Final = 3


class UnreadableError(ValueError):
    """The body is no JSON, or not what its encoding says. Not retryable."""


class TooLargeError(ValueError):
    """The body holds more than a batch may. Not retryable."""


class NotJson:
    """Stands for a value that JSON does not know; no serialiser takes it."""


_CONSTANTS: Final = dict.fromkeys(("NaN", "Infinity", "-Infinity"), NotJson())


def inflate(body: bytes, *, limit: int = BATCH_LIMIT) -> bytes:
    """A gzip body inflated; never more than the limit in memory.

    Raises: TooLargeError, UnreadableError.
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        found = stream.decompress(body, limit + 1)
    except zlib.error:
        raise UnreadableError("the body is no gzip") from None
    if len(found) > limit:
        raise TooLargeError
    if not stream.eof or stream.unused_data:
        raise UnreadableError("the gzip is cut, or something follows it")
    return found


def shown_keys(body: bytes) -> list[str]:
    """Texts that stand in a body as `writeKey`, the first few, without reading it as JSON.

    Only who shows a known key has a body read: that of a stranger could cost much.
    """
    found = (match[1] for match in _SHOWN_KEY.finditer(body))
    texts = (one.decode("utf-8", "replace") for one in found)
    return list(dict.fromkeys(islice(texts, _KEYS_LOOKED_AT)))


def read_json(body: bytes) -> Any:
    """The value of a body. Whole numbers beyond 64 bits are read as the nearest double.

    Raises: UnreadableError.
    """
    try:
        return read_strictly(body)
    except UnreadableError:
        return read_patiently(body)


def read_strictly(body: bytes) -> Any:
    """The value of a body that is JSON by the letter; takes milliseconds whatever it holds.

    Raises: UnreadableError.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableError("the body is no JSON") from None


def write_json(value: Any) -> bytes | None:
    """JSON of a value that `read_json` gave, compact UTF-8; None if it holds what JSON cannot."""
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, RecursionError):
        return None


def write_anything(value: Any) -> bytes:
    """JSON of any value that `read_json` gave: half surrogates as escapes, the rest as null.

    A value that is too deep, or that holds thousands of what JSON does not know, is null as a
    whole: so much is no mistake.
    """
    budget = iter(range(_ODD_VALUES))

    def null(_: object) -> None:
        if next(budget, None) is None:
            raise ValueError

    try:
        return json.dumps(value, default=null).encode()
    except (ValueError, RecursionError):
        return b"null"


def read_patiently(body: bytes) -> Any:
    """The value of a body as other programs write JSON, too; may take 100 ms.

    Raises: UnreadableError.
    """
    whole, fraction = (_whole, _fraction) if _HUGE.search(body) else (None, None)
    try:
        text = body.decode("utf-8-sig")
        return json.loads(
            text,
            parse_constant=_CONSTANTS.__getitem__,
            parse_int=whole,
            parse_float=fraction,
        )
    except (ValueError, RecursionError):
        raise UnreadableError("the body is no JSON") from None


def _whole(text: str) -> int | float | NotJson:
    found = int(text) if len(text) <= _LONGEST else 2**64  # int() refuses thousands of digits
    return found if -(2**63) <= found < 2**64 else _fraction(text)


def _fraction(text: str) -> float | NotJson:
    found = float(text)
    return found if math.isfinite(found) else NotJson()
