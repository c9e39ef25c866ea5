"""The walk of a month's money from Stripe's objects to its payouts, by settlement currency. Pure.

Contract: docs/metrics.md, "Revenue audit", the settlement bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from growth_pipeline.audit.parts.balance_types import PARTS, part_of
from growth_pipeline.audit.queries import Row


@dataclass
class Bridge:
    """The money of a month in one settlement currency, from Stripe's objects to the payouts.

    Units: minor units of `currency`; in is positive, out negative. `parts` holds the lines of each
    part: objects of the month in this currency, less those settled in another one, not moved yet,
    named as never moved, or moved in a later month; plus movements of objects of other months, of
    converted ones, and what differs by a known rule. Together they are what the part's balance
    transactions `moved`: any other difference is no line, and stays as the remainder. `others` are
    all other movements by category. Moved and others less fees is the net; it changed the balance.
    """

    currency: str
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    fees: int = 0
    net: int = 0
    transactions: int = 0

    def remainder_of(self, part: str) -> int:
        """What the lines of a part leave unexplained of its movements."""
        return self.moved.get(part, 0) - sum(self.parts.get(part, {}).values())

    @property
    def remainder(self) -> int:
        """What no line explains; must be 0."""
        amounts = sum(self.moved.values()) + sum(self.others.values())
        return sum(map(self.remainder_of, PARTS)) + self.net - (amounts - self.fees)

    @property
    def paid_out(self) -> int:
        """Money that left for the bank, less what came back from it."""
        return -self.moved.get("payouts", 0)

    def lines(self) -> Iterator[tuple[str, int]]:
        """(measure, minor units) in the order of the walk; lines of 0 are left out."""
        for part in PARTS:
            if part == "payouts":
                yield from ((f"other: {name}", minor) for name, minor in self.others.items())
                yield "fees", -self.fees
                yield "net before payouts", self.net - self.moved.get("payouts", 0)
            told = self.parts.get(part, {})
            yield from ((f"{part}: {name}", told[name]) for name in _LINES if told.get(name))
            yield f"{part}: in the balance", self.moved.get(part, 0)
        yield "change of the balance", self.net
        yield "remainder", self.remainder


_LINES: Final = (
    *("objects of the month", "settled in other currencies", "not in the balance yet"),
    *("without a balance transaction", "in the balance of later months"),
    *("of objects of other months", "converted from other currencies"),
    "as first asked for, in part, or back again",
)


def build_bridges(activity: Iterable[Row], settled: Iterable[Row]) -> dict[str, Bridge]:
    """The bridge of each settlement currency, from two independent sums over the files.

    `activity`: movements of the month by currency, type and category; `settled`: objects against
    their movements by part and both currencies. Currencies in alphabetical order.
    """
    bridges: dict[str, Bridge] = {}
    for row in activity:
        bridge = bridges.setdefault(row["currency"], Bridge(row["currency"]))
        sums, name = bridge.others, row["reporting_category"]
        if (part := part_of(row["type"], row["reporting_category"])) is not None:
            sums, name = bridge.moved, part
        sums[name] = sums.get(name, 0) + row["amount_minor"]
        bridge.fees += row["fee_minor"]
        bridge.net += row["net_minor"]
        bridge.transactions += row["transactions"]
    for row in settled:
        for currency, name, minor in _lines_of(row):
            if currency in bridges or currency == row["settled_in"]:
                bridge = bridges.setdefault(currency, Bridge(currency))
                told = bridge.parts.setdefault(row["part"], {})
                told[name] = told.get(name, 0) + minor
    return dict(sorted(bridges.items()))


def _lines_of(row: Row) -> Iterator[tuple[str, str, int]]:
    """(currency, line, minor units) that one sum of objects and their movements brings."""
    own, settled = row["of_currency"], row["settled_in"]
    if own is None:
        yield settled, "of objects of other months", row["in_month_minor"]
        return
    yield own, "objects of the month", row["objects_minor"]
    if settled is None:
        missing = row.get("missing_minor", 0)
        yield own, "not in the balance yet", missing - row["objects_minor"]
        yield own, "without a balance transaction", -missing
    elif settled != own:
        yield own, "settled in other currencies", -row["objects_minor"]
        yield settled, "converted from other currencies", row["in_month_minor"]
    else:
        yield own, "in the balance of later months", -row["after_minor"]
        yield own, "as first asked for, in part, or back again", row.get("explained_minor", 0)
