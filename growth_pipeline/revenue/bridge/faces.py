"""A bridge as JSON, CSV, Markdown, and for a person. Never a number of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from growth_pipeline.core.display import format_money
from growth_pipeline.core.money import to_major
from growth_pipeline.core.row_faces import Row, csv_face, json_face, markdown_face
from growth_pipeline.revenue.bridge.walk import Bridge

_RATES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class BridgeAnswer:
    """A bridge of one month. `asked`: month, both policies, as_of, and as known when."""

    asked: dict[str, Any]
    bridge: Bridge

    def rows(self) -> list[Row]:
        """Grain: one currency and step; the first and last are the totals under the policies."""
        found = self.bridge
        names = sorted({*found.start, *found.end})
        rows: list[Row] = []
        for currency in names:
            rows.append(self._row(currency, "start", self.asked["from"], found.start))
            for step in found.steps:
                what = f"{_word(step.before)} -> {_word(step.after)}"
                row = self._row(currency, step.switch, what, step.amounts)
                rows.append({**row, "customers": step.customers.get(currency, 0)})
            rows.append(self._row(currency, "end", self.asked["to"], found.end))
        return rows

    def customer_rows(self) -> list[Row]:
        """Grain: one customer, currency and step that moves it."""
        return [
            {
                "account_id": one.account_id,
                "customer_id": one.customer_id,
                "currency": one.currency,
                "start_minor": one.start,
                "step": switch,
                "amount_minor": amount,
                "end_minor": one.end,
            }
            for one in self.bridge.customers
            for switch, amount in one.moved.items()
        ]

    def document(self, *, customers: bool) -> dict[str, Any]:
        """Everything, for JSON."""
        told = {
            **self.asked,
            "steps": self.rows(),
            "remainder_minor": self.bridge.remainder(),
            "unknown_customers": [list(key) for key in self.bridge.unknown],
        }
        return {**told, "customers": self.customer_rows()} if customers else told

    def face(self, form: str, *, customers: bool) -> bytes:
        """As json, csv or md; csv has the customers' rows instead of the steps where asked."""
        if form == "json":
            return json_face(self.document(customers=customers), _RATES)
        rows: Sequence[Row] = self.customer_rows() if customers else self.rows()
        if form == "csv":
            names = _CUSTOMER_COLUMNS if customers else _COLUMNS
            return csv_face(names, rows, _RATES)
        tables: list[tuple[str, Sequence[Row]]] = [("Steps", self._told_rows())]
        if customers:
            tables.append(("Customers", self.customer_rows()))
        return markdown_face("MRR bridge", self.asked, self.notes(), tables, _RATES)

    def _told_rows(self) -> list[Row]:
        """The steps as a person reads them: what moves nothing is left out, but for the ends."""
        ends = ("start", "end")
        return [
            {
                "currency": row["currency"],
                "step": row["step"].replace("_", " "),
                "what": row["what"],
                "amount": format_money(row["amount_minor"], row["currency"]),
                "customers": row["customers"],
            }
            for row in self.rows()
            if row["step"] in ends or row["customers"]
        ]

    def notes(self) -> list[str]:
        """What a reader should know."""
        unknown = len(self.bridge.unknown)
        return [f"{unknown} customers with an unknown price are in no amount"] if unknown else []

    def _row(self, currency: str, step: str, what: str, amounts: Any) -> dict[str, Any]:
        minor = amounts.get(currency, 0)
        return {
            "currency": currency,
            "step": step,
            "what": what,
            "amount_minor": minor,
            "amount": to_major(minor, currency),
            "customers": None,
        }


_COLUMNS = ("currency", "step", "what", "amount_minor", "amount", "customers")
_CUSTOMER_COLUMNS = (
    *("account_id", "customer_id", "currency", "start_minor", "step", "amount_minor", "end_minor"),
)


def known_in_words(known_at: datetime | None) -> str:
    """`now`, or the instant up to which the ledger is read."""
    return "now" if known_at is None else known_at.isoformat()


def _word(value: Any) -> str:
    return "none" if value is None else str(value)
