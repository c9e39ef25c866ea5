"""Claims of a model within limits: what is asked again, what is never asked, and what comes out.

The model here is a plain object that answers from a list; the real client is in test_client.py.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from growth_pipeline.insights.facts import Direction, Group
from growth_pipeline.insights.writer.model import Answered, Failure, Outcome, Usage
from growth_pipeline.insights.writer.write import Limits, write_claims
from growth_pipeline_tests.fakes.call_memory import InMemoryCalls
from growth_pipeline_tests.fakes.growth_digests import NOW, a_digest, a_fact, event_id, steady

LIMITS = Limits(
    max_output_tokens=8_000,
    max_input_tokens=30_000,
    input_usd_per_million=Decimal(2),
    output_usd_per_million=Decimal(10),
    max_cost_usd=Decimal("0.50"),
)
GOOD = "{signups:label} rose by {signups:percent_size} against the week before."
OTHER = "{signups:label} rose to {signups:value}."
WRONG = "{signups:label} fell to 7."


def a_claim(text=GOOD, facts=("signups",), **more):
    return {
        "group": "users",
        "kind": "observation",
        "text": text,
        "facts": list(facts),
        "severity": "GOOD",
        "recommendation": "",
    } | more


def answered(*claims, predictions=(), tokens=(4_000, 900)):
    text = json.dumps({"claims": list(claims), "predictions": list(predictions)})
    return answered_with(text, tokens)


def answered_with(text, tokens=(4_000, 900)):
    return Answered(
        text=text,
        usage=Usage(*tokens),
        stop_reason="end_turn",
        response={"content": [{"type": "text", "text": text}]},
    )


def failed(outcome=Outcome.SERVER, **more):
    return Failure(outcome=outcome, message="it went wrong", **({"retryable": True} | more))


class ListedModel:
    """Answers from a list; each answer takes some seconds of the test's clock."""

    name = "claude-test"

    def __init__(self, *answers, takes=1.0):
        self.answers, self.takes = list(answers), takes
        self.asked, self.given, self.now = [], [], 0.0

    def ask(self, question, *, seconds):
        self.asked.append(question)
        self.given.append(seconds)
        self.now += min(self.takes, seconds)
        return self.answers.pop(0)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def write(model, *, digest=None, memory=None, limits=LIMITS):
    return write_claims(
        digest or a_digest(),
        model=model,
        limits=limits,
        memory=memory or InMemoryCalls(),
        clock=lambda: NOW,
        monotonic=model.monotonic if model else lambda: 0.0,
        sleep=model.sleep if model else lambda _seconds: None,
    )


# --- whether anything is asked -------------------------------------------------------------------


def test_without_a_key_nothing_is_asked_and_the_setting_is_named():
    written = write(None)
    assert written.why_not == (
        "Claude was not asked: no key is set (GROWTH_INSIGHTS__ANTHROPIC_API_KEY)."
    )
    assert (written.claims, written.use) == ((), None)


def test_a_report_that_may_cost_nothing_asks_nothing():
    model = ListedModel()
    written = write(model, limits=replace(LIMITS, max_cost_usd=Decimal(0)))
    assert "GROWTH_INSIGHTS__MAX_COST_USD" in written.why_not
    assert model.asked == []


def test_a_company_too_small_for_any_figure_asks_nothing():
    model = ListedModel()
    written = write(model, digest=a_digest(a_fact("signups", steady(3))))
    assert written.why_not == "Claude was not asked: no fact rests on enough people to be sent."
    assert model.asked == []


def test_a_question_that_may_be_too_long_is_not_asked():
    model = ListedModel()
    written = write(model, limits=replace(LIMITS, max_input_tokens=2_000))
    assert "GROWTH_INSIGHTS__MAX_INPUT_TOKENS" in written.why_not
    assert (model.asked, written.use) == ([], None)


def test_a_question_that_may_cost_too_much_is_not_asked():
    model = ListedModel()
    written = write(model, limits=replace(LIMITS, max_cost_usd=Decimal("0.08")))
    assert "GROWTH_INSIGHTS__MAX_COST_USD" in written.why_not
    assert model.asked == []


