"""Which finished runs ask for a delivery. The sensors only ask; they send nothing."""

import logging
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.execution.resources_init import get_transitive_required_resource_keys

from growth_pipeline.alerts.assets import LogChannel
from growth_pipeline.alerts.decide import Alert, AlertPolicy, Problem
from growth_pipeline.alerts.sensors import (
    DELIVER_JOB,
    DRY_RUN_TAG,
    alert_timer_sensor,
    checks_alert_sensor,
    request_delivery,
    run_failure_alert_sensor,
)
from growth_pipeline.alerts.store import AlertStore
from growth_pipeline.definitions import build_defs
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.untold_reports import Reports, a_report

NOW = datetime(2025, 11, 1, tzinfo=UTC)


@dg.asset(check_specs=[dg.AssetCheckSpec("is_right", asset="checked")])
def checked():
    yield dg.AssetCheckResult(passed=False)
    yield dg.Output(None)


@dg.asset
def unchecked() -> None:
    pass


@dg.asset
def broken() -> None:
    raise dg.Failure("Stripe does not answer", metadata={"remedy": "wait"})


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def finish(instance, asset, **tags):
    return dg.materialize([asset], instance=instance, raise_on_error=False, tags=tags)


def about(instance, result, sensor):
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_event=result.get_run_success_event()
        if result.success
        else result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    )
    return sensor(context if result.success else context.for_run_failure())


def test_a_run_with_checks_asks_for_one_delivery_about_itself(instance):
    result = finish(instance, checked)
    request = about(instance, result, checks_alert_sensor)
    assert request.run_config == {"ops": {"alerts__outbox": {"config": {"run_id": result.run_id}}}}
    assert request.run_key == about(instance, result, checks_alert_sensor).run_key


def test_a_run_without_checks_has_nothing_to_say(instance):
    assert isinstance(
        about(instance, finish(instance, unchecked), checks_alert_sensor), dg.SkipReason
    )


def test_a_failed_run_asks_for_a_delivery(instance):
    result = finish(instance, broken)
    request = about(instance, result, run_failure_alert_sensor)
    assert request.tags["growth/about_run"] == result.run_id


def test_a_good_run_after_a_failed_one_of_the_same_work_may_be_a_recovery(instance):
    broken_then_good = iter([True, False])

    @dg.asset(name="work")
    def work() -> None:
        if next(broken_then_good):
            raise dg.Failure("not today")

    finish(instance, work)
    good = finish(instance, work)
    assert isinstance(about(instance, good, checks_alert_sensor), dg.RunRequest)
    assert isinstance(
        about(instance, finish(instance, unchecked), checks_alert_sensor), dg.SkipReason
    )


def test_a_dry_run_and_a_delivery_ask_for_nothing(instance):
    dry = finish(instance, checked, **{DRY_RUN_TAG: "true"})
    assert isinstance(about(instance, dry, checks_alert_sensor), dg.SkipReason)
    delivery = dry.dagster_run._replace(job_name=DELIVER_JOB, tags={})
    assert isinstance(request_delivery(delivery), dg.SkipReason)


def test_both_sensors_see_runs_that_no_code_location_started():
    for sensor in (checks_alert_sensor, run_failure_alert_sensor):
        assert sensor._monitor_all_code_locations
        assert 5 <= sensor.minimum_interval_seconds <= 30


# --- what time brings ----------------------------------------------------------------------------


class FakeStore:
    """What the timer asks of the outbox."""

    def __init__(self, channels=(), problems=(), audited_at=None):
        self.channels, self.problems, self.audited = set(channels), list(problems), audited_at

    def channels_with_work(self, *, now):
        return self.channels

    def open_problems(self):
        return self.problems

    def watched_since(self, name, *, now):
        return NOW

    def audited_at(self, months):
        assert [f"{month:%Y-%m-%d}" for month in months] == ["2025-11-01", "2025-10-01"]
        return self.audited


def timer(instance, store, *, at, reports=()):
    context = dg.build_sensor_context(instance=instance, sensor_name="alert_timer_sensor")
    return alert_timer_sensor(
        context,
        alert_store=store,
        alert_policy=AlertPolicy(3, 26),
        report_outlet=Reports(*reports),
        clock=lambda: at,
    )


@pytest.mark.parametrize(
    ("store", "hours", "due"),
    [
        (FakeStore(), 1, False),
        (FakeStore(channels=["log"]), 1, True),
        (FakeStore(channels=["slack"]), 1, False),  # nobody has configured it
        (FakeStore(), 27, True),  # no audit ever
        (FakeStore(audited_at=NOW + timedelta(hours=20)), 27, False),
        (FakeStore(problems=[Problem("f", "failed_check", "HIGH", "t", NOW)]), 72, True),
    ],
)
def test_the_timer_asks_for_a_delivery_when_something_is_due(instance, store, hours, due):
    asked = timer(instance, store, at=NOW + timedelta(hours=hours))
    assert isinstance(asked, dg.RunRequest if due else dg.SkipReason)


