"""What must hold of activity in the lake, whatever the sources say.

Contract: docs/metrics.md, "Activity".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.events.activity.rollup import Rolled
    from growth_pipeline.storage.engine import Engine
    from growth_pipeline.storage.lake import Lake

ROWS = "users_are_there_once_a_day"
SUMS = "events_are_kept_or_dropped"
KNOWN = "somebody_counts"
RULES: Mapping[str, str] = {
    ROWS: "A user has one row on a day, with at least one event, in the file of that day.",
    SUMS: "Events that were read are those that are counted plus those that were dropped.",
    KNOWN: "If there were events, some are those of a user who is known and counts.",
}


def judge_rolled(
    rolled: Rolled, lake: Lake, engine: Engine, *, dataset: str
) -> dict[str, list[str]]:
    """What is wrong, by rule; nothing is right. Reads the days that changed."""
    dropped = sum(rolled.dropped.values())
    lost = rolled.events - rolled.kept - dropped
    return {
        ROWS: _faulty_days(rolled, lake, engine, dataset),
        SUMS: [f"{lost} events were neither counted nor dropped"] if lost else [],
        KNOWN: [f"all {dropped} events are of users who are unknown or excluded"]
        if dropped and not rolled.kept
        else [],
    }


def _faulty_days(rolled: Rolled, lake: Lake, engine: Engine, dataset: str) -> list[str]:
    faults = []
    for day in rolled.changed:
        manifest = lake.read_manifest(dataset, {"day": day.isoformat()})
        if manifest is None:
            faults.append(f"{day}: no file")
            continue
        told = engine.query(load_sql("events/faulty_activity"), {"activity": [manifest.path]})
        found = {name: count for name, count in told.row(0, named=True).items() if count}
        faults += [f"{day}: {count} {name.replace('_', ' ')}" for name, count in found.items()]
    return faults
