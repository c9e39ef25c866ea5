"""What must hold in every run: a figure that breaks it is never told.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.revenue.movements import ENTRIES, EXITS, SAME_CURRENCY
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.revenue.from_files.measure import Measured
    from growth_pipeline.storage.engine import Engine

_REMEDY = "report it with the options of the command; no figure of this run is right"


class BrokenIdentityError(GrowthError):
    """Figures that contradict each other; not retryable."""


def check_histories(engine: Engine, changes: str, steps: str) -> None:
    """No MRR below 0, none after the end, each snapshot starts where the one before ended.

    Raises: BrokenIdentityError.
    """
    tables: dict[str, Any] = {"changes": [changes], "steps": [steps]}
    for broken, times in engine.query(load_sql("revenue/broken_changes"), tables).iter_rows():
        raise BrokenIdentityError(f"an identity is broken: {broken}, {times} times", remedy=_REMEDY)


def check_movements(measured: Measured) -> None:
    """Start + movements = end, of money and of customers, in every period and currency; churn too.

    Raises: BrokenIdentityError naming the first period and currency.
    """
    for currency in measured.currencies:
        mrr: Any = 0
        customers = 0
        for period in measured.periods:
            key = period.number, currency
            moved = {
                movement: measured.moved[*key, movement]
                for movement in SAME_CURRENCY
                if (*key, movement) in measured.moved
            }
            mrr += sum(one.amount for one in moved.values())
            came = sum(moved[name].changes for name in ENTRIES if name in moved)
            left = sum(moved[name].changes for name in EXITS if name in moved)
            customers += came - left
            _equal("start + movements = end", mrr, measured.mrr[key], period, currency)
            _equal("customers", customers, measured.customers[key], period, currency)
            _check_causes(measured, key)


def _check_causes(measured: Measured, key: tuple[int, str]) -> None:
    whole = measured.moved.get((*key, "churn"))
    parts = [one for (*at, _), one in measured.churned.items() if tuple(at) == key]
    if whole is not None and whole.amount != sum(part.amount for part in parts):
        raise BrokenIdentityError("causes of churn do not add up to it", remedy=_REMEDY)


def _equal(what: str, computed: Any, known: Any, period: Any, currency: str) -> None:
    if computed != known:
        raise BrokenIdentityError(
            f"{what} does not hold in the period from day {period.start_day} {currency}: "
            f"{computed} against {known}",
            remedy=_REMEDY,
        )
