"""What a backfill covers, what reading it costs, what it changed, was it foretold. Pure.

Reading the lake, writing the mirror: `backfill_run.py`. As people read it: `backfill_report.py`.
Contract: docs/cli.md, "Backfill"; docs/decisions/0019.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

import polars as pl

from growth_pipeline.billing.objects import BACKFILLED, BY_RESOURCE, Listing
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState

PAYMENT: Final = "payment"  # rows of the books among the changed rows, beside Stripe's objects
PAGE_OBJECTS: Final = 100
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d{2}\Z", re.ASCII)
_EXAMPLES: Final = 10


# --- what is covered -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """Objects created in `[start, end)`, whole days in UTC."""

    start: datetime
    end: datetime

    def months(self) -> list[Month]:
        """Months with at least one instant inside, in order."""
        return list(Month.of(self.start).until(Month.of(self.end - timedelta(microseconds=1))))

    def holds(self, created: int) -> bool:
        """Whether an object of that second (Unix time) lies inside."""
        return self.start.timestamp() <= created < self.end.timestamp()

    @property
    def name(self) -> str:
        """`2025-10-01_2025-11-01`, for paths."""
        return f"{self.start:%Y-%m-%d}_{self.end:%Y-%m-%d}"

    def __str__(self) -> str:
        """As a sentence says it; the end is not included."""
        return f"{self.start:%Y-%m-%d} to {self.end:%Y-%m-%d} (exclusive), UTC"


def resolve_span(since: str, until: str | None, *, now: datetime) -> Span:
    """The span that two arguments name: `2025-10` is the whole month, `2025-10-05` that midnight.

    A month given as `until` is included; a day is not. Without it the running month is the last.
    Raises: UsageError for text that is neither, an empty span, one that reaches after today.
    """
    running = Month.of(now)
    start = _first_instant(since)
    late = [since] if start >= now else []
    if until and _first_instant(until) > (now if _MONTH.match(until) else _next_midnight(now)):
        late.append(until)
    if late:
        raise UsageError(
            f"{late[0]} has not begun", remedy=f"the newest month to backfill is {running}"
        )
    end = _end(until) if until else running.end
    if end <= start:
        raise UsageError(
            f"--since {since} is not before --until {until}",
            remedy="give the earlier one first; a month given to --until is included, a day is not",
        )
    return Span(start, end)


def check_history(span: Span, first: Month) -> None:
    """See that there are partitions for the whole span.

    Raises: UsageError for one that begins before `first`.
    """
    if span.start < first.start:
        raise UsageError(
            f"{span.start:%Y-%m-%d} is before {first}, where the history begins",
            remedy="set GROWTH_HISTORY_START to an earlier month",
        )


def whole_months(months: Sequence[Month]) -> Span:
    """The span of consecutive months."""
    return Span(months[0].start, months[-1].end)


def choose_resources(text: str | None) -> tuple[str, ...]:
    """Resources of a list such as `charges,refunds`, in the order of applying; all for none given.

    Raises: UsageError naming what is not backfilled, and what is.
    """
    if text is None:
        return BACKFILLED
    wanted = {word.strip() for word in text.split(",")}
    unknown = sorted(wanted - set(BACKFILLED))
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is no kind of object that is backfilled",
            remedy="use one or more of: " + ", ".join(sorted(BACKFILLED)),
        )
    return tuple(name for name in BACKFILLED if name in wanted)


def _first_instant(text: str) -> datetime:
    if _MONTH.match(text):
        return Month.parse(text).start
    return _midnight(text)


def _end(text: str) -> datetime:
    if _MONTH.match(text):
        return Month.parse(text).end
    return _midnight(text)


def _midnight(text: str) -> datetime:
    try:
        day = date.fromisoformat(text) if _DAY.match(text) else None
    except ValueError:
        day = None
    if day is None:
        raise UsageError(
            f"{text!r} is neither a month nor a day",
            remedy="write it as YYYY-MM or YYYY-MM-DD, as in 2025-10 or 2025-10-05",
        )
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _next_midnight(now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


# --- what reading costs --------------------------------------------------------------------------


class Part(NamedTuple):
    """One extract: a month of a list of one account; None: all of a list that has no months."""

    scope: Scope
    resource: str
    month: Month | None


def parts_of(
    resources: Iterable[str], scopes: Sequence[Scope], months: Sequence[Month]
) -> list[Part]:
    """The extracts that cover these months, in the order of applying."""
    return [
        Part(scope, resource, month)
        for resource in resources
        for scope in scopes
        for month in ([None] if BY_RESOURCE[resource].listing is Listing.WHOLE else months)
    ]


class KnownSize(NamedTuple):
    """Number of objects of one extract, as we know it; requests if they were counted."""

    objects: int
    requests: int | None = None


class Reading(NamedTuple):
    """Estimate of reading one list, of all accounts together.

    `unknown_extracts` of the `extracts` were never seen and count one request each.
    """

    resource: str
    objects: int
    requests: int
    extracts: int
    unknown_extracts: int


@dataclass(frozen=True)
class Plan:
    """Estimate of what reading costs, before anything is asked of Stripe. Units: minutes."""

    months: int
    accounts: int
    readings: Sequence[Reading]
    requests_per_second: float
    endpoint_requests_per_second: float

    @property
    def requests(self) -> int:
        """Requests of all lists together."""
        return sum(reading.requests for reading in self.readings)

    @property
    def minutes(self) -> float:
        """How long the slower of both limits makes it: the key's, or the longest list's.

        Accounts that are read with one key share both. Source: docs/stripe.md, "Accounts of
        Stripe Connect".
        """
        longest = max((reading.requests for reading in self.readings), default=0)
        seconds = max(
            self.requests / self.requests_per_second, longest / self.endpoint_requests_per_second
        )
        return seconds / 60

    @property
    def extracts(self) -> int:
        """Extracts that are made."""
        return sum(reading.extracts for reading in self.readings)

    @property
    def unknown_extracts(self) -> int:
        """Extracts about whose size nothing is known yet."""
        return sum(reading.unknown_extracts for reading in self.readings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "is_estimate": True,
            "requests": self.requests,
            "minutes": round(self.minutes, 2),
            "requests_per_second": self.requests_per_second,
            "endpoint_requests_per_second": self.endpoint_requests_per_second,
            "months": self.months,
            "accounts": self.accounts,
            "extracts": self.extracts,
            "unknown_extracts": self.unknown_extracts,
            "lists": [reading._asdict() for reading in self.readings],
        }


def plan_reading(
    parts: Iterable[Part],
    known: Mapping[Part, KnownSize],
    *,
    requests_per_second: float,
    endpoint_requests_per_second: float,
) -> Plan:
    """Estimate of the requests for these extracts, and of the minutes they take.

    `known`: from an earlier extract or from the mirror. A part of which nothing is known counts as
    one request: what Stripe holds there is not known before it is asked.
    """
    lists: dict[str, list[Part]] = {}
    for part in parts:
        lists.setdefault(part.resource, []).append(part)
    planned = [part for of_list in lists.values() for part in of_list]
    return Plan(
        months=len({part.month for part in planned if part.month}),
        accounts=len({part.scope for part in planned}),
        readings=[_reading(resource, of_list, known) for resource, of_list in lists.items()],
        requests_per_second=requests_per_second,
        endpoint_requests_per_second=endpoint_requests_per_second,
    )


def _reading(resource: str, parts: Sequence[Part], known: Mapping[Part, KnownSize]) -> Reading:
    sizes = [known[part] for part in parts if part in known]
    unknown = len(parts) - len(sizes)
    pages = (size.requests or max(1, -(-size.objects // PAGE_OBJECTS)) for size in sizes)
    objects = sum(size.objects for size in sizes)
    return Reading(resource, objects, unknown + sum(pages), len(parts), unknown)


# --- what changed --------------------------------------------------------------------------------


class RowChange(StrEnum):
    """What happens to one row. A deleted object keeps its row, as a tombstone."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class ChangedRow(NamedTuple):
    """One row that changes: its account, Stripe's name of the object (or `payment`), id, content.

    `fingerprint`: of the content after the change; empty for a deletion. `before` and `after`: the
    fields that differ as JSON text, as `said_fields` writes them; empty where there is nothing.
    """

    account_id: str
    object: str
    id: str
    change: RowChange
    fingerprint: str
    before: str = ""
    after: str = ""


