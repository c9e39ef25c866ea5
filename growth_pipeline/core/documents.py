"""A report as a document: words, data, tables and pictures, before any face of it is written.

Markdown and HTML are rendered from the same document, so they say the same. The one distinction
that keeps both inert is made here: our own words, and everything that somebody else wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from growth_pipeline.core.display import format_money, format_signed_money
from growth_pipeline.core.money import ISO_CURRENCIES

_ADDRESS: Final = re.compile(r"https://[a-z0-9.-]{1,200}(?:/[A-Za-z0-9_-]{1,200}){0,12}", re.ASCII)


class Tone(StrEnum):
    """How a word is meant; a face may colour it, and the word itself always says it too."""

    GOOD = "good"
    WAIT = "wait"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Words:
    """Our own words. A face may set them strong or give them a tone."""

    text: str
    strong: bool = False
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Amount(Words):
    """Money in words; a face keeps it on one line."""


@dataclass(frozen=True, slots=True)
class Data:
    """Somebody's text (an id, a name, a reason): shown as it is, never read as markup or link."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A name or a command of ours that a reader may copy."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Somebody's text that leads somewhere. The address is of our own making, or it is dropped."""

    text: str
    address: str

    @property
    def is_safe(self) -> bool:
        """Whether the address is plain https without query, fragment, port or user."""
        return _ADDRESS.fullmatch(self.address) is not None


Inline: TypeAlias = Words | Data | Code | Link
Cell: TypeAlias = "str | Inline | tuple[Cell, ...]"
"""What stands in a cell or a paragraph, in pieces. A bare string is our own words."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading below the title. `level` 2 or 3, without gaps."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words in a row. `tone` sets a paragraph apart that must not be overlooked."""

    cell: Cell
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Facts:
    """The few figures that a reader looks for first: name, value."""

    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns. `numbers`: columns set flush right. `caption`: what one row is."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Steps:
    """A list; numbered when the order matters."""

    items: tuple[Cell, ...]
    numbered: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of our own making. `alt` says in words what it shows; a table beside has the data.

    `svg` and `dark_svg` are texts of whole drawings, for a light and a dark page; `address` is a
    data URI for a face that cannot hold a drawing.
    """

    alt: str
    svg: str = ""
    dark_svg: str = ""
    address: str = ""


Block: TypeAlias = Heading | Paragraph | Facts | Table | Steps | Picture


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. Shapes: `title` is the one heading of level 1."""

    title: str
    blocks: tuple[Block, ...] = field(default_factory=tuple)
    tone: Tone = Tone.PLAIN


def money_part(minor: int, currency: str, *, signed: bool = False) -> Amount | Data:
    """Money as a piece of text; a code outside ISO 4217 makes it somebody's text.

    Units: minor units of `currency`. `signed`: a difference, which shows its sign.
    """
    text = (format_signed_money if signed else format_money)(minor, currency)
    return Amount(text) if currency in ISO_CURRENCIES else Data(text)


def quoted(text: str) -> Cell:
    """A sentence whose `backticks` set apart a command or somebody's text; both stay data."""
    return tuple(
        Data(piece) if at % 2 else Words(piece) for at, piece in enumerate(text.split("`")) if piece
    )


def joined(cells: Iterable[Cell], by: str = ", ") -> Cell:
    """Cells one after the other with words between them; no cells give an empty one."""
    out: list[Cell] = []
    for cell in cells:
        out += [by, cell] if out else [cell]
    return tuple(out)


def parts_of(cell: Cell) -> Iterator[Inline]:
    """The pieces of a cell in their order; bare strings become our words."""
    if isinstance(cell, tuple):
        for part in cell:
            yield from parts_of(part)
    else:
        yield Words(cell) if isinstance(cell, str) else cell
