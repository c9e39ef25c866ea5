"""Cells and words of Markdown reports. Text from rows or from Stripe is data, never markup or link.

What a report says is the business of its slice.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from growth_pipeline.core.display import format_money, format_signed_money
from growth_pipeline.core.money import ISO_CURRENCIES

_TEXT_LIMIT: Final = 120


def code_span(text: str) -> str:
    """Somebody's text as a Markdown code span that fits a table cell: one line, nothing active.

    Control, format and bidirectional characters become a visible mark; backticks and bars, which
    could end the span or the cell, become characters that look like them.
    """
    visible = "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in text)
    one_line = " ".join(visible.split()).replace("`", "'").replace("|", "\u00a6")
    if len(one_line) > _TEXT_LIMIT:
        one_line = one_line[:_TEXT_LIMIT] + "…"
    return f"`{one_line}`" if one_line else "(empty)"


def escaped(text: str) -> str:
    """Our own words with every character that Markdown could read as markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#|!~@&])", r"\\\1", " ".join(text.split()))


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
