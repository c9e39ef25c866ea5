"""Where a month begins and ends in its zone and in UTC, and the money that lies between.

Why both: Stripe's own reports may be in another zone than the company's books. Nothing here judges.
Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from growth_pipeline.audit.queries import QueryEngine, Row, Table, or_empty
from growth_pipeline.audit.sources import Sources
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import ZonedMonth
from growth_pipeline.storage.sql import load_sql

Sums = Mapping[str, Mapping[str, int]]


class BookedSums(Protocol):
    """What is asked of the database."""

    def booked_between(self, scope: Scope, since: datetime, until: datetime) -> list[Row]:
        """Sums of the books' settled rows of `[since, until)` by currency."""
        ...


def boundaries_of(
    period: ZonedMonth, scope: Scope, *, sources: Sources, engine: QueryEngine, store: BookedSums
) -> dict[str, Any]:
    """Both pairs of limits, and each stretch that only one of them holds, with its money.

    Shapes: tz, start, end, utc_start, utc_end (ISO, end exclusive), between: edge (start or end),
    since, until, counted_in (zone or utc), stripe and books: currency -> count and minor units of
    settled money; stripe is None where the month's charges are not at hand.
    """
    utc = period.month
    limits = {
        "tz": period.tz,
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "utc_start": utc.start.isoformat(),
        "utc_end": utc.end.isoformat(),
    }
    between = []
    for edge, since, until, counted_in in stretches(period):
        between.append(
            {
                "edge": edge,
                "since": since.isoformat(),
                "until": until.isoformat(),
                "counted_in": counted_in,
                "stripe": _at_stripe(sources, engine, since, until),
                "books": by_currency(store.booked_between(scope, since, until)),
            }
        )
    return {**limits, "between": between}


def stretches(period: ZonedMonth) -> list[tuple[str, datetime, datetime, str]]:
    """Stretches between both limits: edge, since, until, and which month holds it; none in UTC."""
    utc = period.month
    edges = (
        ("start", period.start, utc.start, period.start < utc.start),
        ("end", period.end, utc.end, period.end > utc.end),
    )
    return [
        (edge, min(own, other), max(own, other), "zone" if is_own else "utc")
        for edge, own, other, is_own in edges
        if own != other
    ]


def by_currency(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Sums by currency, with their net."""
    sums = {}
    for row in rows:
        told = {name: value for name, value in row.items() if name != "currency"}
        net = told["gross_minor"] - told["refunded_minor"] - told["disputed_minor"]
        sums[row["currency"]] = {**told, "net_minor": net}
    return sums


def _at_stripe(
    sources: Sources, engine: QueryEngine, since: datetime, until: datetime
) -> Sums | None:
    files = sources.files.get("charges")
    if not files:
        return None
    parts: dict[str, Table] = {
        name: or_empty(sources.paths_of_all(name), name) for name in ("refunds", "disputes")
    }
    with engine.spool() as spool:
        returned = engine.query_to_file(
            load_sql("audit/returned_money"), parts, spool, "returned_money"
        )
        tables: dict[str, Table] = {
            "charges": [one.path for one in files],
            "returned": [returned.path],
        }
        params = {"since": int(since.timestamp()), "until": int(until.timestamp())}
        found = engine.query(load_sql("audit/boundary_money"), tables, params)
    return by_currency(found.to_dicts())
