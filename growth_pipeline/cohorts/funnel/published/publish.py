"""Counted funnels on their way to Postgres, and how their page tells them.

Contract: docs/metrics.md, "Published funnels".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final

from growth_pipeline.cohorts.activity_store import ActivityAnswer, PublishedActivity, Row
from growth_pipeline.cohorts.funnel.published.judge import periods_of, place_of
from growth_pipeline.cohorts.funnel.published.refresh import FUNNEL_COLUMNS, CountedFunnel
from growth_pipeline.core.markdown import escaped, table_head, table_row

FUNNEL: Final = "funnel"
_BLUE: Final = "#2b6cb0"
_PERIODS_SHOWN: Final = 6


def answers_of(counted: Sequence[CountedFunnel], segments: Sequence[str]) -> list[ActivityAnswer]:
    """All rows of each funnel: of all users, then split by each property."""
    return [
        ActivityAnswer(
            question=FUNNEL,
            name=one.funnel.name,
            segment_by=segment_by,
            as_of=one.funnel.definition.as_of,
            options=one.funnel.options(segment_by or None),
            columns=FUNNEL_COLUMNS,
            rows=list(one.rows(segment_by)),
        )
        for one in counted
        for segment_by in ("", *segments)
    ]


def describe_funnels(answers: Sequence[ActivityAnswer]) -> str:
    """Markdown: the newest closed months of each funnel, and a picture of the newest."""
    parts: list[str] = []
    for answer in answers:
        if not answer.segment_by:
            parts += [f"### {escaped(answer.name)}", "", *_described(answer), ""]
    return "\n".join(parts) or "No funnel is named: GROWTH_COHORTS__FUNNELS."


def changes_of(answers: Sequence[ActivityAnswer], store: PublishedActivity) -> int:
    """Rows of all users that are published as closed, and now with other users.

    Raises: RemoteUnavailableError.
    """
    return sum(
        len(_restated(store.rows(FUNNEL, FUNNEL_COLUMNS, name=answer.name), answer.rows))
        for answer in answers
        if not answer.segment_by
    )


def _restated(before: Sequence[Row], now: Sequence[Row]) -> list[Row]:
    told = {place_of(row): row["users"] for row in now}
    closed = (row for row in before if row["state"] == "closed")
    return [row for row in closed if told.get(place_of(row)) != row["users"]]


def _described(answer: ActivityAnswer) -> Iterator[str]:
    months = [
        rows
        for rows in periods_of(answer)
        if rows[0]["grain"] == "month" and rows[0]["state"] == "closed"
    ]
    yield f"Known up to {answer.as_of:%Y-%m-%d %H:%M} UTC, exclusive."
    yield ""
    if not months:
        yield "No month is closed: each of its attempts must have had its whole window."
        return
    yield from table_head("Month", *(escaped(str(step)) for step in answer.options["steps"]))
    for rows in months[: -_PERIODS_SHOWN - 1 : -1]:
        cells = (f"{row['users']} ({_percent(row['from_first'])})" for row in rows)
        yield table_row(f"{rows[0]['period_start']:%Y-%m}", *cells)
    begun = [rows for rows in months if rows[0]["users"]]
    address = _address(answer.name, begun[-1]) if begun else None
    if address is not None:
        yield ""
        yield f"![Users at each stage of {escaped(answer.name)}]({address})"


def _address(name: str, rows: Sequence[Row]) -> str | None:
    from growth_pipeline.core.charts import bar_chart, data_uri, render_png  # brings altair

    drawn = [
        {
            "stage": f"{row['stage']}. {row['step']}",
            "users": row["users"],
            "kind": "users",
            "label": f"{row['users']} ({_percent(row['from_first'])})",
        }
        for row in rows
    ]
    chart = bar_chart(
        drawn,
        category="stage",
        value="users",
        colour="kind",
        colours={"users": _BLUE},
        label="label",
        title=f"{name}: who began in {rows[0]['period_start']:%Y-%m}, and how far they came",
    )
    with suppress(ValueError):
        return data_uri(render_png(chart))
    return None


def _percent(rate: Decimal | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.1f} %"
