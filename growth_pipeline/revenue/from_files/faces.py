"""An answer about MRR movements as JSON, CSV or Markdown. Never a number of its own.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from growth_pipeline.core.row_faces import csv_face, json_face, markdown_face
from growth_pipeline.revenue.from_files.result import MovementsResult

_HEAD = ("period_start", "period_end", "currency")
_MOVEMENT = (*("movement", "amount", "amount_minor", "customers", "changes", "currency_switches"),)
_PERIOD = (
    *("starting_mrr", "starting_mrr_minor", "ending_mrr", "ending_mrr_minor", "arr", "arr_minor"),
    *("starting_customers", "ending_customers", "arpa", "growth", "quick_ratio"),
    *("mrr_churn", "gross_mrr_churn", "logo_churn"),
)
_SHORT = (
    *("period_start", "currency", "starting_mrr", "ending_mrr", "starting_customers"),
    *("ending_customers", "nrr", "grr", "logo_churn", "quick_ratio", "arpa", "state"),
)


def face_of(answer: MovementsResult, form: str) -> bytes:
    """The answer in one of the forms json, csv, md.

    Shapes: JSON has the resolved definition, as_of, notes, periods and movements; CSV one row per
    period, currency and movement, on which the figures of the period repeat. Rates are numbers with
    6 decimals, amounts exact decimals as text beside whole minor units.
    """
    rates = frozenset(_rates(answer))
    if form == "csv":
        return csv_face(
            (*_HEAD, *_MOVEMENT, *_PERIOD, *_kept(answer), "state"), _flat(answer), rates
        )
    told = {**answer.definition, "as_of": answer.as_of.isoformat()}
    if form == "md":
        wanted = (*_SHORT, *_kept(answer))
        short = [{name: row[name] for name in row if name in wanted} for row in answer.periods]
        tables = [("Periods", short), ("Movements", answer.movements)]
        return markdown_face("MRR movements", told, answer.notes, tables, rates)
    document = {
        **told,
        "notes": list(answer.notes),
        "periods": list(answer.periods),
        "movements": list(answer.movements),
    }
    return json_face(document, rates)


def _flat(answer: MovementsResult) -> Iterator[dict[str, Any]]:
    """Rows of movements with the figures of their periods."""
    periods = {(row["period_start"], row["currency"]): row for row in answer.periods}
    for row in answer.movements:
        yield {**periods[row["period_start"], row["currency"]], **row}


def _kept(answer: MovementsResult) -> list[str]:
    """Names of NRR and GRR of every horizon."""
    suffixes = ("" if one == 1 else f"_{one}" for one in answer.definition["horizons"])
    return [f"{name}{suffix}" for suffix in suffixes for name in ("nrr", "grr")]


def _rates(answer: MovementsResult) -> list[str]:
    known = ["growth", "quick_ratio", "mrr_churn", "gross_mrr_churn", "logo_churn"]
    return [*known, *_kept(answer)]
