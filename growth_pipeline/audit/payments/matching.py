"""Puts the two sides together in the engine; only payments that differ come out.

Every method is one query over whole files; what comes out is small and is judged in Python by
compare.py. Statements: sql/audit/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from growth_pipeline.audit.payments.books import BookedPayments
from growth_pipeline.audit.payments.lists import StripeLists
from growth_pipeline.audit.payments.side_rows import Extracted, booked_row, extracted
from growth_pipeline.audit.payments.sides import BookedRow
from growth_pipeline.audit.queries import (
    QueryEngine,
    Row,
    Table,
    or_empty,
    query_ids,
    query_rows,
    wanted_ids,
)
from growth_pipeline.audit.sources import Sources
from growth_pipeline.audit.window import Window
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.sql import load_sql

DIFFERING_LIMIT = 200_000  # payments; each that differs is held in memory, with its evidence
STUCK_SECONDS = 10 * 24 * 3600
SETTLED_SECONDS = 7 * 24 * 3600  # after this time final money has moved in the balance
MISSING_LISTED = 1_000  # objects without a movement that are listed, of a kind and currency


class Matcher:
    """Queries over the files of one audit and the booked payments of its month."""

    def __init__(
        self,
        engine: QueryEngine,
        sources: Sources,
        scope: Scope,
        window: Window,
        books: BookedPayments,
        intents_of: Callable[[set[str]], Mapping[str, str]] = lambda _: {},
        differing_limit: int = DIFFERING_LIMIT,
    ) -> None:
        self._engine = engine
        self.lists = StripeLists(engine, sources, intents_of)
        self._most = differing_limit
        self._sources = sources
        self._window = window
        self._scope = scope
        self._booked = books
        self._spool = books.spool
        self._books: Table = [*books.charged, *self._linked(books.loose)]
        self._returned = self._returned_money()
        self._parts: dict[str, list[tuple[str, str]]] = {}
        self._settled: list[Row] | None = None

    @property
    def tables(self) -> dict[str, Table]:
        """The month as statements know it: charges, money returned by charge, booked rows."""
        return {
            "charges": self._sources.paths("charges"),
            "returned": self._returned,
            "books": self._books,
            "refunds": self._from_month_on("refunds"),
            "disputes": self._from_month_on("disputes"),
        }

    # --- what differs -----------------------------------------------------------------------

    def differing(self) -> set[str]:
        """Match ids of payments that differ, stand alone, or are booked in several rows.

        Raises: GrowthError for more than can be told one by one in bounded memory.
        """
        tables = {
            "charges": self._sources.paths("charges"),
            "returned": self._returned,
            "books": self._books,
        }
        params = {
            **self._completeness(),
            "disputes_complete": "disputes" in self._sources.complete,
            "cutoff": self._window.cutoff,
            "most": self._most + 1,
        }
        (found,) = query_rows(self._engine, "differing_payments", tables, params)
        differing = set(found["match_ids"] or ())
        if len(differing) > self._most:
            raise GrowthError(
                f"more than {self._most:,} payments of the month differ, too many to list them",
                remedy="bring the month into the books first: growth backfill --help",
            )
        # Charges are unique by id: more rows than charges with a partner means that some repeat.
        paired_charges = found["charges"] - found["lone_charges"]
        if self._booked.rows - found["lone_rows"] > paired_charges:
            differing |= query_ids(
                self._engine, "repeated_payments", {"books": self._books}, column="match_id"
            )
        return differing

    def differing_fees(self) -> set[str]:
        """Match ids of payments whose booked fee or net is not the balance transaction's."""
        paths = self._sources.paths_from_month_on("balance_transactions")
        if not paths or not self._booked.rows_with_fee:
            return set()
        tables = {"books": self._books, "balance_transactions": paths}
        return query_ids(self._engine, "differing_fees", tables, column="match_id")

    def unknown_invoices(self) -> dict[str, str]:
        """Invoice id by match id, of rows whose invoice is in no file."""
        if not self._booked.rows_with_invoice or "invoices" not in self._sources.month:
            return {}
        tables = {
            "books": self._books,
            "invoices": self.lists.all_of("invoices"),
        }
        rows = query_rows(self._engine, "unknown_invoices", tables)
        return {row["match_id"]: row["invoice_id"] for row in rows}

    # --- totals -----------------------------------------------------------------------------

    def stripe_totals(self) -> list[Row]:
        """Sums of Stripe's settled charges by currency."""
        tables = {"charges": self._sources.paths("charges"), "returned": self._returned}
        params = {**self._completeness(), "cutoff": self._window.cutoff}
        return query_rows(self._engine, "stripe_totals", tables, params)

    def booked_totals(self) -> list[Row]:
        """Sums of the books' settled rows by currency, and fees by settlement currency.

        Without the fee of a single row their sum would be too small, so then no fees are given.
        """
        tables, params = {"books": self._books}, {"cutoff": self._window.cutoff}
        rows = query_rows(self._engine, "booked_totals", tables, params)
        fees = []
        if self._booked.rows_with_fee:
            fees = query_rows(self._engine, "booked_fees", tables, params)
        return rows if any(one["unknown"] for one in fees) else rows + fees

    def fees(self) -> list[Row]:
        """Stripe's fees of the month's settled charges, by settlement currency."""
        return [
            {"currency": row["settled_in"], "fees_minor": row["fee_minor"]}
            for row in self.settled_parts()
            if row["part"] == "charges" and row["of_currency"] and row["settled_in"]
        ]

    def settled_parts(self) -> list[Row]:
        """Objects of the month against the balance transactions that moved their money.

        Grain: a kind of object, its currency and the one it settled in. Asked once.
        """
        if self._settled is None:
            paths = self._sources.paths_from_month_on("balance_transactions")
            names = ("charges", "refunds", "disputes", "payouts")
            tables = {name: self._of_month(name) for name in names}
            params = {
                "until": min(self._window.end, self._window.cutoff),
                "cutoff": self._window.cutoff,
                "due": self._window.cutoff - SETTLED_SECONDS,
                "most": MISSING_LISTED,
            }
            tables |= {"balance_transactions": paths}
            self._settled = (
                query_rows(self._engine, "settled_parts", tables, params) if paths else []
            )
        return self._settled

    # --- what the month's files say of single objects ---------------------------------------

    def charges(self, ids: set[str]) -> dict[str, Extracted]:
        """Charges of the month by id, in full; ids that the file lacks are absent."""
        if not ids:
            return {}
        tables = {
            "charges": self._sources.paths("charges"),
            "returned": self._returned,
            "balance_transactions": self._from_month_on("balance_transactions"),
            "wanted": wanted_ids(ids),
            "movers": self._movers(ids),
        }
        complete = {
            "refunds_complete": "refunds" in self._sources.complete,
            "disputes_complete": "disputes" in self._sources.complete,
        }
        rows = query_rows(self._engine, "stripe_payments", tables)
        return {row["id"]: extracted(row, **complete) for row in rows}

    def parts(self, charges: set[str]) -> dict[str, list[tuple[str, str]]]:
        """Refunds and disputes, as (object, id), by charge; an empty list for none."""
        new = charges - self._parts.keys()
        if new:
            tables = {
                "refunds": self._from_month_on("refunds"),
                "disputes": self._from_month_on("disputes"),
                "wanted": wanted_ids(new),
            }
            self._parts |= {charge: [] for charge in new}
            for row in query_rows(self._engine, "parts_of_charges", tables):
                self._parts[row["charge"]].append((row["object"], row["id"]))
        return {charge: self._parts[charge] for charge in charges}

    def rows_of(self, ids: set[str]) -> dict[str, list[BookedRow]]:
        """Booked rows of the month (and their repeats elsewhere) by match id."""
        found = query_rows(
            self._engine, "booked_rows", {"books": self._books, "wanted": wanted_ids(ids)}
        )
        scope = {"account_id": self._scope.account_id, "livemode": self._scope.livemode}
        rows: dict[str, list[BookedRow]] = {}
        for row in found:
            rows.setdefault(row["match_id"], []).append(booked_row({**row, **scope}))
        return rows

    def known_rows(self, payment_ids: Sequence[int]) -> set[int]:
        """Those payment ids that are among the booked rows at hand."""
        if not payment_ids:
            return set()
        wanted = pl.DataFrame({"id": payment_ids}, schema={"id": pl.Int64})
        tables: dict[str, Table] = {"books": self._books, "wanted": wanted}
        return {row["id"] for row in query_rows(self._engine, "known_rows", tables)}

    def stuck_refunds(self) -> list[Row]:
        """Refunds of the month that have waited for more than ten days at the as-of instant."""
        paths = self._sources.paths("refunds")
        if not paths:
            return []
        limit = min(self._window.as_of - STUCK_SECONDS, self._window.cutoff)
        return query_rows(
            self._engine, "stuck_refunds", {"refunds": paths}, {"stuck_before": limit}
        )

    def parts_without_charge(self) -> list[Row]:
        """Refunds and disputes of the month whose charge is not among the month's."""
        tables = {
            "refunds": self._of_month("refunds"),
            "disputes": self._of_month("disputes"),
            "charges": self._sources.paths("charges"),
        }
        params = {"start": self._window.start, "cutoff": self._window.cutoff}
        return query_rows(self._engine, "parts_without_charge", tables, params)

    # --- inside -----------------------------------------------------------------------------

    def _linked(self, loose: Sequence[str]) -> Sequence[str]:
        """Rows without a charge id, matched by the charge of the month that they mean."""
        if not loose:
            return ()
        tables = self.lists.naming(list(loose)) | {"charges": self._sources.paths("charges")}
        links = self._to_file("charges_of_references", tables)
        return [self._to_file("linked_rows", {"loose": list(loose), "links": [links]})]

    def _to_file(self, statement: str, tables: Mapping[str, Table]) -> str:
        sql = load_sql(f"audit/{statement}")
        return self._engine.query_to_file(sql, tables, self._spool, statement).path

    def _returned_money(self) -> Table:
        tables = {
            "refunds": self._from_month_on("refunds"),
            "disputes": self._from_month_on("disputes"),
        }
        return [self._to_file("returned_money", tables)]

    def _movers(self, charges: set[str]) -> pl.DataFrame:
        """Sources of balance transactions that move a charge's money: it, its refunds, disputes."""
        rows = [(charge, charge) for charge in charges]
        for charge, parts in self.parts(charges).items():
            rows += [(charge, part) for _, part in parts]
        return pl.DataFrame(rows, schema={"id": pl.String, "source": pl.String}, orient="row")

    def _completeness(self) -> dict[str, bool]:
        return {"refunds_complete": "refunds" in self._sources.complete}

    def _of_month(self, resource: str) -> Table:
        return or_empty(self._sources.paths(resource), resource)

    def _from_month_on(self, resource: str) -> Table:
        return or_empty(self._sources.paths_from_month_on(resource), resource)
