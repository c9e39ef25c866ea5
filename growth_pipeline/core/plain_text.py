"""Somebody's text where it is shown as it is: nothing unseen, nothing that a terminal acts on."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

TEXT_LIMIT: Final = 120
MARK: Final = "\ufffd"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str, limit: int = TEXT_LIMIT) -> str:
    """Somebody's text on one line: what cannot be seen or turns the line around becomes a mark.

    Control, format, bidirectional, private and unpaired characters are shown as U+FFFD; longer
    texts end in an ellipsis. Shapes: may be empty.
    """
    head = text[: 4 * limit]
    visible = "".join(MARK if unicodedata.category(c)[0] == "C" else c for c in head)
    line = " ".join(visible.split())
    return line[:limit] + "…" if len(line) > limit or len(text) > len(head) else line


def printable(text: str) -> str:
    """Text for a terminal: control characters but line breaks and tabs become a visible mark."""
    return _CONTROL.sub(MARK, text)


def record(text: str) -> str:
    """A message as one record of a log: one line, blanks kept, nothing that a terminal acts on."""
    return printable(re.sub(r"\r\n?|\n", " ", text))
