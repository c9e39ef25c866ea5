"""MRR worked out by plain loops from the contracts that a company's customers agreed to.

Nothing here is shared with the product: not its names of states, not its arithmetic. What is read is
the sandbox's own ledger of contracts. Rules: docs/metrics.md, "MRR and ARR", once more and by hand.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

DAY = 86_400
SHOWN = 10
MONTHS_OF = {"year": Fraction(1, 12), "month": Fraction(1), "week": Fraction(52, 12)}
MONTHS_OF["day"] = Fraction("365.2425") / 12


@dataclass(frozen=True)
class Rules:
    """The vendor's published rule as far as it decides how much MRR there is, by hand."""

    grace_days: int | None = 30
    coupons: tuple[str, ...] = ("forever", "repeating")
    metered_counts: bool = False
    stopped_counts: bool = False
    gone: str = "ended"
    zone_is_utc: bool = False


EVERY = ("forever", "repeating", "once")
RULES = {
    "growth": Rules(),
    "stripe": Rules(grace_days=None, gone="asked", zone_is_utc=True),
    "chartmogul": Rules(grace_days=None, coupons=EVERY, stopped_counts=True),
    "profitwell": Rules(grace_days=15, coupons=EVERY, metered_counts=True, gone="paid_until"),
    "baremetrics": Rules(coupons=EVERY),
}


@dataclass
class Contract:
    """What holds of one contract at a moment; `past` is what held just before it ended."""

    id: str
    customer: str
    currency: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    state: str = ""
    since: int = 0
    reason: str = ""
    stopped: bool = False
    asked_at: int | None = None
    ends_at: int | None = None
    billed_until: int = 0
    gifts: list[dict[str, Any]] = field(default_factory=list)
    before_end: str = ""
    late_since: int = 0


@dataclass(frozen=True)
class Worth:
    """A customer's MRR in one currency: exact, and by item. None: nobody can know."""

    exact: Fraction | None
    items: dict[str, Fraction | None]

    @property
    def minor(self) -> int | None:
        return None if self.exact is None else round(self.exact)


class Book:
    """The contracts of one company, read forward in time, never back."""

    def __init__(self, rows: list[tuple[int, str, str, str, str]]) -> None:
        ordered = sorted(enumerate(rows), key=lambda one: (one[1][0], one[0]))
        self.rows = [(*row[:4], json.loads(row[4])) for _, row in ordered]
        self.contracts: dict[str, Contract] = {}
        self.gifts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._next = 0

    def read_until(self, at: int) -> None:
        """Everything that happened at this second or before."""
        while self._next < len(self.rows) and self.rows[self._next][0] <= at:
            when, customer, contract, what, details = self.rows[self._next]
            self._next += 1
            if what in ("given", "taken") and details["level"] == "customer":
                give_or_take(self.gifts[customer], what, when, details)
                continue
            held = self.contracts.setdefault(contract, Contract(contract, customer))
            happen(held, when, what, details)


def happen(held: Contract, when: int, what: str, details: dict[str, Any]) -> None:
    if what in ("began", "items"):
        held.items = details["items"]
        held.currency = details.get("currency", held.currency)
    elif what == "state":
        change_state(held, when, details)
    elif what == "collection":
        held.stopped = details["paused"]
    elif what == "cancels":
        held.ends_at = details["end"]
        held.asked_at = None if held.ends_at is None else when
    elif what == "billed":
        held.billed_until = details["until"]
    else:
        give_or_take(held.gifts, what, when, details)


def change_state(held: Contract, when: int, details: dict[str, Any]) -> None:
    if details["state"] == "ended":
        held.before_end = held.state
    if details["state"] == "past_due":
        held.late_since = when
    held.state, held.since, held.reason = details["state"], when, details.get("reason", "")


def give_or_take(
    gifts: list[dict[str, Any]], what: str, when: int, details: dict[str, Any]
) -> None:
    if what == "given":
        gifts.append({**details, "taken": None})
        return
    for gift in gifts:
        if gift["id"] == details["id"] and gift["taken"] is None:
            gift["taken"] = when


# --- what a contract is worth --------------------------------------------------------------------


def pays(held: Contract, at: int, rules: Rules) -> bool:
    """Whether the contract brings anything at this second."""
    state = held.state
    if rules.gone == "asked" and held.asked_at is not None:
        return False
    if state == "ended":
        if rules.gone != "paid_until" or at >= held.billed_until:
            return False
        state = held.before_end
    if held.stopped and not rules.stopped_counts:
        return False
    if state == "past_due":
        return rules.grace_days is None or at < held.late_since + rules.grace_days * DAY
    return state == "active"


