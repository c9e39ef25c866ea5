"""Subscription periods become movements: snapshots at the end of periods, sums by the engine.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from growth_pipeline.revenue.from_files.identities import check_histories
from growth_pipeline.revenue.from_files.looks import Period
from growth_pipeline.revenue.movements import movement_table
from growth_pipeline.revenue.rates import Amount, Lost
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.revenue.from_files.definition import MovementsDefinition
    from growth_pipeline.storage.engine import Engine, Spool, Table


@dataclass(frozen=True, slots=True)
class Moved:
    """Signed amount of a movement, distinct customers, changes, and customers changing currency."""

    amount: Amount = 0
    customers: int = 0
    changes: int = 0
    switches: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """MRR of a horizon's members at its opening, now, and the lesser of both."""

    base: Amount = 0
    kept: Amount = 0
    kept_at_most: Amount = 0


@dataclass(frozen=True, slots=True)
class Files:
    """Files of the spool behind figures: `mrr_changes`, `mrr_steps`, and the steps that move."""

    changes: str
    steps: str
    moving: str


@dataclass
class Measured:
    """Figures by period number and currency; a missing one is nothing observed.

    `mrr` and `customers`: at the end of every period from the first of the file on. `moved`: by
    movement; `churned`: by cause.
    """

    periods: Sequence[Period]
    currencies: Sequence[str]
    files: Files | None = None
    mrr: dict[tuple[int, str], Amount] = field(default_factory=dict)
    customers: dict[tuple[int, str], int] = field(default_factory=dict)
    moved: dict[tuple[int, str, str], Moved] = field(default_factory=dict)
    churned: dict[tuple[int, str, str], Moved] = field(default_factory=dict)
    kept: dict[tuple[int, int, str], Kept] = field(default_factory=dict)
    lost: dict[tuple[int, str], Lost] = field(default_factory=dict)


def measure_movements(
    engine: Engine,
    spool: Spool,
    path: str,
    periods: Sequence[Period],
    definition: MovementsDefinition,
    *,
    has_currency: bool,
    changes: str | None = None,
) -> Measured:
    """All figures of the periods. `path`: a Parquet file with the columns of `file_periods.sql`.

    `changes`: those of another grain over the same rows and policy.
    Raises: GrowthError when an identity does not hold.
    """
    work = _Work(engine, spool, path, periods, definition, has_currency)
    changes = changes or work.spooled("mrr_changes", {"periods": [path]}, name="changes")
    steps = work.spooled("mrr_steps", {"changes": [changes]}, name="steps")
    check_histories(engine, changes, steps)
    moving = steps
    if definition.movements == "event":
        moving = work.spooled("mrr_steps", {"changes": [changes]}, name="events", by_event=True)
    measured = Measured(periods, work.currencies(), files=Files(changes, steps, moving))
    work.add_balance(measured, changes)
    work.add_movements(measured, moving)
    work.add_kept(measured, steps)
    if definition.window_days is None:
        work.add_lost(measured, steps)
    else:
        work.add_lost_rolling(measured, changes)
    return measured


