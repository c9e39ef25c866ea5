"""Time as Dagster runs it: a zone in the launchpad, neighbours read beside it, a month that is closed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import dagster as dg
import pytest

from growth_pipeline.audit.assets import findings, report
from growth_pipeline.audit.months.neighbours import neighbours_of
from growth_pipeline.audit.resources import AuditTiming, remembering_store
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.assets import mirror, stripe_lists
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.resources import VIA_TAG
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, ZonedMonth
from growth_pipeline_tests.fakes import stripe_list_server as fake_stripe
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge, an_event

SCOPE = Scope("acct_1", False)
OCTOBER = Month(2025, 10)
NOW = datetime(2025, 11, 3, tzinfo=UTC)  # before October may be closed
PACIFIC = "America/Los_Angeles"
LAST_HOUR = datetime(2025, 11, 1, 6, tzinfo=UTC)  # 31 October in Los Angeles


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def a_company(stripe, resources):
    """Two payments of 10.00 usd: at noon of 15 October, and in its last hours in Los Angeles."""
    noon = datetime(2025, 10, 15, 12, tzinfo=UTC)
    stripe.objects["charges"] = [
        a_charge(
            f"ch_{number}",
            created=int(created.timestamp()),
            failure_code=None,
            invoice=None,
            customer=None,
            payment_intent=None,
        )
        for number, created in ((1, noon), (2, LAST_HOUR))
    ]
    stripe.objects["balance_transactions"] = [
        {
            "id": f"txn_{charge['id']}",
            "object": "balance_transaction",
            "created": charge["created"],
            "currency": charge["currency"],
            "amount": charge["amount"],
            "fee": 0,
            "net": charge["amount"],
            "type": "charge",
            "reporting_category": "charge",
            "source": charge["id"],
            "status": "available",
            "available_on": charge["created"],
            "exchange_rate": None,
        }
        for charge in stripe.objects["charges"]
    ]
    for charge in stripe.objects["charges"]:
        id = f"evt_{charge['id']}"
        body = an_event("charge.succeeded", charge, id=id, created=charge["created"])
        resources["billing_store"].insert_event(
            ReceivedEvent("acct_1", False, id, "charge.succeeded", NEW, NOW, NOW, "webhook", body)
        )
    run([mirror], resources, month=None)
    run([stripe_lists], resources)


def run(assets, resources, month="2025-10", config=None):
    needed = {key for asset in assets for key in asset.required_resource_keys}
    return dg.materialize(
        assets,
        partition_key=month,
        resources={key: resources[key] for key in needed if key in resources},
        run_config={"ops": config or {}},
        raise_on_error=False,
        tags={VIA_TAG: "test"},
    )


def made(result, key: str) -> dict:
    (event,) = result.asset_materializations_for_node(key)
    return {name: value.value for name, value in event.metadata.items()}


def checks_of(result) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def in_zone(*assets: str) -> dict:
    return {f"audit__{name}": {"config": {"tz": PACIFIC}} for name in assets}


def execute(database, statement: str) -> None:
    with database.connection() as connection:
        connection.execute(statement)


def test_a_zone_of_the_launchpad_reads_the_neighbour_and_counts_by_its_clocks(
    a_company, resources, stripe, lake
):
    result = run([findings, report], resources, config=in_zone("findings", "report"))
    assert result.success
    assert made(result, "audit__findings")["tz"] == PACIFIC
    answer = json.loads(lake.read_artifact(made(result, "audit__report")["artifacts"]["json"]))
    assert answer["tz"] == PACIFIC
    assert answer["totals"]["usd"]["stripe"]["count"] == 2
    assert answer["verdict"] == "PASS"
    months = {one.partition["month"] for one in lake.manifests("stripe/charges")}
    assert months == {"2025-10", "2025-11"}


def test_the_setting_names_the_zone_where_the_run_does_not(a_company, resources, database):
    resources["audit_timing"] = AuditTiming(PACIFIC, close_after_days=5)
    result = run([findings, report], resources)
    assert made(result, "audit__findings")["tz"] == PACIFIC
    store = AuditStore(database)
    assert store.latest(SCOPE, OCTOBER, tz=PACIFIC) is not None
    assert store.latest(SCOPE, OCTOBER) is None


def test_a_month_of_utc_reads_no_neighbour(a_company, resources, lake):
    run([findings], resources)
    assert {one.partition["month"] for one in lake.manifests("stripe/charges")} == {"2025-10"}


def test_a_neighbour_that_stripe_does_not_list_fails_the_run_in_one_sentence(
    a_company, resources, stripe
):
    stripe.always = fake_stripe.says(403, "The key may not read this")
    result = run([findings], resources, config=in_zone("findings"))
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "2025-11" in event.step_failure_data.user_failure_data.description


def test_neighbours_are_months_that_have_begun():
    assert neighbours_of(ZonedMonth(OCTOBER), NOW) == []
    assert neighbours_of(ZonedMonth(OCTOBER, PACIFIC), NOW) == [Month(2025, 11)]
    assert neighbours_of(ZonedMonth(OCTOBER, PACIFIC), OCTOBER.end) == []
    auckland = ZonedMonth(OCTOBER, "Pacific/Auckland")
    assert neighbours_of(auckland, OCTOBER.start) == [Month(2025, 9)]


def test_an_unknown_zone_is_one_sentence(a_company, resources):
    result = run([findings], resources, config={"audit__findings": {"config": {"tz": "Mars"}}})
    (event,) = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data.description
    assert said == "'Mars' is not a time zone"


def test_numbers_of_an_open_month_are_provisional_wherever_they_are_told(
    a_company, resources, stripe, lake
):
    resources["clock"] = lambda: datetime(2025, 10, 20, tzinfo=UTC)
    run([stripe_lists], resources)
    result = run([findings, report], resources)
    facts = made(result, "audit__findings")
    assert (facts["state"], facts["provisional"]) == ("open", True)
    said = checks_of(result)["verdict"].description
    assert said == "PASS: 0 findings; provisional, the month is not over"
    assert "rovisional" in made(result, "audit__report")["report"]


def test_the_sixth_day_closes_the_month_and_later_audits_log_what_changed(
    a_company, resources, database, lake
):
    for day in (6, 7, 8):
        if day == 7:
            execute(database, "update billing.payments set amount_minor = 900")
        resources["clock"] = lambda day=day: datetime(2025, 11, day, tzinfo=UTC)
        run([stripe_lists], resources)
        result = run([findings, report], resources)
        facts = made(result, "audit__findings")
        assert facts["closed_at"] == "2025-11-06T00:00:00+00:00"
        assert facts["restatements"] == (0 if day == 6 else 1)
        assert checks_of(result)["closed_month_adds_up"].passed
    answer = json.loads(lake.read_artifact(made(result, "audit__report")["artifacts"]["json"]))
    assert answer["close"]["closed_at"] == "2025-11-06T00:00:00+00:00"
    (entry,) = answer["restatements"]
    assert (entry["side"], entry["difference_minor"], entry["reason"]) == (
        "books",
        -100,
        "changed_by_hand",
    )
    assert answer["changes"]["payments"]["taken_over"] == 1
    assert "nothing changed" in answer["changes"]["said"]


def test_a_dry_run_closes_nothing(a_company, resources, database, lake):
    database.dry_run = True
    resources["clock"] = lambda: datetime(2025, 11, 6, tzinfo=UTC)
    resources["audit_store"] = remembering_store(database)
    run([stripe_lists], resources)
    assert run([findings, report], resources).success
    database.dry_run = False
    assert AuditStore(database).history.close_of(SCOPE, ZonedMonth(OCTOBER)) is None
