"""Headers of a request as plain ASGI has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.types import Scope

_DIGITS: Final = 18  # more than any body has; int() refuses thousands of them


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of a name (in small letters), as it came; empty when there is none."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value for found, value in headers if found == name), b"")


def announced_size(scope: Scope) -> int:
    """Bytes of the body as its sender announces them; 0 if that is not said, or not a number."""
    text = header(scope, b"content-length")
    return int(text[:_DIGITS] + b"0" * bool(text[_DIGITS:])) if text.isdigit() else 0
