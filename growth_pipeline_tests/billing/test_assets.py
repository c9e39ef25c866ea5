"""The billing assets as Dagster runs them: a small Stripe on loopback, a real lake and Postgres."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from growth_pipeline.billing.assets import (
    MONTHS_AT_ONCE,
    build_stripe_extract,
    extract_key,
    mirror,
    payments,
    stripe_extracts,
)
from growth_pipeline.billing.checks import check_extracts, check_quarantine, check_waiting
from growth_pipeline.billing.columns import SCHEMAS
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.objects import STRIPE_OBJECTS
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline_tests.fakes import stripe_list_server as fake_stripe
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge, an_event

SCOPE = Scope("acct_1", False)
NOW = datetime(2025, 11, 15, tzinfo=UTC)
OCTOBER_NOON = 1_759_320_000  # 2025-10-01T12:00:00Z
SEPTEMBER_NOON = OCTOBER_NOON - 86_400


def clock() -> datetime:
    return NOW


@pytest.fixture
def stripe():
    with fake_stripe.StripeListServer() as server:
        yield server


@pytest.fixture
def open_reader(stripe) -> Callable[..., StripeReader]:
    def open_reader(api_base: str = stripe.url, api_key: str = fake_stripe.KEY) -> StripeReader:
        access = StripeAccess(
            api_key=api_key,
            api_base=api_base,
            api_version=fake_stripe.VERSION,
            account_id="acct_1",
            livemode=False,
            requests_per_second=5_000,
            endpoint_requests_per_second=5_000,
            timeout_seconds=5,
            retry_seconds=0.2,
        )
        return StripeReader(access)

    return open_reader


def a_stripe_charge(id: str, created: int) -> dict:
    return a_charge(
        id, created=created, failure_code=None, invoice=None, refunds={"data": []}, livemode=False
    )


def run(asset, resources, *, month=None, months=None, instance=None, tags=None):
    ranged = (
        {
            "dagster/asset_partition_range_start": months[0],
            "dagster/asset_partition_range_end": months[1],
        }
        if months
        else {}
    )
    return dg.materialize(
        [asset],
        partition_key=month,
        resources=resources,
        instance=instance,
        raise_on_error=False,
        tags={**ranged, **(tags or {})},
    )


def made(result) -> dict[str | None, dict]:
    """Plain metadata by partition."""
    return {
        event.partition: {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def failure_of(result) -> tuple[str, dict]:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    return said.description, {name: value.value for name, value in said.metadata.items()}


def test_every_extracted_object_has_an_asset():
    assert set(STRIPE_OBJECTS) == set(SCHEMAS)
    assert {asset.key for asset in stripe_extracts} == {extract_key(name) for name in SCHEMAS}


def test_an_extract_states_what_was_read_on_its_materialisation(stripe, open_reader, lake):
    stripe.objects["charges"] = [
        a_stripe_charge("ch_1", OCTOBER_NOON),
        a_stripe_charge("ch_2", OCTOBER_NOON + 1),
        a_stripe_charge("ch_3", SEPTEMBER_NOON),
    ]
    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_reader, "lake": lake, "clock": clock},
        month="2025-10",
    )
    assert result.success
    (manifest,) = lake.manifests("stripe/charges")
    facts = made(result)["2025-10"]
    assert facts["dagster/row_count"] == 2
    assert facts["requests"] == facts["pages"] == 1
    assert facts["sha256"] == manifest.sha256
    assert facts["path"] == manifest.path
    assert facts["api_version"] == fake_stripe.VERSION
    assert facts["certificate"]["complete"] is True
    assert facts["certificate"]["has_more"] is False


def test_a_range_of_months_is_one_run_with_one_statement_a_month(stripe, open_reader, lake):
    stripe.objects["charges"] = [
        a_stripe_charge("ch_1", OCTOBER_NOON),
        a_stripe_charge("ch_2", SEPTEMBER_NOON),
        a_stripe_charge("ch_3", SEPTEMBER_NOON),
    ]
    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_reader, "lake": lake, "clock": clock},
        months=("2025-08", "2025-10"),
    )
    assert result.success
    counts = {month: facts["dagster/row_count"] for month, facts in made(result).items()}
    assert counts == {"2025-08": 0, "2025-09": 2, "2025-10": 1}


def test_months_of_a_range_are_read_a_few_at_a_time_each_by_its_own_reader(open_reader, lake):
    lock, now_open, most, readers = threading.Lock(), [], [0], set()

    class CountingReader(StripeReader):
        def list_window(self, *arguments):
            with lock:
                now_open.append(self)
                readers.add(id(self))
                most[0] = max(most[0], len(now_open))
            time.sleep(0.02)
            try:
                yield from super().list_window(*arguments)
            finally:
                with lock:
                    now_open.remove(self)

    def open_counting():
        return CountingReader(open_reader()._access)

    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_counting, "lake": lake, "clock": clock},
        months=("2024-11", "2025-10"),
    )
    assert result.success
    assert len(made(result)) == 12
    assert 1 < most[0] <= MONTHS_AT_ONCE


def test_an_extract_made_again_holds_what_stripe_says_now(stripe, open_reader, lake):
    resources = {"stripe": open_reader, "lake": lake, "clock": clock}
    asset = build_stripe_extract("charges")
    stripe.objects["charges"] = [a_stripe_charge("ch_1", OCTOBER_NOON)]
    first = made(run(asset, resources, month="2025-10"))["2025-10"]
    stripe.objects["charges"][0]["amount_refunded"] = 400
    second = made(run(asset, resources, month="2025-10"))["2025-10"]
    assert first["sha256"] != second["sha256"]
    assert len(lake.manifests("stripe/charges")) == 1


def test_a_wrong_key_is_one_sentence_and_is_not_tried_again(open_reader, lake):
    def open_wrong():
        return open_reader(api_key="rk_test_GrowthCanaryWrong99")

    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_wrong, "lake": lake, "clock": clock},
        month="2025-10",
    )
    sentence, facts = failure_of(result)
    assert not result.success
    assert "key" in sentence
    assert "\n" not in sentence
    assert facts["retry_helps"] is False
    assert facts["remedy"] != "none known"
    assert not [
        event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]


def test_an_unreachable_stripe_is_told_at_once_to_a_person_who_waits(open_reader, lake):
    def open_nowhere():
        return open_reader(api_base="http://127.0.0.1:1")

    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_nowhere, "lake": lake, "clock": clock},
        month="2025-10",
        tags={VIA_TAG: "cli"},
    )
    sentence, facts = failure_of(result)
    assert "Stripe" in sentence
    assert facts["retry_helps"] is True
    assert not [
        event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]


def test_one_failed_month_fails_the_range_and_keeps_the_finished_ones(stripe, open_reader, lake):
    stripe.always = fake_stripe.says(403, "The key lacks the right rak_charge_read")
    stripe.faults.extend([None])  # the first request is answered, all later ones are refused
    result = run(
        build_stripe_extract("charges"),
        {"stripe": open_reader, "lake": lake, "clock": clock},
        months=("2025-09", "2025-10"),
    )
    assert not result.success
    assert "rak_charge_read" in failure_of(result)[0]
    assert len(lake.manifests("stripe/charges")) == 1


# --- mirror and payments -------------------------------------------------------------------------


def received(id: str, body: bytes) -> ReceivedEvent:
    return ReceivedEvent("acct_1", False, id, "charge.succeeded", NEW, NOW, NOW, "webhook", body)


@pytest.fixture
def store(database):
    return BillingStore(database)


def test_the_mirror_applies_what_waits_and_says_how_much(store):
    charge = a_stripe_charge("ch_1", OCTOBER_NOON)
    store.insert_event(
        received("evt_1", an_event("charge.succeeded", charge, created=OCTOBER_NOON))
    )
    result = run(mirror, {"billing_store": store, "clock": clock})
    assert result.success
    assert made(result)[None] == {
        "applied": 1,
        "ignored": 0,
        "quarantined": 0,
        "inbox_applied": 1,
    }
    (check,) = result.get_asset_check_evaluations()
    assert check.passed


def test_a_quarantined_event_is_a_warning_and_not_a_failed_run(store):
    store.insert_event(received("evt_1", b"this is not JSON"))
    assert run(mirror, {"billing_store": store, "clock": clock}).success
    check = check_quarantine(store.inbox_counts())
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "1 event quarantined"
    assert check_quarantine({"applied": 7}).passed


def test_events_that_wait_after_the_mirror_was_made_are_a_warning():
    assert check_waiting({"applied": 7}).passed
    check = check_waiting({"received": 2})
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 events waiting"


def test_a_file_that_changed_after_it_was_written_fails_its_check(stripe, open_reader, lake):
    run(
        build_stripe_extract("charges"),
        {"stripe": open_reader, "lake": lake, "clock": clock},
        month="2025-10",
    )
    (manifest,) = lake.manifests("stripe/charges")
    assert check_extracts([manifest], lake).passed
    cut = replace(manifest, certificate={**manifest.certificate, "has_more": True})
    assert check_extracts([cut], lake).metadata["examples"].value == [
        "2025-10: the list was not read to its end"
    ]
    fewer = replace(manifest, row_count=5)
    assert check_extracts([fewer], lake).metadata["examples"].value == [
        "2025-10: 0 read, 5 written"
    ]
    Path(manifest.path).write_bytes(b"something else")
    assert not check_extracts([manifest], lake).passed


def test_payments_are_booked_again_from_the_mirror_month_by_month(store, database):
    for id, at in (("ch_1", OCTOBER_NOON), ("ch_2", SEPTEMBER_NOON), ("ch_3", SEPTEMBER_NOON)):
        event = an_event("charge.succeeded", a_stripe_charge(id, at), id=f"evt_{id}", created=at)
        store.insert_event(received(f"evt_{id}", event))
    run(mirror, {"billing_store": store, "clock": clock})
    with database.connection() as connection:
        connection.execute("update billing.payments set amount_minor = 1")
    result = run(
        payments,
        {"billing_store": store, "scope": SCOPE, "clock": clock},
        months=("2025-09", "2025-10"),
    )
    assert result.success
    assert {month: facts["dagster/row_count"] for month, facts in made(result).items()} == {
        "2025-09": 2,
        "2025-10": 1,
    }
    with database.connection() as connection:
        rows = connection.execute("select distinct amount_minor from billing.payments").fetchall()
    assert rows == [(1000,)]
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_a_currency_that_does_not_exist_fails_its_check_alone(store, database):
    with database.connection() as connection:
        connection.execute(
            "insert into billing.payments (account_id, livemode, charge_id, status, captured, currency,"
            " amount_minor, created_at, written_by, written_at)"
            " values ('acct_1', false, 'ch_9', 'succeeded', true, 'usx', 5, %s, 'hand', %s)",
            [datetime(2025, 10, 3, tzinfo=UTC), NOW],
        )
    result = run(
        payments, {"billing_store": store, "scope": SCOPE, "clock": clock}, month="2025-10"
    )
    assert result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [(check.check_name, check.metadata["examples"].value) for check in failed] == [
        ("currencies_are_known", ["usx"])
    ]
