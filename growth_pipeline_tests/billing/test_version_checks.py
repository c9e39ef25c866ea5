"""Unknown API versions and moved fields as Dagster checks them, down to the alert."""

import logging
from datetime import timedelta

import dagster as dg
import pytest

from growth_pipeline.alerts.assets import outbox
from growth_pipeline.alerts.decide import AlertPolicy
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.billing.assets import mirror
from growth_pipeline.billing.checks import (
    api_versions_are_known,
    check_fill,
    check_versions,
    key_fields_stay_filled,
    statuses_are_known,
)
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.billing.schema_drift import FillRate, find_falls
from growth_pipeline.billing.store import BillingStore, UnknownVersion
from growth_pipeline_tests.fakes.stripe_events import NOON, NOW, a_charge, an_event
from growth_pipeline_tests.fakes.untold_reports import Reports

FUTURE = "2027-04-01.fennel"
DAY = 86_400


@pytest.fixture
def store(database):
    return BillingStore(database)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def receive(store, *bodies):
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )


def run_mirror(store, instance, now=NOW):
    return dg.materialize(
        [mirror, api_versions_are_known, key_fields_stay_filled, statuses_are_known],
        resources={
            "billing_store": store,
            "clock": lambda: now,
            "scopes": [],  # nothing is asked of Stripe
            "stripe": dg.ResourceDefinition.none_resource(),
        },
        instance=instance,
        tags={VIA_TAG: "test"},
    )


def outcome(result, name):
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def test_an_unknown_version_is_an_error_that_names_version_count_and_remedy(store, instance):
    receive(
        store,
        an_event("charge.succeeded", a_charge("ch_1"), id="evt_1"),
        an_event("charge.succeeded", a_charge("ch_2"), id="evt_2", version=FUTURE),
        an_event("charge.succeeded", a_charge("ch_3"), id="evt_3", version=FUTURE),
        an_event("charge.succeeded", a_charge("ch_4"), id="evt_4", version=None),
    )
    result = run_mirror(store, instance)
    assert result.success, "neighbours go on"
    found = outcome(result, "api_versions_are_known")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.description == "3 events in unknown API versions: none, 2027-04-01.fennel"
    assert found.metadata["examples"].value == ["evt_4", "evt_2"]
    assert "growth doctor" in found.metadata["remedy"].value


def test_events_that_wait_for_another_reason_are_not_a_question_of_versions(store, instance):
    receive(store, an_event("charge.teleported", a_charge(), id="evt_1"))
    assert outcome(run_mirror(store, instance), "api_versions_are_known").passed
    assert store.unknown_versions() == []


def test_an_unknown_version_becomes_an_alert_and_its_end_a_recovery(store, instance, database):
    def told(about):
        done = dg.materialize(
            [outbox],
            instance=instance,
            run_config={"ops": {"alerts__outbox": {"config": {"run_id": about.run_id}}}},
            resources={
                "alert_store": AlertStore(database),
                "alert_channels": [],
                "alert_policy": AlertPolicy(escalate_after_days=0, audit_hours=0),
                "report_outlet": Reports(),
                "dagster_url": None,
                "clock": lambda: NOW,
            },
            tags={VIA_TAG: "test"},
        )
        entries = instance.all_logs(done.run_id)
        return [one.user_message for one in entries if one.level == logging.WARNING]

    receive(store, an_event("charge.succeeded", a_charge(), version=FUTURE))
    (alert,) = told(run_mirror(store, instance))
    assert "api_versions_are_known failed: 1 event in unknown API versions: " + FUTURE in alert
    with database.connection() as connection:  # somebody pinned the endpoint and had it sent again
        connection.execute("delete from billing.inbox")
    (recovery,) = told(run_mirror(store, instance))
    assert recovery.startswith("alert: HIGH: Recovered")


def test_an_old_event_keeps_its_old_version_and_is_read_by_its_own_adapter(store, database):
    old = a_charge("ch_1", invoice="in_1")
    receive(
        store,
        an_event("charge.succeeded", old, id="evt_1", version="2022-11-15"),
        an_event("charge.succeeded", a_charge("ch_2"), id="evt_2"),
    )
    apply_waiting(store, now=NOW)
    with database.connection() as connection:
        rows = connection.execute(
            "select id, api_version, invoice from stripe.charges order by id"
        ).fetchall()
    assert rows == [("ch_1", "2022-11-15", "in_1"), ("ch_2", "2026-10-28.endive", None)]


def charges_of_a_month(store, *, empty_days):
    """Two charges a day for 30 days until NOON; in the newest days without a customer."""
    for n in range(60):
        at = NOON - 3600 - (n // 2) * DAY
        charge = a_charge(f"ch_{n}", created=at, customer=None if n // 2 < empty_days else "cus_1")
        receive(store, an_event("charge.succeeded", charge, id=f"evt_{n}", created=at))


def test_a_column_that_is_suddenly_empty_is_a_warning_that_names_it(store, instance):
    charges_of_a_month(store, empty_days=4)
    found = outcome(run_mirror(store, instance, now=NOW), "key_fields_stay_filled")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["fields"].value == ["charges.customer"]
    assert "charges.customer: 100% filled before, 0% of 8 objects" in found.description


def test_steady_columns_pass(store, instance):
    charges_of_a_month(store, empty_days=0)
    assert outcome(run_mirror(store, instance), "key_fields_stay_filled").passed


def test_fill_rates_count_every_object_once_by_version_and_day(store):
    charges_of_a_month(store, empty_days=4)
    apply_waiting(store, now=NOW)
    rates = [rate for rate in store.fill_rates(NOW) if rate.field == "customer"]
    rates = [rate for rate in rates if rate.resource == "charges"]
    assert sum(rate.objects for rate in rates) == 60
    assert sum(rate.filled for rate in rates) == 52
    assert {rate.api_version for rate in rates} == {"2026-10-28.endive"}
    newest = [rate for rate in rates if rate.days_ago == min(one.days_ago for one in rates)]
    assert [(rate.objects, rate.filled) for rate in newest] == [(2, 0)]
    assert store.fill_rates(NOW - timedelta(days=400)) == []


def test_an_unknown_status_is_stored_and_told_as_a_warning(store, instance, database):
    receive(
        store,
        an_event("charge.succeeded", a_charge("ch_1"), id="evt_1"),
        an_event("charge.updated", a_charge("ch_2", status="dormant"), id="evt_2"),
    )
    result = run_mirror(store, instance)
    found = outcome(result, "statuses_are_known")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "unknown statuses: charge dormant (ch_2)"
    with database.connection() as connection:
        rows = connection.execute("select id, status from stripe.charges order by 1").fetchall()
    assert rows == [("ch_1", "succeeded"), ("ch_2", "dormant")]


def test_nothing_unknown_and_nothing_fallen_passes_without_a_word():
    assert check_versions([]).passed
    assert check_versions([]).description is None
    assert check_fill([]).passed
    assert check_fill([]).description is None


def test_an_event_without_a_version_is_called_none():
    unknown = [UnknownVersion("", 1, "evt_1", NOW)]
    assert check_versions(unknown).description == "1 event in unknown API versions: none"


def test_many_falls_are_cut_short_but_all_fields_are_named():
    rates = [
        FillRate("charges", f"field_{n:02}", "v", day, 50, 50 if day > 7 else 0)
        for n in range(15)
        for day in range(35)
    ]
    result = check_fill(find_falls(rates))
    assert len(result.metadata["fields"].value) == 15
    assert result.description.count(";") == 9
