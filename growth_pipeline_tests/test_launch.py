"""Jobs launched from a terminal, recorded in Dagster's own Postgres storage as the UI shows them."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from growth_pipeline.alerts.sensors import checks_alert_sensor, run_failure_alert_sensor
from growth_pipeline.billing.objects import STRIPE_OBJECTS, WHOLE_OBJECTS
from growth_pipeline.core.errors import ConfigurationError, RemoteUnavailableError, UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.definitions import build_defs, launch
from growth_pipeline.storage.postgres import dagster_url
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.fakes import stripe_list_server as fake_stripe
from growth_pipeline_tests.fakes.fast_access import fast_access

ROOT = Path(__file__).parents[1]
NOW = datetime(2025, 11, 15, tzinfo=UTC)
EXTRACT = "billing/charges_extract"


@pytest.fixture
def dagster_home(tmp_path, empty_database_url, monkeypatch) -> Path:
    """The project's own dagster.yaml, on a Postgres database of this test."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("GROWTH_DAGSTER_DATABASE_URL", dagster_url(empty_database_url))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def stripe():
    with fake_stripe.StripeListServer() as server:
        yield server


@pytest.fixture
def resources(stripe, lake, tmp_path):
    def open_reader(key=fake_stripe.KEY) -> StripeReader:
        return StripeReader(fast_access(stripe.url, api_key=key))

    return {
        "stripe": open_reader,
        "lake": lake,
        "checkpoints": tmp_path / "extracts",
        "clock": lambda: NOW,
        "scope": Scope("acct_1", False),
        "scopes": [Scope("acct_1", False)],
    }


