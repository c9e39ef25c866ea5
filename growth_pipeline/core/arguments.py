"""Words of a command line as values, and an answer to where it belongs. Never a rule."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from growth_pipeline.core.errors import UsageError


def words(option: str, text: str | None) -> tuple[str, ...] | None:
    """Words between commas; None when nothing was given.

    Raises: UsageError for an option that is there and names nothing.
    """
    if text is None:
        return None
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise UsageError(
            f"{option} names nothing", remedy="write words with commas, or leave it out"
        )
    return found


def ids(option: str, text: str | None) -> tuple[str, ...]:
    """Ids between commas, or one on each line of a file: `@FILE`.

    Raises: UsageError for a file that cannot be read.
    """
    if text is None or not text.startswith("@"):
        return () if text is None else words(option, text) or ()
    try:
        lines = Path(text[1:]).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{option} {text} cannot be read", remedy="give a UTF-8 file with one id per line"
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


def whole(option: str, text: str) -> int:
    """A whole number without sign.

    Raises: UsageError for anything else.
    """
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{option} {text!r} is not a whole number", remedy="write it as in 7")
    return int(text)


def span(option: str, text: str) -> tuple[int, int]:
    """A range with both ends in, as `4-7`; one number is both ends.

    Raises: UsageError for anything else.
    """
    first, _, last = text.partition("-")
    return whole(option, first.strip()), whole(option, (last or first).strip())


def day(option: str, text: str | None) -> date | None:
    """A date; None when nothing was given.

    Raises: UsageError for anything else.
    """
    try:
        return None if text is None else date.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is not a date", remedy="write it as 2031-03-15"
        ) from error


def memory(text: str) -> str:
    """An amount of memory as the engine takes it.

    Raises: UsageError for anything else.
    """
    if not re.fullmatch(r"[1-9][0-9]*(\.[0-9]+)? ?[KMGT]i?B", text.strip(), re.IGNORECASE):
        raise UsageError(f"--memory {text!r} is no amount", remedy="write it as in 4GiB")
    return text.strip()


def tell(notes: Sequence[str], dropped: Mapping[str, int]) -> None:
    """Say on stderr what a form without a head leaves out: notes, and how much was dropped."""
    lost = [f"{count} {name}" for name, count in dropped.items() if count]
    lines = [*notes, f"dropped: {', '.join(lost)}"] if lost else notes
    for line in lines:
        sys.stderr.write(f"{line}\n")


def refuse_terminal(form: str, output: Path | None) -> None:
    """Parquet goes to a file or a pipe.

    Raises: UsageError when it would fill a terminal.
    """
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal", remedy="give --output FILE, or a pipe")


def fixed(path: Path | None) -> Path | None:
    """The same file whatever folder the command works in: a running demo has one of its own."""
    return None if path is None else path.absolute()


def hand_over(face: bytes, output: Path | None) -> None:
    """Write an answer to a file, or to stdout; a terminal gets no control characters.

    Raises: UsageError when the file cannot be written.
    """
    from growth_pipeline.core.plain_text import printable

    if output is not None:
        try:
            output.write_bytes(face)
        except OSError as error:
            raise UsageError(
                f"{output} cannot be written: {error.strerror}", remedy="give another --output"
            ) from error
    elif sys.stdout.isatty():
        sys.stdout.write(printable(face.decode()))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(face)
