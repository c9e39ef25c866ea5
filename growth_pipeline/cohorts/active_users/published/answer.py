"""A question about active users, answered from what is published: rows as the file mode gives them.

Contract: docs/metrics.md, "Published active users".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from growth_pipeline.cohorts.active_users.measure import ActiveUsers
from growth_pipeline.cohorts.active_users.published.plan import WINDOWS
from growth_pipeline.cohorts.active_users.published.rows import ACTIVE_COLUMNS, LIFECYCLE_COLUMNS
from growth_pipeline.cohorts.active_users.rules import Row
from growth_pipeline.cohorts.activity_store import PublishedActivity, PublishedQuestion
from growth_pipeline.cohorts.definition import GRAINS
from growth_pipeline.core.errors import GrowthError, UsageError

_ROLLING = {"dau": 1, "wau": 7, "mau": 30}
_CALENDAR = {"wau_calendar": "week", "mau_calendar": "month"}
_STICKY = ("user_days", "days", "average_dau", "users", "rate")
_GRAINS = {
    "rolling": ("day",),
    "calendar": ("week", "month"),
    "stickiness": ("month",),
    "stickiness_rolling": ("day",),
    "lifecycle": GRAINS,
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of published active users.

    `grains`: empty for those of the kind (of lifecycle: days). `first`, `last`: days, both in;
    periods that touch them are told. `segment`: a property that users are published by.
    """

    kind: str = "rolling"
    grains: Sequence[str] = ()
    windows: Sequence[int] = WINDOWS
    first: date | None = None
    last: date | None = None
    segment: str | None = None

    def __post_init__(self) -> None:
        known = _GRAINS.get(self.kind)
        if known is None:
            raise UsageError(
                f"--kind {self.kind} is not published",
                remedy=f"published are {', '.join(_GRAINS)}; for others give --activity FILE",
            )
        for grain in self.grains:
            if grain not in known:
                raise UsageError(
                    f"--grain {grain} of {self.kind} is not published",
                    remedy=f"published are {', '.join(known)}",
                )
        for window in self.windows:
            if window not in WINDOWS:
                raise UsageError(
                    f"a window of {window} days is not published",
                    remedy="published are 1, 7 and 30 days; for others give --activity FILE",
                )
        if self.first and self.last and self.last < self.first:
            raise UsageError("--to lies before --from", remedy="swap the two dates")

    @property
    def shown(self) -> Sequence[str]:
        """Grains to tell, in order."""
        default = ("day",) if self.kind == "lifecycle" else _GRAINS[self.kind]
        return self.grains or default


def published_users(store: PublishedActivity, asked: Asked) -> ActiveUsers:
    """The rows of one kind, from Postgres.

    Raises: GrowthError when nothing is published; UsageError for a property by which nothing is;
    RemoteUnavailableError.
    """
    question = "lifecycle" if asked.kind == "lifecycle" else "active_users"
    found = find_question(store.questions(question), asked.segment)
    columns = LIFECYCLE_COLUMNS if question == "lifecycle" else ACTIVE_COLUMNS
    rows = store.rows(question, columns, segment_by=asked.segment or "")
    told = [row for row in _told(rows, asked) if _is_shown(row, asked)]
    definition = {
        **found.options,
        "kind": asked.kind,
        "grains": list(asked.shown),
        "windows": list(asked.windows),
        "from": asked.first.isoformat() if asked.first else None,
        "to": asked.last.isoformat() if asked.last else None,
        "segment": asked.segment,
    }
    return ActiveUsers(definition, found.as_of, told, {}, ())


def find_question(questions: Sequence[PublishedQuestion], segment: str | None) -> PublishedQuestion:
    """The published question that is split by a property, or by none.

    Raises: GrowthError when nothing is published; UsageError naming the properties there are.
    """
    if not questions:
        raise GrowthError(
            "nothing is published yet",
            remedy="let Dagster's refresh_cohorts_job run, or give a file",
        )
    for one in questions:
        if one.segment_by == (segment or ""):
            return one
    known = ", ".join(one.segment_by for one in questions if one.segment_by) or "none"
    raise UsageError(
        f"nothing is published by {segment!r}",
        remedy=f"published are: {known}; others belong into GROWTH_COHORTS__SEGMENTS",
    )


def _told(rows: Sequence[Row], asked: Asked) -> Iterator[Row]:
    """Rows under the file mode's names, in its order."""
    split: dict[str, Any]
    for row in sorted(rows, key=lambda row: _order(row, asked)):
        split = {} if asked.segment is None else {"segment": row["segment"]}
        made = _row(row, asked)
        if made is not None:
            yield {**made, **split}


def _order(row: Row, asked: Asked) -> tuple[Any, ...]:
    segment = row["segment"]
    place = (asked.shown.index(row["grain"]) if row["grain"] in asked.shown else -1,)
    return (segment is None, segment or "", *place, row["period_start"], _window(row))


def _window(row: Row) -> int:
    return _ROLLING.get(row.get("metric", ""), 0)


def _row(row: Row, asked: Asked) -> Row | None:
    if row["grain"] not in asked.shown:
        return None
    if asked.kind == "lifecycle":
        names = ("active", "new", "returning", "resurrecting", "dormant")
        counts = {name: row[f"{name}_users"] for name in names}
        head = {"grain": row["grain"], "period_start": row["period_start"]}
        return {**head, **counts, "state": row["state"]}
    return _metric_row(row, asked)


def _metric_row(row: Row, asked: Asked) -> Row | None:
    metric, start, state = row["metric"], row["period_start"], {"state": row["state"]}
    if asked.kind == "rolling" and _window(row) in asked.windows:
        numbers = {"window_days": _window(row), "users": row["users"]}
        truncated = {"truncated": row["truncated"]}
        return {"day": start, "metric": metric, **numbers, **truncated, **state}
    if asked.kind == "calendar" and metric in _CALENDAR:
        head = {"grain": row["grain"], "metric": metric, "period_start": start}
        return {**head, "users": row["users"], **state}
    sticky = {name: row[name] for name in _STICKY}
    if asked.kind == metric == "stickiness":
        return {"period_start": start, **sticky, **state}
    if asked.kind == metric == "stickiness_rolling":
        return {"day": start, **sticky, "truncated": row["truncated"], **state}
    return None


def _is_shown(row: Row, asked: Asked) -> bool:
    start = row["day"] if "day" in row else row["period_start"]
    grain = row.get("grain", "month" if asked.kind == "stickiness" else "day")
    return touches(start, grain, asked.first, asked.last)


def touches(start: date, grain: str, first: date | None, last: date | None) -> bool:
    """Whether a period touches the days from `first` to `last`, both in."""
    after = start + timedelta(days={"day": 1, "week": 7}.get(grain, 32))
    after = after.replace(day=1) if grain == "month" else after
    return (first is None or after > first) and (last is None or start <= last)