def test_the_timer_asks_for_a_delivery_when_a_weekly_report_was_not_told(instance):
    asked = timer(instance, FakeStore(), at=NOW, reports=[a_report()])
    assert isinstance(asked, dg.RunRequest)


def test_the_timer_asks_for_one_delivery_at_a_time(instance):
    under_way = dg.DagsterRun(job_name=DELIVER_JOB, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(under_way)
    asked = timer(instance, FakeStore(channels=["log"]), at=NOW)
    assert asked.skip_message == "a delivery is under way"


@dg.op
def tells():
    pass


@dg.op
def breaks():
    raise dg.Failure("Postgres does not answer")


def a_delivery(instance, about_run, *, fails):
    """A finished run of the delivering job, about a run."""

    @dg.job(name=DELIVER_JOB)
    def job():
        (breaks if fails else tells)()

    tags = {"growth/about_run": about_run}
    return job.execute_in_process(instance=instance, raise_on_error=False, tags=tags)


def asked_again(instance, *, after):
    at = datetime.now(UTC) + after
    asked = timer(instance, FakeStoreOfAnyTime(), at=at)
    return asked if isinstance(asked, list) else []


class FakeStoreOfAnyTime(FakeStore):
    """Nothing is due, whenever it is asked."""

    def watched_since(self, name, *, now):
        return now

    def audited_at(self, months):
        return None


SOON = timedelta(minutes=2)


def test_a_delivery_that_failed_is_asked_for_again_about_the_same_run(instance):
    told_of = finish(instance, broken)
    a_delivery(instance, told_of.run_id, fails=True)
    (first,) = asked_again(instance, after=SOON)
    assert first.run_config == about(instance, told_of, run_failure_alert_sensor).run_config
    assert first.tags["growth/about_run"] == told_of.run_id
    (same,) = asked_again(instance, after=SOON)
    assert same.run_key == first.run_key
    a_delivery(instance, told_of.run_id, fails=True)
    (second,) = asked_again(instance, after=timedelta(minutes=5))
    assert second.run_key != first.run_key


def test_a_run_that_was_told_in_the_end_is_not_asked_about_again(instance):
    told_of = finish(instance, broken)
    a_delivery(instance, told_of.run_id, fails=True)
    a_delivery(instance, told_of.run_id, fails=False)
    assert asked_again(instance, after=SOON) == []


def test_a_failed_delivery_of_what_time_brings_is_not_asked_for_again(instance):
    a_delivery(instance, "time", fails=True)
    a_delivery(instance, "a run that was deleted", fails=True)
    assert asked_again(instance, after=SOON) == []


def test_asking_again_waits_longer_each_time_and_ends_after_three_days(instance):
    told_of = finish(instance, broken)
    for _ in range(3):
        a_delivery(instance, told_of.run_id, fails=True)
    assert asked_again(instance, after=timedelta(minutes=2)) == []
    assert len(asked_again(instance, after=timedelta(minutes=10))) == 1
    assert len(asked_again(instance, after=timedelta(days=2, hours=23))) == 1
    assert asked_again(instance, after=timedelta(days=3, hours=1)) == []


def test_one_tick_asks_about_ten_runs_at_most(instance):
    runs = [finish(instance, broken).run_id for _ in range(12)]
    for run_id in runs:
        a_delivery(instance, run_id, fails=True)
    asked = asked_again(instance, after=SOON)
    assert [one.tags["growth/about_run"] for one in asked] == runs[:10]


def test_the_timer_is_given_the_real_outbox_by_the_definitions(instance, database_url, monkeypatch):
    monkeypatch.setenv("GROWTH_DATABASE_URL", database_url)
    repository = build_defs().get_repository_def()
    sensor = repository.get_sensor_def("alert_timer_sensor")
    # As Dagster's daemon does it: the top-level resources that the sensor and they require.
    wanted = get_transitive_required_resource_keys(
        sensor.required_resource_keys, repository.get_top_level_resources()
    )
    known = {"alert_store", "alert_policy", "clock", "database", "report_outlet", "insight_store"}
    assert wanted - {"lake"} == known
    resources = {name: repository.get_top_level_resources()[name] for name in wanted}

    def tick():
        with dg.build_sensor_context(
            instance=instance, resources=resources, sensor_name="alert_timer_sensor"
        ) as context:
            return sensor.evaluate_tick(context)

    assert tick().skip_message == "nothing is due"
    alert = Alert("k", "failed_check", "f", "problem", "")
    with Database(database_url) as database:
        store, log = AlertStore(database), LogChannel(logging.getLogger())
        store.add([], lambda known: [alert], channels=[log], now=NOW)
    assert tick().run_requests
