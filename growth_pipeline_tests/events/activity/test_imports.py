"""Files of users and activity as sources of the rollup: `growth events import`."""

from __future__ import annotations

import gzip
import json

import psycopg
import pytest

from growth_pipeline.cli import app
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.fakes.command_line import CliRunner

USERS = "user_id,signed_up_at,plan\nada,2026-03-01T10:00:00Z,pro\nbo,2026-03-02,free\ncy,,free\n"
ACTIVITY = (
    "user_id;occurred_at;event\n"
    "ada;2026-03-01T11:00:00+01:00;open\n"
    "ada;2026-03-01T12:00:00Z;open\n"
    "bo;2026-03-05;\n"
    "stranger;2026-03-05T00:00:00Z;open\n"
)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "users.csv").write_text(USERS)
    (tmp_path / "activity.csv.gz").write_bytes(gzip.compress(ACTIVITY.encode()))
    return tmp_path


def growth(folder, database_url, *arguments):
    env = {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(folder / "state")}
    result = CliRunner().invoke(app, [*arguments, "--json"], env=env)
    return result.exit_code, json.loads(result.stdout or "null")


def test_files_are_sources_and_each_counts_once(files, database_url):
    both = ["--users", str(files / "users.csv"), "--activity", str(files / "activity.csv.gz")]
    code, told = growth(files, database_url, "events", "import", *both)
    assert (code, [one["rows"] for one in told["files"]]) == (0, [3, 4])
    code, again = growth(files, database_url, "events", "import", *both)
    assert (code, [one["imported_before"] for one in again["files"]]) == (0, [True, True])
    code, rolled = growth(files, database_url, "events", "rollup")
    assert code == 0
    assert rolled["users"] == 2
    assert rolled["changed"] == ["2026-03-01", "2026-03-05"]
    assert (rolled["kept"], rolled["dropped"]) == (3, {"unknown_user": 1, "excluded": 0})


def test_a_dry_run_reads_and_stores_nothing(files, database_url):
    code, told = growth(
        files, database_url, "events", "import", "--users", str(files / "users.csv"), "--dry-run"
    )
    assert (code, told["files"][0]["rows"]) == (0, 3)
    with psycopg.connect(database_url) as connection:
        found = connection.execute("select count(*) from activity.imported_users").fetchone()
    assert found == (0,)


def test_a_file_with_a_bad_line_is_refused_whole(files, database_url):
    path = files / "bad.csv"
    path.write_text("user_id,occurred_at\nada,2026-03-01T10:00:00Z\nbo,yesterday\n")
    env = {"GROWTH_DATABASE_URL": database_url, "GROWTH_STATE_DIR": str(files / "state")}
    result = CliRunner().invoke(app, ["events", "import", "--activity", str(path)], env=env)
    assert isinstance(result.exception, UsageError)
    assert "bad.csv" in result.exception.message
    assert "yesterday" in result.exception.message
    with psycopg.connect(database_url) as connection:
        found = connection.execute("select count(*) from activity.imported_events").fetchone()
    assert found == (0,)


def test_imported_files_are_no_source_once_tables_were_adopted(files, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create table people (id text, created_at timestamptz)")
    assert growth(files, database_url, "adopt", "--users", "people")[0] == 0
    code, told = growth(
        files, database_url, "events", "import", "--users", str(files / "users.csv")
    )
    assert code == 0
    assert any("not read" in note for note in told["files"][0]["notes"])


def test_columns_of_a_file_of_users_can_be_segments(files, database_url):
    users = ["events", "import", "--users", str(files / "users.csv")]
    assert growth(files, database_url, *users)[0] == 0
    code, told = growth(
        files, database_url, *users, "--segment", "plan"
    )  # known, but not its plans
    assert code == 0
    assert [(one["kind"], one["rows"]) for one in told["files"]] == [
        ("users", None),
        ("segments", 3),
    ]
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "select user_id, segment_by, segment from activity.imported_segments order by 1"
        ).fetchall()
    assert found == [("ada", "plan", "pro"), ("bo", "plan", "free"), ("cy", "plan", "free")]
