"""A weekly report from Postgres to the lake: made, kept, told, asked again, graded, cleaned."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.insights.insight_store import InsightStore, ReportOutlet
from growth_pipeline.insights.make import NO_MODEL_ASKED, Order, clean_files, make_report
from growth_pipeline.insights.sources import open_sources
from growth_pipeline.insights.writer.client import AnthropicModel
from growth_pipeline.insights.writer.write import Limits
from growth_pipeline_tests.fakes.canaries import canaries, traces
from growth_pipeline_tests.fakes.claude_server import FakeClaude, message, refusal, serving
from growth_pipeline_tests.fakes.weekly_company import NOW, WEEK_END, WEEKS, write_company

LIMITS = Limits(
    max_output_tokens=8_000,
    max_input_tokens=60_000,
    input_usd_per_million=Decimal(2),
    output_usd_per_million=Decimal(10),
    max_cost_usd=Decimal(1),
)
STEADY = [100] * WEEKS
# Sign-ups: a jump from 100 to 150 (z = 50 / sqrt(250) = 3.2).
JUMP = [*STEADY[:-1], 150]
ACTIVE = [40] * WEEKS
PAYMENTS = [[1_000] * 25] * WEEKS


class Revenue:
    policies = ("growth",)
    timezone = "UTC"


@pytest.fixture
def make(database, lake, engine):
    """Makes the report of a week; `fake`: who is asked."""

    def run(fake=None, *, now=NOW, tell=True, week_end="", weeks=8, why=""):
        sources = open_sources(
            database,
            engine,
            scopes=[Scope("self", False)],
            revenue=Revenue,
            cohort_entry="signup",
            activity_tz="UTC",
            week_start="sunday",
        )
        model = None
        if fake is not None:
            key = SecretStr("sk-ant-of-the-test")
            model = AnthropicModel("claude-test", key, fake.url, allow_loopback=True)
        seconds = iter(range(10_000))
        return make_report(
            Order.read(weeks=weeks, week_end=week_end, tell=tell, run_id="run-1"),
            sources,
            store=InsightStore(database),
            lake=lake,
            model=model,
            limits=LIMITS,
            why_no_model=why,
            clock=lambda: now,
            monotonic=lambda: float(next(seconds)),
        )

    return run


def rows(database, statement):
    with database.connection() as connection:
        return connection.execute(statement).fetchall()


def told(done):
    return {claim.claim_id: claim for claim in done.report.claims}


def test_without_any_key_the_report_is_complete_and_says_who_wrote_it(database, lake, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    done = make()
    assert "signups_rose:signups" in told(done)
    assert done.report.why_no_model == NO_MODEL_ASKED
    assert NO_MODEL_ASKED in done.markdown.replace("\\", "")
    assert "Sign-ups rose by 50.0 % to 150." in done.markdown
    assert (done.judged.wrong_figures, done.judged.unsupported) == ([], [])
    assert set(done.artifacts) == {"md", "html", "json", "csv", "png"}
    assert lake.read_artifact(done.artifacts["md"]).decode() == done.markdown
    document = json.loads(lake.read_artifact(done.artifacts["json"]))
    assert document["figures"]["signups:value"] == "150"
    assert document["figures"]["signups:percent"] == "+50.0 %"
    assert document["digest_sha256"] == done.report.digest.sha256


def test_the_same_facts_are_the_same_report_and_are_told_once(database, lake, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    first, second = make(), make(now=NOW + timedelta(hours=1))
    assert first.report.report_id == second.report.report_id
    assert rows(database, "select count(*) from insights.reports") == [(1,)]
    assert rows(database, "select count(*) from insights.digests") == [(1,)]
    outlet = ReportOutlet(InsightStore(database), lambda: lake)
    (waiting,) = outlet.untold_reports()
    assert waiting.report_id == first.report.report_id
    assert waiting.title == "Weekly growth report, 2025-03-02 to 2025-03-08"
    assert waiting.picture == lake.read_artifact(second.artifacts["png"])
    outlet.mark_told([waiting.report_id], NOW)
    assert not outlet.has_untold()
    make()
    assert not outlet.has_untold()


def test_a_report_by_hand_is_told_to_nobody(database, lake, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    assert not make(tell=False).told
    assert not ReportOutlet(InsightStore(database), lambda: lake).has_untold()


def test_a_picture_that_cannot_be_read_is_left_out_and_the_words_are_told(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    make()

    def no_lake():
        raise RuntimeError("no credentials")

    (waiting,) = ReportOutlet(InsightStore(database), no_lake).untold_reports()
    assert waiting.picture is None
    assert "Sign-ups rose by 50.0 % to 150." in waiting.highlights


SAID = {
    "claims": [
        {
            "group": "users",
            "kind": "observation",
            "text": "{signups:label} climbed to {signups:value}, from {signups:before}.",
            "facts": ["signups"],
            "severity": "GOOD",
            "recommendation": "Ask new users for feedback.",
        },
        {
            "group": "users",
            "kind": "observation",
            "text": "{signups:label} fell by {signups:size}.",
            "facts": ["signups"],
            "severity": "HIGH",
            "recommendation": "",
        },
    ],
    "predictions": [{"fact_id": "signups", "direction": "down"}],
}


def test_words_of_the_model_come_with_our_figures_and_what_is_wrong_is_kept_out(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    with serving(FakeClaude(message(json.dumps(SAID)))) as fake:
        done = make(fake)
    assert done.report.written_by == "rules and model"
    assert "Sign-ups climbed to 150, from 100." in done.markdown
    assert "fell by 50" not in done.markdown
    assert [one.claim.text for one in done.report.refused if one.claim.written_by == "model"]
    assert done.judged.may_be_told
    assert 1 <= done.report.use.calls <= 3
    asked = rows(database, "select outcome, request, response, cost_usd from insights.model_calls")
    assert len(asked) == done.report.use.calls == len(fake.received)
    assert "sk-ant-of-the-test" not in json.dumps(asked, default=str)


def test_the_same_question_is_not_asked_twice_and_gives_the_same_words(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    with serving(FakeClaude(message(json.dumps(SAID)))) as fake:
        first = make(fake)
        asked = len(fake.received)
        second = make(fake)
        assert len(fake.received) == asked
    assert second.report.use.from_cache
    assert second.report.report_id == first.report.report_id


def test_a_model_that_is_away_costs_its_words_and_nothing_else(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    alone = make()
    with serving(FakeClaude(refusal(529, "overloaded_error"))) as fake:
        done = make(fake)
        assert len(fake.received) <= 3
    assert done.report.why_no_model
    assert done.report.claims == alone.report.claims
    assert done.report.why_no_model in done.markdown.replace("\\", "")


def test_last_weeks_predictions_are_graded_by_what_came(database, make):
    write_company(database, signups=JUMP[:-1], active=ACTIVE[:-1], payments=PAYMENTS[:-1])
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    before = (WEEK_END - timedelta(days=7)).isoformat()
    with serving(FakeClaude(message(json.dumps(SAID)))) as fake:
        make(fake, week_end=before, now=NOW)
    done = make()
    (graded,) = [one for one in done.report.graded if one.prediction.written_by == "model"]
    assert (graded.prediction.direction, graded.came, graded.grade) == (
        "down",
        "up",
        "did not hold",
    )
    assert (graded.value_then, graded.value_now) == (100, 150)
    kept = rows(database, "select came, grade, value_now from insights.predictions")
    assert ("up", "did not hold", 150) in kept


def test_a_past_number_that_changed_since_is_told_with_both_values(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    make(week_end=(WEEK_END - timedelta(days=7)).isoformat())
    late = [*PAYMENTS[:-3], [1_000] * 24 + [1_500], *PAYMENTS[-2:]]
    write_company(database, signups=JUMP, active=ACTIVE, payments=late)
    done = make()
    restated = {one.fact_id: (one.before, one.now) for one in done.report.digest.restated}
    assert restated == {"payments.usd": (25_000, 25_500)}
    assert "USD 255.00" in done.markdown


def test_a_week_that_is_not_over_or_no_week_at_all_is_refused_with_the_right_one(database, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    with pytest.raises(UsageError, match="is not over") as refused:
        make(week_end="2025-03-16")
    assert "2025-03-09" in refused.value.remedy
    with pytest.raises(UsageError, match="no week of the report ends before"):
        make(week_end="2025-03-05")
    with pytest.raises(UsageError, match="is not a day"):
        make(week_end="next week")
    with pytest.raises(UsageError, match="cannot be shown"):
        make(weeks=0)


def test_a_source_that_is_behind_leaves_its_facts_open_and_the_report_says_so(database, make):
    write_company(
        database,
        signups=JUMP,
        active=ACTIVE,
        payments=PAYMENTS,
        as_of=NOW - timedelta(days=2),
    )
    done = make()
    assert done.report.digest.by_id["signups"].value is None
    assert "known only up to 2025-03-07 09:00 UTC" in done.markdown
    assert any("signups" in one for one in done.judged.stale)
    assert "signups_rose:signups" not in told(done)


def test_files_go_after_their_days_and_the_newest_report_stays(database, lake, make):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    old = make(week_end=(WEEK_END - timedelta(days=7)).isoformat())
    new = make(now=NOW + timedelta(hours=1))
    keep = timedelta(days=90)
    store = InsightStore(database)
    assert clean_files(lake, store, now=NOW + timedelta(days=80), keep=keep) == 0
    removed = clean_files(lake, store, now=NOW + timedelta(days=36_500), keep=keep)
    assert removed == len(set(old.artifacts.values()) - set(new.artifacts.values()))
    assert lake.find_artifact(old.artifacts["md"]) is None
    assert lake.find_artifact(new.artifacts["md"]) is not None
    assert [one.report_id for one in store.kept_reports()] == [new.report.report_id]


def test_r29_no_name_of_the_database_reaches_the_model(database, make, seed):
    """The whole way: events of hostile names in Postgres, every byte that was sent searched."""
    customers = canaries(seed, 12)
    texts = [text for customer in customers for text in customer.texts]
    names = {text[:200]: [30, 30 + 7 * number] for number, text in enumerate(texts)}
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS, events=names)
    with serving(FakeClaude(message(json.dumps(SAID)))) as fake:
        done = make(fake)
        received = list(fake.received)
    assert any(fact.series.name for fact in done.report.digest.facts)
    assert received
    assert traces(received, texts) == []
