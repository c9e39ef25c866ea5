"""Ways into published cohorts: the sign-up, or the first activity or payment that the lake holds.

Days of entry are kept in the lake. A fact that is new, changed or gone can only move entries from
its own day on, so the days before the earliest such fact are not read again. Contract:
docs/metrics.md, "Published cohorts".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.cohorts.refresh.facts import LakeFacts
    from growth_pipeline.storage.engine import Table
    from growth_pipeline.storage.lake import Lake, Manifest
    from growth_pipeline.storage.queries import Queries

ENTRIES: Final = "entries"
DEFINITION: Final = "entries@1"
SIGNUP: Final = "signup"
FIRST_ACTIVITY: Final = "first_activity"
FIRST_PAYMENT: Final = "first_payment"
PUBLISHED_ENTRIES: Final = (SIGNUP, FIRST_ACTIVITY, FIRST_PAYMENT)


def entered_by(
    entry: str, lake: Lake, engine: Queries, facts: LakeFacts, *, keep: bool
) -> LakeFacts:
    """The facts with users as they entered: one row per user, user_number and entry_day.

    `keep`: the days of entry are written to the lake (dataset `entries`) for the next refresh.
    Raises: GrowthError for the first payment while payments are unknown; LakeWriteError.
    """
    if entry == SIGNUP:
        return facts
    days = _days(entry, facts)
    before = _kept(entry, lake, facts.tz)
    since = _first_changed(before, days)
    if before is not None and since is None:
        return replace(facts, entry=entry, users=(before.path,))
    first = min(days, default=0) if since is None else since
    found = _found(entry, engine, facts, before, first)
    if not keep:
        return replace(facts, entry=entry, users=found)
    certificate = {
        "definition": DEFINITION,
        "tz": facts.tz,
        "days": {str(day): word for day, word in sorted(days.items())},
    }
    written = lake.write_partition(ENTRIES, {"entry": entry}, [found], certificate)
    return replace(facts, entry=entry, users=(written.path,))


def of_entry(entry: str, partition: Mapping[str, str]) -> dict[str, str]:
    """The partition of a dataset that each way in has its own of."""
    return {**partition} if entry == SIGNUP else {"entry": entry, **partition}


def _days(entry: str, facts: LakeFacts) -> Mapping[int, str]:
    """Day number -> what tells versions of its facts apart."""
    if entry == FIRST_ACTIVITY:
        return {day: manifest.sha256[:16] for day, manifest in facts.days.items()}
    if facts.money.basis is None:
        raise GrowthError(
            "nobody entered by a first payment: payments of users are not known",
            remedy="tell users' customers in billing.user_customers, or use another --entry",
        )
    return facts.money.basis.days


def _kept(entry: str, lake: Lake, tz: str) -> Manifest | None:
    """Entries of the last refresh; those of another zone are of no use."""
    kept = lake.read_manifest(ENTRIES, {"entry": entry})
    return None if kept is None or kept.certificate["tz"] != tz else kept


def _first_changed(before: Manifest | None, days: Mapping[int, str]) -> int | None:
    """The earliest day with other facts than those the kept entries were made of."""
    told = {} if before is None else before.certificate["days"]
    known = {int(day): word for day, word in told.items()}
    return min(
        (day for day in known.keys() | days.keys() if known.get(day) != days.get(day)),
        default=None,
    )


def _found(
    entry: str, engine: Queries, facts: LakeFacts, before: Manifest | None, since: int
) -> pl.DataFrame:
    """Kept entries before a day, and first facts from it on of everybody else."""
    import polars as pl

    entered = {"user_number": pl.Int32, "entry_day": pl.Int32}
    known: Table = pl.DataFrame(schema=entered) if before is None else [before.path]
    if entry == FIRST_ACTIVITY:
        columns = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
        files = facts.activity(sorted(day for day in facts.days if day >= since))
    else:
        columns = {"user_number": pl.Int32, "day": pl.Int32, "gross_minor": pl.Int64}
        months = facts.money.files
        files = [months[month] for month in sorted(months) if month >= f"{date_of(since):%Y-%m}"]
    read: Table = files or pl.DataFrame(schema=columns)
    name = "entries_by_activity" if entry == FIRST_ACTIVITY else "entries_by_payment"
    return engine.query(
        load_sql(f"cohorts/{name}"), {"known": known, "facts": read}, {"since": since}
    )
