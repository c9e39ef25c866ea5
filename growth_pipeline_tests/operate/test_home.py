"""Where a command lives: configured, embedded or demo; and that demo and real data stay apart."""

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, ExitCode
from growth_pipeline.operate.home import (
    Home,
    check_home,
    embedded_server,
    inherited,
    is_locked,
    migrate_home,
    open_home,
    running_demo_home,
)
from growth_pipeline.operate.store import claim_mode, ensure_database, tables_without_row_security
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.embedded import running_embedded


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("GROWTH_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_without_configuration_an_embedded_server_runs_exactly_while_it_is_used(tmp_path):
    with open_home() as home:
        assert os.environ["GROWTH_DATABASE_URL"] == home.database_url
        assert os.environ["GROWTH_DAGSTER_DATABASE_URL"].startswith("postgresql+psycopg2://")
        assert running_embedded(tmp_path / ".growth") is not None
        with psycopg.connect(home.database_url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert running_embedded(tmp_path / ".growth") is None


USER = """
import sys
from pathlib import Path
from growth_pipeline.operate.home import embedded_server
with embedded_server(Path(sys.argv[1])):
    print("up", flush=True)
    sys.stdin.readline()
"""


def test_the_last_of_several_users_stops_the_embedded_server(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", USER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "up\n"
        with embedded_server(state) as server:
            pid = server.pid
        assert running_embedded(state).pid == pid, "the other process still uses it"
        other.communicate("\n", timeout=60)
        assert running_embedded(state) is None
    finally:
        other.kill()
        other.wait()


def test_a_user_that_was_killed_does_not_keep_the_server_for_ever(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", USER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "up\n"
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert running_embedded(state) is not None
    with embedded_server(state):
        pass
    assert running_embedded(state) is None


def test_a_configured_database_is_used_and_dagster_gets_one_beside_it(
    empty_database_url, monkeypatch
):
    monkeypatch.setenv("GROWTH_DATABASE_URL", empty_database_url)
    with open_home() as home:
        assert home.server is None
        plain = home.dagster_database_url.replace("+psycopg2", "")
        with psycopg.connect(plain) as connection:
            assert connection.execute("select current_database()").fetchone() == ("growth_dagster",)


def test_a_database_of_the_user_is_migrated_by_growth_migrate_only(empty_database_url, monkeypatch):
    monkeypatch.setenv("GROWTH_DATABASE_URL", empty_database_url)
    settings = load_settings()
    with open_home(settings) as home:
        with pytest.raises(ConfigurationError, match="0001_create_billing") as caught:
            migrate_home(home)
        assert caught.value.remedy == "growth migrate"
        assert migrate_home(home, explicitly=True)[0] == "0001_create_billing"
        assert migrate_home(home) == []


def everything(url) -> tuple:
    """What our schemas hold: tables with their number of rows, and what the database is for."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "select schemaname || '.' || tablename from pg_tables where schemaname in "
            "('alerts', 'audit', 'billing', 'growth', 'operate', 'stripe') order by 1"
        ).fetchall()
        return [
            (name, connection.execute(f"select count(*) from {name}").fetchone())
            for (name,) in tables
        ]


def test_a_dry_run_applies_no_migration_and_names_the_command_that_does():
    with open_home() as home:
        assert home.server is not None, "an embedded one, which real runs migrate by themselves"
        with pytest.raises(ConfigurationError, match="0001_create_billing") as caught:
            check_home(home)
        assert caught.value.remedy == "growth migrate"
        assert everything(home.database_url) == []
        migrate_home(home)
        check_home(home)


def test_a_dry_run_says_of_no_database_what_it_is_for(database_url, monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_test_GrowthCanary1")
    home = Home(Path(), Path(), database_url, database_url)
    before = everything(database_url)
    check_home(home)
    check_home(replace(home, is_demo=True))
    assert everything(database_url) == before
    migrate_home(home)
    assert everything(database_url) != before


def test_a_dry_run_is_refused_where_the_real_run_would_be(database_url, monkeypatch):
    home = Home(Path(), Path(), database_url, database_url)
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_test_GrowthCanary1")
    migrate_home(home)
    with pytest.raises(ConfigurationError, match="holds real data"):
        check_home(replace(home, is_demo=True))
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_live_GrowthCanary2")
    with pytest.raises(ConfigurationError, match="holds test-mode rows"):
        check_home(home)


def test_demo_and_real_data_never_share_a_database(database_url):
    claim_mode(database_url, "demo")
    claim_mode(database_url, "demo")
    with pytest.raises(ConfigurationError, match="holds a demo") as caught:
        claim_mode(database_url, "real")
    assert caught.value.exit_code is ExitCode.CONFIGURATION


def test_real_data_is_not_given_to_a_demo(database_url):
    claim_mode(database_url, "real")
    with pytest.raises(ConfigurationError, match="holds real data"):
        claim_mode(database_url, "demo")


def test_every_table_of_ours_is_bound_by_row_security(database_url):
    assert tables_without_row_security(database_url) == []
    with psycopg.connect(database_url, autocommit=True) as connection:
        tables = connection.execute(
            "select schemaname || '.' || tablename from pg_tables where schemaname <> 'growth'"
            " and schemaname not in ('pg_catalog', 'information_schema') order by 1"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"alter table {table} no force row level security")
    assert tables_without_row_security(database_url) == [table for (table,) in tables]
    assert ("events.events",) in tables


def test_a_missing_dagster_database_that_may_not_be_made_names_the_statement(
    postgres_server, database_url
):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create role poor_one login")
    poor = database_url.replace("postgres@", "poor_one@", 1)
    with pytest.raises(ConfigurationError) as caught:
        ensure_database(poor, "growth_dagster_of_poor_one")
    assert "create database growth_dagster_of_poor_one owner poor_one;" in caught.value.remedy
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop role poor_one")


def test_only_the_path_of_an_address_changes_for_dagsters_database(database_url):
    made = ensure_database(database_url, "growth_dagster")
    assert made.replace("/growth_dagster", "") == database_url.replace(
        "/" + database_url.split("@/")[1].split("?")[0], ""
    )


# --- a running demo ------------------------------------------------------------------------------


@pytest.fixture
def demo(tmp_path):
    """A demo folder as a running demo leaves it; the lock is held until the test ends."""
    folder = tmp_path / ".growth" / "demo"
    folder.mkdir(parents=True)
    (folder / "demo.env").write_text(
        "GROWTH_DATABASE_URL=postgresql://postgres@/growth?host=/nowhere\n"
        "GROWTH_DAGSTER_DATABASE_URL=postgresql+psycopg2://postgres@/growth_dagster?host=/nowhere\n"
        f"DAGSTER_HOME={folder}/dagster\n"
        "GROWTH_STRIPE__API_KEY=rk_test_demo\n"
    )
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def test_an_unconfigured_folder_uses_the_demo_that_runs_in_it(demo, tmp_path, monkeypatch):
    monkeypatch.setenv("GROWTH_AUDIT__GRACE_MINUTES", "7")
    (tmp_path / ".env").write_text("GROWTH_ALERTS__SLACK_WEBHOOK_URL=https://hooks.example/real\n")
    with open_home() as home:
        assert home.is_demo
        settings = load_settings()
    assert settings.stripe.api_key.get_secret_value() == "rk_test_demo"
    assert settings.alerts.slack_webhook_url is None, "a setting of the folder reached the demo"
    assert settings.audit.grace_minutes == 60, "a setting of the shell reached the demo"
    assert Path.cwd() == demo


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GROWTH_DATABASE_URL", "postgresql://localhost/real"),
        ("GROWTH_STRIPE__API_KEY", "rk_live_real"),
    ],
)
def test_whoever_configured_something_never_lands_in_the_demo(demo, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert running_demo_home(load_settings()) is None


def test_a_demo_that_ended_is_not_used(demo, tmp_path):
    (tmp_path / ".growth" / "demo" / "lock").unlink()
    assert running_demo_home(load_settings()) is None


def test_a_demo_that_is_still_starting_is_not_used(demo):
    (demo / "demo.env").unlink()
    assert running_demo_home(load_settings()) is None


def test_a_lock_is_seen_while_somebody_holds_it(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    with path.open("w") as lock:
        assert not is_locked(path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_locked(path)


def test_children_of_a_demo_inherit_no_setting_and_pass_by_any_proxy(monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_live_real")
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere")
    monkeypatch.setenv("NO_PROXY", "intranet")
    got = inherited()
    assert not [name for name in got if name.startswith(("GROWTH_", "DAGSTER_"))]
    assert got["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"
    assert got["PATH"] == os.environ["PATH"]
