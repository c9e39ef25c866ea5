"""The one list that Dagster loads: it loads anywhere, it is complete, and it stays light."""

import os
import re
import subprocess
import sys
import time

import dagster as dg
import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.definitions import build_defs, defs, launch

EMPTY_ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
HEAVY = (
    *("polars", "pandas", "pyarrow", "numpy", "duckdb", "altair", "vl_convert", "psycopg"),
    *("httpx", "stripe", "slack_sdk", "githubkit", "fsspec", "sqlalchemy", "fastapi", "anthropic"),
)
GROUPS = {
    "billing": [
        *("billing/balance_transactions_extract", "billing/charges_extract"),
        *("billing/checkout_sessions_extract", "billing/coupons_extract"),
        *("billing/credit_notes_extract", "billing/customers_extract"),
        *("billing/disputes_extract", "billing/events_extract", "billing/inbox"),
        *("billing/invoice_payments_extract", "billing/invoices_extract", "billing/mirror"),
        *("billing/payment_intents_extract", "billing/payment_methods_extract"),
        *("billing/payments", "billing/payouts_extract", "billing/prices_extract"),
        *("billing/products_extract", "billing/promotion_codes_extract"),
        *("billing/refunds_extract", "billing/subscriptions_extract"),
        *("billing/drift", "billing/event_sweep", "billing/mirror_backfill"),
    ],
    "audit": ["audit/findings", "audit/report", "audit/kept_reports"],
    "alerts": ["alerts/outbox"],
    "insights": ["insights/weekly_report"],
    "lifecycle": [
        *("lifecycle/engagement_scores", "lifecycle/messages"),
        *("lifecycle/score_backtest", "lifecycle/stages"),
    ],
    "marts": ["marts/kept_tables"],
    "revenue": [
        "revenue/movements",
        "revenue/mrr",
        "revenue/receipts",
        "revenue/subscription_states",
    ],
    "cohorts": [
        *("cohorts/active_users", "cohorts/funnels"),
        *("cohorts/report", "cohorts/retention_cells"),
    ],
    "events": ["events/activity", "events/billing_assertions"],
}
CHECKS = {
    "audit/findings": [
        *("access_agrees_with_payment", "amounts_agree", "booked_payments_exist_in_stripe"),
        *("closed_month_adds_up", "currencies_agree", "customers_agree", "disputes_agree"),
        *("events_arrived", "fees_and_net_agree", "invoices_agree"),
        *("mirror_is_fresh", "months_agree", "payments_are_booked_once"),
        *("payouts_agree", "references_exist", "refunds_agree"),
        *("rows_are_of_this_account", "settled_payments_are_booked", "sources_are_complete"),
        *("statuses_agree", "subscriptions_agree", "totals_are_explained"),
        *("verdict",),
    ],
    "audit/report": ["files_are_whole"],
    "audit/kept_reports": ["newest_and_good_reports_are_there"],
    "cohorts/active_users": [
        *("lifecycle_adds_up", "postgres_has_the_rows", "rows_are_unique_and_whole"),
        *("segments_add_up", "stickiness_is_of_its_days", "windows_hold_each_other"),
    ],
    "cohorts/funnels": [
        *("no_stage_has_more_users_than_the_one_before", "postgres_has_the_rows"),
        *("segments_add_up", "stages_are_whole"),
    ],
    "cohorts/report": ["files_are_whole"],
    "cohorts/retention_cells": [
        *(
            "money_adds_up",
            "no_cohort_shrinks",
            "postgres_has_the_lakes_cells",
            "rows_are_unique_and_whole",
        ),
        "segments_add_up",
        "sizes_add_up_to_users",
    ],
    "alerts/outbox": ["channels_take_alerts", "every_alert_arrived"],
    "insights/weekly_report": [
        *("claims_are_supported", "every_figure_equals_its_fact", "facts_are_fresh"),
    ],
    "lifecycle/engagement_scores": ["every_user_is_counted", "one_stage_each"],
    "lifecycle/messages": [
        *("bounce_rate", "caps_are_kept", "complaint_rate"),
        *("kit_answers", "nobody_mailed_after_suppression", "outcomes_are_known"),
    ],
    "lifecycle/score_backtest": ["scores_are_better_than_chance"],
    "lifecycle/stages": ["nothing_new_waits"],
    "marts/kept_tables": ["customer_months_add_up_to_mrr", "payments_add_up_to_the_books"],
    "revenue/movements": [
        *("a_period_starts_where_the_one_before_ended", "causes_and_segments_add_up"),
        *("customers_add_up_to_movements", "days_and_months_agree"),
        *("mrr_is_never_below_zero", "start_plus_movements_is_end"),
    ],
    "revenue/subscription_states": [
        *("each_subscription_has_a_state", "states_follow_each_other"),
    ],
    "revenue/receipts": ["figures_have_receipts", "rows_of_receipts_are_there"],
    "revenue/mrr": [
        *("customers_add_up_to_days", "items_add_up_to_customers", "mrr_follows_the_mirror"),
    ],
    "billing/drift": ["drift_is_repaired", "mirror_says_what_stripe_says"],
    "billing/event_sweep": ["events_reach_back", "webhooks_bring_the_events"],
    "billing/inbox": ["no_events_are_quarantined"],
    "billing/mirror": [
        *("answers_are_usable", "api_versions_are_known", "doubts_are_settled"),
        *("key_fields_stay_filled", "no_events_wait", "statuses_are_known"),
    ],
    "billing/mirror_backfill": ["every_object_was_taken"],
    **{key: ["files_are_complete"] for key in GROUPS["billing"] if key.endswith("_extract")},
    "events/activity": [
        "events_are_kept_or_dropped",
        "somebody_counts",
        "users_are_there_once_a_day",
    ],
    "events/billing_assertions": ["stripe_says_what_billing_events_say"],
    "billing/payments": ["currencies_are_known", "mirror_books_each_charge_once"],
}


