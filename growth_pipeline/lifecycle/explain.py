"""Why a user has a stage and a score, and what was written to them. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import DaySpan, UserFacts
from growth_pipeline.lifecycle.outbox.addresses import AddressBook, address_hash
from growth_pipeline.lifecycle.refresh.fact_store import find_user, read_facts
from growth_pipeline.lifecycle.refresh.refresh import last_closed_day
from growth_pipeline.lifecycle.rules import LifecycleRules
from growth_pipeline.lifecycle.scoring import (
    BREADTH_HALF_LIFE,
    ENGAGEMENT_1,
    FREQUENCY_HALF_LIFE,
    RECENCY_HALF_LIFE,
    SHARES,
    WINDOW_DAYS,
    Score,
    score_on,
)
from growth_pipeline.lifecycle.stages import STAGES_1, RowTold, explain_stage
from growth_pipeline.lifecycle.suppression.store import SuppressionStore
from growth_pipeline.storage.postgres import Connection, Database, clear_errors
from growth_pipeline.storage.sql import load_sql

_BILLING: Final = (*("paying", "past_due", "cancel_scheduled", "disputed", "paused", "trialing"),)


@dataclass(frozen=True)
class Explanation:
    """Grain: one user and local day. `kept`: what the tables hold of the user now.

    Messages and suppressions are shown without any address.
    """

    user_id: str
    day: date
    kept: Mapping[str, Any]
    facts: UserFacts
    rows: Sequence[RowTold]
    score: Score
    transitions: Sequence[Mapping[str, Any]]
    journeys: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]
    has_address: bool
    suppressions: Sequence[Mapping[str, Any]]

    @property
    def decisive(self) -> RowTold:
        """The first row that is true."""
        return next(row for row in self.rows if row.is_true)

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "user": self.user_id,
            "day": self.day.isoformat(),
            "stage": str(self.decisive.stage),
            "row": self.decisive.row,
            "definition": STAGES_1,
            "rows": [
                {
                    "row": row.row,
                    "stage": str(row.stage),
                    "what": row.what,
                    "is_true": row.is_true,
                    "decides": row is self.decisive,
                    "evidence": dict(row.evidence),
                }
                for row in self.rows
            ],
            "kept": plain(dict(self.kept)),
            "transitions": plain(list(self.transitions)),
            "score": _score_told(self.score),
            "facts": _facts_told(self.facts, self.day),
            "journeys": plain(list(self.journeys)),
            "messages": plain(list(self.messages)),
            "has_address": self.has_address,
            "suppressions": list(self.suppressions),
        }

    def lines(self) -> Iterator[str]:
        """For a person."""
        decisive = self.decisive
        yield f"{self.user_id} at the end of {self.day}: {decisive.stage} (row {decisive.row})"
        yield from self._kept_lines()
        yield ""
        yield f"Rules {STAGES_1}, the first that is true holds:"
        for row in self.rows:
            mark = "YES" if row.is_true else "no "
            here = "  <- decides" if row is decisive else ""
            told = f"{row.row:<3} {row.stage:<12} {row.what}{_facts_of(row.evidence)}"
            yield f"  {mark}  {told}{here}"
        yield ""
        yield from _score_lines(self.score, self.facts)
        yield ""
        yield "History (what later facts made untrue is marked):"
        for one in self.transitions:
            void = "  (no longer true)" if one["superseded_at"] else ""
            before = one["from_stage"] or "-"
            row = one["evidence"].get("row", "")
            told = f"{before} -> {one['to_stage']} (row {row}){_facts_of(one['evidence'])}"
            yield f"  {one['day']}  {told}{void}"
        yield from self._message_lines()

    def _kept_lines(self) -> Iterator[str]:
        if self.kept["news"]:
            yield "  something new of this user waits: growth lifecycle run"
        if self.kept["next_due_on"]:
            yield f"  looked at again by itself on {self.kept['next_due_on']}"

    def _message_lines(self) -> Iterator[str]:
        yield ""
        yield "Journeys:" if self.journeys else "Journeys: none was entered."
        for one in self.journeys:
            held = ", held out: gets nothing" if one["is_holdout"] else ""
            due = f", next step {one['next_at']:%Y-%m-%d %H:%M}" if one["next_at"] else ""
            entered = f"since {one['entered_at']:%Y-%m-%d %H:%M}"
            yield f"  {one['journey']}@{one['version']}  {one['state']} {entered}{due}{held}"
        yield "Messages:" if self.messages else "Messages: none."
        for one in self.messages:
            why = f" ({one['reason']})" if one["reason"] else ""
            at = one["sent_at"] or one["due_at"]
            yield f"  {one['message']}  {one['state']}{why}  {at:%Y-%m-%d %H:%M}"
        active = [one for one in self.suppressions if one["lifted_at"] is None]
        if not self.has_address:
            yield "Address: none is known, so nothing can be sent."
        elif not active:
            yield "Address: known, and not suppressed."
        for one in active:
            yield f"Suppressed: {one['reason']} since {one['since'][:16]} (told by {one['source']})"


def explain_user(
    database: Database, rules: LifecycleRules, user_id: str, *, day: date | None, now: datetime
) -> Explanation:
    """Everything about the stage and the score of a user on a local day; else the last one over.

    Raises: UsageError for a user of whom nothing is known, or who does not count;
    RemoteUnavailableError.
    """
    user = find_user(database, user_id)
    if user is None:
        raise _unknown(database, user_id)
    closed = last_closed_day(now, rules.tz)
    if day is not None and day > closed:
        raise UsageError(f"{day} is not over", remedy=f"the last day that is over is {closed}")
    with clear_errors(), database.connection() as connection:
        (kept,) = _rows(connection, "explain_user", user)
        facts = read_facts(connection, [user], rules).get(user)
        if facts is None:
            raise _does_not_count(kept)
        wanted = day or closed
        if wanted < facts.first_on:
            raise UsageError(
                f"nothing is known of the user before {facts.first_on}",
                remedy="their first stage is that of the end of this day"
                if day is None
                else f"ask for {facts.first_on} or a later day",
            )
        transitions = _rows(connection, "explain_transitions", user)
        journeys = _rows(connection, "explain_journeys", user)
        messages = _rows(connection, "explain_messages", user)
    address = AddressBook(database).addresses([user]).get(user)
    suppressions = SuppressionStore(database).of_address(address_hash(address)) if address else []
    return Explanation(
        user_id,
        wanted,
        kept,
        facts,
        explain_stage(facts, wanted),
        score_on(facts, wanted),
        transitions,
        journeys,
        messages,
        address is not None,
        [_without_address(one.to_dict()) for one in suppressions],
    )


def plain(value: Any) -> Any:
    """Days and instants as ISO texts, for JSON."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


