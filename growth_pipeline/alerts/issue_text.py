"""Texts of issues: what cannot leave its block, who is called, and the marks an issue is known by.

Which issue is written, and when, is decided in github.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MENTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?\Z")
_MARKED = re.compile(r"<!-- growth-alert (.*) -->\Z")
_FENCED = re.compile(r"^(`{3,})text\r?$.*?^\1\r?$", re.MULTILINE | re.DOTALL)


def fence(text: str) -> str:
    """Text as a code block that it cannot leave: no mention, link or image comes out of it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}text\n{text}\n{ticks}"


def mention_of(name: str) -> str:
    """The markup that calls one user or team. Raises: ValueError for any other text."""
    if not _MENTION.match(name):
        raise ValueError("not the name of a GitHub user or team")
    return f"@{name}"


def plain_title(title: str) -> str:
    """A title that calls nobody and points nowhere: GitHub reads @name and #12 in titles too."""
    return re.sub(r"([@#])(?=\w)", "\\1\u200b", title)


def marker(name: str) -> str:
    """Hidden comment that a later call finds its own issue or comment by."""
    return f"<!-- growth-alert {name} -->"


def is_marked(text: Mapping[str, Any], name: str) -> bool:
    """Whether an issue or comment carries a marker, outside the alert's own text."""
    return name in marks_of(text)


def marks_of(text: Mapping[str, Any]) -> set[str]:
    """What an issue or comment is marked with, outside the alert's own text."""
    lines = _FENCED.sub("", text.get("body") or "", count=1).splitlines()
    return {found[1] for line in lines if (found := _MARKED.match(line.strip()))}
