"""Mirrored rows that are not what Stripe showed later, in fields that no other class names. Pure.

Rows come as frames: the mirror's side from sql/audit/living_*.sql, which is where the fields of
each kind are chosen; Stripe's side from the extract. Contract: docs/metrics.md, "Events".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

# Kinds whose rows are compared. Of balance transactions Stripe tells no changes, and of invoice
# payments every field that can change is named by another class.
KINDS: Final = (
    *("payment_intents", "charges", "invoices", "subscriptions", "customers"),
    *("refunds", "disputes", "payouts", "credit_notes"),
)
_NOT_COMPARED: Final = frozenset({"id", "api_version", "state_at"})
HIDDEN: Final = "hidden"
# Words of Stripe's own; anything else that is text may be a person's.
_WORDS: Final = frozenset({"status", "currency", "type", "method", "collection_method", "reason"})


@dataclass(frozen=True, slots=True)
class StaleRow:
    """One row of the mirror that differs.

    `differs`: field -> (the mirror's value, Stripe's). Instants in Unix seconds.
    """

    id: str
    created: int
    state_at: datetime
    fetched_at: datetime
    differs: Mapping[str, tuple[Any, Any]]

    def shown(self, place: int) -> dict[str, Any]:
        """One side's values for people: numbers, flags and Stripe's words; other texts hidden."""
        return {
            name: values[place] if name in _WORDS or not isinstance(values[place], str) else HIDDEN
            for name, values in self.differs.items()
        }


def stale_rows(mirrored: pl.DataFrame, extracted: pl.DataFrame) -> list[StaleRow]:
    """Rows of the mirror that say something else than Stripe showed at a later instant.

    Of two API versions one may lack a field that the other has: then null says nothing.
    """
    fields = [name for name in mirrored.columns if name not in _NOT_COMPARED]
    both = mirrored.join(
        extracted.select("id", "created", "api_version", "fetched_from", "fetched_at", *fields),
        on="id",
        suffix="_stripe",
    ).filter(pl.col("fetched_from") > pl.col("state_at"))
    same_version = pl.col("api_version") == pl.col("api_version_stripe")
    differing = {name: _differs(name, same_version) for name in fields}
    found = both.with_columns(
        **{f"{name}_differs": rule for name, rule in differing.items()}
    ).filter(pl.any_horizontal(f"{name}_differs" for name in fields))
    return [_stale_row(row, fields) for row in found.iter_rows(named=True)]


def _differs(name: str, same_version: pl.Expr) -> pl.Expr:
    ours, theirs = pl.col(name), pl.col(f"{name}_stripe")
    told = ours.is_not_null() & theirs.is_not_null()
    return ours.ne_missing(theirs) & (same_version | told)


def _stale_row(row: Mapping[str, Any], fields: Sequence[str]) -> StaleRow:
    return StaleRow(
        id=row["id"],
        created=row["created"],
        state_at=row["state_at"],
        fetched_at=row["fetched_at"],
        differs={
            name: (row[name], row[f"{name}_stripe"]) for name in fields if row[f"{name}_differs"]
        },
    )


def still_differs(row: StaleRow, fresh: Mapping[str, Any]) -> StaleRow | None:
    """The row against Stripe's newest state; None if the mirror says the same as that."""
    now = {
        name: (ours, fresh.get(name))
        for name, (ours, _) in row.differs.items()
        if ours != fresh.get(name)
    }
    if not now:
        return None
    return StaleRow(row.id, row.created, row.state_at, row.fetched_at, now)
