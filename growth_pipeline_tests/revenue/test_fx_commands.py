"""`growth fx` as a person types it."""

from __future__ import annotations

import json

import pytest

from growth_pipeline.cli import app
from growth_pipeline_tests.fakes.command_line import CliRunner

FILE = "date,currency,rate\n2031-03-31,EUR,1.10\n2031-04-30,EUR,1.05\n"


@pytest.fixture
def run(database_url, tmp_path):
    environment = {
        "GROWTH_DATABASE_URL": database_url,
        "GROWTH_LAKE_URL": str(tmp_path / "lake"),
        "GROWTH_STATE_DIR": str(tmp_path / "state"),
        "GROWTH_REVENUE__REPORTING_CURRENCY": "usd",
    }

    def command(*words):
        return CliRunner().invoke(app, ["fx", *map(str, words)], env=environment)

    return command


def test_rates_are_imported_into_the_settings_currency_and_listed(run, tmp_path):
    file = tmp_path / "bank.csv"
    file.write_text(FILE)
    assert json.loads(run("import", file, "--json").stdout) == {"new": 2, "changed": 0, "same": 0}
    assert run("import", file).stdout.startswith("0 rates are new, 0 changed, 2 were there")
    assert run("list").stdout.splitlines() == [
        "2031-04-30  1 eur = 1.05 usd  (bank.csv)",
        "2031-03-31  1 eur = 1.10 usd  (bank.csv)",
    ]
    (one,) = json.loads(run("list", "--to", "2031-04-01", "--currency", "EUR", "--json").stdout)
    assert (one["date"], one["rate"], one["source"]) == ("2031-03-31", "1.10", "bank.csv")
    assert run("list", "--reporting-currency", "gbp").stdout.startswith("no rates are stored")


def test_a_wrong_file_is_one_sentence_and_stores_nothing(run, tmp_path):
    file = tmp_path / "bank.csv"
    file.write_text(FILE + "2031-05-31,EUR,none\n")
    done = run("import", file)
    assert done.exit_code != 0
    assert "line 4: rate 'none' is no number above 0" in str(done.exception)
    assert run("list").stdout.startswith("no rates are stored")