class _Work:
    """One question put to the engine: its tables and options."""

    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        path: str,
        periods: Sequence[Period],
        definition: MovementsDefinition,
        has_currency: bool,
    ) -> None:
        self.engine, self.spool, self.path = engine, spool, path
        self.periods, self.definition, self.has_currency = periods, definition, has_currency
        self.numbers = {period.number for period in periods if period.look_us is not None}

    def tables(self, given: dict[str, Table], *, by_event: bool = False) -> dict[str, Table]:
        """The given tables, the options and the looks."""
        import polars as pl

        definition = self.definition
        options = {
            "keeps_free": [definition.free_customer == "contraction"],
            "by_event": [by_event],
            "reactivation_days": [definition.reactivation_window],
            "count_paused": [definition.count_paused],
            "only_unbroken": [definition.returned_members == "exclude"],
        }
        looks = [(p.number, p.look_us) for p in self.periods if p.look_us is not None]
        return {
            **given,
            "options": pl.DataFrame(options, schema_overrides={"reactivation_days": pl.Int32}),
            "looks": pl.DataFrame(
                looks, schema={"period": pl.Int32, "look_us": pl.Int64}, orient="row"
            ),
        }

    def spooled(
        self, statement: str, given: dict[str, Table], *, name: str, by_event: bool = False
    ) -> str:
        """A statement's result as a file of the spool."""
        tables = self.tables(given, by_event=by_event)
        sql = load_sql(f"revenue/{statement}")
        return self.engine.query_to_file(sql, tables, self.spool, name).path

    def rows(self, statement: str, given: dict[str, Table]) -> Iterator[dict[str, Any]]:
        """A statement's rows in the periods that have begun."""
        found = self.engine.query(load_sql(f"revenue/{statement}"), self.tables(given))
        return (row for row in found.iter_rows(named=True) if row["period"] in self.numbers)

    def currencies(self) -> list[str]:
        """Every currency of the file, in alphabetical order; one empty one without any."""
        sql = load_sql("revenue/currencies_of_periods")
        found = self.engine.query(sql, {"periods": [self.path]})
        return [row[0] for row in found.iter_rows()]

    def amount(self, value: Any) -> Amount:
        """A sum of the engine in the unit of the file."""
        return int(value) if self.has_currency else value

    def add_balance(self, measured: Measured, changes: str) -> None:
        """MRR and customers at the end of every period, from the rows themselves."""
        given: dict[str, Table] = {"periods": [self.path], "changes": [changes]}
        moved = {
            (row["period"], row["currency"]): (
                self.amount(row["mrr_change"]),
                row["customer_change"],
            )
            for row in self.rows("mrr_balance", given)
        }
        for currency in measured.currencies:
            mrr: Amount = 0
            customers = 0
            for period in self.periods:
                change, came = moved.get((period.number, currency), (0, 0))
                mrr, customers = mrr + change, customers + int(came)
                measured.mrr[period.number, currency] = mrr
                measured.customers[period.number, currency] = customers

    def add_movements(self, measured: Measured, steps: str) -> None:
        """Movements and causes of churn."""
        given: dict[str, Table] = {"steps": [steps], "kinds": kinds()}
        for row in self.rows("movement_sums", given):
            moved = Moved(
                self.amount(row["amount"]), row["customers"], row["changes"], row["switches"]
            )
            period, currency, cause = row["period"], row["currency"], row["cause"]
            if row["is_total"]:
                measured.moved[period, currency, row["movement"]] = moved
            elif cause is not None:
                measured.churned[period, currency, cause] = moved

    def add_kept(self, measured: Measured, steps: str) -> None:
        """Running sums of the parts of NRR and GRR."""
        import polars as pl

        horizons = pl.DataFrame(
            {"periods": list(dict.fromkeys(self.definition.horizons))},
            schema={"periods": pl.Int32},
        )
        given: dict[str, Table] = {"steps": [steps], "horizons": horizons}
        found = {
            (row["horizon"], row["period"], row["currency"]): row
            for row in self.rows("mrr_kept", given)
        }
        names = ("base", "kept", "kept_at_most")
        for horizon in self.definition.horizons:
            for currency in measured.currencies:
                sums: dict[str, Any] = dict.fromkeys(names, 0)
                for period in self.periods:
                    row = found.get((horizon, period.number, currency))
                    if row is not None:
                        sums = {name: sums[name] + self.amount(row[name]) for name in names}
                    measured.kept[horizon, period.number, currency] = Kept(**sums)

    def add_lost(self, measured: Measured, steps: str) -> None:
        """Who left in each period."""
        found = {
            (row["period"], row["currency"]): row
            for row in self.rows("customers_lost", {"steps": [steps]})
        }
        names = ("opening_left", "entered", "entered_left")
        for currency in measured.currencies:
            opening = 0
            for period in self.periods:
                closing = measured.customers[period.number, currency]
                row = found.get((period.number, currency), dict.fromkeys(names, 0))
                left = {name: row[name] for name in names}
                measured.lost[period.number, currency] = Lost(opening, closing, **left)
                opening = closing

    def add_lost_rolling(self, measured: Measured, changes: str) -> None:
        """Who left in the days before the end of each period."""
        import polars as pl

        windows = [
            (period.number, period.window_us, period.look_us)
            for period in self.periods
            if period.look_us is not None
        ]
        names = ("period", "open_us", "close_us")
        table = pl.DataFrame(windows, schema=dict.fromkeys(names, pl.Int64), orient="row")
        given: dict[str, Table] = {"changes": [changes], "windows": table}
        for row in self.rows("customers_lost_rolling", given):
            key = row.pop("period"), row.pop("currency")
            measured.lost[key] = Lost(**row)


def kinds() -> pl.DataFrame:
    """The rule that names movements, as a table."""
    import polars as pl

    schema = {
        "was_customer": pl.Boolean,
        "is_customer": pl.Boolean,
        "direction": pl.Int32,
        "earlier": pl.String,
        "paused": pl.Boolean,
        "movement": pl.String,
    }
    return pl.DataFrame(list(movement_table()), schema=schema, orient="row")
