"""Claims by Claude within limits: three questions, two minutes, and what one report may cost.

Whatever happens, there is a `Written`; without claims it says why. How Claude is reached is in
client.py, what is sent in prompt.py. Contract: docs/insights.md, "Limits".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import orjson

from growth_pipeline.insights.claims import Claim, Prediction, Refused
from growth_pipeline.insights.facts import Digest, Direction
from growth_pipeline.insights.figures import references
from growth_pipeline.insights.report.result import ModelUse
from growth_pipeline.insights.verifier.verify import sift
from growth_pipeline.insights.writer.memory import CallMemory, StoredCall, cache_key
from growth_pipeline.insights.writer.model import (
    Answered,
    Failure,
    Model,
    Outcome,
    Question,
    Usage,
    texts_of,
)
from growth_pipeline.insights.writer.prompt import (
    MOST_CLAIMS,
    MOST_PREDICTIONS,
    Sent,
    first_question,
    rewrite_question,
    to_send,
)
from growth_pipeline.insights.writer.schema import (
    LONGEST_RECOMMENDATION,
    LONGEST_TEXT,
    MOST_FACTS,
    AnswerDocument,
    AnswerError,
    ClaimAnswer,
    read_answer,
)

_MILLION: Final = 1_000_000
# A question is not begun with less time than an answer ever takes.
_SHORTEST_ANSWER: Final = 5.0
# Kept for what comes after an answer that took all the time: closing the line, keeping the call.
_CLOSING: Final = 1.0
# Waits before the second and the third request, where the server names none.
_PAUSES: Final = (2.0, 6.0)
# So many refused claims are a few: a report is not asked for again because of them.
_FEW: Final = 2
_NO_KEY: Final = "Claude was not asked: no key is set (GROWTH_INSIGHTS__ANTHROPIC_API_KEY)."
_NO_MONEY: Final = (
    "Claude was not asked: a report may cost nothing (GROWTH_INSIGHTS__MAX_COST_USD)."
)
_NO_FACTS: Final = "Claude was not asked: no fact rests on enough people to be sent."
_TOO_LONG: Final = "the question is longer than allowed (GROWTH_INSIGHTS__MAX_INPUT_TOKENS)"
_TOO_DEAR: Final = "it could cost more than allowed (GROWTH_INSIGHTS__MAX_COST_USD)"
_NO_TIME: Final = "there was no time left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one report may use of the model. Prices in USD for a million tokens."""

    max_output_tokens: int
    max_input_tokens: int
    input_usd_per_million: Decimal
    output_usd_per_million: Decimal
    max_cost_usd: Decimal
    max_calls: int = 3
    max_seconds: float = 120.0

    def cost(self, usage: Usage) -> Decimal:
        """Price of some tokens in USD."""
        dear = usage.input_tokens * self.input_usd_per_million
        return (dear + usage.output_tokens * self.output_usd_per_million) / _MILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What Claude wrote for a report. `claims` passed the verifier, `refused` did not.

    `use`: None where nothing was asked. `why_not`: empty, or why there is no claim of Claude's.
    """

    claims: tuple[Claim, ...] = ()
    refused: tuple[Refused, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    use: ModelUse | None = None
    why_not: str = ""


def write_claims(
    digest: Digest,
    *,
    model: Model | None,
    limits: Limits,
    memory: CallMemory,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> Written:
    """Claims and predictions of the model about a digest, each supported by its facts.

    One question; after a failure that may pass, or when many claims are refused, up to two more.
    Raises: what the memory raises.
    """
    if model is None:
        return Written(why_not=_NO_KEY)
    if limits.max_cost_usd <= 0:
        return Written(why_not=_NO_MONEY)
    sent = to_send(digest)
    if not sent.ids:
        return Written(why_not=_NO_FACTS)
    talk = _Conversation(model, limits, memory, clock, monotonic, sleep)
    question = first_question(sent, max_tokens=limits.max_output_tokens)
    draft = talk.ask(question)
    if isinstance(draft, Failure):
        return Written(use=talk.use(), why_not=f"{_sentence(draft.message)}")
    written = _sifted(draft.answer, sent)
    if _is_worth_a_rewrite(written):
        written = _rewritten(written, draft, question, sent, talk)
    return Written(
        claims=written.claims,
        refused=tuple(one for _, one in written.refused),
        predictions=_predictions(draft.answer, sent),
        use=talk.use(),
        why_not="" if written.claims else _why_nothing(written),
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    text: str
    answer: AnswerDocument
    is_stored: bool


@dataclass(frozen=True, slots=True)
class _Sifted:
    """`refused`: each with its position in the answer."""

    claims: tuple[Claim, ...]
    refused: tuple[tuple[int, Refused], ...]


class _Conversation:
    """Questions of one report, with their count, time and cost.

    A loop of its own and no retry library: what is counted are requests of two kinds, tries after a
    failure and one rewrite, under one budget of money and one of time, by clocks that are given.
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        memory: CallMemory,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._model, self._limits, self._memory = model, limits, memory
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._began = monotonic()
        self._calls = 0
        self._tokens = Usage(0, 0)
        self._charged = Decimal(0)  # at most; what was not told counts as the most it can be
        self._is_cost_known = True
        self._has_remembered = False

    def ask(self, question: Question, *, only_stored: bool = False) -> _Draft | Failure:
        """The answer to a question: the one that is kept, or a new one."""
        key = cache_key(question, self._model.name)
        if (kept := self._remembered(key)) is not None:
            return kept
        if only_stored:
            return _over("the answer to it is not kept")
        failure = None
        while (stopped := self._reason_to_stop(question)) is None:
            failure = self._call(question, key)
            if isinstance(failure, _Draft):
                return failure
            if not failure.retryable or not self._wait(failure):
                return failure
        return failure or stopped

    def use(self) -> ModelUse | None:
        """What was used so far; None if nothing was asked and nothing was kept."""
        if not self._calls and not self._has_remembered:
            return None
        return ModelUse(
            model=self._model.name,
            calls=self._calls,
            input_tokens=self._tokens.input_tokens,
            output_tokens=self._tokens.output_tokens,
            cost_usd=self._charged if self._is_cost_known else None,
            seconds=self._elapsed(),
            from_cache=not self._calls,
        )

    def _remembered(self, key: str) -> _Draft | None:
        response = self._memory.find(key)
        if response is None:
            return None
        text = texts_of(response.get("content", ()))
        try:
            draft = _Draft(text, read_answer(text), is_stored=True)
        except AnswerError:
            return None  # kept by a release that read answers otherwise
        self._has_remembered = True
        return draft

    def _reason_to_stop(self, question: Question) -> Failure | None:
        most = self._most_tokens(question)
        if most.input_tokens > self._limits.max_input_tokens:
            return _over(_TOO_LONG)
        if self._charged + self._limits.cost(most) > self._limits.max_cost_usd:
            return _over(_TOO_DEAR)
        if self._calls >= self._limits.max_calls or self._left() < _SHORTEST_ANSWER:
            return _over(_NO_TIME)
        return None

    def _most_tokens(self, question: Question) -> Usage:
        """Tokens of a question and its answer at most: a token is hardly ever below two bytes."""
        size = len(orjson.dumps(question.to_request(self._model.name)))
        return Usage(-(-size // 2), question.max_tokens)

    def _call(self, question: Question, key: str) -> _Draft | Failure:
        asked_at, began = self._clock(), self._monotonic()
        came = self._model.ask(question, seconds=self._left() - _CLOSING)
        seconds = max(0.0, self._monotonic() - began)
        self._calls += 1
        read = _read(came)
        usage = came.usage
        self._charge(question, came)
        self._memory.store(
            StoredCall(
                cache_key=key,
                attempt=self._calls,
                model=self._model.name,
                asked_at=asked_at,
                seconds=seconds,
                outcome=read.outcome if isinstance(read, Failure) else Outcome.ANSWERED,
                request=question.to_request(self._model.name),
                response=came.response,
                input_tokens=usage.input_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                cost_usd=self._limits.cost(usage) if usage else None,
            )
        )
        return read

    def _charge(self, question: Question, came: Answered | Failure) -> None:
        if came.usage is not None:
            self._tokens = Usage(
                self._tokens.input_tokens + came.usage.input_tokens,
                self._tokens.output_tokens + came.usage.output_tokens,
            )
            self._charged += self._limits.cost(came.usage)
        elif isinstance(came, Answered) or came.may_cost:
            self._is_cost_known = False
            self._charged += self._limits.cost(self._most_tokens(question))

    def _wait(self, failure: Failure) -> bool:
        """Waits as long as the server asked; False where there is no time for that."""
        if self._calls >= self._limits.max_calls:
            return False
        pause = _PAUSES[min(self._calls, len(_PAUSES)) - 1]
        seconds = pause if failure.retry_after is None else failure.retry_after
        if self._left() - seconds < _SHORTEST_ANSWER:
            return False
        self._sleep(seconds)
        return True

    def _elapsed(self) -> float:
        return max(0.0, self._monotonic() - self._began)

    def _left(self) -> float:
        return self._limits.max_seconds - self._elapsed()


def _read(came: Answered | Failure) -> _Draft | Failure:
    if isinstance(came, Failure):
        return came
    try:
        return _Draft(came.text, read_answer(came.text), is_stored=False)
    except AnswerError:
        return Failure(
            outcome=Outcome.WRONG,
            message="Claude's answer was not of the form that was asked for",
            retryable=True,
            retry_after=0.0,
        )


def _over(why: str) -> Failure:
    return Failure(outcome=Outcome.LIMIT, message=f"Claude was not asked: {why}")


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:] + "."


def _why_nothing(written: _Sifted) -> str:
    if written.refused:
        return "Nothing that Claude wrote was supported by the facts."
    return "Claude found nothing to write."


# --- claims --------------------------------------------------------------------------------------


def _sifted(answer: AnswerDocument, sent: Sent, *, first_id: int = 1) -> _Sifted:
    """The claims of an answer that the facts support, and the others with reasons."""
    refused: list[Refused] = []
    readable: list[Claim] = []
    for number, one in enumerate(answer.claims[:MOST_CLAIMS]):
        claim = _claim(one, sent, f"model-{first_id + number}")
        if reasons := _unreadable(one, sent):
            refused.append(Refused(claim=claim, reasons=reasons))
        else:
            readable.append(claim)
    published, unsupported = sift(readable, sent.digest)
    told = [
        (int(one.claim.claim_id.rpartition("-")[2]) - first_id, one)
        for one in (*refused, *unsupported)
    ]
    return _Sifted(published, tuple(sorted(told, key=lambda pair: pair[0])))


def _claim(one: ClaimAnswer, sent: Sent, claim_id: str) -> Claim:
    return Claim(
        claim_id=claim_id,
        group=one.group,
        kind=one.kind,
        text=sent.to_digest_text(one.text[:LONGEST_TEXT]),
        facts=tuple(sent.to_digest_id(name) or name[:80] for name in one.facts[:MOST_FACTS]),
        severity=one.severity,
        recommendation=one.recommendation[:LONGEST_RECOMMENDATION],
        written_by="model",
    )


def _unreadable(one: ClaimAnswer, sent: Sent) -> tuple[str, ...]:
    """Why a claim is not even shown to the verifier, which knows facts that were not sent."""
    named = {*one.facts, *(reference.fact_id for reference in references(one.text))}
    unknown = any(sent.to_digest_id(name) is None for name in named)
    found = (one.oversize, "it refers to a fact that was not sent" if unknown else "")
    return tuple(reason for reason in found if reason)


def _is_worth_a_rewrite(written: _Sifted) -> bool:
    return len(written.refused) > (_FEW if written.claims else 0)


def _rewritten(
    written: _Sifted, draft: _Draft, question: Question, sent: Sent, talk: _Conversation
) -> _Sifted:
    """The same with what a second answer puts right; unchanged where there is none.

    An answer that was kept is only joined by one that was kept, so that a replay says the same.
    """
    again = rewrite_question(question, draft.text, written.refused, sent)
    second = talk.ask(again, only_stored=draft.is_stored)
    if isinstance(second, Failure):
        return written
    more = _sifted(second.answer, sent, first_id=len(draft.answer.claims[:MOST_CLAIMS]) + 1)
    return _Sifted(
        _without_repeats((*written.claims, *more.claims)),
        (*written.refused, *more.refused),
    )


def _without_repeats(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    by_text: dict[str, Claim] = {}
    for claim in claims:
        by_text.setdefault(claim.text, claim)
    return tuple(by_text.values())[:MOST_CLAIMS]


# --- predictions ---------------------------------------------------------------------------------


def _predictions(answer: AnswerDocument, sent: Sent) -> tuple[Prediction, ...]:
    """The first few about facts that next week's report knows by the same id."""
    kept: dict[str, Prediction] = {}
    for one in answer.predictions:
        fact_id = sent.to_digest_id(one.fact_id)
        if fact_id is None or sent.is_alias(one.fact_id):
            continue
        if sent.digest.by_id[fact_id].series.grain == "week":
            direction = Direction(one.direction)
            kept.setdefault(
                fact_id, Prediction(fact_id=fact_id, direction=direction, written_by="model")
            )
    return tuple(kept.values())[:MOST_PREDICTIONS]
