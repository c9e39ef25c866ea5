"""The Markdown face of a document, and its cells. Text from rows or from Stripe is data.

What a report says is the business of its slice. GitHub makes mentions, references and links out of
plain text after it has rendered Markdown, so an escape alone does not stop them: a word that could
become one is put into a code span.
"""

from __future__ import annotations

import re
from typing import Final

from growth_pipeline.core.display import format_money, format_signed_money
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Data,
    Document,
    Facts,
    Heading,
    Inline,
    Link,
    Paragraph,
    Picture,
    Steps,
    Table,
    Words,
    parts_of,
)
from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.core.plain_text import one_line

# Mentions, addresses, references to issues and commits, formulas: what GitHub finds in plain text.
_ACTIVE: Final = re.compile(
    r"@|://|www\.|\$|#\d|\bgh-\d|\b[0-9a-f]{7,64}\b|\\", re.ASCII | re.IGNORECASE
)
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>#|~&])")
# What turns the beginning of a paragraph into a list or a rule; the dot of "1." is what does it.
_BLOCK_START: Final = re.compile(r"^(\d{0,9})([-+=.)])(?=\s|$|[-+=])")


def code_span(text: str) -> str:
    """Somebody's text as a Markdown code span that fits a table cell: one line, nothing active.

    Backticks and bars, which could end the span or the cell, become characters that look like them.
    """
    line = one_line(text).replace("`", "'").replace("|", "\u00a6")
    return f"`{line}`" if line else "(empty)"


def escaped(text: str) -> str:
    """Our own words with every character that Markdown could read as markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~@&])", r"\\\1", " ".join(text.split()))


def prose(text: str) -> str:
    """A sentence that may quote somebody: words that could become active stand in code spans."""
    words = (
        code_span(word) if _ACTIVE.search(word) else _MARKUP.sub(r"\\\1", word)
        for word in one_line(text, limit=2_000).split()
    )
    return " ".join(words)


def money(minor: int, currency: str) -> str:
    """Money as a cell. Units: minor units of `currency`."""
    return _currency_text(format_money(minor, currency), currency)


def signed_money(minor: int, currency: str) -> str:
    """A difference of money as a cell, with its sign. Units: minor units of `currency`."""
    return _currency_text(format_signed_money(minor, currency), currency)


def table_head(*names: str) -> list[str]:
    """The two lines a table begins with."""
    return [table_row(*names), table_row(*("---" for _ in names))]


def table_row(*cells: str) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def _currency_text(text: str, currency: str) -> str:
    """A code outside ISO 4217 is somebody's text."""
    return escaped(text) if currency in ISO_CURRENCIES else code_span(text)


# --- a whole document ----------------------------------------------------------------------------


def render_markdown(document: Document, *, captions: bool = False) -> str:
    """The document as Markdown: nothing is loaded, and only safe addresses become links.

    `captions`: whether a line above each table says what it shows, where no heading does.
    Shapes: one heading of level 1 on the first line; blocks are set apart by an empty line.
    """
    blocks = [f"# {prose(document.title)}"]
    for block in document.blocks:
        if captions and isinstance(block, Table):
            blocks.append(_line(f"{block.caption}:"))
        blocks.append(_block(block))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {prose(text)}"
        case Paragraph(cell):
            return _line(cell)
        case Facts(rows):
            return "\n".join(f"- {prose(name)}: {_cell(value)}" for name, value in rows)
        case Table():
            return _table(block)
        case Steps(items, numbered):
            marks = (f"{n}." if numbered else "-" for n in range(1, len(items) + 1))
            return "\n".join(f"{m} {_line(item)}" for m, item in zip(marks, items, strict=True))
        case Picture(alt, address=address):
            return f"![{prose(alt)}]({address})" if address else ""


def _table(table: Table) -> str:
    rules = ("---:" if at in table.numbers else "---" for at in range(len(table.head)))
    head = [table_row(*map(prose, table.head)), table_row(*rules)]
    return "\n".join([*head, *(table_row(*map(_cell, row)) for row in table.rows)])


def _line(cell: Cell) -> str:
    """A cell that stands at the beginning of a line."""
    return _BLOCK_START.sub(r"\1\\\2", _cell(cell))


def _cell(cell: Cell) -> str:
    return "".join(map(_inline, parts_of(cell))).strip()


def _inline(part: Inline) -> str:
    match part:
        case Words(text, strong):
            return _keep_edges(text, f"**{prose(text)}**" if strong else prose(text))
        case Data(text) | Code(text):
            return code_span(text)
        case Link(text, address):
            return f"[{code_span(text)}]({address})" if part.is_safe else code_span(text)


def _keep_edges(text: str, written: str) -> str:
    """The blanks around words, by which the pieces of a sentence are set apart."""
    if not text.strip():
        return " " if text else ""
    return f"{' ' * text[0].isspace()}{written}{' ' * text[-1].isspace()}"