def test_a_launched_run_is_recorded_under_its_job_and_its_months_are_made(
    dagster_home, resources, capfd
):
    done = launch("extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT])
    assert done.success
    assert done.metadata[EXTRACT]["dagster/row_count"] == 0
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(done.run_id)
        assert run.job_name == "extract_job"
        assert run.tags[".dagster/repository"] == "__repository__@growth_pipeline"
        assert run.tags["dagster/partition"] == "2025-10"
        key = dg.AssetKey.from_user_string(EXTRACT)
        assert instance.get_materialized_partitions(key) == {"2025-10"}
    assert capfd.readouterr() == ("", "")


def test_a_range_is_one_run(dagster_home, resources):
    done = launch(
        "extract_job", partition_range=("2025-08", "2025-10"), resources=resources, assets=[EXTRACT]
    )
    with dg.DagsterInstance.get() as instance:
        assert [run.run_id for run in instance.get_runs()] == [done.run_id]
        key = dg.AssetKey.from_user_string(EXTRACT)
        assert instance.get_materialized_partitions(key) == {"2025-08", "2025-09", "2025-10"}


def test_a_person_is_told_what_a_run_does(dagster_home, resources):
    said = []
    launch(
        "extract_job",
        partition_key="2025-10",
        resources=resources,
        assets=[EXTRACT],
        on_progress=said.append,
    )
    assert said == ["billing/stripe_lists", "charges 2025-10: 0 objects"]


@pytest.mark.parametrize(
    "months", [{"partition_key": "2025-10"}, {"partition_range": ("2025-09", "2025-10")}]
)
def test_the_whole_extract_job_makes_every_list(dagster_home, resources, months):
    done = launch("extract_job", **months, resources=resources)
    extracted = (*STRIPE_OBJECTS, *WHOLE_OBJECTS)
    assert set(done.metadata) == {f"billing/{name}_extract" for name in extracted}


def test_the_error_of_a_step_arrives_as_it_was_raised_and_the_run_is_recorded_as_failed(
    dagster_home, resources
):
    resources["stripe"] = lambda: (_ for _ in ()).throw(
        ConfigurationError("no key", remedy="set it")
    )
    with pytest.raises(ConfigurationError, match=r"^no key$") as caught:
        launch("extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT])
    assert caught.value.remedy == "set it"
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE


def test_an_error_nobody_expected_arrives_as_it_was_raised_and_is_not_tried_again(
    dagster_home, resources
):
    opened = []

    def break_down():
        opened.append(1)
        raise RuntimeError("a bug of ours")

    resources["stripe"] = break_down
    with pytest.raises(RuntimeError, match=r"^a bug of ours$"):
        launch("extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT])
    assert len(opened) == 1


def test_the_error_of_a_resource_arrives_as_it_was_raised(dagster_home, resources):
    @dg.resource
    def no_database(_):
        raise ConfigurationError("no database", remedy="set one")

    with pytest.raises(ConfigurationError, match=r"^no database$"):
        launch(
            "audit_job", partition_key="2025-10", resources={**resources, "database": no_database}
        )


def test_a_dagster_database_that_is_away_is_one_sentence(dagster_home, resources, monkeypatch):
    monkeypatch.setenv(
        "GROWTH_DAGSTER_DATABASE_URL", "postgresql+psycopg2://postgres:canary@127.0.0.1:1/none"
    )
    with pytest.raises(RemoteUnavailableError, match="Dagster's own database") as caught:
        launch("extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT])
    assert "canary" not in str(caught.value)


def evaluate(sensor_name, instance, cursor):
    repository = build_defs().get_repository_def()
    sensor = repository.get_sensor_def(sensor_name)
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=repository, sensor_name=sensor_name
    )
    return sensor.evaluate_tick(context)


@pytest.mark.parametrize(
    ("sensor", "fails"), [(run_failure_alert_sensor, True), (checks_alert_sensor, False)]
)
def test_the_sensors_see_runs_of_the_terminal(dagster_home, resources, database, sensor, fails):
    with dg.DagsterInstance.get() as instance:
        first = evaluate(sensor.name, instance, None)
        if fails:
            resources["stripe"] = lambda: (_ for _ in ()).throw(ConfigurationError("no key"))
            with pytest.raises(ConfigurationError):
                launch(
                    "extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT]
                )
        else:
            resources["database"] = database
            launch("book_job", partition_key="2025-10", resources=resources)
        (run,) = instance.get_runs(limit=1)
        (request,) = evaluate(sensor.name, instance, first.cursor).run_requests
        assert request.tags["growth/about_run"] == run.run_id


def test_a_verbose_run_shows_dagsters_events(dagster_home, resources, capfd):
    launch(
        "extract_job", partition_key="2025-10", resources=resources, assets=[EXTRACT], verbose=True
    )
    assert re.search(r"RUN_SUCCESS", capfd.readouterr().err)


def test_a_dry_run_finds_the_same_writes_the_report_and_leaves_nothing(
    dagster_home, resources, database_url, database, monkeypatch, lake, tmp_path
):
    monkeypatch.setenv("GROWTH_DATABASE_URL", database_url)
    monkeypatch.setenv("GROWTH_STRIPE__ACCOUNT_ID", "acct_1")
    monkeypatch.setenv("GROWTH_STATE_DIR", str(tmp_path / "state"))
    del resources["lake"]
    done = launch("audit_job", partition_key="2025-10", resources=resources, dry_run=True)
    assert done.success
    assert json.loads(done.documents["json"])["verdict"] == "PASS"
    assert done.documents["md"].startswith(b"# Revenue audit 2025-10: PASS")
    assert sorted(done.documents) == ["csv", "html", "json", "md"]
    assert {check.check for check in done.checks if not check.passed} == set()
    with database.connection() as connection:
        counts = connection.execute("select count(*) from audit.audits").fetchone()
    assert counts == (0,)
    assert not (tmp_path / "state" / "lake").exists()
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []


def test_a_recorded_audit_brings_its_checks_and_documents_along(
    dagster_home, resources, database_url, monkeypatch, tmp_path
):
    monkeypatch.setenv("GROWTH_DATABASE_URL", database_url)
    monkeypatch.setenv("GROWTH_STATE_DIR", str(tmp_path / "state"))
    done = launch("audit_job", partition_key="2025-10", resources=resources)
    verdict = next(check for check in done.checks if check.check == "verdict")
    assert (verdict.asset, verdict.month, verdict.passed) == ("audit/findings", "2025-10", True)
    assert json.loads(done.documents["json"])["run_id"] == done.run_id
    assert done.metadata["audit/findings"]["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"partition_key": "2025-10"}, "2025-10 is not a day"),
        ({"partition_key": "2999-01-01"}, "2999-01-01 is not a day"),
        ({"partition_range": ("2025-10-02", "2025-10-01")}, "2025-10-02 is after 2025-10-01"),
    ],
)
def test_a_job_by_days_takes_days_that_are_over(dagster_home, resources, wanted, told):
    with pytest.raises(UsageError, match=told):
        launch("refresh_cohorts_job", **wanted, resources=resources)
