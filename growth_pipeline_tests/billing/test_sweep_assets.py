"""Sweep and re-list as Dagster runs them: assets, checks, sensor and schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.billing.assets import drift, event_sweep
from growth_pipeline.billing.schedules import nightly_relist_schedule
from growth_pipeline.billing.sensors import event_sweep_sensor, request_due
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes import stripe_list_server as faults
from growth_pipeline_tests.fakes.fast_access import fast_access
from growth_pipeline_tests.fakes.living_company import (
    a_line,
    a_list,
    a_living_charge,
    a_living_customer,
    a_living_invoice,
    a_living_subscription,
    an_item,
)
from growth_pipeline_tests.fakes.living_stripe import DAY, Account

START = int(datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp())
NOW = datetime(2030, 1, 2, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def account() -> Account:
    return Account(now=START)


@pytest.fixture
def resources(account, stripe, database) -> dict[str, object]:
    access = fast_access(stripe.url, account_id="self")

    def open_reader(account_id: str = "self") -> StripeReader:
        return StripeReader(access.of_account(account_id))

    def clock() -> datetime:
        return datetime.fromtimestamp(account.now, UTC)

    return {
        "billing_store": BillingStore(database),
        "sweep_store": SweepStore(database),
        "stripe": open_reader,
        "scopes": [Scope("self", False)],
        "clock": clock,
    }


@pytest.fixture
def run(resources) -> Callable[..., dg.ExecuteInProcessResult]:
    def run(asset, **others):
        return dg.materialize([asset], resources=resources | others, raise_on_error=False)

    return run


def checks(result) -> dict[str, tuple[bool, str | None]]:
    return {
        one.check_name: (one.passed, one.description)
        for one in result.get_asset_check_evaluations()
    }


def facts(result) -> dict:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def settle(account, run) -> None:
    account.now += 60
    assert run(event_sweep).success


def test_a_sweep_brings_events_into_mirror_and_books_and_says_how_many(account, run, database):
    settle(account, run)
    account.receiver_is_on = False
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    account.now += 3600
    result = run(event_sweep)
    assert result.success
    assert facts(result) == {
        "listed": 2,  # once among the undelivered, once among all
        "new": 1,
        "missed": 1,
        "requests": 2,
        "differed": 0,
    }
    assert checks(result) == {
        "events_reach_back": (True, None),
        "webhooks_bring_the_events": (
            False,
            "the sweep brought events that no webhook had brought",
        ),
    }
    with database.connection() as connection:
        rows = connection.execute("select charge_id from billing.payments").fetchall()
    assert rows == [("ch_1",)]


def test_an_outage_is_loud_once_and_repaired_in_the_same_run(account, run):
    account.create(a_living_customer("cus_1"))
    settle(account, run)
    account.receiver_is_on = False
    account.now += DAY
    account.delete("customer", "cus_1")
    account.now += 31 * DAY
    result = run(event_sweep)
    assert result.success
    passed, said = checks(result)["events_reach_back"]
    assert passed is False
    assert said == (
        "webhooks and sweep were off and events are lost (2030-01-01 10:01 to 2030-01-04 12:01); "
        "listed again, 1 object differed"
    )
    assert facts(result)["differed"] == 1
    account.now += 3600
    assert checks(run(event_sweep))["events_reach_back"] == (True, None)


def test_an_outage_that_could_not_be_repaired_stays_open_and_loud(account, stripe, run):
    account.create(a_living_customer("cus_1"))
    settle(account, run)
    account.now += 32 * DAY
    stripe.unreadable.add("customers")
    assert not run(event_sweep).success
    stripe.unreadable.clear()
    account.now += 3600
    result = run(event_sweep)
    assert checks(result)["events_reach_back"][0] is False
    account.now += 3600
    assert checks(run(event_sweep))["events_reach_back"][0] is True


def test_an_invoice_of_25_lines_and_a_subscription_of_12_items_come_whole_by_the_sweep(
    account, run, database
):
    settle(account, run)
    account.receiver_is_on = False
    lines = a_list([a_line(f"il_{number:02}") for number in range(25)])
    items = a_list([an_item(f"si_{number:02}") for number in range(12)])
    account.create(a_living_invoice("in_1", lines=lines))
    account.create(a_living_subscription("sub_1", items=items))
    account.now += 3600
    assert run(event_sweep).success
    with database.connection() as connection:
        found = [
            [id_ for (id_,) in connection.execute(f"select id from stripe.{table} order by id")]
            for table in ("invoice_line_items", "subscription_items")
        ]
    assert found == [
        [f"il_{number:02}" for number in range(25)],
        [f"si_{number:02}" for number in range(12)],
    ]


def test_an_event_in_a_version_nobody_reads_makes_stripe_be_asked_about_its_object(
    account, run, database
):
    settle(account, run)
    account.receiver_is_on = False
    account.create(a_living_charge("ch_1"), "charge.succeeded")
    account.events[-1]["api_version"] = "2018-02-28"  # the account's own version
    account.now += 3600
    assert run(event_sweep).success
    with database.connection() as connection:
        (state,) = connection.execute("select state from billing.inbox").fetchone()
        (booked,) = connection.execute("select amount_minor from billing.payments").fetchone()
    assert (state, booked) == ("quarantined", 1000)


def test_drift_fails_its_check_in_the_night_that_found_it(account, run):
    account.create(a_living_subscription("sub_1"))
    settle(account, run)
    told = len(account.events)
    account.change("subscription", "sub_1", None, status="past_due")
    del account.events[told:]
    account.now += DAY
    result = run(drift)
    assert checks(result) == {
        "mirror_says_what_stripe_says": (False, "1 object differed"),
        "drift_is_repaired": (True, None),
    }
    assert facts(result)["dagster/row_count"] == 1
    assert checks(run(drift))["mirror_says_what_stripe_says"] == (True, None)


def test_a_list_without_permission_fails_the_run_and_names_it(stripe, run):
    stripe.unreadable.add("invoices")
    result = run(drift)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "invoices" in event.step_failure_data.user_failure_data.description


def test_connected_accounts_are_swept_each_by_its_own_cursor(account, stripe, run, resources):
    account.create(a_living_customer("cus_1"))
    account.now += 60
    scopes = [Scope("self", False), Scope("acct_2", False)]
    assert run(event_sweep, scopes=scopes).success
    store = resources["sweep_store"]
    assert store.load(scopes[0]).swept_to == store.load(scopes[1]).swept_to is not None
    assert {request.headers.get("stripe-account") for request in stripe.requests} == {
        None,
        "acct_2",
    }


def test_an_account_that_may_not_be_read_fails_after_the_others_had_their_turn(
    account, stripe, run, resources
):
    account.create(a_living_customer("cus_1"))
    account.now += 60
    scopes = [Scope("acct_2", False), Scope("self", False)]

    def refuse_one(server, request):
        if request.headers.get("stripe-account") == "acct_2":
            return faults.says(403, "The key does not have access to account acct_2")(
                server, request
            )
        return server.truth(request)

    stripe.always = refuse_one
    assert not run(event_sweep, scopes=scopes).success
    swept_to = [resources["sweep_store"].load(scope).swept_to for scope in scopes]
    assert swept_to == [None, datetime.fromtimestamp(account.now, UTC)]


# --- what is due ---------------------------------------------------------------------------------


def due(swept_at, relisted_at, now=NOW, minutes=60) -> list[tuple[str, str]]:
    return [
        (one.job_name, one.run_key)
        for one in request_due(swept_at, relisted_at, now, minutes=minutes)
    ]


def test_a_sweep_is_due_an_hour_after_the_last_and_asked_for_once_an_hour():
    assert due(NOW - HOUR + timedelta(seconds=1), NOW) == []
    (first,) = due(NOW - HOUR, NOW)
    assert first[0] == "sweep_job"
    assert due(None, NOW) == [first]
    assert due(NOW - HOUR, NOW, NOW + timedelta(minutes=29)) == [first]
    assert due(NOW - HOUR, NOW, NOW + HOUR) != [first]


def test_a_night_without_a_re_list_is_made_up_for_once_a_day():
    assert due(NOW, NOW - timedelta(hours=25)) == []
    assert due(NOW, NOW - timedelta(hours=26)) == [("relist_job", "late-relist:2030-01-02")]
    assert due(NOW, None) == []  # the first is its schedule's


def test_the_sensor_asks_for_nothing_without_a_key_or_when_it_is_switched_off(
    monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        assert isinstance(event_sweep_sensor(context), dg.SkipReason)
        monkeypatch.setenv("GROWTH_STRIPE__API_KEY", faults.KEY)
        asked = event_sweep_sensor(context)
        assert [one.job_name for one in asked.run_requests] == ["sweep_job"]
        monkeypatch.setenv("GROWTH_STRIPE__SWEEP_MINUTES", "0")
        assert isinstance(event_sweep_sensor(context), dg.SkipReason)


def test_the_schedule_asks_for_one_run_a_night(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    context = dg.build_schedule_context(
        scheduled_execution_time=datetime(2030, 1, 2, 2, 30, tzinfo=UTC)
    )
    assert isinstance(nightly_relist_schedule(context), dg.SkipReason)
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", faults.KEY)
    assert nightly_relist_schedule(context).run_key == "relist:2030-01-02"
