"""What an hourly run does with messages: learn who left, plan, send. For Dagster and a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from growth_pipeline.lifecycle.choice import KitChoice
from growth_pipeline.lifecycle.journeys.model import Journey, SendingPolicy
from growth_pipeline.lifecycle.journeys.store import Planned, plan_messages
from growth_pipeline.lifecycle.outbox.addresses import AddressBook
from growth_pipeline.lifecycle.outbox.send import SendReport, send_due
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.lifecycle.suppression.copy import keep_copy
from growth_pipeline.lifecycle.suppression.read_back import ReadBack, read_back
from growth_pipeline.lifecycle.suppression.store import SuppressionStore

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake
    from growth_pipeline.storage.postgres import Database


@dataclass(frozen=True)
class MessagesDone:
    """What became of messages; `report` and `learned` are None where nothing is sent."""

    planned: Planned
    report: SendReport | None
    learned: ReadBack | None
    restored: int
    outbox: dict[str, int]
    why_not: str

    @property
    def stopped(self) -> str:
        """Why Kit's part ended before its work did; empty: it did not."""
        told = (
            self.learned.stopped if self.learned else "",
            self.report.stopped if self.report else "",
        )
        return next(filter(None, told), "")

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "planned": self.planned.to_dict(),
            "sent": None if self.report is None else self.report.to_dict(),
            "learned": None if self.learned is None else self.learned.to_dict(),
            "suppressions_restored": self.restored,
            "outbox": self.outbox,
            "why_nothing_is_sent": self.why_not,
        }


def run_messages(
    database: Database,
    lake: Lake,
    journeys: Sequence[Journey],
    policy: SendingPolicy,
    rules: LifecycleRules,
    kit: KitChoice,
    *,
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
) -> MessagesDone:
    """One look at all messages. Who left is learned before anything is sent, here and from Kit.

    Raises: RemoteUnavailableError; LakeWriteError; LakeUnreadableError. Faults of Kit stand in the
    result.
    """
    suppressions = SuppressionStore(database)
    suppressions.suppress_deleted()
    restored = keep_copy(suppressions, lake)
    report = learned = None
    planned = plan_messages(database, journeys, policy, rules, now=now, send=kit.send, tell=tell)
    if kit.send:
        with kit.client(database) as client:
            learned = read_back(database, client, now=now, tell=tell)
            report = send_due(
                OutboxStore(database),
                client,
                AddressBook(database),
                limits=kit.limits(),
                tell=tell,
            )
        keep_copy(suppressions, lake)
    else:
        tell(kit.why_not)
    return MessagesDone(
        planned, report, learned, restored, OutboxStore(database).counts(), kit.why_not
    )
