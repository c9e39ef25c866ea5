"""What was billed for subscriptions and given back, from the mirror. Statements: sql/revenue/.

What it means for MRR is decided in `revenue.invoice_basis`; nothing here reads Stripe's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from growth_pipeline.core.ids import Scope
from growth_pipeline.core.recurring import Price
from growth_pipeline.revenue.invoice_basis import Facts, InvoiceLine, Refund, needs_invoices
from growth_pipeline.revenue.policies import MrrPolicy
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

_BATCH: Final = 10_000
Row = Mapping[str, Any]


class InvoiceStore:
    """Invoices of one account and mode in Postgres, as they are mirrored now."""

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope

    def read_facts(self, policy: MrrPolicy) -> Facts:
        """What a policy needs beyond the states of subscriptions; nothing is read if it needs none.

        Lines of an item that bill the same for one service after the other are one. Raises:
        RemoteUnavailableError.
        """
        if not needs_invoices(policy):
            return Facts()
        lines: dict[str, list[InvoiceLine]] = {}
        refunds: dict[str, list[Refund]] = {}
        if policy.basis == "invoice":
            for row in self._rows("invoice_lines"):
                _add_line(lines.setdefault(row["subscription"], []), self._line(row))
        if policy.refunds != "ignore":
            for row in self._rows("invoice_refunds"):
                refunds.setdefault(row["subscription"], []).append(_refund(row))
        return Facts(lines, refunds)

    def _line(self, row: Row) -> InvoiceLine:
        quantity = row["quantity"] or 1
        interval = row["recurring_interval"]
        amount = Fraction(max(0, row["amount_minor"]), quantity)
        return InvoiceLine(
            account_id=self._scope.account_id,
            customer_id=row["customer"],
            subscription_id=row["subscription"],
            item_id=row["item_id"],
            price=Price(
                row["price"] or "unknown",
                row["currency"],
                product=row["product"],
                interval=interval or "month",
                interval_count=row["interval_count"],
                unit_amount=amount if interval else None,
                is_metered=bool(row["is_metered"]),
            ),
            quantity=quantity,
            from_at=row["from_at"],
            until_at=row["until_at"],
            taken_off=tuple((duration, off) for duration, off in row["taken_off"] if off),
            invoice_id=row["invoice"],
        )

    def _rows(self, statement: str) -> Iterator[dict[str, Any]]:
        with (
            clear_errors(),
            self._database.connection() as connection,
            connection.cursor(statement) as cursor,  # a cursor of the server: years of lines
        ):
            cursor.itersize = _BATCH
            cursor.execute(load_sql(f"revenue/{statement}"), self._scope._asdict())
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                yield dict(zip(names, row, strict=True))


def _add_line(held: list[InvoiceLine], line: InvoiceLine) -> None:
    """Append a line, or let the one before go on if nothing but its time and invoice differs."""
    last = held[-1] if held else None
    if last is not None and last.until_at == line.from_at and _told(last) == _told(line):
        held[-1] = replace(last, until_at=line.until_at)
    else:
        held.append(line)


def _told(line: InvoiceLine) -> tuple[Any, ...]:
    return (line.customer_id, line.item_id, line.price, line.quantity, line.taken_off)


def _refund(row: Row) -> Refund:
    return Refund(
        row["subscription"],
        row["refunded_at"],
        row["until_at"],
        Fraction(row["share_above"]) / Fraction(row["share_below"]),
        row["is_yearly"],
    )
