"""Money of published cells: what the lake holds of it, and which cohorts a payment touches.

A payment, refund or dispute differs in one local day, and so touches the cohorts for which that day
lies in a shown period. All money of such a cohort is read again: its rows are those of its
currencies, and sums run over periods. Contract: docs/metrics.md, "Cohort money".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeAlias

from growth_pipeline.cohorts.money.rollup import MONEY, STATE
from growth_pipeline.cohorts.retention.assemble import CohortKey, Counts, PaidInPeriod, with_money
from growth_pipeline.cohorts.retention.measure import (
    RetentionFacts,
    bounds_of,
    paid_amounts,
    question_tables,
)
from growth_pipeline.cohorts.retention.result import RetentionCell
from growth_pipeline.core.calendar import (
    date_of,
    day_end,
    day_number,
    period_of,
    period_start,
)
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.queries import Queries

Paid: TypeAlias = "Mapping[CohortKey, Mapping[str | None, Mapping[int, PaidInPeriod]]]"
_BLANK: Mapping[str, None] = dict.fromkeys(
    (
        *("revenue_minor", "currency", "revenue"),
        *("revenue_per_customer_minor", "revenue_per_customer"),
        *("cumulative_revenue_minor", "cumulative_revenue"),
        *("cumulative_per_customer_minor", "cumulative_per_customer"),
        *("logo_churn", "revenue_churn", "nrr"),
    )
)


@dataclass(frozen=True)
class PaidBasis:
    """What the money of published cells was made of.

    `through`: the last local day, in, of which payments are known. `days`: day number -> what tells
    versions of its payments apart. `currencies`: all there are.
    """

    through: int
    days: Mapping[int, str]
    currencies: frozenset[str]


@dataclass(frozen=True)
class MoneyFacts:
    """Payments in the lake: `files` by month (`2031-01`); `basis` of all days there are."""

    files: Mapping[str, str] = field(default_factory=dict)
    basis: PaidBasis | None = None

    def until(self, through: int) -> PaidBasis | None:
        """The basis of days up to a last one; None while money is unknown."""
        if self.basis is None:
            return None
        days = {day: word for day, word in self.basis.days.items() if day <= through}
        return replace(self.basis, through=min(through, self.basis.through), days=days)

    def read(
        self,
        engine: Queries,
        people: Mapping[str, Table],
        entry_days: Collection[int],
        spans: Iterable[tuple[int, int]],
    ) -> pl.DataFrame:
        """What users who entered on these days paid, at least in these spans of days (both in)."""
        import polars as pl

        months = {month for first, last in spans for month in _months(first, last)}
        files = [self.files[month] for month in sorted(months & self.files.keys())]
        if not files or not entry_days:
            kinds = {name: pl.Int32 for name in ("user_number", "entry_day", "day")}
            texts = {name: pl.String for name in ("segment", "currency")}
            return pl.DataFrame(schema={**kinds, **texts, "minor": pl.Int64})
        wanted = pl.DataFrame({"day": sorted(entry_days)}, schema={"day": pl.Int32})
        tables = {**people, "money": files, "wanted": wanted}
        return engine.query(load_sql("cohorts/refresh_money"), tables)


def read_money(lake: Lake, tz: str) -> MoneyFacts:
    """What the lake knows of payments; nothing before the first rollup, or while nobody tells.

    Raises: GrowthError when its days are those of another zone; LakeUnreadableError.
    """
    state = json.loads(lake.find_artifact(STATE) or "{}")
    if state.get("until") is None:
        return MoneyFacts()
    if state["tz"] != tz:
        raise GrowthError(
            f"payments in the lake are by days of {state['tz']}, activity by those of {tz}",
            remedy="refresh with the zone of the activity: growth cohorts refresh",
        )
    manifests = lake.manifests(MONEY)
    days = {
        int(day): word
        for manifest in manifests
        for day, word in manifest.certificate["days"].items()
    }
    currencies = {code for manifest in manifests for code in manifest.certificate["currencies"]}
    last = _last_day(datetime.fromisoformat(state["until"]), tz)
    files = {manifest.partition["month"]: manifest.path for manifest in manifests}
    return MoneyFacts(files, PaidBasis(last, days, frozenset(currencies)))


def paid_cohorts(
    before: PaidBasis | None,
    now: PaidBasis | None,
    members: Collection[int],
    definition: RetentionDefinition,
) -> set[int]:
    """Cohorts with a row that may differ because of what was paid."""
    if before is None and now is None:
        return set()
    if before is None or now is None or _only(before) != _only(now):
        return set(members)
    known = before.days.keys() | now.days.keys()
    days = {day for day in known if before.days.get(day) != now.days.get(day)}
    first, last = sorted((before.through, now.through))
    days |= set(range(first + 1, last + 1))
    periods = {period_of(day, definition) for day in days}
    reached = {period - index for period in periods for index in range(definition.last_period + 1)}
    return reached & set(members)


def spans_of(
    cohorts: Iterable[int], definition: RetentionDefinition, through: int
) -> Iterable[tuple[int, int]]:
    """First and last day of what each cohort shows, up to a last day."""
    for cohort in cohorts:
        end = period_start(cohort + definition.last_period + 1, definition) - 1
        yield period_start(cohort, definition), min(end, through)


def count_paid(
    engine: Queries, rows: pl.DataFrame, definition: RetentionDefinition, through: int
) -> Paid:
    """Rows of `MoneyFacts.read` by cohort, currency and shown period."""
    import polars as pl

    rows = rows.filter(pl.col("day") <= through)
    if rows.is_empty():
        return {}
    users = rows.select("user_number", "entry_day", "segment").unique()
    schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    money = rows.select("user_number", "day", "currency", "minor")
    facts = RetentionFacts(users, pl.DataFrame(schema=schema), money)
    tables = question_tables(facts, definition, bounds_of(engine, facts))
    shown = {
        cohort: {
            currency: {index: paid for index, paid in periods.items() if index <= last}
            for currency, periods in currencies.items()
        }
        for last in (definition.last_period,)
        for cohort, currencies in paid_amounts(engine, tables).items()
    }
    return {
        cohort: {currency: periods for currency, periods in currencies.items() if periods}
        for cohort, currencies in shown.items()
    }


def without_money(cell: RetentionCell) -> RetentionCell:
    """The cell as if nothing were known of payments."""
    return replace(cell, **_BLANK)  # type: ignore[arg-type]


def told_with_money(
    cells: Sequence[RetentionCell],
    paid: Paid,
    basis: PaidBasis | None,
    sizes: Mapping[CohortKey, int],
    definition: RetentionDefinition,
) -> list[RetentionCell]:
    """Cells without money as rows by currency; amounts of periods that are not known are null."""
    if basis is None:
        return list(cells)
    counts = Counts(sizes=sizes, users={}, events={}, paid=paid, currencies=basis.currencies)

    def is_known(period: int) -> bool:
        return period_start(period + 1, definition) - 1 <= basis.through

    return with_money(cells, counts, definition, is_known=is_known)


def _only(basis: PaidBasis) -> str | None:
    """The currency, where there is but one: rows of cohorts that paid nothing bear it."""
    return next(iter(basis.currencies)) if len(basis.currencies) == 1 else None


def _months(first: int, last: int) -> Iterable[str]:
    day, end = date_of(first).replace(day=1), date_of(max(first, last))
    while day <= end:
        yield f"{day:%Y-%m}"
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _last_day(until: datetime, tz: str) -> int:
    """The last local day that was over at an instant."""
    day = day_number(until.date()) + 1
    while day_end(tz, day) > until.timestamp():
        day -= 1
    return day
