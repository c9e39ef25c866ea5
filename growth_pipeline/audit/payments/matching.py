"""Puts the two sides together in the engine; only payments that differ come out.

Every method is one query over whole files; what comes out is small and is judged in Python by
compare.py. Statements: sql/audit/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import orjson
import polars as pl

from growth_pipeline.audit.payments.books import BookedPayments
from growth_pipeline.audit.payments.sides import BookedRow, StripePayment
from growth_pipeline.audit.sources import Sources
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import pyarrow as pa

    from growth_pipeline.storage.engine import Spool, SpoolFile

Table: TypeAlias = "Sequence[str] | pl.DataFrame | pa.Table"
Row: TypeAlias = dict[str, Any]

DIFFERING_LIMIT = 200_000  # payments; each that differs is held in memory, with its evidence
STUCK_SECONDS = 10 * 24 * 3600
SETTLED_SECONDS = 7 * 24 * 3600  # after this time final money has moved in the balance
MISSING_LISTED = 1_000  # objects without a movement that are listed, of a kind and currency
_EMPTY = pl.DataFrame({"id": []}, schema={"id": pl.String})


class QueryEngine(Protocol):
    """What is asked of the engine."""

    def query(
        self, sql: str, tables: Mapping[str, Table], params: Mapping[str, object] | None = None
    ) -> pl.DataFrame:
        """Result of one query."""
        ...

    def spool(self) -> Spool:
        """A folder for what is too large for memory."""
        ...

    def query_to_file(
        self, sql: str, tables: Mapping[str, Table], spool: Spool, name: str
    ) -> SpoolFile:
        """Result of one query as a file of the spool."""
        ...


@dataclass(frozen=True)
class Window:
    """The audited month and its limits, in Unix seconds. Judged: created before `cutoff`."""

    start: int
    end: int
    as_of: int
    cutoff: int

    def holds(self, created: int) -> bool:
        """Whether an instant lies in the month."""
        return self.start <= created < self.end

    def judged(self, created: int) -> bool:
        """Whether an object of that age is judged: in the month, and not in its grace period."""
        return self.holds(created) and created < self.cutoff


@dataclass(frozen=True)
class Extracted:
    """One charge as its file has it. `touched`: when a part of it was made last, Unix seconds."""

    payment: StripePayment
    touched: int | None
    fetched: int
    is_dispute_unknown: bool


class Reference(NamedTuple):
    """What a booked row points at; by which charge that is, `charges_of` finds out."""

    match_id: str
    charge_id: str | None
    payment_intent_id: str | None
    invoice_payment_id: str | None
    invoice_id: str | None


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
        self._intents_of = intents_of
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
        (found,) = self._rows("differing_payments", tables, params)
        differing = set(found["match_ids"] or ())
        if len(differing) > self._most:
            raise GrowthError(
                f"more than {self._most:,} payments of the month differ, too many to list them",
                remedy="bring the month into the books first: growth backfill --help",
            )
        # Charges are unique by id: more rows than charges with a partner means that some repeat.
        paired_charges = found["charges"] - found["lone_charges"]
        if self._booked.rows - found["lone_rows"] > paired_charges:
            differing |= self._ids("repeated_payments", {"books": self._books}, {}, "match_id")
        return differing

    def differing_fees(self) -> set[str]:
        """Match ids of payments whose booked fee or net is not the balance transaction's."""
        paths = self._sources.paths_from_month_on("balance_transactions")
        if not paths or not self._booked.rows_with_fee:
            return set()
        tables = {"books": self._books, "balance_transactions": paths}
        return self._ids("differing_fees", tables, {}, "match_id")

    def unknown_invoices(self) -> dict[str, str]:
        """Invoice id by match id, of rows whose invoice is in no file."""
        if not self._booked.rows_with_invoice or "invoices" not in self._sources.month:
            return {}
        tables = {"books": self._books, "invoices": self._all("invoices")}
        rows = self._rows("unknown_invoices", tables)
        return {row["match_id"]: row["invoice_id"] for row in rows}

    # --- totals -----------------------------------------------------------------------------

    def stripe_totals(self) -> list[Row]:
        """Sums of Stripe's settled charges by currency."""
        tables = {"charges": self._sources.paths("charges"), "returned": self._returned}
        params = {**self._completeness(), "cutoff": self._window.cutoff}
        return self._rows("stripe_totals", tables, params)

    def booked_totals(self) -> list[Row]:
        """Sums of the books' settled rows by currency, and fees by settlement currency.

        Without the fee of a single row their sum would be too small, so then no fees are given.
        """
        tables, params = {"books": self._books}, {"cutoff": self._window.cutoff}
        rows = self._rows("booked_totals", tables, params)
        fees = self._rows("booked_fees", tables, params) if self._booked.rows_with_fee else []
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
            self._settled = self._rows("settled_parts", tables, params) if paths else []
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
        return {row["id"]: self._extracted(row) for row in self._rows("stripe_payments", tables)}

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
            for row in self._rows("parts_of_charges", tables):
                self._parts[row["charge"]].append((row["object"], row["id"]))
        return {charge: self._parts[charge] for charge in charges}

    def rows_of(self, ids: set[str]) -> dict[str, list[BookedRow]]:
        """Booked rows of the month (and their repeats elsewhere) by match id."""
        found = self._rows("booked_rows", {"books": self._books, "wanted": wanted_ids(ids)})
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
        return {row["id"] for row in self._rows("known_rows", tables)}

    def stuck_refunds(self) -> list[Row]:
        """Refunds of the month that have waited for more than ten days at the as-of instant."""
        paths = self._sources.paths("refunds")
        if not paths:
            return []
        limit = min(self._window.as_of - STUCK_SECONDS, self._window.cutoff)
        return self._rows("stuck_refunds", {"refunds": paths}, {"stuck_before": limit})

    def parts_without_charge(self) -> list[Row]:
        """Refunds and disputes of the month whose charge is not among the month's."""
        tables = {
            "refunds": self._of_month("refunds"),
            "disputes": self._of_month("disputes"),
            "charges": self._sources.paths("charges"),
        }
        params = {"start": self._window.start, "cutoff": self._window.cutoff}
        return self._rows("parts_without_charge", tables, params)

    # --- look-ups over all months -----------------------------------------------------------

    def charges_in_other_months(self, references: Sequence[Reference]) -> dict[str, str]:
        """Charge id by match id, of references, from the charges of all months."""
        schema = dict.fromkeys(Reference._fields, pl.String)
        wanted = pl.DataFrame(references, schema=schema, orient="row")
        tables = self._naming(wanted) | {"charges": self._sources.paths_of_all("charges")}
        rows = self._rows("charges_of_references", tables)
        return {row["key"]: row["charge"] for row in rows}

    def intents(self, ids: set[str]) -> dict[str, Row]:
        """Payment intents by id, from the files of all months."""
        return self._by_id("intents_by_id", "payment_intents", ids)

    def invoice_payments(self, ids: set[str]) -> dict[str, Row]:
        """Invoice payments by id, from the files of all months."""
        return self._by_id("invoice_payments_by_id", "invoice_payments", ids)

    def invoice_payments_of(self, intents: set[str]) -> list[Row]:
        """Invoice payments of these payment intents: id, payment_intent, invoice."""
        paths = self._sources.paths_of_all("invoice_payments")
        if not intents or not paths:
            return []
        tables: dict[str, Table] = {"wanted": wanted_ids(intents), "invoice_payments": paths}
        return self._rows("invoice_payments_of_intents", tables)

    def invoices(self, ids: set[str]) -> dict[str, Row]:
        """Invoices by id, from the files of all months."""
        return self._by_id("invoices_by_id", "invoices", ids)

    def unknown(self, ids: set[str], resources: Sequence[str]) -> set[str]:
        """Those ids that no file of these resources has, of whatever month."""
        left = set(ids)
        for resource in resources:
            paths = self._sources.paths_of_all(resource)
            if left and paths:
                left = self._ids("unknown_ids", {"wanted": wanted_ids(left), "known": paths}, {})
        return left

    def foreign_scopes(self, resource: str, ids: set[str]) -> dict[str, Scope]:
        """Scope by id, of ids that files of another account or mode have."""
        found: dict[str, Scope] = {}
        left = set(ids)
        for scope, manifest in self._sources.foreign.get(resource, []):
            if not left:
                break
            tables = {"wanted": wanted_ids(left), "known": [manifest.path]}
            absent = self._ids("unknown_ids", tables, {})
            found |= dict.fromkeys(left - absent, scope)
            left = absent
        return found

    # --- inside -----------------------------------------------------------------------------

    def _linked(self, loose: Sequence[str]) -> Sequence[str]:
        """Rows without a charge id, matched by the charge of the month that they mean."""
        if not loose:
            return ()
        tables = self._naming(list(loose)) | {"charges": self._sources.paths("charges")}
        links = self._to_file("charges_of_references", tables)
        return [self._to_file("linked_rows", {"loose": list(loose), "links": [links]})]

    def _naming(self, wanted: Table) -> dict[str, Table]:
        """What `charges_of_references` is given beside the charges, the mirror's word included."""
        tables: dict[str, Table] = {
            "wanted": wanted,
            "invoices": self._all("invoices"),
            "invoice_payments": self._all("invoice_payments"),
        }
        silent = self._ids("silent_invoices", tables, {})
        known = dict(self._intents_of(silent)) if silent else {}
        names = {"invoice": list(known), "payment_intent": list(known.values())}
        schema = dict.fromkeys(names, pl.String)
        return tables | {"known_intents": pl.DataFrame(names, schema=schema)}

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

    def _extracted(self, row: Row) -> Extracted:
        has_all_refunds = "refunds" in self._sources.complete
        whole = row["amount_captured"] >= row["amount"]
        refunded = row["refunded_minor"] or 0 if has_all_refunds and whole else None
        withdrawn, reinstated = row["withdrawn_minor"], row["reinstated_minor"] or 0
        payment = StripePayment(
            object="charge",
            id=row["id"],
            created=row["created"],
            status=row["status"],
            captured=row["captured"],
            paid=row["paid"],
            currency=row["currency"],
            asked_minor=row["amount"],
            captured_minor=row["amount_captured"],
            refunded_minor=row["amount_refunded"] if refunded is None else refunded,
            disputed_minor=(withdrawn or 0) - reinstated,
            reinstated_minor=reinstated,
            failed_refunds=tuple(row["failed_refunds"] or ()),
            fee_minor=row["fee"],
            net_after_fee_minor=row["net"],
            settlement_currency=row["settlement_currency"],
            customer=row["customer"],
            invoice=row["invoice"],
            payment_intent=row["payment_intent"],
        )
        has_all_disputes = "disputes" in self._sources.complete
        return Extracted(
            payment=payment,
            touched=row["touched"],
            fetched=int(row["fetched_at"].timestamp()),
            is_dispute_unknown=row["disputed"] and withdrawn is None and not has_all_disputes,
        )

    def _of_month(self, resource: str) -> Table:
        return self._sources.paths(resource) or pl.DataFrame(schema=SCHEMAS[resource])

    def _from_month_on(self, resource: str) -> Table:
        paths = self._sources.paths_from_month_on(resource)
        return paths or pl.DataFrame(schema=SCHEMAS[resource])

    def _all(self, resource: str) -> Table:
        return self._sources.paths_of_all(resource) or pl.DataFrame(schema=SCHEMAS[resource])

    def _by_id(self, statement: str, resource: str, ids: set[str]) -> dict[str, Row]:
        paths = self._sources.paths_of_all(resource)
        if not ids or not paths:
            return {}
        rows = self._rows(statement, {"wanted": wanted_ids(ids), resource: paths})
        return {row["id"]: row for row in rows}

    def _rows(
        self,
        statement: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object] | None = None,
    ) -> list[Row]:
        return self._engine.query(load_sql(f"audit/{statement}"), tables, params or None).to_dicts()

    def _ids(
        self,
        statement: str,
        tables: Mapping[str, Table],
        params: Mapping[str, object],
        column: str = "id",
    ) -> set[str]:
        found = self._engine.query(load_sql(f"audit/{statement}"), tables, params or None)
        return set(found[column])


def wanted_ids(ids: set[str]) -> pl.DataFrame:
    """Ids as a table for the engine."""
    return pl.DataFrame({"id": sorted(ids)}, schema=_EMPTY.schema)


def tax_of(invoice: str) -> int | None:
    """Tax of an invoice's JSON, minor units; None where it does not say.

    Both sums stayed where they are in every API version; the tax itself moved.
    """
    told = orjson.loads(invoice)
    total, without_tax = told.get("total"), told.get("total_excluding_tax")
    return None if total is None or without_tax is None else total - without_tax


def booked_row(row: Mapping[str, Any]) -> BookedRow:
    """One row as the statements give it, with its scope."""
    return BookedRow(**{name: row[name] for name in BookedRow.__dataclass_fields__})
