"""Asks Stripe about the objects that events alone cannot settle, one at a time.

Three reasons: two states of one instant that nothing orders, a nested list that an event cut off,
and thin events, which name an object without carrying it. What an answer means is `ledger.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

import structlog

from growth_pipeline.billing.children import lists_of
from growth_pipeline.billing.fold import State
from growth_pipeline.billing.ledger import Fetched, apply_fetched_in, ask_about
from growth_pipeline.billing.objects import BY_OBJECT
from growth_pipeline.billing.store import BillingStore, MirrorTurn, WaitingQuestion
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.witness import check_account
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.answers import raw_text
from growth_pipeline.stripe_api.client import LookedUp
from growth_pipeline.stripe_api.errors import (
    StripeAuthError,
    StripeError,
    StripeIncompleteError,
    StripeUnreachableError,
)

_log: Final = structlog.get_logger(__name__)

# Questions taken at once. At Stripe's limit for one endpoint they take seconds, far less than a
# claim lasts; whoever dies meanwhile holds them up for no longer than that.
_BATCH: Final = 20
_CLAIM: Final = timedelta(minutes=5)
# Nothing new is asked in a batch after this long: one answer may take two minutes to fail.
_ASK_FOR: Final = timedelta(minutes=2)
_AFTER_NO_ANSWER: Final = timedelta(minutes=1)
_AFTER_REFUSAL: Final = timedelta(hours=1)
# After these no other question fares better.
SILENCE: Final = (StripeAuthError, StripeUnreachableError)


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
    the question or its answer; it is asked again in an hour. `unanswered`: Stripe gave no whole
    answer; it is asked again in a minute, then in two, up to an hour.
    """

    answered: int = 0
    gone: int = 0
    refused: int = 0
    unanswered: int = 0

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
    which the answer leaves a doubt, and one without an answer, waits again, longer each time, and
    holds up no other.
    Raises: StripeAuthError, StripeUnreachableError when nobody else's question would fare better;
    all that is unanswered waits on. RemoteUnavailableError when the database is away.
    ConfigurationError when the key is another account's.
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
        answers = _ask(reader, questions, is_stopping)
        if any(each.is_gone for each in answers.fetched):  # or the key is another account's
            check_account(reader.scope, store, partial(fetch, reader))
        with store.mirror_turn() as turn:
            unusable = _settle(turn, answers.fetched, now=now)
            refused = answers.refused | unusable
            delay = partial(turn.delay_refetches, claim=claim, now=now)
            delay(refused, wait=_AFTER_REFUSAL, was_asked=True)
            delay(answers.unanswered, wait=_AFTER_NO_ANSWER, was_asked=True)
            pause = _AFTER_NO_ANSWER if answers.failure else timedelta(0)
            delay(answers.unasked, wait=pause, was_asked=False)
            usable = [each for each in answers.fetched if each.key not in unusable]
            turn.finish_refetches([each.key for each in usable], claim=claim)
        gone = sum(each.is_gone for each in usable)
        total = total.plus(
            Refetched(len(usable) - gone, gone, len(refused), len(answers.unanswered))
        )
        if answers.failure is not None:
            raise answers.failure
    return total


class Asked(NamedTuple):
    """What asking about everything that is due came to; `trouble` is the first that was met."""

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

    What Stripe was not asked about waits on. Nobody is asked while nothing is due. An account in
    trouble holds up no other, unless Stripe is away or does not take the key.
    Raises: RemoteUnavailableError when the database is away.
    """
    done = Refetched()
    trouble: str | None = None
    for scope in scopes:
        if not store.has_due_refetches(scope, now=now):
            continue
        try:
            with open_reader(scope.account_id) as reader:
                done = done.plus(refetch_waiting(store, reader, now=now))
        except (ConfigurationError, StripeError) as error:
            trouble = trouble or error.message
            if isinstance(error, SILENCE):
                break
    return Asked(done, trouble)


class _Answers(NamedTuple):
    """What a batch of questions gave: states, refusals, silence, and those that were not asked."""

    fetched: list[Fetched]
    refused: dict[ObjectKey, str]
    unanswered: dict[ObjectKey, str]
    unasked: dict[ObjectKey, str | None]
    failure: StripeError | None = None


def _ask(
    reader: LookUp, questions: Sequence[WaitingQuestion], is_stopping: Callable[[], bool]
) -> _Answers:
    answers = _Answers([], {}, {}, {})
    until = time.monotonic() + _ASK_FOR.total_seconds()
    for position, (key, _) in enumerate(questions):
        if time.monotonic() > until or is_stopping():
            rest = [left.key for left in questions[position:]]
            return answers._replace(unasked=dict.fromkeys(rest))
        try:
            answers.fetched.append(fetch(reader, key))
        except SILENCE as silence:
            answers.unanswered[key] = silence.message
            rest = [left.key for left in questions[position + 1 :]]
            return answers._replace(unasked=dict.fromkeys(rest, silence.message), failure=silence)
        except StripeError as error:
            is_refusal = not isinstance(error, StripeIncompleteError)
            (answers.refused if is_refusal else answers.unanswered)[key] = error.message
            event = "refetch_refused" if is_refusal else "refetch_unanswered"
            _log.warning(event, object=key.object, reason=error.message)
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


def _settle(turn: MirrorTurn, fetched: Sequence[Fetched], *, now: datetime) -> dict[ObjectKey, str]:
    """Apply answers; those that the mirror cannot use, with the reason."""
    outcome = apply_fetched_in(turn, fetched, source="refetch", now=now)
    unusable = dict(outcome.refused)
    for key, reason in unusable.items():
        _log.warning("refetched_state_refused", object=key.object, reason=reason.partition(":")[0])
    keys = [each.key for each in fetched if each.key not in unusable]
    turn.mark_thin_events(keys)
    # An answer that is like the last one changes no row, and the doubt about it stays.
    states = turn.load_states(keys)
    cut_off = {key for key, state in states.items() if _is_cut_off(state)}
    doubtful = {key: state for key, state in states.items() if state.undecided or key in cut_off}
    ask_about(turn, doubtful, cut_off, now=now)
    return unusable


def _is_cut_off(state: State) -> bool:
    lists = lists_of(state.snapshot) if state.snapshot.origin == "event" else []
    return not all(shown.is_whole for shown in lists)
