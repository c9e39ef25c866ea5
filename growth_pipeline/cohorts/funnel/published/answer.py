"""A question about a published funnel, answered from its tables, in all forms.

Contract: docs/metrics.md, "Published funnels". Never a number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from growth_pipeline.cohorts.active_users.published.answer import find_question, touches
from growth_pipeline.cohorts.activity_store import PublishedActivity, PublishedQuestion
from growth_pipeline.cohorts.funnel.published.definition import FUNNEL_GRAINS
from growth_pipeline.cohorts.funnel.published.publish import FUNNEL
from growth_pipeline.cohorts.funnel.published.refresh import FUNNEL_COLUMNS
from growth_pipeline.cohorts.funnel.result import Row
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.row_faces import csv_face, json_face, markdown_face

COLUMNS = (
    *("funnel", "grain", "period_start", "segment", "stage", "step", "users", "from_first"),
    *("from_previous", "dropoff", "median_seconds", "state"),
)
_RATES = frozenset({"from_first", "from_previous", "median_seconds"})


@dataclass(frozen=True, kw_only=True)
class AskedFunnel:
    """What is asked of published funnels. `name`: None for the only one, or the first.

    `first`, `last`: days, both in; periods that touch them are told.
    """

    name: str | None = None
    grain: str = "month"
    first: date | None = None
    last: date | None = None
    segment: str | None = None

    def __post_init__(self) -> None:
        if self.grain not in FUNNEL_GRAINS:
            raise UsageError(
                f"--grain {self.grain!r} of funnels is not published",
                remedy=f"published are {', '.join(FUNNEL_GRAINS)}",
            )


def published_funnel(store: PublishedActivity, asked: AskedFunnel, form: str) -> bytes:
    """The answer in one of the forms json, csv, md.

    Raises: GrowthError when nothing is published; UsageError for a funnel, or a property, that is
    not; RemoteUnavailableError.
    """
    found = _find(store.questions(FUNNEL), asked)
    split = found.segment_by
    columns = FUNNEL_COLUMNS
    rows: list[Row] = [
        {name: row[name] for name in COLUMNS if split or name != "segment"}
        for row in store.rows(FUNNEL, columns, name=found.name, segment_by=split)
        if row["grain"] == asked.grain
        and touches(row["period_start"], asked.grain, asked.first, asked.last)
    ]
    if form == "csv":
        return csv_face(COLUMNS, rows, _RATES)
    told = {**found.options, "grain": asked.grain, "as_of": found.as_of.isoformat()}
    if form == "md":
        return markdown_face(f"Funnel {found.name}", told, (), [("Stages", rows)], _RATES)
    return json_face({**told, "rows": rows}, _RATES)


def _find(questions: Sequence[PublishedQuestion], asked: AskedFunnel) -> PublishedQuestion:
    names = list(dict.fromkeys(one.name for one in questions))
    if names and asked.name is not None and asked.name not in names:
        raise UsageError(
            f"funnel {asked.name!r} is not published", remedy=f"published are {', '.join(names)}"
        )
    name = asked.name if asked.name is not None or not names else names[0]
    return find_question([one for one in questions if one.name == name], asked.segment)