def worth_of(
    held: Contract, customer_gifts: list[dict[str, Any]], at: int, rules: Rules
) -> dict[str, Fraction | None]:
    """What each item of a contract that pays is worth a month."""
    if not is_knowable(held, rules):
        return {one["item"]: None for one in held.items}
    bills: dict[str, Fraction] = {}
    for item in held.items:
        free = item["price"]["metered"]
        bills[item["item"]] = Fraction(0) if free else bill(item["price"], item["quantity"])
    running = [gift for gift in [*held.gifts, *customer_gifts] if runs(gift, at, rules)]
    for level in ("item", "contract", "customer"):
        for gift in running:
            if gift["level"] == level:
                lower(bills, held, gift)
    worth: dict[str, Fraction | None] = {}
    for item in held.items:
        price = item["price"]
        months = MONTHS_OF[price["interval"]] / price["interval_count"]
        worth[item["item"]] = bills[item["item"]] * months
    return worth


def is_knowable(held: Contract, rules: Rules) -> bool:
    """Whether Stripe's events tell it: no usage that counts, and no more items than they show."""
    has_usage = any(item["price"]["metered"] for item in held.items)
    return len(held.items) <= SHOWN and not (has_usage and rules.metered_counts)


def bill(price: dict[str, Any], quantity: int) -> Fraction:
    """What one period costs before coupons."""
    if price["divide_by"] > 1:
        packs, left = divmod(quantity, price["divide_by"])
        quantity = packs + 1 if left and price["round_up"] else packs
    if price["mode"] is None:
        return Fraction(price["unit"]) * quantity
    if price["mode"] == "volume":
        tiers = [one for one in price["tiers"] if one[0] is None or quantity <= one[0]]
        return Fraction(tiers[0][1]) * quantity + tiers[0][2]
    return bill_by_unit(price["tiers"], quantity)


def bill_by_unit(tiers: list[list[Any]], quantity: int) -> Fraction:
    """Graduated tiers, one unit after the other; a tier's flat amount with its first unit."""
    found = Fraction(tiers[0][2]) if quantity == 0 else Fraction(0)
    entered = set()
    for number in range(1, quantity + 1):
        place = 0
        while tiers[place][0] is not None and number > tiers[place][0]:
            place += 1
        found += tiers[place][1]
        if place not in entered:
            entered.add(place)
            found += tiers[place][2]
    return found


def runs(gift: dict[str, Any], at: int, rules: Rules) -> bool:
    if gift["terms"]["duration"] not in rules.coupons:
        return False
    is_taken = gift["taken"] is not None and gift["taken"] <= at
    is_over = gift["until"] is not None and gift["until"] <= at
    return not (is_taken or is_over)


def lower(bills: dict[str, Fraction], held: Contract, gift: dict[str, Any]) -> None:
    """Takes one coupon off what it is for."""
    terms = gift["terms"]
    products = terms.get("applies_to")
    chosen = []
    for item in held.items:
        is_its = gift["level"] != "item" or item["item"] == gift["item"]
        if is_its and (not products or item["price"]["product"] in products):
            chosen.append(item["item"])
    if terms.get("percent_off") is not None:
        for name in chosen:
            bills[name] = bills[name] * (100 - Fraction(str(terms["percent_off"]))) / 100
        return
    if terms["currency"] != held.currency:
        return
    total = sum((bills[name] for name in chosen), Fraction(0))
    for name in chosen:
        if total:
            bills[name] -= min(total, Fraction(terms["amount_off"])) * bills[name] / total


def customers_at(book: Book, at: int, rules: Rules) -> dict[tuple[str, str], Worth]:
    """MRR of each customer and currency with a contract that pays, at a second."""
    book.read_until(at)
    items: dict[tuple[str, str], dict[str, Fraction | None]] = defaultdict(dict)
    for held in book.contracts.values():
        if pays(held, at, rules):
            found = worth_of(held, book.gifts[held.customer], at, rules)
            items[held.customer, held.currency].update(found)
    return {key: Worth(total(parts), parts) for key, parts in items.items()}


def total(parts: dict[str, Fraction | None]) -> Fraction | None:
    found = Fraction(0)
    for part in parts.values():
        if part is None:
            return None
        found += part
    return found


# --- days ----------------------------------------------------------------------------------------


def day_starts(tz: str, first: int, until: int) -> list[tuple[date, int]]:
    """Local days that are wholly in `[first, until)`, each with the second after its last."""
    zone = ZoneInfo(tz)
    day = datetime.fromtimestamp(first, UTC).astimezone(zone).date()
    found = []
    while (after := first_second(day + timedelta(days=1), zone)) <= until:
        if after > first_second(day, zone):  # a day that a zone left out has no second
            found.append((day, after))
        day += timedelta(days=1)
    return found


def first_second(day: date, zone: ZoneInfo) -> int:
    """The first second whose local date is the day (or later), found by search."""
    low = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 2 * DAY
    high = low + 4 * DAY
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, UTC).astimezone(zone).date() < day:
            low = middle + 1
        else:
            high = middle
    return low