JOBS = (
    *("audit_job", "book_job", "extract_job", "deliver_alerts_job"),
    *("backfill_job", "sweep_job", "relist_job", "clean_reports_job"),
    "verify_events_job",
    "refresh_cohorts_job",
    "refresh_revenue_job",
    "weekly_growth_report_job",
    *("lifecycle_job", "engagement_scores_job", "score_backtest_job"),
)


def run_python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**EMPTY_ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_definitions_load_with_an_empty_environment_and_no_database(tmp_path):
    program = "import dagster as dg, growth_pipeline.definitions as d; dg.Definitions.validate_loadable(d.defs)"
    done = run_python(program, PWD=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_loading_brings_nothing_heavy():
    program = (
        f"import sys, growth_pipeline.definitions; print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert run_python(program).stdout.strip() == "[]"


def test_loading_costs_less_than_twice_what_dagster_alone_costs():
    def seconds(program: str) -> float:
        started = time.perf_counter()
        assert run_python(program).returncode == 0
        return time.perf_counter() - started

    pairs = [
        (seconds("import dagster"), seconds("import growth_pipeline.definitions")) for _ in range(3)
    ]
    ratio = min(ours for _, ours in pairs) / min(bare for bare, _ in pairs)
    assert ratio < 2, f"loading the definitions costs {ratio:.2f} x import dagster"


def test_keys_and_groups_are_the_slices(specs):
    groups: dict[str, list[str]] = {}
    for key, spec in sorted(specs.items()):
        groups.setdefault(spec.group_name, []).append(key)
    assert groups == {name: sorted(keys) for name, keys in GROUPS.items()}
    assert all(key.startswith(f"{spec.group_name}/") for key, spec in specs.items())


def test_checks_are_these():
    found: dict[str, list[str]] = {}
    for key in defs.get_repository_def().asset_graph.asset_check_keys:
        found.setdefault(key.asset_key.to_user_string(), []).append(key.name)
    assert {asset: sorted(names) for asset, names in found.items()} == CHECKS


def test_every_asset_has_a_check(specs):
    assert set(CHECKS) == set(specs)


def test_jobs_schedules_and_sensors_are_these_and_the_clocks_run_from_the_start():
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == set(JOBS)
    assert {one.name: one.default_status for one in repository.schedule_defs} == dict.fromkeys(
        (
            *("daily_audit_schedule", "nightly_relist_schedule", "daily_cohorts_schedule"),
            *("older_months_audit_schedule", "weekly_report_cleaning_schedule"),
            *("daily_billing_assertions_schedule", "daily_revenue_schedule"),
            *("weekly_growth_report_schedule", "sunday_cohorts_schedule"),
            *("hourly_lifecycle_schedule", "daily_scores_schedule", "monthly_backtest_schedule"),
        ),
        dg.DefaultScheduleStatus.RUNNING,
    )
    assert {one.name: one.default_status for one in repository.sensor_defs} == dict.fromkeys(
        (
            *("missing_audits_sensor", "event_sweep_sensor"),
            *("checks_alert_sensor", "run_failure_alert_sensor", "alert_timer_sensor"),
        ),
        dg.DefaultSensorStatus.RUNNING,
    )


def test_every_job_ends_some_day():
    for name in JOBS:
        assert int(defs.resolve_job_def(name).tags["dagster/max_runtime"]) > 0


def test_every_asset_has_an_owner_a_kind_and_a_description_that_opens_with_its_grain(specs):
    for key, spec in specs.items():
        assert spec.owners == ["team:data-engineering"], key
        assert spec.kinds, key
        assert re.match(r"Grain: one \w+", spec.description), key


def test_every_dependency_is_an_asset_that_exists(specs):
    wanted = {dep.asset_key.to_user_string() for spec in specs.values() for dep in spec.deps}
    assert wanted <= set(specs)
    assert wanted  # a graph without edges would pass as well


def test_every_monthly_asset_has_the_same_months():
    graph = defs.get_repository_def().asset_graph
    known = {graph.get(key).partitions_def for key in graph.get_all_asset_keys()} - {None}
    days = {one for one in known if isinstance(one, dg.DailyPartitionsDefinition)}
    months = known - days
    assert len(months) == 1
    assert {one.start for one in days} == {one.start for one in months}


def test_audits_take_one_month_a_run_and_extracts_many():
    graph = defs.get_repository_def().asset_graph
    policies = {
        key.to_user_string(): graph.get(key).backfill_policy for key in graph.get_all_asset_keys()
    }
    # Without a policy each month is a run of its own, and its checks know their month.
    assert policies["audit/findings"] is policies["audit/report"] is None
    months = graph.get(dg.AssetKey(["billing", "payments"])).partitions_def
    monthly = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).partitions_def == months
    }
    ranged = [
        *(key for key in monthly if key.endswith("_extract")),
        *("billing/payments", "billing/mirror_backfill"),
    ]
    assert all(policies[key].max_partitions_per_run is None for key in ranged)


