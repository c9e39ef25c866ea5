"""`growth mrr movements` of what is published, and the asset that publishes it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import dagster as dg
import psycopg
import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.revenue.assets import movements
from growth_pipeline.revenue.figures.figure_store import FigureStore
from growth_pipeline.revenue.fx_store import FxStore
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import policy_named
from growth_pipeline.revenue.reporting import Reporting
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.revenue.published.spell_rows import ACCOUNT, spell, write_spells
from growth_pipeline_tests.revenue.published.test_published_movements import SEVEN

NOW = datetime(2031, 6, 1, tzinfo=UTC)
COLUMNS = "customer_id,starts_on,ends_on,monthly_amount,subscription_id,currency,reason"


@pytest.fixture
def environment(database, database_url, tmp_path):
    with psycopg.connect(database_url, autocommit=True) as connection:
        write_spells(connection, SEVEN, as_of="2031-05-01")
    return {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
    }


def run(environment, *words):
    done = CliRunner().invoke(app, ["mrr", "movements", *words], env=environment)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--movements", "event", "--sign", "magnitude"),
        ("--grain", "week", "--week-start", "sunday", "--horizons", "1,2"),
        ("--snapshot", "first", "--reactivation-window", "60d", "--count-paused"),
        ("--as-of", "2031-04-20", "--open-cells", "so_far", "--churn-window", "30d"),
        ("--timezone", "America/New_York", "--denominator", "average"),
    ],
)
def test_published_spells_and_the_same_rows_in_a_file_give_the_same_answer(
    environment, tmp_path, options
):
    file = tmp_path / "periods.csv"
    lines = [
        f"acct_1/{row['customer_id']},{row['from']}T00:00:00Z,{_end(row)},"
        f"{row['minor'] / 100:.2f},{row['subscription']},usd,{row['ends_by'] or ''}"
        for row in SEVEN
    ]
    file.write_text("\n".join([COLUMNS, *lines]))
    told = () if "--as-of" in options else ("--as-of", "2031-05-01T00:00:00Z")
    of_file = json.loads(run(environment, "--periods", str(file), *options, *told))
    published = json.loads(run(environment, *options))
    for part in ("periods", "movements", "policy", "as_of", "tz"):
        assert published[part] == of_file[part], part


def _end(row):
    return f"{row['until']}T00:00:00Z" if row["until"] else ""


def test_csv_has_one_row_for_each_movement(environment):
    rows = list(
        csv.DictReader(io.StringIO(run(environment, "--from", "2031-04", "--format", "csv")))
    )
    told = {row["movement"]: row["amount_minor"] for row in rows}
    assert told["new"] == "3000"
    assert told["churn"] == "-2000"
    assert len(rows) == 7


def test_options_that_only_a_file_has_and_policies_that_are_not_published_are_refused(environment):
    with pytest.raises(GrowthError, match="--exclude needs --periods"):
        run(environment, "--exclude", "ana")
    with pytest.raises(GrowthError, match="stripe@1 is not published; published: growth@1"):
        run(environment, "--policy", "stripe")
    with pytest.raises(GrowthError, match="later than what is published"):
        run(environment, "--as-of", "2031-05-02")


def test_an_unknown_price_hides_its_months_and_is_told(environment, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        spells = [*SEVEN, spell("hal", "2031-02-10", "2031-03-05", None)]
        write_spells(connection, spells, as_of="2031-05-01")
    answer = json.loads(run(environment))
    mrr = {row["period_start"]: row["ending_mrr_minor"] for row in answer["periods"]}
    assert mrr == {
        "2031-01-01": 12500,
        "2031-02-01": None,
        "2031-03-01": None,
        "2031-04-01": 19000,
    }
    assert answer["periods"][3]["nrr_3"] is None
    assert len(answer["notes"]) == 2


def test_one_run_publishes_and_checks_what_it_published(environment, engine, database):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [movements],
            instance=instance,
            resources={
                "engine": engine,
                "movements_store": MovementsStore(database, [(ACCOUNT, False)]),
                "revenue_segments": ["plan", "metadata.team"],
                "cohort_week_start": "monday",
                "fx_store": FxStore(database),
                "figure_store": FigureStore(database),
                "mrr_policies": [policy_named("growth")],
                "reporting": Reporting(),
                "clock": lambda: NOW,
            },
        )
    assert result.success
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert set(checks.values()) == {True}
    assert len(checks) == 6
    made = result.asset_materializations_for_node("revenue__movements")[-1].metadata
    assert made["growth@1_changes"].value == 4 + 2 + 1 + 6
    assert "data:image/png;base64," in made["summary"].value
