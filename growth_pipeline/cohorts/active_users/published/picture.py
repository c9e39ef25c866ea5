"""What published active users look like on the asset's page: two pictures and the newest numbers.

Contract: docs/metrics.md, "Published active users". Never a number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from growth_pipeline.cohorts.active_users.published.publish import Told
from growth_pipeline.cohorts.active_users.rules import Row
from growth_pipeline.core.charts import (
    Spec,
    column_chart,
    data_uri,
    lines_chart,
    render_png,
    stack,
)
from growth_pipeline.core.markdown import table_head, table_row

_LINES: Final = {"dau": "#2b6cb0", "wau": "#b7791f", "mau": "#2f855a"}
_KINDS: Final = {
    "new": "#2f855a",
    "returning": "#2b6cb0",
    "resurrecting": "#b7791f",
    "dormant": "#98a2b3",
}
_DAYS_DRAWN: Final = (180, 90, 30)  # a picture in an event log must stay small
_WEEKS_DRAWN: Final = 16
_MONTHS_SHOWN: Final = 12


def describe_users(told: Told) -> str:
    """Markdown: what was counted last, both pictures, and a table of months."""
    as_of = told.made.counted.as_of
    lines = [f"Known up to {as_of:%Y-%m-%d %H:%M} UTC, exclusive.", ""]
    newest = [row for row in told.active if row["grain"] == "day"][-1]["period_start"]
    numbers = {row["metric"]: row for row in told.active if row["period_start"] == newest}
    lines += [
        f"On {newest}: "
        + ", ".join(f"{name.upper()} {numbers[name]['users']}" for name in _LINES)
        + f", stickiness over 30 days {_percent(numbers['stickiness_rolling']['rate'])}.",
        "",
        *_months(told.active),
    ]
    address = _address(told)
    if address is not None:
        lines += ["", f"![Active users by day and kinds of users by week]({address})"]
    return "\n".join(lines)


def users_picture(told: Told, days: int) -> Spec:
    """DAU, WAU and MAU as lines, and the kinds of users of the newest weeks as columns."""
    as_of = f"as of {told.made.counted.as_of:%Y-%m-%d %H:%M} UTC, exclusive; weeks that are over"
    return stack(
        _lines(told.active, days), _columns(told.lifecycle), title="Active users", subtitle=as_of
    )


def _lines(rows: Sequence[Row], days: int) -> Spec:
    daily = [row for row in rows if row["metric"] in _LINES]
    since = max(row["period_start"] for row in daily) - timedelta(days=days)
    drawn = [
        {"day": row["period_start"].isoformat(), "users": row["users"], "metric": row["metric"]}
        for row in daily
        if row["period_start"] > since
    ]
    return lines_chart(
        drawn,
        day="day",
        value="users",
        series="metric",
        colours=_LINES,
        title="Users active on a day (dau), in 7 days (wau), in 30 days (mau)",
    )


def _columns(rows: Sequence[Row]) -> Spec:
    weeks = [row for row in rows if row["grain"] == "week" and row["state"] == "closed"]
    parts: list[dict[str, Any]] = []
    tops: list[dict[str, Any]] = []
    for row in weeks[-_WEEKS_DRAWN:]:
        week = {"week": row["period_start"].isoformat(), "open": False}
        parts += [{**week, "users": row[f"{kind}_users"], "kind": kind} for kind in _KINDS]
        lost = f" (-{row['dormant_users']})" if row["dormant_users"] else ""
        words = f"{row['active_users']}{lost}"
        total = row["active_users"] + row["dormant_users"]
        tops.append({**week, "users": total, "label": words})
    return column_chart(
        parts,
        tops,
        category="week",
        value="users",
        colour="kind",
        colours=_KINDS,
        label="label",
        open_field="open",
        title="Users of a week by kind; on top: active, and dormant (active the week before)",
        width=760,
    )


def _months(rows: Sequence[Row]) -> list[str]:
    known = [row for row in rows if row["metric"] == "stickiness" and row["state"] == "closed"]
    if not known:
        return ["No month is over yet."]
    return [
        *table_head("Month", "MAU", "Average DAU", "Stickiness"),
        *(
            table_row(
                f"{row['period_start']:%Y-%m}",
                str(row["users"]),
                f"{row['average_dau']:.1f}",
                _percent(row["rate"]),
            )
            for row in known[: -_MONTHS_SHOWN - 1 : -1]
        ),
    ]


def _percent(rate: Decimal | None) -> str:
    return "unknown" if rate is None else f"{100 * rate:.1f} %"


def _address(told: Told) -> str | None:
    for days in _DAYS_DRAWN:
        with suppress(ValueError):
            return data_uri(render_png(users_picture(told, days)))
    return None
