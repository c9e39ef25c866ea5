"""What is published of one policy and grain: movements, stocks, segments, the rows behind them.

Contract: docs/metrics.md, "Published movements".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from growth_pipeline.revenue.from_files.identities import check_movements
from growth_pipeline.revenue.from_files.looks import Period, periods_of
from growth_pipeline.revenue.from_files.measure import (
    Files,
    Kept,
    Measured,
    Moved,
    kinds,
    measure_movements,
)
from growth_pipeline.revenue.published.source import segments_of
from growth_pipeline.revenue.rates import Lost
from growth_pipeline.storage.files.zone_days import zone_days
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.revenue.from_files.definition import MovementsDefinition
    from growth_pipeline.revenue.published.source import PublishedPeriods, PublishedSpells
    from growth_pipeline.storage.engine import Engine, Spool, Table

_PACKED_BY = "\x1f"


@dataclass(frozen=True, slots=True)
class Stock:
    """MRR before discounts, and MRR with a set date of cancellation, at a snapshot."""

    contract: int = 0
    leaving: int = 0


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Subscriptions that began, that were told to end, and that are live at the snapshot."""

    started: int = 0
    canceled: int = 0
    active: int = 0


@dataclass
class Answer:
    """Figures of all customers, or of their segments, of one grain.

    Shapes: keys are period number and currency; a split answer's currencies carry the segment too,
    `currency_and_segment` tells them apart. `shown`: the first period that is told. `opening`: the
    movements by the segment at the opening, those of `measured` by the one at the snapshot.
    `unknown`: period and currency with an item of unknown price.
    """

    definition: MovementsDefinition
    measured: Measured
    shown: int
    stock: dict[tuple[int, str], Stock]
    unknown: frozenset[tuple[int, str]]
    segment_by: str = ""
    opening: Measured | None = None
    subscriptions: dict[tuple[int, str, str | None], Subscriptions] = field(default_factory=dict)

    @property
    def periods(self) -> Iterator[Period]:
        """The periods that are told."""
        return (one for one in self.measured.periods if one.number >= self.shown)

    @property
    def changes_file(self) -> str | None:
        """The file of changes of MRR, which is the same for every grain."""
        return None if self.measured.files is None else self.measured.files.changes

    def currency_and_segment(self, key: str) -> tuple[str, str | None]:
        """What a currency of the answer stands for."""
        currency, split, segment = key.partition(_PACKED_BY)
        return currency, segment[1:] if split and segment[0] == "v" else None


def measure_published(
    engine: Engine,
    spool: Spool,
    source: PublishedSpells,
    periods: PublishedPeriods,
    definition: MovementsDefinition,
    *,
    with_subscriptions: bool = False,
    changes: str | None = None,
) -> Answer:
    """All customers' figures of a grain. `changes`: a file of them that another grain left.

    Shapes: the periods file has a row at least. Raises: BrokenIdentityError.
    """
    if periods.first_day is None:
        raise ValueError("no published spell begins before as_of")
    looked, shown = periods_of(zone_days(definition.tz), definition, periods.first_day)
    measured = measure_movements(
        engine, spool, periods.path, looked, definition, has_currency=True, changes=changes
    )
    check_movements(measured)
    work = _Work(engine, periods.path, measured, definition)
    answer = Answer(definition, measured, shown, work.stock(), work.unknown())
    if with_subscriptions:
        answer.subscriptions = work.subscriptions(source)
    return answer


def measure_segments(
    engine: Engine,
    spool: Spool,
    source: PublishedSpells,
    periods: PublishedPeriods,
    whole: Answer,
    segment_by: str,
) -> Answer:
    """The same figures by segment of customers; the spool has the files of `whole`."""
    work = _Work(engine, periods.path, whole.measured, whole.definition)
    return work.split(spool, source, whole, segment_by)


def changes_of(engine: Engine, periods: PublishedPeriods, whole: Answer) -> pl.DataFrame:
    """Grain: one period, customer, currency and change: the rows behind the movements."""
    work = _Work(engine, periods.path, whole.measured, whole.definition)
    given: dict[str, Table] = {"steps": [work.files.moving], "kinds": kinds()}
    return engine.query(load_sql("revenue/customer_changes"), work.tables(given))


