"""Asks Stripe about the objects that events alone cannot settle, one at a time.

Three reasons: two states of one instant that nothing orders, a nested list that an event cut off,
and thin events, which name an object without carrying it. What an answer means is `ledger.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

import structlog

from growth_pipeline.billing.children import lists_of
from growth_pipeline.billing.fold import State
from growth_pipeline.billing.ledger import Fetched, apply_fetched_in, ask_about
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.store import BillingStore, MirrorTurn, WaitingQuestion
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.client import LookedUp
from growth_pipeline.stripe_api.errors import StripeAuthError, StripeError, StripeIncompleteError

_log: Final = structlog.get_logger(__name__)

# Questions taken at once. At Stripe's limit for one endpoint they take seconds, far less than a
# claim lasts; whoever dies meanwhile holds them up for no longer than that.
_BATCH: Final = 20
_CLAIM: Final = timedelta(minutes=5)
_AFTER_NO_ANSWER: Final = timedelta(minutes=1)
_AFTER_REFUSAL: Final = timedelta(hours=1)


class LookUp(Protocol):
    """What is needed of a reader of Stripe."""

    @property
    def scope(self) -> Scope:
        """Account and mode that it reads."""
        ...

    @property
    def api_version(self) -> str:
        """Version that its objects are rendered in."""
        ...

    def look_up(self, resource: str, id: str, params: Mapping[str, str] | None = None) -> LookedUp:
        """One object as it is now."""
        ...

    def complete_nested(self, owner: dict[str, Any], name: str) -> dict[str, Any]:
        """The object with a nested list whole."""
        ...


class Refetched(NamedTuple):
    """Number of objects that Stripe was asked about, by what came of it.

    `gone`: Stripe knows no such object any more. `refused`: Stripe, or the mirror, does not take
    the question or its answer; it is asked again in an hour.
    """

    answered: int = 0
    gone: int = 0
    refused: int = 0

    def plus(self, other: Refetched) -> Refetched:
        """Both numbers together."""
        return Refetched(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def refetch_waiting(
    store: BillingStore,
    reader: LookUp,
    *,
    now: datetime,
    limit: int = 100,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Refetched:
    """Ask about waiting objects of the reader's account and mode that are due; at most `limit`.

    Safe in several processes at once; no transaction is open while Stripe is asked. An object of
    which the answer leaves a doubt waits again, longer each time.
    Raises: StripeAuthError, StripeIncompleteError when Stripe gives no answer; all that is
    unanswered waits on. RemoteUnavailableError when the database is away.
    """
    total = Refetched()
    while limit > 0 and not is_stopping():
        claim = uuid4()
        questions = store.claim_refetches(
            reader.scope, claim=claim, now=now, until=now + _CLAIM, limit=min(limit, _BATCH)
        )
        if not questions:
            break
        limit -= len(questions)
        answers = _ask(reader, questions)
        with store.mirror_turn() as turn:
            turn.delay_refetches(answers.refused, claim=claim, due_at=now + _AFTER_REFUSAL)
            turn.delay_refetches(answers.unasked, claim=claim, due_at=now + _AFTER_NO_ANSWER)
            _settle(turn, answers.fetched, now=now)
            turn.finish_refetches([each.key for each in answers.fetched], claim=claim)
        total = total.plus(answers.counted())
        if answers.failure is not None:
            raise answers.failure
    return total


class Asked(NamedTuple):
    """What asking about everything that is due came to; `trouble` says why it ended early."""

    done: Refetched
    trouble: str | None = None


def refetch_due(
    store: BillingStore,
    open_reader: Callable[[str], AbstractContextManager[LookUp]],
    scopes: Iterable[Scope],
    *,
    now: datetime,
) -> Asked:
    """Ask about all that is due, of several accounts; no key and no answer are told, not raised.

    What Stripe was not asked about waits on. Nobody is asked while nothing is due.
    Raises: RemoteUnavailableError when the database is away.
    """
    done = Refetched()
    for scope in scopes:
        if not store.has_due_refetches(scope, now=now):
            continue
        try:
            with open_reader(scope.account_id) as reader:
                done = done.plus(refetch_waiting(store, reader, now=now))
        except (ConfigurationError, StripeError) as trouble:
            return Asked(done, trouble.message)
    return Asked(done)


class _Answers(NamedTuple):
    """What a batch of questions gave: states, refusals, and those left when Stripe fell silent."""

    fetched: list[Fetched]
    refused: dict[ObjectKey, str]
    unasked: dict[ObjectKey, str]
    failure: StripeError | None = None

    def counted(self) -> Refetched:
        gone = sum(each.is_gone for each in self.fetched)
        return Refetched(len(self.fetched) - gone, gone, len(self.refused))


def _ask(reader: LookUp, questions: Sequence[WaitingQuestion]) -> _Answers:
    answers = _Answers([], {}, {})
    for position, question in enumerate(questions):
        try:
            answers.fetched.append(fetch(reader, question.key))
        except (StripeAuthError, StripeIncompleteError) as silence:
            rest = [left.key for left in questions[position:]]
            return answers._replace(unasked=dict.fromkeys(rest, silence.message), failure=silence)
        except StripeError as refusal:
            answers.refused[question.key] = refusal.message
            _log.warning("refetch_refused", object=question.key.object, reason=refusal.message)
    return answers


def fetch(reader: LookUp, key: ObjectKey) -> Fetched:
    """One object as Stripe shows it now: discounts expanded, nested lists whole.

    Raises: as every read of Stripe; KeyError for a kind that is none of ours.
    """
    kind = BY_OBJECT[key.object]
    expand = {
        name: value.removeprefix("data.")
        for name, value in kind.params.items()
        if name.startswith("expand[")
    }
    seen = reader.look_up(kind.path, key.id, expand)
    payload = seen.object
    if payload is not None:
        for name in kind.nested:
            payload = reader.complete_nested(payload, name)
    return Fetched(
        key=key,
        payload=payload,
        raw=b"" if payload is None else raw_text(payload).encode(),
        api_version=reader.api_version,
        fetched_from=seen.fetched_from,
        fetched_to=seen.fetched_to,
    )


def _settle(turn: MirrorTurn, fetched: Sequence[Fetched], *, now: datetime) -> None:
    outcome = apply_fetched_in(turn, fetched, source="refetch", now=now)
    for key, reason in outcome.refused:
        _log.warning("refetched_state_refused", object=key.object, reason=reason.partition(":")[0])
    keys = [each.key for each in fetched]
    turn.mark_thin_events(keys)
    # An answer that is like the last one changes no row, and the doubt about it stays.
    states = turn.load_states(keys)
    cut_off = {key for key, state in states.items() if _is_cut_off(state)}
    doubtful = {key: state for key, state in states.items() if state.undecided or key in cut_off}
    ask_about(turn, doubtful, cut_off, now=now)


def _is_cut_off(state: State) -> bool:
    lists = lists_of(state.snapshot) if state.snapshot.origin == "event" else []
    return not all(shown.is_whole for shown in lists)