@dataclass
class Counts:
    """Rows of one kind by what happens to them.

    `newer`: of the skipped, those where the mirror knows a newer state than the one that was read.
    `refused`: not among the others; the mirror cannot use what was read.
    """

    insert: int = 0
    update: int = 0
    skip: int = 0
    delete: int = 0
    newer: int = 0
    refused: int = 0

    @property
    def changed(self) -> int:
        """Rows that do not stay as they are."""
        return self.insert + self.update + self.delete

    def count(self, change: RowChange, rows: int = 1) -> None:
        """Count rows of one change."""
        setattr(self, change.value, getattr(self, change.value) + rows)

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + theirs[name] for name in mine})


@dataclass
class Money:
    """Sums over settled payments (succeeded and captured) of one currency, in its minor units.

    `fees_minor`: fees that were settled in this currency, whatever was charged.
    """

    payments: int = 0
    gross_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    fees_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Gross less refunds and disputed funds. Source: docs/metrics.md, "Payments"."""
        return self.gross_minor - self.refunded_minor - self.disputed_minor

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        return {**asdict(self), "net_minor": self.net_minor}


@dataclass
class MoneyChange:
    """One currency before and after, over the payments that change."""

    before: Money = field(default_factory=Money)
    after: Money = field(default_factory=Money)


class Field(NamedTuple):
    """One top-level field of an object that differs; values only where they are no one's data."""

    name: str
    before: Any = None
    after: Any = None
    is_shown: bool = False