def test_extracts_share_stripes_pool_and_deliveries_have_their_own():
    graph = defs.get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        if key.to_user_string().endswith("_extract"):
            assert graph.get(key).pools == {"stripe_api"}
    assert graph.get(dg.AssetKey(["alerts", "outbox"])).pools == {"alerts"}


def test_a_resource_can_be_replaced():
    @dg.asset
    def probe(scope: dg.ResourceParam[object]) -> None:
        assert scope == "another scope"

    replaced = build_defs({"scope": "another scope"}).get_repository_def().get_top_level_resources()
    assert dg.materialize([probe], resources={"scope": replaced["scope"]}).success


# --- launch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("months", "sentence"),
    [
        ({"partition_key": "2999-01"}, "2999-01 is not between"),
        ({"partition_key": "1999-01"}, "1999-01 is not between"),
        ({"partition_key": "October"}, "'October' is not a month"),
        ({"partition_range": ("2025-03", "2999-01")}, "2999-01 is not between"),
        ({"partition_range": ("2025-03", "2025-01")}, "2025-03 is after 2025-01"),
    ],
)
def test_a_month_without_a_partition_is_refused_before_anything_starts(months, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        launch("audit_job", **months)


def test_without_a_dagster_home_one_sentence_says_so(tmp_path):
    program = (
        "from growth_pipeline.definitions import launch\n"
        "from growth_pipeline.core.errors import ConfigurationError\n"
        "try: launch('extract_job', partition_key='2025-01')\n"
        "except ConfigurationError as error: print(error)"
    )
    done = run_python(program, PWD=str(tmp_path))
    assert done.stdout.strip().startswith("Dagster's home is not set up")
