"""Looks objects up by id in Stripe's lists of all months. What they mean is not decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

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
from growth_pipeline.core.ids import Scope


class Reference(NamedTuple):
    """What a booked row points at; by which charge that is, `charges_of` finds out."""

    match_id: str
    charge_id: str | None
    payment_intent_id: str | None
    invoice_payment_id: str | None
    invoice_id: str | None


class StripeLists:
    """Look-ups by id in the files of all months. `intents_of`: the mirror's word on invoices."""

    def __init__(
        self,
        engine: QueryEngine,
        sources: Sources,
        intents_of: Callable[[set[str]], Mapping[str, str]],
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._intents_of = intents_of

    def charges_in_other_months(self, references: Sequence[Reference]) -> dict[str, str]:
        """Charge id by match id, of references, from the charges of all months."""
        schema = dict.fromkeys(Reference._fields, pl.String)
        wanted = pl.DataFrame(references, schema=schema, orient="row")
        tables = self.naming(wanted) | {"charges": self._sources.paths_of_all("charges")}
        rows = query_rows(self._engine, "charges_of_references", tables)
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
        return query_rows(self._engine, "invoice_payments_of_intents", tables)

    def invoices(self, ids: set[str]) -> dict[str, Row]:
        """Invoices by id, from the files of all months."""
        return self._by_id("invoices_by_id", "invoices", ids)

    def unknown(self, ids: set[str], resources: Sequence[str]) -> set[str]:
        """Those ids that no file of these resources has, of whatever month."""
        left = set(ids)
        for resource in resources:
            paths = self._sources.paths_of_all(resource)
            if left and paths:
                left = query_ids(
                    self._engine, "unknown_ids", {"wanted": wanted_ids(left), "known": paths}
                )
        return left

    def foreign_scopes(self, resource: str, ids: set[str]) -> dict[str, Scope]:
        """Scope by id, of ids that files of another account or mode have."""
        found: dict[str, Scope] = {}
        left = set(ids)
        for scope, manifest in self._sources.foreign.get(resource, []):
            if not left:
                break
            tables = {"wanted": wanted_ids(left), "known": [manifest.path]}
            absent = query_ids(self._engine, "unknown_ids", tables)
            found |= dict.fromkeys(left - absent, scope)
            left = absent
        return found

    def naming(self, wanted: Table) -> dict[str, Table]:
        """What `charges_of_references` is given beside the charges, the mirror's word included."""
        tables: dict[str, Table] = {
            "wanted": wanted,
            "invoices": self.all_of("invoices"),
            "invoice_payments": self.all_of("invoice_payments"),
        }
        silent = query_ids(self._engine, "silent_invoices", tables)
        known = dict(self._intents_of(silent)) if silent else {}
        names = {"invoice": list(known), "payment_intent": list(known.values())}
        schema = dict.fromkeys(names, pl.String)
        return tables | {"known_intents": pl.DataFrame(names, schema=schema)}

    def all_of(self, resource: str) -> Table:
        """A resource's objects of every month that was extracted."""
        return or_empty(self._sources.paths_of_all(resource), resource)

    def _by_id(self, statement: str, resource: str, ids: set[str]) -> dict[str, Row]:
        paths = self._sources.paths_of_all(resource)
        if not ids or not paths:
            return {}
        rows = query_rows(self._engine, statement, {"wanted": wanted_ids(ids), resource: paths})
        return {row["id"]: row for row in rows}