# --- what comes out ------------------------------------------------------------------------------


def test_supported_claims_come_out_as_the_models():
    written = write(ListedModel(answered(a_claim(), predictions=[])))
    (claim,) = written.claims
    assert (claim.text, claim.facts, claim.written_by) == (GOOD, ("signups",), "model")
    assert (claim.group, claim.claim_id, claim.rule) == (Group.USERS, "model-1", "")
    assert (written.why_not, written.refused) == ("", ())


def test_use_tells_calls_tokens_seconds_and_cost():
    use = write(ListedModel(answered(a_claim()), takes=3.5)).use
    assert (use.model, use.calls, use.from_cache) == ("claude-test", 1, False)
    assert (use.input_tokens, use.output_tokens, use.seconds) == (4_000, 900, 3.5)
    assert use.cost_usd == Decimal("0.017")  # 4,000 x 2 USD + 900 x 10 USD, for a million each


def test_aliases_become_ids_of_the_digest_again():
    text = "{event.a:label} rose to {event.a:value}."
    (claim,) = write(ListedModel(answered(a_claim(text, ["event.a"], group="product")))).claims
    fact_id = event_id("Report Exported")
    assert claim.facts == (fact_id,)
    assert claim.text == f"{{{fact_id}:label}} rose to {{{fact_id}:value}}."


@pytest.mark.parametrize(
    "fact_id", [event_id("Report Exported"), "customers.usd", "event.zz", "__class__", ""]
)
def test_a_claim_about_what_was_not_sent_is_refused(fact_id):
    digest = a_digest()
    digest = replace(digest, facts=(*digest.facts, a_fact("customers.usd", steady(3))))
    model = ListedModel(answered(a_claim(), a_claim(GOOD, ["signups", fact_id])))
    written = write(model, digest=digest)
    assert len(written.claims) == 1
    assert written.refused[0].reasons == ("it refers to a fact that was not sent",)


def test_a_reference_in_the_text_alone_counts_too():
    claim = a_claim("There are {customers.usd:value} customers.", ["signups"])
    written = write(ListedModel(answered(a_claim(), claim)))
    assert written.refused[0].reasons == ("it refers to a fact that was not sent",)


@pytest.mark.parametrize(
    "too_long",
    [
        a_claim("a" * 601),
        a_claim(recommendation="a" * 301),
        a_claim(facts=["signups"] * 13),
    ],
)
def test_a_claim_longer_than_claims_are_is_refused_and_kept_short(too_long):
    written = write(ListedModel(answered(a_claim(), too_long)))
    (refused,) = written.refused
    assert "longer" in refused.reasons[0] or "more than" in refused.reasons[0]
    assert len(refused.claim.text) <= 600
    assert len(refused.claim.recommendation) <= 300
    assert len(refused.claim.facts) <= 12


def test_no_more_than_twelve_claims_are_read():
    claims = [a_claim(GOOD + " It matters" + "!" * n) for n in range(20)]
    written = write(ListedModel(answered(*claims), answered()))
    assert len(written.claims) + len(written.refused) == 12


def test_nothing_supported_is_said_plainly():
    written = write(ListedModel(answered(a_claim(WRONG)), answered(a_claim(WRONG))))
    assert (written.claims, len(written.refused)) == ((), 2)
    assert written.why_not == "Nothing that Claude wrote was supported by the facts."


def test_nothing_written_is_said_plainly():
    assert write(ListedModel(answered())).why_not == "Claude found nothing to write."


# --- predictions ---------------------------------------------------------------------------------


def predicted(*pairs):
    return [{"fact_id": fact_id, "direction": direction} for fact_id, direction in pairs]