class Sample(NamedTuple):
    """One changed row with what is different in it; of a new one, what tells most about it."""

    row: ChangedRow
    fields: Sequence[Field] = ()


class _Settled(NamedTuple):
    """What one payment adds to the sums; what does not count adds nothing."""

    currency: str
    gross_minor: int
    refunded_minor: int
    disputed_minor: int
    settlement_currency: str | None
    fee_minor: int


class Books:
    """Money of the payments that change, each payment once however often it is written."""

    def __init__(self) -> None:
        self.money: dict[str, MoneyChange] = {}
        self.counts = Counts()
        self._written: dict[tuple[str, str], tuple[RowChange, _Settled | None]] = {}
        self._before: dict[tuple[str, str], Payment] = {}

    def note(self, account_id: str, before: Payment | None, after: Payment) -> ChangedRow:
        """Count one written payment; the row as it differs from before the whole backfill.

        `before`: as it was before the backfill, None if it was not booked; looked at the first
        time only, because a second write replaces what the first one left.
        """
        key = account_id, after.charge_id
        change, last = self._written.get(key, (None, None))
        if change is None:
            change = RowChange.UPDATE if before else RowChange.INSERT
            self.counts.count(change)
            self._add(_settled(before), 1, to_before=True)
            if before:
                self._before[key] = before
        else:
            self._add(last, -1)
        settled = _settled(after)
        self._written[key] = change, settled
        self._add(settled, 1)
        content = fingerprint_of(repr(after).encode())
        return ChangedRow(account_id, PAYMENT, after.charge_id, change, content)

    def first(self, account_id: str, charge_id: str) -> Payment | None:
        """A written payment as it was before the whole backfill; None if it was not booked."""
        return self._before.get((account_id, charge_id))

    def _add(self, settled: _Settled | None, sign: int, *, to_before: bool = False) -> None:
        if settled is None:
            return
        money = self._of(settled.currency, to_before=to_before)
        money.payments += sign
        money.gross_minor += sign * settled.gross_minor
        money.refunded_minor += sign * settled.refunded_minor
        money.disputed_minor += sign * settled.disputed_minor
        if settled.settlement_currency:
            fees = self._of(settled.settlement_currency, to_before=to_before)
            fees.fees_minor += sign * settled.fee_minor

    def _of(self, currency: str, *, to_before: bool) -> Money:
        change = self.money.setdefault(currency, MoneyChange())
        return change.before if to_before else change.after


def _settled(payment: Payment | None) -> _Settled | None:
    if payment is None or payment.status != "succeeded" or not payment.captured:
        return None
    return _Settled(
        payment.currency,
        payment.amount_minor,
        payment.refunded_minor,
        payment.disputed_minor,
        payment.settlement_currency,
        payment.fee_minor or 0,
    )


def money_moved(before: Payment | None, after: Payment) -> int:
    """How much one payment's change moves, in minor units, to put the largest first.

    Gross, refunds and disputes, each without its sign; in another currency all of both.
    """
    was, is_now = _amounts(before), _amounts(after)
    if before is not None and before.currency != after.currency:
        return sum(was) + sum(is_now)
    return sum(abs(new - old) for old, new in zip(was, is_now, strict=True))


def _amounts(payment: Payment | None) -> tuple[int, int, int]:
    settled = _settled(payment)
    if settled is None:
        return 0, 0, 0
    return settled.gross_minor, settled.refunded_minor, settled.disputed_minor


# Numbers, flags and these words are shown; names, addresses and free text are somebody's data.
_TELLING: Final = ("status", "currency", "amount", "amount_minor", "total")
_SHOWN_WORDS: Final = frozenset({"status", "currency", "billing_reason", "collection_method"})
HIDDEN: Final = "hidden"


def differing_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Field]:
    """Top-level fields that differ, in alphabetical order; an absent field counts as null."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [_field(name, before.get(name), after.get(name)) for name in names]


def telling_fields(after: Mapping[str, Any]) -> list[Field]:
    """What tells most about a new object: status and money, where it has them."""
    return [
        Field(name, None, after[name], is_shown=True)
        for name in _TELLING
        if after.get(name) is not None
    ]


def said_fields(fields: Iterable[Field], *, change: RowChange) -> tuple[str, str]:
    """Fields before and after as JSON text; a value that is not shown is the word `hidden`."""
    if not fields or change is RowChange.DELETE:
        return "", ""
    before = {one.name: one.before if one.is_shown else HIDDEN for one in fields}
    after = {one.name: one.after if one.is_shown else HIDDEN for one in fields}
    return "" if change is RowChange.INSERT else json.dumps(before), json.dumps(after)


def _field(name: str, before: Any, after: Any) -> Field:
    shown = all(
        value is None or isinstance(value, bool | int) or name in _SHOWN_WORDS
        for value in (before, after)
    )
    return Field(name, before, after, is_shown=True) if shown else Field(name)


def fingerprint_of(content: bytes) -> str:
    """Short name of a row's content; equal content, equal name."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


