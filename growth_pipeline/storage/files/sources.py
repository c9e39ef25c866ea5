"""A file as it lies there: its format, its columns by name, its records one by one.

No meaning of a value belongs here.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from growth_pipeline.core.errors import UsageError
from growth_pipeline.storage.engine import Spool, TextFile

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = ",;\t|"
_SHOWN = 100
_SPACES = re.compile(r"[\s\-]+")


def data_version(*paths: Path | None) -> str:
    """What the bytes of the given files are, as one SHA-256; an option not given counts as such.

    Raises: UsageError for a file that cannot be read.
    """
    whole = hashlib.sha256()
    for path in paths:
        if path is None:
            whole.update(b"-")
            continue
        try:
            with path.open("rb") as stream:
                whole.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {_said(error)}", remedy="check the path and the file"
            ) from error
    return whole.hexdigest()


def column_key(name: str) -> str:
    """A column's name without case, outer spaces and the kind of its gaps: `User ID` is user_id."""
    return _SPACES.sub("_", name.strip().lstrip("\ufeff").strip()).casefold()


@dataclass(frozen=True)
class SourceFile:
    """A readable file and the names of its columns, in the file's order and spelling."""

    path: Path
    columns: tuple[str, ...]
    is_parquet: bool
    delimiter: str = ","
    is_gzipped: bool = False
    float_columns: frozenset[str] = frozenset()
    shown_path: Path | None = None

    @property
    def name(self) -> str:
        """The path as the person gave it."""
        return str(self.shown_path or self.path)

    def find(self, name: str) -> str | None:
        """The file's spelling of a column, None when it has none.

        Raises: UsageError when two columns have the name.
        """
        found = [column for column in self.columns if column_key(column) == column_key(name)]
        if len(found) > 1 or (found and self.columns.count(found[0]) > 1):
            raise UsageError(
                f"{self.name} has two columns {name}", remedy="rename or remove one of them"
            )
        return found[0] if found else None

    def need(self, name: str) -> str:
        """As `find`, for a column that must be there.

        Raises: UsageError naming the columns that are.
        """
        found = self.find(name)
        if found is None:
            raise UsageError(
                f"{self.name} has no column {name}",
                remedy=f"its columns are: {', '.join(self.columns)}; rename the one that is meant",
            )
        return found

    def as_text(self, columns: Mapping[str, str | tuple[str, ...] | None]) -> TextFile:
        """What the engine reads: name in the query -> the file's spelling of the column."""
        return TextFile(
            path=str(self.path),
            columns=dict(columns),
            header=None if self.is_parquet else self.columns,
            delimiter=self.delimiter,
            gzipped=self.is_gzipped,
        )

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Records of a CSV file after its header: (line on which it begins, fields).

        Slower than the engine and exact about lines; empty lines are no records.
        Raises: UsageError with file and line for what is no CSV, no UTF-8 or cut off.
        """
        lines = _records(self.path, self.delimiter, is_gzipped=self.is_gzipped, name=self.name)
        next(lines, None)
        for line, fields in lines:
            if len(fields) != len(self.columns):
                raise UsageError(
                    f"{self.name}, line {line}: {len(fields)} fields where the first line names "
                    f"{len(self.columns)}: {_shortened(self.delimiter.join(fields))}",
                    remedy="correct the line; a field that holds the separator needs quotes",
                )
            yield line, fields


def open_source(path: Path, needed: Sequence[str], spool: Spool) -> SourceFile:
    """The file at a path, recognised by its content; `needed` names columns that it must have.

    A Parquet file inside gzip is unpacked into the spool.
    Raises: UsageError for a file that is missing, unreadable, empty or without a needed column.
    """
    try:
        head = _head(path)
        source = _open(path, head, needed, spool)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise UsageError(
            f"{path} cannot be read: {_said(error)}", remedy="check the path and the file"
        ) from error
    for name in needed:
        source.need(name)
    return source


def normalised_copy(source: SourceFile, spool: Spool) -> SourceFile:
    """The same records written anew, one way of ending lines: for what the engine refuses.

    Raises: UsageError with file and line when the file is really wrong.
    """
    copy = spool.folder / f"{source.path.name}.copy.csv"
    with copy.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(source.columns)
        writer.writerows(fields for _, fields in source.records())
    shown = source.shown_path or source.path
    return replace(source, path=copy, delimiter=",", is_gzipped=False, shown_path=shown)


def _open(path: Path, head: bytes, needed: Sequence[str], spool: Spool) -> SourceFile:
    if head.startswith(_PARQUET):
        return _open_parquet(path)
    is_gzipped = head.startswith(_GZIP)
    if is_gzipped:
        with gzip.open(path) as unpacked:
            head = unpacked.read(4)
        if head.startswith(_PARQUET):
            return _open_packed_parquet(path, spool)
    if head.startswith(_UTF16):
        raise UsageError(f"{path} is UTF-16 text", remedy="save it as CSV in UTF-8")
    return _open_csv(path, needed, is_gzipped=is_gzipped)


def _open_parquet(path: Path) -> SourceFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise UsageError(
            f"{path} is a damaged Parquet file: {_said(error)}", remedy="write the file again"
        ) from error
    floats = frozenset(field.name for field in schema if pa.types.is_floating(field.type))
    return SourceFile(path, tuple(schema.names), is_parquet=True, float_columns=floats)


def _open_packed_parquet(path: Path, spool: Spool) -> SourceFile:
    unpacked = spool.folder / f"{path.name}.parquet"
    with gzip.open(path) as packed, unpacked.open("wb") as target:
        shutil.copyfileobj(packed, target)
    return replace(_open_parquet(unpacked), shown_path=path)


def _open_csv(path: Path, needed: Sequence[str], *, is_gzipped: bool) -> SourceFile:
    """The separator is the one with which the first line names the needed columns."""
    best: SourceFile | None = None
    refused: UsageError | None = None
    for delimiter in _DELIMITERS:
        try:
            first = next(_records(path, delimiter, is_gzipped=is_gzipped, name=str(path)), None)
        except UsageError as error:  # "a";"b" is no line by commas, and one by semicolons
            refused = refused or error
            continue
        if first is None:
            raise UsageError(
                f"{path} is empty", remedy="give it a first line with the names of its columns"
            )
        columns = tuple(column.strip().lstrip("\ufeff") for column in first[1])
        found = SourceFile(path, columns, False, delimiter, is_gzipped)
        if best is None or _names(found, needed) > _names(best, needed):
            best = found
    if best is None and refused is not None:
        raise refused
    assert best is not None  # noqa: S101  # there are separators
    return best


def _names(source: SourceFile, needed: Sequence[str]) -> tuple[int, int]:
    """How well a separator explains the first line: needed columns found, then columns."""
    keys = {column_key(column) for column in source.columns}
    return sum(column_key(name) in keys for name in needed), len(source.columns)


def _records(
    path: Path, delimiter: str, *, is_gzipped: bool, name: str
) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not an empty line, with the line on which it begins."""
    line = 1
    with _text(path, is_gzipped=is_gzipped) as stream:
        reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            for fields in reader:
                if fields:
                    _check_text(fields, name, line)
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error as error:
            raise UsageError(
                f"{name}, line {line}: {error}",
                remedy="correct the line; quotes inside a quoted field are doubled",
            ) from error
        except EOFError as error:
            raise UsageError(
                f"{name} is cut off after line {line}: {error}", remedy="copy or write it again"
            ) from error


def _check_text(fields: Sequence[str], name: str, line: int) -> None:
    try:
        "".join(fields).encode()
    except UnicodeEncodeError as error:
        shown = "".join(fields).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise UsageError(
            f"{name}, line {line}: the text is not UTF-8: {_shortened(shown)}",
            remedy="save the file in UTF-8",
        ) from error


@contextmanager
def _text(path: Path, *, is_gzipped: bool) -> Iterator[IO[str]]:
    """The file as text; bytes that are no UTF-8 come as lone surrogates, to be found by line."""
    with (
        _bytes(path, is_gzipped=is_gzipped) as raw,
        io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text,
    ):
        yield text


def _bytes(path: Path, *, is_gzipped: bool) -> io.BufferedReader:
    if is_gzipped:
        return io.BufferedReader(gzip.open(path))
    return path.open("rb")


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(4)


def _said(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.strip().splitlines()[0] if said.strip() else type(error).__name__


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