# --- inside --------------------------------------------------------------------------------------


def _rows(connection: Connection, statement: str, user: int) -> list[dict[str, Any]]:
    found = connection.execute(load_sql(f"lifecycle/{statement}"), {"user_number": user})
    names = [column.name for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _unknown(database: Database, user_id: str) -> UsageError:
    with clear_errors(), database.connection() as connection:
        row = connection.execute(load_sql("lifecycle/decided_until")).fetchone()
    if row is None or row[0] is None:
        return UsageError("no stage was decided yet", remedy="growth lifecycle run decides them")
    if "@" in user_id:
        remedy = "give the user's id: nobody is known here by an address"
    elif user_id.startswith("cus_"):
        remedy = "give the user's id, not Stripe's id of the customer"
    else:
        remedy = "give the id that the application tells in identify calls, or an anonymous id"
    return UsageError("nobody is known by this id", remedy=remedy)


def _does_not_count(kept: Mapping[str, Any]) -> UsageError:
    if kept["is_excluded"]:
        return UsageError(
            "this user is excluded: an internal or a test user, who has no stage",
            remedy="remove the exclusion if that is wrong, then growth lifecycle run",
        )
    return UsageError("this user does not count", remedy="growth lifecycle run")


def _without_address(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "address_hash"}


def _facts_of(evidence: Mapping[str, Any]) -> str:
    told = ", ".join(
        f"{name} {'/'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in evidence.items()
        if name != "row"
    )
    return f" [{told}]" if told else ""


def _score_told(score: Score) -> dict[str, Any]:
    parts = zip(
        ("frequency", "recency", "breadth"),
        (score.frequency, score.recency, score.breadth),
        score.points,
        SHARES,
        (FREQUENCY_HALF_LIFE, RECENCY_HALF_LIFE, BREADTH_HALF_LIFE),
        strict=True,
    )
    return {
        "definition": ENGAGEMENT_1,
        "day": score.day.isoformat(),
        "value": score.value,
        "band": str(score.band),
        "is_young": score.young,
        "parts": [
            {
                "part": part,
                "share": round(share, 6),
                "points": points,
                "of": most,
                "half_life": half,
            }
            for part, share, points, most, half in parts
        ],
    }


def _score_lines(score: Score, facts: UserFacts) -> Iterator[str]:
    young = ", a young account" if score.young else ""
    yield f"Score {ENGAGEMENT_1}: {score.value} of 100 ({score.band}{young})"
    told = {
        "frequency": f"active on {_active(facts, score.day)} of the last {WINDOW_DAYS} days",
        "recency": f"last active on {_last(facts.active_days, score.day) or 'no day'}",
        "breadth": f"key features: {_features(facts, score.day)}",
    }
    for part in _score_told(score)["parts"]:
        name = part["part"]
        half = f"half-life {part['half_life']} days"
        yield f"  {part['points']:>3} of {part['of']}  {name}: {told[name]} ({half})"


def _active(facts: UserFacts, day: date) -> int:
    since = day - timedelta(days=WINDOW_DAYS)
    return sum(since < one <= day for one in facts.active_days)


def _last(days: Sequence[date], day: date) -> date | None:
    return max((one for one in days if one <= day), default=None)


def _features(facts: UserFacts, day: date) -> str:
    used = {name: _last(days, day) for name, days in facts.feature_days.items()}
    return ", ".join(f"{name} {last}" for name, last in used.items() if last) or "none used"


def _facts_told(facts: UserFacts, day: date) -> dict[str, Any]:
    features = {name: _last(days, day) for name, days in facts.feature_days.items()}
    return {
        "first_on": facts.first_on.isoformat(),
        "signed_up_on": plain(facts.signed_up_on),
        "activated_on": plain(facts.activated_on),
        "deleted_on": plain(facts.deleted_on),
        "last_active_on": plain(_last(facts.active_days, day)),
        "active_days_of_56": _active(facts, day),
        "features_last_used_on": {name: plain(last) for name, last in features.items() if last},
        "billing": {kind: [_span(span) for span in getattr(facts, kind)] for kind in _BILLING},
    }


def _span(span: DaySpan) -> dict[str, Any]:
    return {"from": plain(span.from_on), "until": plain(span.until_on), "why": span.why}
