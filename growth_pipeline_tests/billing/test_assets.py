"""The billing assets as Dagster runs them: a small Stripe on loopback, a real lake and Postgres."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from growth_pipeline.billing.assets import (
    extract_key,
    mirror,
    payments,
    stripe_extracts,
    stripe_lists,
    stripe_whole_lists,
)
from growth_pipeline.billing.checks import (
    check_answers,
    check_doubts,
    check_extracts,
    check_quarantine,
    check_waiting,
)
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.objects import STRIPE_OBJECTS, WHOLE_OBJECTS
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes import stripe_list_server as fake_stripe
from growth_pipeline_tests.fakes.fast_access import fast_access
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
        access = fast_access(api_base, api_key=api_key)
        return StripeReader(access)

    return open_reader


def a_stripe_charge(id: str, created: int) -> dict:
    return a_charge(
        id, created=created, failure_code=None, invoice=None, refunds={"data": []}, livemode=False
    )


def given(open_reader, lake, folder: Path) -> dict:
    """What the extracts are given; pages wait in a folder of the test."""
    return {
        "stripe": open_reader,
        "scopes": [SCOPE],
        "lake": lake,
        "checkpoints": folder / "extracts",
        "clock": clock,
    }


def run(asset, resources, *, month=None, months=None, instance=None, tags=None, only=None):
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
        selection=[extract_key(only)] if only else None,
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
    made = {key for assets in stripe_extracts for key in assets.keys}
    assert made == {extract_key(name) for name in (*STRIPE_OBJECTS, *WHOLE_OBJECTS)}


def test_an_extract_states_what_was_read_on_its_materialisation(
    stripe, open_reader, lake, tmp_path
):
    stripe.objects["charges"] = [
        a_stripe_charge("ch_1", OCTOBER_NOON),
        a_stripe_charge("ch_2", OCTOBER_NOON + 1),
        a_stripe_charge("ch_3", SEPTEMBER_NOON),
    ]
    result = run(
        stripe_lists,
        given(open_reader, lake, tmp_path),
        only="charges",
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


def test_a_range_of_months_is_one_run_with_one_statement_a_month(
    stripe, open_reader, lake, tmp_path
):
    stripe.objects["charges"] = [
        a_stripe_charge("ch_1", OCTOBER_NOON),
        a_stripe_charge("ch_2", SEPTEMBER_NOON),
        a_stripe_charge("ch_3", SEPTEMBER_NOON),
    ]
    result = run(
        stripe_lists,
        given(open_reader, lake, tmp_path),
        only="charges",
        months=("2025-08", "2025-10"),
    )
    assert result.success
    counts = {month: facts["dagster/row_count"] for month, facts in made(result).items()}
    assert counts == {"2025-08": 0, "2025-09": 2, "2025-10": 1}


def test_all_lists_of_a_run_are_read_at_once_and_each_has_its_own_result(
    stripe, open_reader, lake, tmp_path
):
    stripe.objects["charges"] = [a_stripe_charge("ch_1", OCTOBER_NOON)]
    stripe.objects["coupons"] = [{"id": "one", "created": OCTOBER_NOON, "duration": "once"}]
    result = run(stripe_lists, given(open_reader, lake, tmp_path), months=("2025-09", "2025-10"))
    assert result.success
    materialised = [event.asset_key for event in result.get_asset_materialization_events()]
    assert Counter(materialised) == {extract_key(name): 2 for name in STRIPE_OBJECTS}
    assert {one.asset_key: one.passed for one in result.get_asset_check_evaluations()} == {
        extract_key(name): True for name in STRIPE_OBJECTS
    }


def test_a_list_that_may_not_be_read_fails_the_run_by_name_and_leaves_the_others(
    stripe, open_reader, lake, tmp_path
):
    stripe.objects["charges"] = [a_stripe_charge("ch_1", OCTOBER_NOON)]
    no_right = fake_stripe.says(403, "The key lacks the right rak_refund_read")
    stripe.always = lambda server, request: (
        no_right(server, request) if request.resource == "refunds" else server.truth(request)
    )
    result = run(stripe_lists, given(open_reader, lake, tmp_path), month="2025-10")
    sentence, facts = failure_of(result)
    assert not result.success
    assert sentence.startswith("refunds of [2025-10-01T00:00:00Z")
    assert "rak_refund_read" in sentence
    assert facts["retry_helps"] is False
    made = {event.asset_key for event in result.get_asset_materialization_events()}
    assert made == {extract_key(name) for name in STRIPE_OBJECTS if name != "refunds"}
    assert lake.manifests("stripe/refunds") == []


def test_lists_without_a_time_filter_are_read_whole(stripe, open_reader, lake, tmp_path):
    card = {"brand": "visa", "country": "DE", "exp_month": 7, "exp_year": 2031, "funding": "debit"}
    stripe.objects["payment_methods"] = [
        {
            "id": "pm_1",
            "object": "payment_method",
            "created": SEPTEMBER_NOON,
            "livemode": False,
            "type": "card",
            "customer": "cus_1",
            "billing_details": {"name": "Zoe Example"},
            "card": card | {"last4": "4242", "fingerprint": "Xt5EWLLDS7FJjR1c"},
        }
    ]
    result = run(stripe_whole_lists, given(open_reader, lake, tmp_path))
    assert result.success
    (manifest,) = lake.manifests("stripe/payment_methods")
    assert manifest.partition == {"account": "acct_1", "mode": "test"}
    (row,) = lake.read(manifest).to_dicts()
    assert (row["card_brand"], row["card_exp_year"]) == ("visa", 2031)
    assert not [word for word in ("4242", "Xt5EWLLDS7FJjR1c", "Zoe") if word in row["raw"]]


def test_an_account_that_is_connected_has_files_of_its_own(stripe, open_reader, lake, tmp_path):
    stripe.objects["charges"] = [a_stripe_charge("ch_1", OCTOBER_NOON)]
    asked = []

    def open_of(account_id: str = "acct_1") -> StripeReader:
        asked.append(account_id)
        return StripeReader(open_reader().access.of_account(account_id))

    resources = given(open_of, lake, tmp_path) | {"scopes": [SCOPE, Scope("acct_2", False)]}
    result = run(stripe_lists, resources, month="2025-10", only="charges")
    assert result.success
    assert asked == ["acct_1", "acct_2"]
    accounts = [one.partition["account"] for one in lake.manifests("stripe/charges")]
    assert accounts == ["acct_1", "acct_2"]
    assert made(result)["2025-10"]["dagster/row_count"] == 2
    assert {request.headers.get("stripe-account") for request in stripe.requests} == {
        None,
        "acct_2",
    }


def test_an_extract_made_again_holds_what_stripe_says_now(stripe, open_reader, lake, tmp_path):
    resources = given(open_reader, lake, tmp_path)
    stripe.objects["charges"] = [a_stripe_charge("ch_1", OCTOBER_NOON)]
    first = made(run(stripe_lists, resources, month="2025-10", only="charges"))["2025-10"]
    stripe.objects["charges"][0]["amount_refunded"] = 400
    second = made(run(stripe_lists, resources, month="2025-10", only="charges"))["2025-10"]
    assert first["sha256"] != second["sha256"]
    assert len(lake.manifests("stripe/charges")) == 1


def test_a_wrong_key_is_one_sentence_and_is_not_tried_again(open_reader, lake, tmp_path):
    def open_wrong():
        return open_reader(api_key="rk_test_GrowthCanaryWrong99")

    result = run(
        stripe_lists,
        given(open_wrong, lake, tmp_path),
        only="charges",
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


def test_an_unreachable_stripe_is_told_at_once_to_a_person_who_waits(open_reader, lake, tmp_path):
    def open_nowhere():
        return open_reader(api_base="http://127.0.0.1:1")

    result = run(
        stripe_lists,
        given(open_nowhere, lake, tmp_path),
        only="charges",
        month="2025-10",
        tags={VIA_TAG: "cli"},
    )
    sentence, facts = failure_of(result)
    assert "Stripe" in sentence
    assert facts["retry_helps"] is True
    assert not [
        event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"
    ]


def test_one_failed_month_fails_the_range_and_keeps_the_finished_ones(
    stripe, open_reader, lake, tmp_path
):
    october = {"created[gte]": str(OCTOBER_NOON - 43_200)}
    refused = fake_stripe.says(403, "The key lacks the right rak_charge_read")

    def october_is_refused_late(server, request):
        if not request.params.items() >= october.items():
            return server.truth(request)
        return replace(refused(server, request), pause=0.5)

    stripe.always = october_is_refused_late
    result = run(
        stripe_lists,
        given(open_reader, lake, tmp_path),
        only="charges",
        months=("2025-09", "2025-10"),
    )
    assert not result.success
    assert "rak_charge_read" in failure_of(result)[0]
    assert [one.partition["month"] for one in lake.manifests("stripe/charges")] == ["2025-09"]


# --- mirror and payments -------------------------------------------------------------------------


def received(id: str, body: bytes) -> ReceivedEvent:
    return ReceivedEvent("acct_1", False, id, "charge.succeeded", NEW, NOW, NOW, "webhook", body)


@pytest.fixture
def store(database):
    return BillingStore(database)


def no_reader(account_id):
    raise ConfigurationError(f"no key for {account_id}")


def applying(store, open_reader=no_reader):
    """What the mirror asset is given; without a key nobody is asked."""
    return {
        "billing_store": store,
        "stripe": open_reader,
        "scopes": [Scope("acct_1", False)],
        "clock": clock,
    }


def test_the_mirror_applies_what_waits_and_says_how_much(store):
    charge = a_stripe_charge("ch_1", OCTOBER_NOON)
    store.insert_event(
        received("evt_1", an_event("charge.succeeded", charge, created=OCTOBER_NOON))
    )
    result = run(mirror, applying(store))
    assert result.success
    assert made(result)[None] == {
        "applied": 1,
        "ignored": 0,
        "quarantined": 0,
        "inbox_applied": 1,
        "refetched": 0,
    }
    checks = result.get_asset_check_evaluations()
    assert {check.check_name: check.passed for check in checks} == {
        "no_events_wait": True,
        "doubts_are_settled": True,
        "answers_are_usable": True,
    }


def test_a_doubt_that_nobody_may_ask_about_stays_and_the_mirror_is_made_all_the_same(store):
    # Two states of one second without a chain; money objects are never ordered by rank.
    charge = a_stripe_charge("ch_1", OCTOBER_NOON)
    for id_, changes in (("evt_1", {"description": "a"}), ("evt_2", {"description": "b"})):
        body = an_event("charge.updated", charge | changes, id=id_, created=OCTOBER_NOON)
        store.insert_event(received(id_, body))
    assert run(mirror, applying(store)).success
    assert store.count_refetches(clock()) == {}
    check = check_doubts({"undecided": 2, "thin_event": 1})
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "3 objects waiting to be asked about"


def test_an_answer_that_the_mirror_cannot_use_is_a_warning_that_counts_the_objects():
    check = check_answers({"charge": 2, "invoice": 1})
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "3 objects that the mirror cannot use"


def test_a_quarantined_event_is_a_warning_and_not_a_failed_run(store):
    store.insert_event(received("evt_1", b"this is not JSON"))
    assert run(mirror, applying(store)).success
    check = check_quarantine(store.inbox_counts())
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "1 event quarantined"
    assert check_quarantine({"applied": 7}).passed


def test_events_that_wait_after_the_mirror_was_made_are_a_warning():
    assert check_waiting({"applied": 7}).passed
    check = check_waiting({"received": 2})
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 events waiting"


def test_a_file_that_changed_after_it_was_written_fails_its_check(
    stripe, open_reader, lake, tmp_path
):
    run(
        stripe_lists,
        given(open_reader, lake, tmp_path),
        only="charges",
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
    run(mirror, applying(store))
    with database.connection() as connection:
        connection.execute("update billing.payments set amount_minor = 1")
    result = run(
        payments,
        {"billing_store": store, "scopes": [SCOPE], "clock": clock},
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
        payments, {"billing_store": store, "scopes": [SCOPE], "clock": clock}, month="2025-10"
    )
    assert result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [(check.check_name, check.metadata["examples"].value) for check in failed] == [
        ("currencies_are_known", ["usx"])
    ]
