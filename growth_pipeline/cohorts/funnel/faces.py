"""An answer about a funnel as JSON, CSV or Markdown. Never a number of its own.

Contract: docs/metrics.md, "Funnels".
"""

from __future__ import annotations

from growth_pipeline.cohorts.funnel.result import FunnelResult
from growth_pipeline.core.row_faces import csv_face, json_face, markdown_face

COLUMNS = (
    *("breakdown", "value", "stage", "step", "count", "from_first", "from_previous", "dropoff"),
    *("median_seconds", "units", "entering", "never_entering", "open"),
)
_RATES = frozenset({"from_first", "from_previous", "median_seconds", "overall_rate"})


def face_of(answer: FunnelResult, form: str) -> bytes:
    """The answer in one of the forms json, csv, md.

    Shapes: JSON has the resolved definition, as_of, totals, notes and rows (of all units; of the
    values of a breakdown with it); CSV the rows, on which the totals repeat.
    """
    if form == "csv":
        rows = ({**answer.totals, **row} for row in answer.rows)
        return csv_face(COLUMNS, rows, _RATES)
    told = {**answer.definition, "as_of": answer.as_of.isoformat()}
    if form == "md":
        tables = [("Units", [answer.totals]), ("Stages", answer.rows)]
        return markdown_face("Funnel", told, answer.notes, tables, _RATES)
    document = {**told, **answer.totals, "notes": list(answer.notes), "stages": list(answer.rows)}
    return json_face(document, _RATES)
