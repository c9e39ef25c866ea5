"""Takes a repair back: the booked rows as they were before it, all of them or none.

The mirror and its ledger stay: they hold what Stripe said, whatever the books say.
Contract: docs/decisions/0025.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from growth_pipeline.audit.commands import period_words
from growth_pipeline.audit.repair.plan import Image
from growth_pipeline.audit.repair.store import ChangedRow, RepairStore, RepairTurn
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.periods import Month

_ROWS_NAMED: Final = 5


@dataclass(frozen=True)
class Undone:
    """A repair that was taken back. `rows`: booked rows that are as they were; `tz`: its zone."""

    repair_id: str
    month: str
    tz: str
    rows: int
    dry_run: bool


class _OnlyLooked(Exception):
    """Ends the transaction of a dry run: nothing of it stays."""


def undo_repair(
    repair_id: str, *, store: RepairStore, now: datetime, by: str, dry_run: bool = False
) -> Undone:
    """Put the booked rows of a repair back as they were before it, under their own numbers.

    Raises: UsageError for an unknown repair, and for one that was taken back before; GrowthError
    naming rows that were changed since; RowsRefusedError when another row took a place.
    """
    try:
        with store.turn() as turn:
            undone = _put_back(repair_id, turn, dry_run=dry_run)
            turn.mark_undone(repair_id, now=now, by=by)
            if dry_run:
                raise _OnlyLooked
    except _OnlyLooked:
        pass
    return undone


def _put_back(repair_id: str, turn: RepairTurn, *, dry_run: bool) -> Undone:
    found = turn.find(repair_id)
    if found is None:
        raise UsageError(
            f"there was no repair {repair_id!r}",
            remedy="growth repair --month names the repairs of a month",
        )
    if found.done.undone_at is not None:
        period = period_words(Month.parse(found.month), found.tz)
        raise UsageError(
            f"repair {repair_id} was taken back on {found.done.undone_at:%Y-%m-%d %H:%M} UTC",
            remedy=f"growth repair {period} plans it again",
        )
    rows = turn.rows_of(repair_id)
    numbers = {image["payment_id"] for row in rows for image in row if image is not None}
    _refuse_changed(repair_id, turn.hold_rows(numbers), rows)
    turn.delete_rows(row.after["payment_id"] for row in rows if row.after is not None)
    turn.restore_rows([row.before for row in rows if row.before is not None])
    return Undone(repair_id, found.month, found.tz, len(rows), dry_run)


def _refuse_changed(
    repair_id: str, current: Mapping[int, Image], rows: Sequence[ChangedRow]
) -> None:
    changed = sorted(
        image["payment_id"]
        for row in rows
        if (image := row.after or row.before) and current.get(image["payment_id"]) != row.after
    )
    if changed:
        named = ", ".join(map(str, changed[:_ROWS_NAMED]))
        raise GrowthError(
            f"{len(changed)} of the rows that repair {repair_id} changed were changed since: "
            f"payment_id {named}. Nothing was taken back",
            remedy="audit the month again and repair what it finds",
        )
