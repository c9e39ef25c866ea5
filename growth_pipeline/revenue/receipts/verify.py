"""Whether a published figure still follows from its receipt, and the receipt from the ledger.

The ledger is read as it was known when the receipt was made, so what came later is no fault.
Contract: docs/metrics.md, "Receipts".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.errors import UsageError
from growth_pipeline.revenue.invoice_basis import needs_invoices
from growth_pipeline.revenue.movements_store import PublishedPolicy
from growth_pipeline.revenue.published.again import figures_again
from growth_pipeline.revenue.receipts.receipt import PlaceOfFigure, Receipt, value_text
from growth_pipeline.revenue.spell_store import row_of
from growth_pipeline.revenue.usage import METRIC as USAGE

if TYPE_CHECKING:
    from growth_pipeline.revenue.movements_store import MovementsStore
    from growth_pipeline.revenue.policies import MrrPolicy
    from growth_pipeline.revenue.receipt_store import ReceiptStore, StoredReceipt
    from growth_pipeline.revenue.spells import Spell
    from growth_pipeline.storage.engine import Engine

RECEIPT: Final = "receipt_is_whole"
CODE: Final = "same_code"
PUBLISHED: Final = "published_rows_are_those_of_the_receipt"
LEDGER: Final = "ledger_gives_the_rows_of_the_receipt"
FIGURES: Final = "figures_follow_from_the_rows"
MISSING: Final = "missing"
"""A figure that is not there; one that is not known is None."""
SHOWN: Final = "published_figures_are_those_of_the_receipt"


@dataclass(frozen=True)
class Question:
    """One thing that was looked at. `told`: what differs, in words."""

    name: str
    holds: bool
    told: str = ""


@dataclass(frozen=True)
class FigureSides:
    """One figure: published now, in the receipt, and computed again from the ledger."""

    metric: str
    currency: str
    segment_by: str
    segment: str | None
    published: str | None
    receipt: str | None
    again: str | None

    @property
    def is_same(self) -> bool:
        """Whether all three are one."""
        return self.published == self.receipt == self.again


@dataclass(frozen=True)
class Verified:
    """What came of it. `differing_rows`: spells that only the published or only the ledger have."""

    receipt: StoredReceipt
    questions: tuple[Question, ...]
    figures: tuple[FigureSides, ...]
    differing_rows: tuple[Mapping[str, Any], ...]

    @property
    def holds(self) -> bool:
        """Whether every question holds. Other code is told, and no fault if the figures agree."""
        return all(question.holds for question in self.questions if question.name != CODE)


def verify(
    metric: str,
    stored: StoredReceipt,
    spells: Iterable[Spell],
    *,
    policy: MrrPolicy,
    code_version: str,
    receipts: ReceiptStore,
    movements: MovementsStore,
    engine: Engine,
) -> Verified:
    """Compute the figures of a metric and month again and compare.

    `spells`: from the ledger as known at the receipt's `known_at`. `metric`: its name, or `all`.
    Raises: UsageError for a metric that the month does not have; RemoteUnavailableError.
    """
    receipt = stored.receipt
    held = list(spells)
    rows = [row_of(spell, policy, receipt.tz) for spell in held]
    sides = receipts.compare(receipt, rows)
    shown = receipts.figures(receipt.policy, receipt.period_start)
    again = _figures_again(held, receipt, policy, movements, engine)
    figures = tuple(_figures(metric, shown, receipt.figures, again))
    told = (receipt.rows, receipt.sha256)
    questions = (
        Question(
            RECEIPT,
            stored.is_whole,
            "the receipt itself was changed after it was made",
        ),
        Question(
            CODE,
            receipt.code_version == code_version,
            f"made by {receipt.code_version}, this is {code_version}",
        ),
        Question(
            PUBLISHED,
            sides.published == told,
            f"{sides.published[0]:,} rows are published, {receipt.rows:,} were: "
            "they were changed by hand, or a restatement is not published as a whole",
        ),
        Question(
            LEDGER,
            sides.again == told,
            f"the ledger gives {sides.again[0]:,} rows, the receipt has {receipt.rows:,}"
            + (": invoices and refunds are read as they are now" if needs_invoices(policy) else ""),
        ),
        Question(
            FIGURES,
            all(one.again == one.receipt for one in figures),
            _words([one for one in figures if one.again != one.receipt]),
        ),
        Question(
            SHOWN,
            all(one.published == one.receipt for one in figures),
            _words([one for one in figures if one.published != one.receipt]),
        ),
    )
    return Verified(
        stored,
        tuple(replace(one, told="") if one.holds else one for one in questions),
        figures,
        tuple(sides.differing),
    )


# --- inside --------------------------------------------------------------------------------------


def _figures(
    metric: str,
    shown: Mapping[PlaceOfFigure, str | None],
    told: Mapping[PlaceOfFigure, str | None],
    again: Mapping[PlaceOfFigure, str | None],
) -> Iterable[FigureSides]:
    known = {place[0] for place in {*shown, *told}}
    if metric != "all" and metric not in known:
        raise UsageError(
            f"the month has no figure {metric!r}", remedy=f"it has {', '.join(sorted(known))}, all"
        )
    places = {place for place in {*shown, *told} if metric in ("all", place[0])}
    # Segments depend on properties of customers as they are now, usage on invoices: these figures
    # are not computed again, but compared with the receipt.
    for place in sorted(places, key=lambda one: [part or "" for part in one]):
        in_receipt = told.get(place, MISSING)
        is_fixed = bool(place[2]) or place[0] == USAGE
        once_more = in_receipt if is_fixed else again.get(place, MISSING)
        yield FigureSides(*place, shown.get(place, MISSING), in_receipt, once_more)


def _figures_again(
    spells: Iterable[Spell],
    receipt: Receipt,
    switches: MrrPolicy,
    movements: MovementsStore,
    engine: Engine,
) -> dict[PlaceOfFigure, str | None]:
    policy = PublishedPolicy(receipt.policy, receipt.tz, receipt.as_of)
    return {
        (figure.metric, place.currency, "", None): value_text(figure.value)
        for place, figure in figures_again(spells, policy, switches, movements, engine)
        if date_of(place.period.start_day) == receipt.period_start
    }


def _words(differing: list[FigureSides]) -> str:
    one = differing[0] if differing else None
    if one is None:
        return ""
    return (
        f"{len(differing)} differ, as {one.metric} {one.currency}: published {one.published}, "
        f"receipt {one.receipt}, again {one.again}"
    )
