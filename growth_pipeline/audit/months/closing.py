"""Closed months: when a month is frozen, what counts as a change since, and why it changed. Pure.

Lines are read and kept by freeze.py. Contract: docs/metrics.md, "Timing".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

STRIPE: Final = "stripe"
BOOKS: Final = "books"
MEASURES: Final = ("count", "gross_minor", "refunded_minor", "disputed_minor", "net_minor")


class Reason(StrEnum):
    """Why a figure of a closed month is another one now."""

    REFUND_LATER = "refund_made_later"
    REFUND_CHANGED = "refund_changed"
    DISPUTE = "dispute"
    LATE_EVENT = "late_event"
    CHANGED_AT_STRIPE = "changed_at_stripe"
    BACKFILLED = "backfilled"
    REPAIRED = "repaired"
    IMPORTED = "imported"
    CHANGED_BY_HAND = "changed_by_hand"


class LineKey(NamedTuple):
    """What one line of a month is known by: a payment on one side, in one currency."""

    side: str
    object: str
    object_id: str
    currency: str


@dataclass(frozen=True)
class LineState:
    """One payment on one side. Units: minor units; what is not settled counts 0.

    `status` is None where the side has no such payment.
    """

    status: str | None = None
    count: int = 0
    gross_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Gross less refunds and disputed funds."""
        return self.gross_minor - self.refunded_minor - self.disputed_minor

    def to_dict(self) -> dict[str, Any]:
        """The state as the log keeps it."""
        return {"status": self.status, **{name: getattr(self, name) for name in MEASURES}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The state of a line, or of an entry of the log."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__})


NOTHING: Final = LineState()


@dataclass(frozen=True)
class Close:
    """A month as it was frozen. `totals`: side -> currency -> measures in minor units."""

    audit_id: str
    definition: str
    closed_at: datetime
    as_of: datetime
    totals: Mapping[str, Mapping[str, Mapping[str, int]]]
    file_sha256: str
    file_rows: int
    file_bytes: int


@dataclass(frozen=True)
class Restatement:
    """One change of one line since the close."""

    key: LineKey
    before: LineState
    after: LineState
    reason: Reason
    evidence: tuple[str, ...]
    first_seen_at: datetime

    @property
    def difference_minor(self) -> int:
        """Net now less net before, minor units of the line's currency."""
        return self.after.net_minor - self.before.net_minor

    def to_dict(self) -> dict[str, Any]:
        """The entry as report and JSON carry it."""
        return {
            **self.key._asdict(),
            "before_minor": self.before.net_minor,
            "after_minor": self.after.net_minor,
            "difference_minor": self.difference_minor,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "reason": str(self.reason),
            "evidence": list(self.evidence),
            "first_seen_at": self.first_seen_at.isoformat(),
        }


@dataclass(frozen=True)
class News:
    """What is known of a line that changed since the close; ids are evidence.

    `written_by`: who wrote the row last. `repairs`: rows of repairs that touched it. `late_events`:
    events made before the frozen instant that arrived after the close; `events`: all that arrived
    since. `fetched`: whether a question to Stripe, no event, brought the mirror's state since.
    `refunds`, `disputes`: those made or changed since, by Stripe's lists.
    """

    written_by: str | None = None
    is_rewritten: bool = False
    repairs: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    late_events: tuple[str, ...] = ()
    fetched: bool = False
    refunds: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()


def may_close(
    *, month_end: datetime, as_of: datetime, grace: timedelta, after_days: int, is_complete: bool
) -> bool:
    """Whether an audit freezes its month: complete, nothing in grace, and late enough.

    Late enough: known up to `after_days` days after the month's end, or more.
    """
    is_late = as_of >= month_end + timedelta(days=after_days)
    return is_complete and is_late and as_of - grace >= month_end


def last_known(
    frozen: Mapping[LineKey, LineState], log: Iterable[Restatement]
) -> dict[LineKey, LineState]:
    """Lines as they were known last: the newest entry of the log, else what was frozen."""
    known = dict(frozen)
    for entry in sorted(log, key=lambda entry: entry.first_seen_at):
        known[entry.key] = entry.after
    return known


def reason_of(key: LineKey, before: LineState, after: LineState, news: News) -> Reason:
    """Why a line changed. On the books' side: who wrote it, else what arrived; then what moved."""
    if key.side == STRIPE:
        return _what_moved(before, after, news)
    if news.repairs or (news.is_rewritten and news.written_by == "repair"):
        return Reason.REPAIRED
    if news.is_rewritten and news.written_by == "import":
        return Reason.IMPORTED
    is_ours = news.is_rewritten and news.written_by == "mirror"
    if not is_ours or not (news.events or news.fetched):
        return Reason.CHANGED_BY_HAND  # our own rows change by events and answers of Stripe alone
    if news.late_events:
        return Reason.LATE_EVENT
    return _what_moved(before, after, news) if news.events else Reason.BACKFILLED


def _what_moved(before: LineState, after: LineState, news: News) -> Reason:
    """Why, by the measure that moved while the rest of the payment stayed."""
    if (before.status, before.gross_minor) != (after.status, after.gross_minor):
        return Reason.CHANGED_AT_STRIPE
    if before.disputed_minor != after.disputed_minor:
        return Reason.DISPUTE
    if before.refunded_minor != after.refunded_minor:
        return Reason.REFUND_LATER if news.refunds else Reason.REFUND_CHANGED
    return Reason.CHANGED_AT_STRIPE


def evidence_of(news: News) -> tuple[str, ...]:
    """Ids that show why: parts, events, rows of repairs; each once, in that order."""
    named = (*news.refunds, *news.disputes, *(news.late_events or news.events), *news.repairs)
    return tuple(dict.fromkeys(named))


Sums = dict[str, dict[str, dict[str, int]]]


def restated_totals(
    frozen: Mapping[str, Mapping[str, Mapping[str, int]]], log: Iterable[Restatement]
) -> Sums:
    """Frozen totals plus every difference of the log; per side, currency and measure."""
    sums: Sums = {
        side: {currency: dict(measures) for currency, measures in of_side.items()}
        for side, of_side in frozen.items()
    }
    for entry in log:
        measures = sums.setdefault(entry.key.side, {}).setdefault(
            entry.key.currency, dict.fromkeys(MEASURES, 0)
        )
        for name in MEASURES:
            measures[name] += getattr(entry.after, name) - getattr(entry.before, name)
    return sums


def differing_totals(expected: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Where two sets of totals differ, as `books usd net_minor: 100 is not 90`; empty if nowhere.

    A currency that one of them lacks counts as zeros.
    """
    wrong = []
    for side in (STRIPE, BOOKS):
        ours, theirs = expected.get(side, {}), now.get(side, {})
        for currency in sorted(ours.keys() | theirs.keys()):
            for name in MEASURES:
                one = ours.get(currency, {}).get(name, 0)
                other = theirs.get(currency, {}).get(name, 0)
                if one != other:
                    wrong.append(f"{side} {currency} {name}: {one} is not {other}")
    return wrong


@dataclass(frozen=True)
class Past:
    """What an audit leaves about a closed month: the close, new entries, and whether all adds up.

    `close` is None while the month is not closed. `is_new`: this audit closes it. `log`: entries of
    earlier audits; `fresh`: those that this one adds. `wrong`: where frozen figures plus the log
    are not the figures of now. `problem`: why nothing could be compared, in one sentence.
    """

    close: Close | None = None
    is_new: bool = False
    log: tuple[Restatement, ...] = ()
    fresh: tuple[Restatement, ...] = ()
    wrong: tuple[str, ...] = ()
    problem: str | None = None
    now: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remedy(self) -> str:
        """What to do when frozen and present figures could not be compared, or do not add up."""
        if self.problem:
            return "Mend what the message names, then audit the month again."
        if self.wrong:
            return "Report the message to the makers of growth_pipeline: it is a mistake of theirs."
        return ""

    def close_dict(self) -> dict[str, Any] | None:
        """The close as report and JSON carry it."""
        if self.close is None:
            return None
        return {
            "closed_at": self.close.closed_at.isoformat(),
            "audit_id": self.close.audit_id,
            "definition": self.close.definition,
            "as_of": self.close.as_of.isoformat(),
            "totals": self.close.totals,
            "totals_now": self.now or None,
            "adds_up": None if self.problem else not self.wrong,
            "problem": self.problem or ("; ".join(self.wrong) or None),
            "file_sha256": self.close.file_sha256,
        }

    def entries(self) -> list[dict[str, Any]]:
        """The whole log, the newest first."""
        entries = sorted(
            [*self.log, *self.fresh], key=lambda one: (one.first_seen_at, one.key), reverse=True
        )
        return [entry.to_dict() for entry in entries]
