"""The books into the lake: what users paid, one row per user, local day and currency.

A month is written when one of its days differs, so a payment, a refund or a dispute re-opens only
its own day. Contract: docs/metrics.md, "Payments" and "Cohort money".
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    from growth_pipeline.cohorts.money.money_store import Books, MoneyStore, PaidDay
    from growth_pipeline.storage.lake import Lake, Manifest

MONEY = "money"
DEFINITION = "money@1"
STATE = "rollups/money.json"
_MONTH = "month"


@dataclass(frozen=True)
class RolledMoney:
    """What a rollup of the books did. `changed_days`: days that differ from what was there.

    `until`: payments before it are known; None: none are. `unknown_user`: payments of customers
    whom no user who counts belongs to.
    """

    until: datetime | None
    days: int
    changed_days: int
    unknown_user: int

    def in_words(self) -> str:
        """`money: 40 days of payments, 1 changed; 3 payments of unknown users; known until ...`."""
        until = "unknown" if self.until is None else f"known until {self.until:%Y-%m-%d %H:%M} UTC"
        return (
            f"money: {self.days} days of payments, {self.changed_days} changed; "
            f"{self.unknown_user} payments of unknown users; {until}"
        )


def roll_up_money(store: MoneyStore, lake: Lake, *, tz: str, now: datetime) -> RolledMoney:
    """Bring the lake's money up to date with the books; equal books change nothing.

    Raises: LakeWriteError; LakeUnreadableError; RemoteUnavailableError.
    """
    kept = {manifest.partition[_MONTH]: manifest for manifest in lake.manifests(MONEY)}
    with store.books(tz=tz, as_of=now) as books:
        months: dict[str, list[PaidDay]] = defaultdict(list)
        for day in books.days:
            months[day.month].append(day)
        changed = 0
        for month in sorted(months.keys() | kept.keys()):
            changed += _write(lake, books, month, months.get(month, []), kept.get(month), tz)
        told = RolledMoney(
            None if books.until is None else books.until.astimezone(UTC),
            len(books.days),
            changed,
            books.strangers,
        )
    state = {"tz": tz, "until": told.until.isoformat() if told.until else None}
    lake.put_artifact(STATE, json.dumps(state).encode())
    with suppress(LakeUnreadableError, OSError):  # what stays takes room and does no harm
        lake.prune(MONEY, keep=2)  # somebody may be reading the version before
    return told


def _write(
    lake: Lake,
    books: Books,
    month: str,
    days: list[PaidDay],
    before: Manifest | None,
    tz: str,
) -> int:
    """Write a month if one of its days differs; how many do."""
    words = {str(day.day): day.word for day in days}
    kept: Mapping[str, str] = before.certificate["days"] if before else {}
    if before is not None and kept == words and before.certificate["tz"] == tz:
        return 0
    certificate: dict[str, Any] = {
        "definition": DEFINITION,
        "tz": tz,
        "days": words,
        "currencies": sorted({code for day in days for code in day.currencies}),
    }
    rows = books.rows([day.day for day in days])
    lake.write_partition(MONEY, {_MONTH: month}, rows, certificate)
    return sum(words.get(day) != kept.get(day) for day in words.keys() | kept.keys())
