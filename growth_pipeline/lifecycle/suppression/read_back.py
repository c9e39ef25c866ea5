"""Both ways between here and Kit: who left there is suppressed here, and the other way round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from growth_pipeline.lifecycle.kit.client import KitClient, State, Subscriber
from growth_pipeline.lifecycle.kit.errors import (
    KitRefusedError,
    KitUnknownError,
    KitUnreadableError,
)
from growth_pipeline.lifecycle.outbox.addresses import address_hash
from growth_pipeline.lifecycle.suppression.store import HOLD, SuppressionStore
from growth_pipeline.storage.postgres import Database, clear_errors
from growth_pipeline.storage.sql import load_sql

KIT: Final = "kit"
REASONS: Final = {
    State.CANCELLED: "unsubscribed",
    State.BOUNCED: "bounced",
    State.COMPLAINED: "complained",
}
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SEEN_LATE: Final = timedelta(hours=1)


@dataclass
class ReadBack:
    """What was learned: addresses by reason, holds that ended, and addresses Kit was told of."""

    learned: Counter[str] = field(default_factory=Counter)
    lifted: int = 0
    told: int = 0
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {**vars(self), "learned": dict(self.learned)}

    def in_words(self) -> str:
        """For a person."""
        learned = ", ".join(f"{reason} {count}" for reason, count in sorted(self.learned.items()))
        return (
            f"from Kit: {learned or 'nobody left'}; {self.lifted} holds lifted; Kit was told of "
            f"{self.told}" + (f"; stopped: {self.stopped}" if self.stopped else "")
        )


def read_back(
    database: Database,
    kit: KitClient,
    *,
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> ReadBack:
    """Learn who left at Kit since the last time, settle holds, and tell Kit who left here.

    Kit's faults end it, not the pipeline. Raises: RemoteUnavailableError.
    """
    store, done = SuppressionStore(database), ReadBack()
    try:
        _settle_holds(store, kit, done)
        _learn(database, store, kit, now, done)
        _tell_kit(store, kit, done)
    except (KitRefusedError, KitUnreadableError, KitUnknownError) as error:
        done.stopped = error.message
    tell(done.in_words())
    return done


def _settle_holds(store: SuppressionStore, kit: KitClient, done: ReadBack) -> None:
    """A hint said that something changed: what Kit says now counts."""
    holds = store.holds()
    addresses = store.addresses_of([known_as for known_as, kit_id in holds if kit_id is None])
    for known_as, kit_id in holds:
        found: Subscriber | None = None
        if kit_id is not None:
            found = kit.subscriber(kit_id)
        elif known_as in addresses:
            found = kit.find(addresses[known_as])
        if found is not None and found.state is State.ACTIVE:
            done.lifted += store.lift(known_as, HOLD, "active at Kit")
        elif found is not None and found.state in REASONS:
            reason = REASONS[found.state]
            done.learned[reason] += store.suppress(known_as, reason, KIT)
            store.lift(known_as, HOLD, f"{reason} at Kit")


def _learn(
    database: Database, store: SuppressionStore, kit: KitClient, now: datetime, done: ReadBack
) -> None:
    with clear_errors(), database.connection() as connection:
        row = connection.execute(load_sql("lifecycle/read_reading"), {"what": KIT}).fetchone()
    since = row[0] if row and row[0] else _BEGINNING
    for state, reason in REASONS.items():
        for one in kit.not_active_since(state, since):
            if one.address:
                done.learned[reason] += store.suppress(address_hash(one.address), reason, KIT)
    with clear_errors(), database.connection() as connection:
        values = {"what": KIT, "until": now - _SEEN_LATE, "told": None}
        connection.execute(load_sql("lifecycle/set_reading"), values)


def _tell_kit(store: SuppressionStore, kit: KitClient, done: ReadBack) -> None:
    """Unsubscribe at Kit who unsubscribed here, so that nothing else writes to them either."""
    untold = store.untold()
    addresses = store.addresses_of([known_as for known_as, _ in untold])
    for known_as, kit_id in untold:
        found = kit.subscriber(kit_id) if kit_id is not None else None
        if found is None and known_as in addresses:
            found = kit.find(addresses[known_as])
        if found is not None and found.state in (State.ACTIVE, State.INACTIVE):
            kit.unsubscribe(found.kit_id)
            done.told += 1
        store.mark_told(known_as)
