"""Rows of an items file as subscriptions, located: nothing unreadable is skipped.

Values are made of text by `words`; what they are worth is `revenue.normalise`.
Contract: docs/metrics.md, "Items of a file".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.recurring import Item, Price, Subscription
from growth_pipeline.revenue.items import words
from growth_pipeline.revenue.normalise import STATUSES, exponent_of
from growth_pipeline.storage.engine import Spool
from growth_pipeline.storage.files.rows import Reading
from growth_pipeline.storage.files.sources import SourceFile, open_source

NEEDED: Final = ("amount", "interval")
OPTIONAL: Final = tuple(
    "item_id subscription_id customer_id currency product interval_count quantity usage_type "
    "discounts subscription_discounts customer_discounts status past_due_since pause_collection "
    "free_until divide_by round tiers_mode tiers".split()
)
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "interval": ("day", "week", "month", "year", "one_time"),
    "usage_type": ("", "licensed", "metered"),
    "tiers_mode": ("", "graduated", "volume"),
    "round": ("", "up", "down"),
    "pause_collection": ("", "keep_as_draft", "mark_uncollectible", "void", "true", "false"),
    "status": tuple(sorted(STATUSES)),
}

Fields = Mapping[str, str]


@dataclass(frozen=True)
class ItemsFile:
    """A read file: its items in order, and the subscriptions that they make.

    `places`: (line, subscription id) per row. `customers`: customer id -> subscriptions by
    id. `notes`: what a reader should know of the reading.
    """

    places: tuple[tuple[int, str], ...]
    customers: Mapping[str, Mapping[str, Subscription]]
    notes: tuple[str, ...] = ()


@dataclass
class _Whole:
    """One subscription while its rows come in; `lines`: where a shared value was first told."""

    customer: str
    currency: str
    items: list[Item] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


_SHARED: Final = ("status", "subscription_discounts", "past_due_since", "pause_collection")


def read_items(path: Path, reading: Reading, *, at: int | None, spool: Spool) -> ItemsFile:
    """An items file, CSV or Parquet, gzip allowed.

    `at`: the instant for bounds of discounts, trials and grace; None: the file may not need one.
    Raises: UsageError with file, line (row in Parquet) and value.
    """
    source = open_source(path, NEEDED, spool)
    reader = _Reader(source, reading, at)
    for line, fields in _rows(source):
        try:
            reader.add(line, fields)
        except GrowthError as error:
            place = "row" if source.is_parquet else "line"
            raise UsageError(
                f"{source.name}, {place} {line}: {error.message}", remedy=error.remedy
            ) from error
    return reader.file()


def _rows(source: SourceFile) -> Iterator[tuple[int, Fields]]:
    """(line or row, name -> outer-trimmed text) of each record that holds a value."""
    columns = {name: source.find(name) for name in (*NEEDED, *OPTIONAL)}
    places = {name: source.columns.index(one) for name, one in columns.items() if one is not None}
    records = _parquet_records(source) if source.is_parquet else source.records()
    for line, record in records:
        if any(value.strip() for value in record):
            yield line, {name: record[place].strip() for name, place in places.items()}


def _parquet_records(source: SourceFile) -> Iterator[tuple[int, Sequence[str]]]:
    import polars as pl

    for row, values in enumerate(pl.read_parquet(source.path).iter_rows(), start=1):
        yield row, [_text(value) for value in values]


def _text(value: Any) -> str:
    # repr of a float is its shortest decimal; an exponent would only come with absurd amounts.
    return "" if value is None else str(value)


class _Reader:
    """Rows of one file, gathered by subscription."""

    def __init__(self, source: SourceFile, reading: Reading, at: int | None) -> None:
        self._source, self._reading, self._at = source, reading, at
        self._whole: dict[str, _Whole] = {}
        self._customer_discounts: dict[str, tuple[str, str, int]] = {}
        self._places: list[tuple[int, str]] = []
        self._without_currency = 0

    def add(self, line: int, fields: Fields) -> None:
        """One row. Raises: GrowthError without the place, which the caller knows."""
        _check_words(fields)
        currency = fields.get("currency", "").lower() or self._reading.currency or ""
        exponent_of(currency)
        self._without_currency += not currency
        key = fields.get("subscription_id") or f"line {line}"
        customer = fields.get("customer_id") or key
        whole = self._whole.setdefault(key, _Whole(customer, currency))
        if (whole.customer, whole.currency) != (customer, currency):
            raise UsageError(
                f"subscription {key} has another customer or currency than above",
                remedy="one subscription belongs to one customer and bills in one currency",
            )
        item = self._item(line, fields, currency)
        whole.items.append(item)
        self._places.append((line, key))
        for name in _SHARED:
            told = fields.get(name, "")
            self._share(whole, name, told.lower() if name in _WORDS else told, line, key)
        theirs = fields.get("customer_discounts", "")
        if theirs:
            held, _, above = self._customer_discounts.setdefault(customer, (theirs, currency, line))
            if held != theirs:
                raise _differs("customer_discounts", f"customer {customer}", above)

    def file(self) -> ItemsFile:
        """What was gathered."""
        customers: dict[str, dict[str, Subscription]] = {}
        for key, whole in self._whole.items():
            customers.setdefault(whole.customer, {})[key] = self._subscription(whole)
        notes = (
            (f"{self._without_currency} rows name no currency: read with 2 decimals",)
            if self._without_currency
            else ()
        )
        return ItemsFile(tuple(self._places), customers, notes)

    def _share(self, whole: _Whole, name: str, told: str, line: int, key: str) -> None:
        """A value of the whole subscription: told on any of its rows, and never in two ways."""
        if not told:
            return
        if whole.shared.setdefault(name, told) != told:
            raise _differs(name, f"subscription {key}", whole.lines[name])
        whole.lines.setdefault(name, line)
        if name == "subscription_discounts":
            self._discounts(told, whole.currency)
        if name == "past_due_since":
            self._instant(told)

    def _subscription(self, whole: _Whole) -> Subscription:
        shared = whole.shared
        theirs, currency, _ = self._customer_discounts.get(whole.customer, ("", "", 0))
        since = shared.get("past_due_since")
        return Subscription(
            status=shared.get("status", "active"),
            currency=whole.currency,
            items=tuple(whole.items),
            discounts=self._discounts(shared.get("subscription_discounts", ""), whole.currency),
            customer_discounts=self._discounts(theirs, currency),
            is_collection_paused=shared.get("pause_collection", "false") != "false",
            past_due_since=None if since is None else self._instant(since),
        )

    def _item(self, line: int, fields: Fields, currency: str) -> Item:
        quantity = fields.get("quantity", "")
        free_until = fields.get("free_until", "")
        return Item(
            id=fields.get("item_id") or f"line {line}",
            price=_price(fields, currency),
            quantity=_quantity(quantity, is_metered=fields.get("usage_type", "") == "metered"),
            discounts=self._discounts(fields.get("discounts", ""), currency),
            free_until=self._instant(free_until) if free_until else None,
        )

    def _discounts(self, text: str, currency: str) -> tuple[Any, ...]:
        return words.discounts(text, currency, self._instant)

    def _instant(self, text: str) -> int:
        if self._at is None:
            raise UsageError(
                f"{text!r} is a bound in time and no instant is asked for", remedy="give --at"
            )
        return int(self._reading.instant(text).timestamp())


def _check_words(fields: Fields) -> None:
    for name, allowed in _WORDS.items():
        value = fields.get(name, "").lower()
        if name in fields and value not in allowed and not (name == "status" and not value):
            raise UsageError(
                f"{name} {fields[name]!r} is not known",
                remedy=f"allowed are {', '.join(filter(None, allowed))}",
            )


def _price(fields: Fields, currency: str) -> Price:
    interval = fields["interval"].lower()
    told, mode = fields["amount"], fields.get("tiers_mode", "").lower()
    steps = fields.get("tiers", "")
    return Price(
        id="",
        currency=currency,
        product=fields.get("product") or None,
        interval=None if interval == "one_time" else interval,
        interval_count=words.whole("interval_count", fields.get("interval_count") or "1", 1),
        unit_amount=words.amount(told, currency) if told else None,
        is_metered=fields.get("usage_type", "").lower() == "metered",
        mode=(mode or "graduated") if steps or mode else None,
        tiers=words.tiers(steps, currency) if steps else (),
        divide_by=words.whole("divide_by", fields.get("divide_by") or "1", 1),
        round_up=fields.get("round", "").lower() == "up",
    )


def _quantity(text: str, *, is_metered: bool) -> int | None:
    if not text:
        return None if is_metered else 1
    return words.whole("quantity", text.removesuffix(".0"), 0)


def _differs(name: str, whose: str, line: int) -> UsageError:
    return UsageError(
        f"{name} of {whose} differs from line {line}",
        remedy="it belongs to the whole: tell it once, or on each row alike",
    )
