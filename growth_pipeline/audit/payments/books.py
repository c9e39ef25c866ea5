"""The booked payments of one audit as files, because a month of them need not fit into memory.

Nothing here judges. What the files hold is asked by statements of sql/audit/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.engine import Spool

CHARGED = "charged_rows"
LOOSE = "loose_rows"
_COLUMN_OF = {"fee": "fee_minor", "invoice": "invoice_id"}


@dataclass(frozen=True)
class BookedPayments:
    """Booked rows of a month, and those of other months that repeat one of them, in two files.

    Grain: one row of billing.payments, with `created` and `written` in Unix seconds, `in_month`,
    and `match_id`: the charge id of `charged` rows; `loose` rows name no charge, so theirs is the
    payment intent, else the invoice payment, else the invoice.
    """

    spool: Spool
    charged: tuple[str, ...]
    loose: tuple[str, ...]
    rows: int = 0
    rows_with_fee: int = 0
    rows_with_invoice: int = 0


def spool_books(frames: Iterable[pl.DataFrame], spool: Spool) -> BookedPayments:
    """Write booked rows into the spool as they come; a batch at a time is in memory."""
    counts = {"rows": 0, "rows_with_fee": 0, "rows_with_invoice": 0}
    loose: list[str] = []

    def charged() -> Iterator[pl.DataFrame]:
        for frame in frames:
            counts["rows"] += frame.height
            for name in ("fee", "invoice"):
                known = frame[_COLUMN_OF[name]]
                counts[f"rows_with_{name}"] += known.len() - known.null_count()
            unnamed = frame["charge_id"].is_null()
            if unnamed.any():
                part = spool.write(f"{LOOSE}_{len(loose)}", [frame.filter(unnamed)])
                loose.append(part.path)
            yield frame.filter(~unnamed)

    file = spool.write(CHARGED, charged())
    return BookedPayments(spool=spool, charged=(file.path,), loose=tuple(loose), **counts)
