"""Which finished runs ask for a delivery. The sensors only ask; they send nothing."""

import dagster as dg
import pytest

from growth_pipeline.alerts.sensors import (
    DELIVER_JOB,
    DRY_RUN_TAG,
    checks_alert_sensor,
    request_delivery,
    run_failure_alert_sensor,
)


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
