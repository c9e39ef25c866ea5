"""A receipt: all that is needed to compute the figures of a month again. Pure.

Contract: docs/metrics.md, "Receipts".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson

PlaceOfFigure = tuple[str, str, str, str | None]
"""Metric, currency, segment_by and segment."""


@dataclass(frozen=True)
class Receipt:
    """Grain: one policy and month.

    `as_of`: exclusive; `known_at`: what the ledger had received by then. `rows`, `sha256`: number
    and hash of the spells up to the end of the month, cut there. `figures`: place -> value as text,
    None where it is not known.
    """

    policy: str
    period_start: date
    options: Mapping[str, Any]
    tz: str
    code_version: str
    as_of: datetime
    known_at: datetime
    rows: int
    sha256: str
    figures: Mapping[PlaceOfFigure, str | None]

    @property
    def receipt_id(self) -> str:
        """Hash of everything in it: a receipt that was changed has another one."""
        told = {
            "policy": self.policy,
            "period_start": self.period_start.isoformat(),
            "options": dict(self.options),
            "tz": self.tz,
            "code_version": self.code_version,
            "as_of": self.as_of.isoformat(),
            "known_at": self.known_at.isoformat(),
            "rows": self.rows,
            "sha256": self.sha256,
            "figures": self.figure_rows(),
        }
        digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return f"receipt_{digest[:32]}"

    def says_the_same(self, other: Receipt) -> bool:
        """Whether both tell the same figures from the same rows and rules, made whenever."""
        mine = (self.policy, self.period_start, self.options, self.tz, self.code_version)
        theirs = (other.policy, other.period_start, other.options, other.tz, other.code_version)
        return (*mine, self.rows, self.sha256, self.figures) == (
            *theirs,
            other.rows,
            other.sha256,
            other.figures,
        )

    def figure_rows(self) -> list[list[str | None]]:
        """The figures as JSON has them: metric, currency, segment_by, segment, value; in order."""
        return sorted(
            ([*place, value] for place, value in self.figures.items()),
            key=lambda row: [one or "" for one in row],
        )


def figures_from(rows: Sequence[Sequence[str | None]]) -> dict[PlaceOfFigure, str | None]:
    """The figures of a stored receipt."""
    return {(str(row[0]), str(row[1]), str(row[2]), row[3]): row[4] for row in rows}


def value_text(value: Decimal | int | None) -> str | None:
    """A figure as a receipt has it: its digits, without zeros at the end."""
    if value is None:
        return None
    told = Decimal(value)
    text = f"{told:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
