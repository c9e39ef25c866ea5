"""The weekly report in Dagster and at the terminal: its weeks, its checks, its schedule."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import pytest

from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.cli import app
from growth_pipeline.core.ids import Scope
from growth_pipeline.definitions import defs
from growth_pipeline.insights.assets import weekly_report
from growth_pipeline.insights.choice import ModelChoice, choose_model
from growth_pipeline.insights.insight_store import InsightStore
from growth_pipeline.insights.sources import open_sources
from growth_pipeline.insights.writer.write import Limits
from growth_pipeline.settings import InsightSettings
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.weekly_company import NOW, write_company
from growth_pipeline_tests.insights.test_make import ACTIVE, JUMP, PAYMENTS, Revenue

LIMITS = Limits(
    max_output_tokens=8_000,
    max_input_tokens=60_000,
    input_usd_per_million=Decimal(2),
    output_usd_per_million=Decimal(10),
    max_cost_usd=Decimal(1),
)


@pytest.fixture
def materialize(database, lake, engine):
    def run(**config):
        return dg.materialize(
            [weekly_report],
            selection=["insights/weekly_report"],
            resources={
                "digest_sources": open_sources(
                    database,
                    engine,
                    scopes=[Scope("self", False)],
                    revenue=Revenue,
                    cohort_entry="signup",
                    activity_tz="UTC",
                    week_start="sunday",
                ),
                "insight_store": InsightStore(database),
                "insight_model": ModelChoice(None, LIMITS, "Claude was not asked: no key is set."),
                "insight_weeks": 8,
                "insights_keep_days": 90,
                "lake": lake,
                "clock": lambda: NOW,
            },
            run_config={"ops": {"insights__weekly_report": {"config": config}}},
            raise_on_error=False,
            tags={VIA_TAG: "test"},  # a person waits: a failed step is not tried again
        )

    return run


def metadata(result):
    (made,) = result.asset_materializations_for_node("insights__weekly_report")
    return {name: value.value for name, value in made.metadata.items()}


def checks(result):
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_a_run_writes_the_report_shows_it_and_passes_its_checks(database, materialize):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    result = materialize()
    assert result.success
    assert checks(result) == dict.fromkeys(
        ("every_figure_equals_its_fact", "facts_are_fresh", "claims_are_supported"), True
    )
    told = metadata(result)
    assert (told["week"], told["weeks"]) == ("2025-03-02 to 2025-03-08", 8)
    assert "Sign-ups rose by 50.0 % to 150." in told["report"]
    assert "data:image/png;base64," in told["report"]
    assert told["why_no_model"] == "Claude was not asked: no key is set."
    assert (told["model_calls"], told["cost_usd"], told["told"]) == (0, "0", True)


def test_weeks_and_the_last_day_can_be_asked_for_in_the_launchpad(database, materialize):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    told = metadata(materialize(weeks=5, week_end="2025-03-02", tell=False))
    assert (told["week"], told["weeks"]) == ("2025-02-23 to 2025-03-01", 5)
    assert not told["told"]
    assert "rose by 50.0 %" not in told["report"]


def test_a_week_that_is_not_over_fails_the_run_with_what_to_do(database, materialize):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    result = materialize(week_end="2025-03-16")
    assert not result.success
    failure = result.failure_data_for_node("insights__weekly_report").user_failure_data
    assert "is not over" in failure.description
    assert "2025-03-09" in failure.metadata["remedy"].value


def test_what_is_not_known_yet_is_a_warning_and_no_error(database, materialize):
    behind = datetime(2025, 3, 7, tzinfo=UTC)
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS, as_of=behind)
    result = materialize()
    assert result.success
    (fresh,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (fresh.check_name, fresh.severity) == ("facts_are_fresh", dg.AssetCheckSeverity.WARN)
    assert "signups" in (fresh.description or "")


def test_an_empty_company_has_a_report_that_says_what_to_do(materialize):
    result = materialize()
    assert result.success
    told = metadata(result)
    assert (told["facts"], told["claims"]) == (0, 0)
    assert "growth" in told["report"]


def test_it_is_written_on_sundays_at_nine_and_runs_after_what_it_reads():
    schedule = defs.resolve_schedule_def("weekly_growth_report_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 9 * * 0", "UTC")
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey(["insights", "weekly_report"]))
    assert {key.to_user_string() for key in node.parent_keys} == {
        *("audit/findings", "billing/payments", "cohorts/active_users", "cohorts/funnels"),
        *("cohorts/retention_cells", "events/activity", "revenue/movements"),
    }


@pytest.mark.parametrize(
    ("tz", "key"), [("UTC", None), ("Asia/Kolkata", None), ("America/Los_Angeles", "2025-03-08")]
)
def test_before_the_report_saturday_is_counted_again_where_it_was_not_over(
    tz, key, monkeypatch, tmp_path
):
    monkeypatch.setenv("GROWTH_EVENTS__TIMEZONE", tz)
    monkeypatch.setenv("GROWTH_STATE_DIR", str(tmp_path))
    schedule = defs.resolve_schedule_def("sunday_cohorts_schedule")
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2025, 3, 9, 8, 30, tzinfo=UTC),
        repository_def=defs.get_repository_def(),
    )
    told = schedule.evaluate_tick(context)
    assert [one.partition_key for one in told.run_requests or []] == ([key] if key else [])


# --- the model ------------------------------------------------------------------------------------


def test_without_a_key_or_money_no_model_is_asked_and_the_reason_names_the_setting():
    none = choose_model(InsightSettings())
    assert none.model is None
    assert "GROWTH_INSIGHTS__ANTHROPIC_API_KEY" in none.why_not
    poor = choose_model(InsightSettings(anthropic_api_key="sk-ant-1", max_cost_usd=0))
    assert poor.model is None
    assert "GROWTH_INSIGHTS__MAX_COST_USD" in poor.why_not
    rich = choose_model(InsightSettings(anthropic_api_key="sk-ant-1"))
    assert (rich.model.name, rich.why_not) == ("claude-sonnet-5-5", "")
    assert "sk-ant-1" not in repr(rich)


def test_the_model_of_the_settings_is_none_that_the_vendor_has_retired():
    from anthropic.resources.messages.messages import DEPRECATED_MODELS

    assert InsightSettings().model not in DEPRECATED_MODELS


# --- the terminal ---------------------------------------------------------------------------------


@pytest.fixture
def run(database, database_url, tmp_path):
    write_company(database, signups=JUMP, active=ACTIVE, payments=PAYMENTS)
    environment = {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
    }
    return lambda *words: CliRunner().invoke(app, ["insights", *words], env=environment)


def test_the_command_writes_files_by_their_endings_and_lists_what_is_kept(run, tmp_path):
    files = [tmp_path / "out" / f"report.{form}" for form in ("md", "html", "json", "csv", "png")]
    outputs = [word for file in files for word in ("--output", str(file))]
    done = run("--weeks", "8", "--week-end", "2025-03-09", "--no-ai", *outputs)
    assert done.exit_code == 0, done.output
    assert "Sign-ups rose by 50.0 % to 150." in files[0].read_text()
    assert files[1].read_text().startswith("<!doctype html>")
    assert json.loads(files[2].read_text())["digest"]["weeks"] == 8
    assert files[3].read_text().startswith("fact_id,")
    assert files[4].read_bytes().startswith(b"\x89PNG")
    (kept,) = json.loads(run("list", "--json").stdout)
    assert kept["week_start"] == "2025-03-02"
    assert kept["told_at"] is None


def test_json_on_standard_output_is_json_alone_and_a_dry_run_keeps_nothing(run):
    done = run("--week-end", "2025-03-09", "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"]["signups:value"] == "150"
    assert json.loads(run("list", "--json").stdout) == []


def test_wrong_arguments_are_refused_with_what_is_allowed(run, tmp_path):
    for words, says in (
        (("--weeks", "0"), "from 1 to 104"),
        (("--week-end", "soon"), "YYYY-MM-DD"),
        (("--output", str(tmp_path / "report.pdf")), ".md, .html, .json, .csv, .png"),
    ):
        done = run(*words)
        assert int(done.exception.exit_code) == 2, words
        assert says in done.exception.remedy


def test_the_rules_can_be_read(run):
    rules = json.loads(run("rules", "--json").stdout)
    assert {"signups_rose", "mrr_fell"} <= {rule["rule_id"] for rule in rules}
    assert all(rule["what"] for rule in rules)