def test_predictions_are_kept_for_weekly_facts_that_were_sent():
    told = predicted(
        ("signups", "up"),
        ("signups", "down"),  # said before
        ("dau.monday", "up"),  # a day
        ("event.a", "up"),  # an alias
        ("customers.usd", "up"),  # never sent
        ("mrr.usd", "flat"),
    )
    written = write(ListedModel(answered(a_claim(), predictions=told)))
    assert [(one.fact_id, one.direction, one.written_by) for one in written.predictions] == [
        ("signups", Direction.UP, "model"),
        ("mrr.usd", Direction.FLAT, "model"),
    ]


def test_no_more_than_five_predictions_are_kept():
    names = ("signups", "mrr.usd", "mrr_new.usd", "wau", "mau", "events")
    told = predicted(*((name, "up") for name in names))
    written = write(ListedModel(answered(a_claim(), predictions=told)))
    assert [one.fact_id for one in written.predictions] == list(names[:5])


# --- asking again --------------------------------------------------------------------------------


def test_a_failure_that_may_pass_is_asked_again():
    model = ListedModel(failed(), failed(), answered(a_claim()))
    written = write(model)
    assert (len(written.claims), written.use.calls, written.why_not) == (1, 3, "")
    assert model.now == 1 + 2 + 1 + 6 + 1


def test_three_failures_end_it():
    written = write(ListedModel(failed(), failed(), failed()))
    assert (written.claims, written.use.calls) == ((), 3)
    assert written.why_not == "It went wrong."


def test_a_failure_that_does_not_pass_is_not_asked_again():
    model = ListedModel(failed(Outcome.SPEND_LIMIT, retryable=False))
    assert write(model).use.calls == 1


def test_an_answer_of_another_form_is_asked_again_at_once():
    model = ListedModel(answered_with("Sure!"), answered(a_claim()))
    assert (write(model).use.calls, model.now) == (2, 2.0)


def test_the_server_is_waited_for_as_long_as_it_asked():
    model = ListedModel(failed(retry_after=33.0), answered(a_claim()))
    write(model)
    assert model.now == 35.0


@pytest.mark.parametrize("retry_after", [115.0, 3_600.0, 1e300])
def test_a_wait_that_leaves_no_time_for_an_answer_is_not_begun(retry_after):
    model = ListedModel(failed(retry_after=retry_after))
    assert (write(model).use.calls, model.now) == (1, 1.0)


def test_each_request_may_take_what_is_left_of_two_minutes_but_a_second():
    model = ListedModel(failed(), failed(), failed(), takes=50.0)
    write(model)
    assert model.given == [119.0, 67.0, 11.0]
    assert model.now == 119.0


def test_a_request_that_takes_all_the_time_is_the_last():
    model = ListedModel(failed(Outcome.TIMEOUT), takes=500.0)
    assert (write(model).use.calls, model.now) == (1, 119.0)


def test_unknown_usage_counts_as_the_most_it_can_be():
    model = ListedModel(failed(may_cost=True), failed(may_cost=True))
    written = write(model, limits=replace(LIMITS, max_cost_usd=Decimal("0.21")))
    assert written.use.calls == 2
    assert written.use.cost_usd is None


def test_what_is_charged_never_passes_the_cap_over_all_requests():
    model = ListedModel(*[answered_with("no", tokens=(20_000, 8_000))] * 3)
    limits = replace(LIMITS, max_cost_usd=Decimal("0.25"))
    written = write(model, limits=limits)
    assert written.use.calls == 2
    assert written.use.cost_usd == Decimal("0.24")


# --- the rewrite ---------------------------------------------------------------------------------


def test_many_refused_claims_are_written_again_once_with_the_reasons():
    model = ListedModel(
        answered(a_claim(), a_claim(WRONG), a_claim(WRONG + "!"), a_claim(WRONG + "?")),
        answered(a_claim(OTHER), a_claim(WRONG)),
    )
    written = write(model)
    assert [claim.text for claim in written.claims] == [GOOD, OTHER]
    assert len({one.claim_id for one in written.claims}) == 2
    assert len(written.refused) == 4
    assert written.use.calls == 2
    again = model.asked[1]
    assert [turn.role for turn in again.turns] == ["user", "assistant", "user"]
    assert again.turns[0] == model.asked[0].turns[0]
    told = json.loads(again.turns[2].text.split("JSON:\n")[1])
    assert [one["claim"] for one in told] == [1, 2, 3]
    assert all(one["rules"] for one in told)