class _Work:
    """Questions about the periods of one answer."""

    def __init__(
        self, engine: Engine, path: str, measured: Measured, definition: MovementsDefinition
    ) -> None:
        if measured.files is None:
            raise ValueError("figures without the files behind them")
        self.engine, self.path, self.definition = engine, path, definition
        self.measured, self.files = measured, measured.files
        self.numbers = {one.number for one in measured.periods if one.look_us is not None}

    def tables(self, given: dict[str, Table]) -> dict[str, Table]:
        """The given tables, the periods and the looks."""
        import polars as pl

        looks = [
            (one.number, one.look_us) for one in self.measured.periods if one.look_us is not None
        ]
        schema = {"period": pl.Int32, "look_us": pl.Int64}
        return {
            **given,
            "periods": [self.path],
            "looks": pl.DataFrame(looks, schema=schema, orient="row"),
        }

    def rows(self, statement: str, given: dict[str, Table]) -> Iterator[dict[str, Any]]:
        """A statement's rows in the periods that have begun."""
        found = self.engine.query(load_sql(f"revenue/{statement}"), self.tables(given))
        return (row for row in found.iter_rows(named=True) if row["period"] in self.numbers)

    def stock(self) -> dict[tuple[int, str], Stock]:
        """Stocks at the end of every period, by running sums."""
        changes = {(row["period"], row["currency"]): row for row in self.rows("stock_changes", {})}
        told = {}
        for currency in self.measured.currencies:
            contract = leaving = 0
            for period in self.measured.periods:
                row = changes.get((period.number, currency))
                if row is not None:
                    contract, leaving = contract + row["contract"], leaving + row["leaving"]
                told[period.number, currency] = Stock(contract, leaving)
        return told

    def unknown(self) -> frozenset[tuple[int, str]]:
        """Period and currency in which an amount is unknown."""
        return frozenset(
            (row["period"], row["currency"]) for row in self.rows("unknown_periods", {})
        )

    def subscriptions(
        self, source: PublishedSpells
    ) -> dict[tuple[int, str, str | None], Subscriptions]:
        """Counts by period, currency and plan."""
        given: dict[str, Table] = {"cancellations": source.cancellations}
        return {
            (row["period"], row["currency"], row["plan"]): Subscriptions(
                row["started"], row["canceled"], row["active"]
            )
            for row in self.rows("subscription_counts", given)
        }

    def split(
        self, spool: Spool, source: PublishedSpells, whole: Answer, segment_by: str
    ) -> Answer:
        """Figures by segment."""
        segments = segments_of(self.engine, spool, source, self.path, segment_by)
        self.given: dict[str, Table] = {"segments": [segments]}
        moving = self._packed(spool, "moving", self.files.moving, by_opening=False)
        opened = self._packed(spool, "opened", self.files.moving, by_opening=True)
        left = self._packed(spool, "left", self.files.steps, by_opening=True)
        panel = self._panel(spool)
        balance = {
            (row["period"], row["currency"]): (row["mrr"], row["customers"])
            for row in self.rows("segmented_balance", {"panel": [panel]})
        }
        moved, by_opening = self._moved(moving), self._moved(opened)
        keys = {key[1] for told in (balance, moved[0], by_opening[0]) for key in told}
        measured = Measured(self.measured.periods, sorted(keys), files=Files(panel, left, moving))
        measured.mrr = {key: int(mrr) for key, (mrr, _) in balance.items()}
        measured.customers = {key: customers for key, (_, customers) in balance.items()}
        measured.moved, measured.churned = moved
        measured.kept = self._kept(panel)
        measured.lost = self._lost(left, measured)
        opening = replace(measured, moved=by_opening[0], churned=by_opening[1])
        stock = {
            (row["period"], row["currency"]): Stock(row["contract"], row["leaving"])
            for row in self.rows("segmented_stock", self.given)
        }
        return replace(
            whole,
            measured=measured,
            stock=stock,
            segment_by=segment_by,
            opening=opening,
            subscriptions={},
        )

    def _packed(self, spool: Spool, name: str, steps: str, *, by_opening: bool) -> str:
        """Steps whose currency carries the segment."""
        import polars as pl

        options = pl.DataFrame({"by_opening": [by_opening]})
        tables = self.tables({**self.given, "steps": [steps], "options": options})
        sql = load_sql("revenue/segmented_steps")
        return self.engine.query_to_file(sql, tables, spool, f"segmented_{name}").path

    def _panel(self, spool: Spool) -> str:
        given = {**self.given, "changes": [self.files.changes], "steps": [self.files.steps]}
        sql = load_sql("revenue/segmented_customers")
        return self.engine.query_to_file(sql, self.tables(given), spool, "panel").path

    def _moved(
        self, steps: str
    ) -> tuple[dict[tuple[int, str, str], Moved], dict[tuple[int, str, str], Moved]]:
        """Movements, and churn by cause."""
        moved, churned = {}, {}
        for row in self.rows("movement_sums", {"steps": [steps], "kinds": kinds()}):
            told = Moved(int(row["amount"]), row["customers"], row["changes"], row["switches"])
            key = row["period"], row["currency"]
            if row["is_total"]:
                moved[*key, row["movement"]] = told
            elif row["cause"] is not None:
                churned[*key, row["cause"]] = told
        return moved, churned

    def _kept(self, panel: str) -> dict[tuple[int, int, str], Kept]:
        import polars as pl

        horizons = list(dict.fromkeys(self.definition.horizons))
        given: dict[str, Table] = {
            "panel": [panel],
            "horizons": pl.DataFrame({"periods": horizons}, schema={"periods": pl.Int32}),
            "options": pl.DataFrame(
                {"only_unbroken": [self.definition.returned_members == "exclude"]}
            ),
        }
        return {
            (row["horizon"], row["period"], row["currency"]): Kept(
                row["base"], row["kept"], row["kept_at_most"]
            )
            for row in self.rows("segmented_kept", given)
        }

    def _lost(self, steps: str, measured: Measured) -> dict[tuple[int, str], Lost]:
        """Who left in each period; only of calendar periods."""
        import polars as pl

        if self.definition.window_days is not None:
            return {}
        options = pl.DataFrame({"count_paused": [self.definition.count_paused]})
        found = {
            (row["period"], row["currency"]): row
            for row in self.rows("customers_lost", {"steps": [steps], "options": options})
        }
        names = ("opening_left", "entered", "entered_left")
        told = {}
        for key in measured.currencies:
            for number in self.numbers:
                row = found.get((number, key), dict.fromkeys(names, 0))
                told[number, key] = Lost(
                    measured.customers.get((number - 1, key), 0),
                    measured.customers.get((number, key), 0),
                    **{name: row[name] for name in names},
                )
        return told
