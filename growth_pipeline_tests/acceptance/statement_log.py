"""The SQL texts that a server was given, from its own log, with values taken out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

_PREFIX = re.compile(r"^\|(\d+)\|(\w+):  ", re.MULTILINE)
_TEXT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
# What can stand for a value or a name in SQL; the lexer of Postgres's manual, 4.1, nothing of ours.
_VALUE = re.compile(
    r"""(?P<value>\b[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\$(?:[A-Za-z_]\w*)?\$.*?\$(?:[A-Za-z_]\w*)?\$
    |\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|(?P<name>"(?:""|[^"])*")|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<space>\s+)""",
    re.DOTALL | re.VERBOSE,
)
LOG_EVERYTHING = (
    "alter system set log_statement = 'all'",
    "alter system set log_line_prefix = '|%p|'",
    "alter system set log_parameter_max_length = 0",  # values do not belong to a text
    "alter system set log_error_verbosity = 'terse'",
    "alter system set fsync = off",
    "select pg_reload_conf()",
)


class StatementLog:
    """Reads what was logged since the last reading."""

    def __init__(self, server: Any, path: Path) -> None:
        self._path = path
        self._offset = 0
        with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
            for statement in LOG_EVERYTHING:
                admin.execute(statement)

    def texts(self) -> set[str]:
        """Texts of the statements that came since, without their values."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            log = file.read().decode("utf-8", "replace")
            self._offset = file.tell()
        return {shape_of(text) for text in _statements(log)}


def _statements(log: str) -> Iterator[str]:
    """Whole statements; a second line begins with a tab. STATEMENT is one that failed."""
    starts = list(_PREFIX.finditer(log))
    ends = [*(match.start() for match in starts[1:]), len(log)]
    for match, end in zip(starts, ends, strict=False):
        body = log[match.end() : end].rstrip("\n").replace("\n\t", "\n")
        if match[2] == "STATEMENT":
            yield body
        elif match[2] == "LOG" and (found := _TEXT.match(body)):
            yield found[1]


def shape_of(text: str) -> str:
    """A statement with every value as ?, every quoted name as "?", and space as one blank.

    Whatever leaves the quotes it was put into changes the shape.
    """

    def shown(match: re.Match[str]) -> str:
        return {"value": "?", "name": '"?"'}.get(str(match.lastgroup), " ")

    return re.sub(r"\s+", " ", _VALUE.sub(shown, text)).strip(" ;")


def shapes_of_files(folder: Path) -> set[str]:
    """Texts that stand in files, as a server is given them: parameters by number."""
    return {
        shape_of(
            re.sub(r"%\(\w+\)[sbt]", "$1", path.read_text(encoding="utf-8")).replace("%%", "%")
        )
        for path in folder.rglob("*.sql")
    }