def test_a_few_refused_claims_are_only_left_out():
    model = ListedModel(answered(a_claim(), a_claim(WRONG), a_claim(WRONG + "!")))
    written = write(model)
    assert (len(written.claims), len(written.refused), written.use.calls) == (1, 2, 1)


def test_a_rewrite_that_fails_leaves_what_there_is():
    claims = [a_claim(), *(a_claim(WRONG + "!" * n) for n in range(3))]
    written = write(ListedModel(answered(*claims), failed(retryable=False)))
    assert (len(written.claims), len(written.refused), written.why_not) == (1, 3, "")


def test_a_rewrite_repeats_no_claim():
    claims = [a_claim(), *(a_claim(WRONG + "!" * n) for n in range(3))]
    assert len(write(ListedModel(answered(*claims), answered(a_claim()))).claims) == 1


def test_a_rewrite_counts_among_the_three_requests():
    bad = answered(*(a_claim(WRONG + "!" * n) for n in range(3)))
    model = ListedModel(failed(), failed(), bad)
    assert (write(model).use.calls, model.answers) == (3, [])


# --- memory --------------------------------------------------------------------------------------


def test_every_request_is_kept_as_it_was_sent_and_answered():
    memory, model = InMemoryCalls(), ListedModel(failed(), answered(a_claim()), takes=2.0)
    write(model, memory=memory)
    first, second = memory.calls
    assert (first.attempt, first.outcome, first.response) == (1, "server error", None)
    assert (second.attempt, second.outcome, second.seconds) == (2, "answered", 2.0)
    assert second.request == model.asked[1].to_request("claude-test")
    assert second.response == answered(a_claim()).response
    assert (second.input_tokens, second.output_tokens) == (4_000, 900)
    assert (second.cost_usd, second.asked_at) == (Decimal("0.017"), NOW)
    assert first.cache_key == second.cache_key
    assert len(first.cache_key) == 64


def test_the_same_question_is_never_asked_twice_and_a_replay_says_the_same():
    memory = InMemoryCalls()
    bad = [a_claim(WRONG + "!" * n) for n in range(3)]
    told = predicted(("signups", "up"))
    model = ListedModel(answered(a_claim(), *bad, predictions=told), answered(a_claim(OTHER)))
    first = write(model, memory=memory)
    silent = ListedModel()
    later = replace(a_digest(), made_at=NOW.replace(year=2027))
    again = write(silent, memory=memory, digest=later)
    assert (again.claims, again.refused) == (first.claims, first.refused)
    assert again.predictions == first.predictions
    assert (again.use.from_cache, again.use.calls, again.use.cost_usd) == (True, 0, Decimal(0))


def test_a_replay_does_not_ask_for_the_rewrite_that_failed():
    memory = InMemoryCalls()
    bad = [a_claim(WRONG + "!" * n) for n in range(3)]
    first = write(ListedModel(answered(a_claim(), *bad), failed(retryable=False)), memory=memory)
    again = write(ListedModel(), memory=memory)
    assert (again.claims, again.refused) == (first.claims, first.refused)


def test_an_answer_that_could_not_be_used_is_not_given_again():
    memory = InMemoryCalls()
    write(ListedModel(*[answered_with("Sure!")] * 3), memory=memory)
    assert [call.outcome for call in memory.calls] == ["answer not as asked"] * 3
    assert write(ListedModel(answered(a_claim())), memory=memory).use.calls == 1


@pytest.mark.parametrize("change", ["model", "facts"])
def test_another_question_is_asked(change):
    memory = InMemoryCalls()
    write(ListedModel(answered(a_claim())), memory=memory)
    model, digest = ListedModel(answered(a_claim())), a_digest()
    if change == "model":
        model.name = "claude-other"
    else:
        digest = a_digest(names=())
    assert write(model, memory=memory, digest=digest).use.calls == 1
