"""`growth cohorts assign` on a database with users from before, as a person runs it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from growth_pipeline.cli import app
from growth_pipeline_tests.fakes.command_line import CliRunner

MAY = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture
def run(database_url, tmp_path):
    environment = {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
    }

    def invoke(*words: str) -> str:
        done = CliRunner().invoke(app, ["cohorts", "assign", *words], env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


def test_users_from_before_are_put_into_cohorts_and_a_dry_run_only_counts(run, company):
    company.ask("alter table app.users disable trigger all")
    company.sign_up(("u1", MAY), ("u2", MAY))
    company.ask("alter table app.users enable trigger all")
    company.sign_up(("u3", MAY))
    company.ask("delete from cohorts.user_cohorts")

    counts = {"numbered": 2, "assigned": 1, "moved": 0, "removed": 0}
    assert json.loads(run("--dry-run", "--json")) == {"dry_run": True, **counts}
    assert company.cohorts() == {}
    assert run().splitlines() == [
        "users seen for the first time: 2",
        "put into cohorts: 1 new, 0 moved, 0 taken out",
    ]
    assert company.cohorts() == dict.fromkeys(("u1", "u2", "u3"), date(2031, 5, 1))
    assert json.loads(run("--json")) == {
        "dry_run": False,
        **{"numbered": 0, "assigned": 0, "moved": 0, "removed": 0},
    }
