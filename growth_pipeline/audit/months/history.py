"""An audit among the audits of its month: what it takes over, what is new, what a close says.

Each question has a module of its own: earlier.py, changes.py with moved.py, closing.py with
freeze.py. Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.months.beside import look_up
from growth_pipeline.audit.months.changes import PaymentChanges, Previous, describe_changes
from growth_pipeline.audit.months.closing import Past
from growth_pipeline.audit.months.freeze import ClosedMonths
from growth_pipeline.audit.months.lines import MonthInHand
from growth_pipeline.audit.months.moved import (
    books_read_at,
    books_state,
    changed_at_stripe,
    changed_in_books,
)
from growth_pipeline.audit.payments.earlier import Earlier
from growth_pipeline.audit.payments.whereabouts import Desk
from growth_pipeline.audit.queries import QueryEngine
from growth_pipeline.audit.sources import Sources
from growth_pipeline.core.ids import Scope


class LedgerNews(Protocol):
    """What is asked of the database."""

    def news_of_charges(
        self, scope: Scope, since: Mapping[str, datetime]
    ) -> Mapping[str, Mapping[str, Any]]:
        """What reached the database about charges since an instant of each."""
        ...


@dataclass(frozen=True)
class History:
    """What earlier audits of the month left: the one before, and how months are closed."""

    previous: Previous | None
    closed: ClosedMonths


@dataclass(frozen=True)
class Told:
    """What an audit says of its month over time. `state`: name of the booked rows as they are."""

    changes: dict[str, Any] | None = None
    past: Past = field(default_factory=Past)
    state: str | None = None


def earlier_of(
    history: History | None, store: LedgerNews, scope: Scope, definition: str, as_of: datetime
) -> Earlier:
    """Findings that may be kept; none of another definition, or of a later instant than this."""
    previous = history.previous if history else None
    if previous is None or previous.definition != definition or previous.as_of > as_of:
        return Earlier()
    since = previous.started_at

    def heard(ids: Iterable[str]) -> set[str]:
        news = store.news_of_charges(scope, dict.fromkeys(ids, since))
        return {one for one, told in news.items() if told["events"] or told["fetched"]}

    return Earlier(previous, heard)


@dataclass(frozen=True)
class InHand:
    """What this audit knows when all is judged; `desk` is None where nothing was compared."""

    scope: Scope
    engine: QueryEngine
    sources: Sources
    desk: Desk | None
    counted: int
    is_complete: bool
    grace: timedelta
    now: datetime
    audit_id: str
    definition: str
    verdict: str = ""


def tell(history: History | None, hand: InHand, findings: Collection[Finding]) -> Told:
    """What changed since the audit before, and what the month's close says.

    Raises: GrowthError of the engine or the database; LakeWriteError when a close cannot be kept.
    """
    if history is None:
        return Told()
    previous, desk = history.previous, hand.desk
    if desk is None:
        return Told(_changes(previous, hand, findings, PaymentChanges()))
    taken = len(desk.earlier.taken)
    payments = PaymentChanges(judged=hand.counted, taken_over=taken)
    state = books_state(hand.engine, desk.matcher.tables["books"], books_read_at(previous))
    if previous is not None:
        payments = PaymentChanges(
            at_stripe=changed_at_stripe(previous, hand.sources, hand.engine),
            in_books=changed_in_books(previous, state),
            judged=hand.counted,
            taken_over=taken,
        )
    changes = _changes(previous, hand, findings, payments)
    return Told(changes, history.closed.look(_month(hand, desk)), state.state)


def _changes(
    previous: Previous | None,
    hand: InHand,
    findings: Collection[Finding],
    payments: PaymentChanges,
) -> dict[str, Any]:
    return describe_changes(
        previous, findings, payments, verdict=hand.verdict, tz=hand.sources.period.tz
    )


def _month(hand: InHand, desk: Desk) -> MonthInHand:
    return MonthInHand(
        scope=hand.scope,
        period=hand.sources.period,
        engine=hand.engine,
        tables=desk.matcher.tables,
        judged=list(desk.judged.values()),
        look_up=partial(look_up, desk.matcher.lists),
        refunds_complete="refunds" in hand.sources.complete,
        is_complete=hand.is_complete,
        as_of=hand.sources.as_of,
        grace=hand.grace,
        now=hand.now,
        audit_id=hand.audit_id,
        definition=hand.definition,
    )
