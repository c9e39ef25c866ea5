"""Recommendations: imperatives out of a closed list of words, which can assert nothing. Pure.

There is no verb in it that tells what happened, and every sentence begins with one that asks.
Contract: docs/insights-wording.md, "Recommendations".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from growth_pipeline.insights.verifier.tokens import Token, UnreadableError, pieces

LONGEST: Final = 300
VERBS: Final = frozenset(
    """ask check compare confirm contact continue discuss fix follow interview investigate inspect
    invite keep look prioritise prioritize read remind repair review segment talk test track verify
    walk watch""".split()
)
OTHERS: Final = frozenset(
    """a about again all also an and any are at before by carefully each first for from in into it
    its more next of on one or out over own recent same that the their them themselves then these
    they this those through to together up what whether which who with
    acquisition activity activation advice alerts answers audit billing bills books cancellation
    cancellations channel channels changes churn cohort cohorts company conversion contraction
    currency customers data database day days deployment deployments discounts downgrades
    emails engagement errors events expansion features feedback figures findings funnel funnels
    history incidents instrumentation integration integrations invoices keys launches losses
    marketing message messages money month movements outage outages part payments people period
    plan plans price prices pricing problem problems product products quality questions reasons
    refunds releases report reports retention revenue sales settings sign-up sign-ups signup step
    steps stage stages subscriptions support surveys team teams tests time tracking trial trials
    upgrades usage user users value web webhooks week weeks welcome working write
    active closed current dormant failed important largest late main new onboarding open paying
    planned possible returning slow specific usual
    failing left leaving downgraded return returned need use stay leave""".split()
)
# Past forms that pick people out behind "who", and payments behind "that"; elsewhere they would
# tell what happened.
_PICKING: Final = {
    **dict.fromkeys(("left", "downgraded", "returned"), frozenset({"who", "or", "and"})),
    "failed": frozenset({"that", "who"}),
}
_ENDS: Final = frozenset({".", ";"})


def faults_of(text: str) -> Iterator[str]:
    """Why a recommendation may not be given; nothing: it may. Empty text is none at all."""
    if not text.strip():
        return
    if len(text) > LONGEST:
        yield f"a recommendation has at most {LONGEST} signs"
        return
    try:
        words = pieces(text.replace("\u2019", "'"))
    except UnreadableError as error:
        yield f"in the recommendation: {error}"
        return
    if any(word.reference is not None for word in words):
        yield "a recommendation has no references"
        return
    yield from _in_words(words)


def _in_words(words: list[Token]) -> Iterator[str]:
    begins, before = True, ""
    for word in words:
        if word.part:
            if word.part in (":", "(", ")"):
                yield "a recommendation has no sign but . , and ;"
            begins = word.part in _ENDS
            continue
        if begins and word.text not in VERBS:
            yield f'a sentence of a recommendation begins with a verb that asks, not "{word.text}"'
        if word.text not in VERBS and word.text not in OTHERS:
            yield f'the word "{word.text[:40]}" is not in the vocabulary of recommendations'
        if before not in _PICKING.get(word.text, {before}):
            yield f'"{word.text}" tells what happened; only behind "who" it picks people out'
        begins, before = False, word.text