# --- was it foretold? ----------------------------------------------------------------------------

ROW_SCHEMA: Final[Mapping[str, pl.DataType]] = {name: pl.String() for name in ChangedRow._fields}


_ROW_KEY: Final = ["account_id", "object", "id"]
_ROW_CORE: Final = [*_ROW_KEY, "change", "fingerprint"]


def row_frame(rows: Iterable[ChangedRow]) -> pl.DataFrame:
    """Changed rows as columns: what is kept of them when there are a million."""
    return pl.DataFrame(
        [tuple(map(str, row)) for row in rows], schema=dict(ROW_SCHEMA), orient="row"
    )


def one_row_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Each changed row once, as it was written last; in a fixed order."""
    return rows.unique(_ROW_KEY, keep="last").sort(_ROW_KEY)


@dataclass(frozen=True)
class SinceDryRun:
    """What an apply did, beside what the dry run before it had said.

    `same`: done as said. `undone`: said and not done: the mirror has it by now, or cannot use it.
    `more`: done and not said. `other`: done, with another content than was said. `examples`: word
    and row.
    """

    dry_run_at: datetime
    same: int
    undone: int
    more: int
    other: int
    examples: Sequence[tuple[str, ChangedRow]] = ()

    @property
    def is_as_said(self) -> bool:
        """Whether exactly the foretold rows changed, to the foretold content."""
        return not (self.undone or self.more or self.other)


def compare_with_dry_run(
    foretold: pl.DataFrame, done: pl.DataFrame, *, dry_run_at: datetime
) -> SinceDryRun:
    """What changed between a dry run and the apply after it, row by row."""
    key = _ROW_KEY
    both = foretold.join(done, on=key, how="inner", suffix="_done")
    is_same = (pl.col("change") == pl.col("change_done")) & (
        pl.col("fingerprint") == pl.col("fingerprint_done")
    )
    other = both.filter(~is_same).select(
        *key, pl.col("change_done").alias("change"), pl.col("fingerprint_done").alias("fingerprint")
    )
    undone = foretold.join(done, on=key, how="anti")
    more = done.join(foretold, on=key, how="anti")
    return SinceDryRun(
        dry_run_at=dry_run_at,
        same=both.height - other.height,
        undone=undone.height,
        more=more.height,
        other=other.height,
        examples=[
            (word, _row_of(row))
            for word, rows in (("more", more), ("other", other), ("undone", undone))
            for row in rows.sort(key).head(_EXAMPLES).select(_ROW_CORE).iter_rows()
        ],
    )


def _row_of(values: Sequence[str]) -> ChangedRow:
    account_id, object_name, object_id, change, fingerprint = values
    return ChangedRow(account_id, object_name, object_id, RowChange(change), fingerprint)


# --- the whole -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Backfill:
    """One finished backfill, or one dry run: the same figures, made by the same statements.

    `counts`: by Stripe's name of the object. `payments` and `money`: the booked payments that
    change. `row_count`: changed rows of both. `refused`: object, id and reason of the first that
    the mirror cannot use. `confirmed`: objects asked for one by one, which their list no longer
    has. `requests`: how many reading the lists took; None if an extract does not tell. `samples`:
    what moves most money first. `rows_kept_in`: path in the lake of the file with all rows.
    """

    scopes: Sequence[Scope]
    span: Span
    resources: Sequence[str]
    dry_run: bool
    finished_at: datetime
    counts: Mapping[str, Counts]
    payments: Counts
    money: Mapping[str, MoneyChange]
    samples: Sequence[Sample]
    row_count: int
    refused: Sequence[tuple[str, str, str]]
    confirmed: int
    requests: int | None
    run_id: str
    since_dry_run: SinceDryRun | None = None
    rows_kept_in: str = ""

    @property
    def total(self) -> Counts:
        """All objects together; payments are counted apart."""
        total = Counts()
        for counts in self.counts.values():
            total = total.plus(counts)
        return total

    @property
    def is_empty(self) -> bool:
        """Whether the mirror holds all that was read, and nothing changes at all."""
        total = self.total
        return not (total.changed or total.refused or self.payments.changed)

    @property
    def is_provisional(self) -> bool:
        """Whether the span reaches into a month that was not over when it was read."""
        return any(
            month.state(self.finished_at) is not PeriodState.CLOSED for month in self.span.months()
        )
