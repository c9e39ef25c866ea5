"""The growth command in a process of its own: exit codes, what goes to stdout and to stderr.

What needs a running company (the audit's own exit codes) is in integration/test_cli_audit.py.
"""

import json
import os
import socket
import subprocess
import sys
import time

import psycopg
import pytest

GROWTH = [sys.executable, "-m", "growth_pipeline.cli"]


@pytest.fixture
def growth(tmp_path):
    """Runs `growth …` in an empty folder with only the given settings."""

    def run(*arguments, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GROWTH_", "DAGSTER_"))}
        return subprocess.run(
            [*GROWTH, *arguments],
            cwd=tmp_path,
            env=env | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def assert_one_sentence(done, code, sentence, remedy):
    """The whole of stderr is one sentence and one remedy; nothing on stdout."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("growth: ")
    assert sentence in lines[0]
    assert lines[1].startswith("  next: ")
    assert remedy in lines[1]
    assert done.stdout == ""


# --- help and usage ------------------------------------------------------------------------------


def test_help_starts_within_half_a_second_and_imports_nothing_heavy(growth, full):
    program = (
        "import sys; sys.argv = ['growth', '--help']\n"
        "from growth_pipeline import cli\n"
        "try: cli.main()\n"
        "finally: print('heavy:', sorted({'dagster', 'polars', 'duckdb', 'psycopg', 'pydantic', 'httpx'}"
        " & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "heavy: []" in done.stderr
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert growth("--help").returncode == 0
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < (0.5 if full else 2), seconds


def test_every_command_has_a_line_of_help_and_the_exit_codes_are_listed(growth):
    done = growth("--help")
    for name in ("demo", "doctor", "migrate", "audit", "backfill", "serve", "dev", "config"):
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"  {name} "))
        assert not line.endswith("..."), f"{name}: the first sentence is too long"
    assert "3 audit FAIL" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("audit",),
        ("audit", "--month"),
        ("backfill",),
        ("audit", "--month", "2025-10", "--format", "pdf"),
        ("demo", "--months", "0"),
        ("demo", "--customers", "none"),
    ],
)
def test_wrong_usage_is_code_2_and_says_what_is_allowed(growth, arguments):
    done = growth(*arguments)
    assert done.returncode == 2
    assert "Error: " in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("month", ["2025-13", "October", "2025-1", "25-10", "2025-10-01", ""])
def test_what_is_no_month_is_code_2(growth, month):
    assert_one_sentence(growth("audit", "--month", month), 2, "is not a month", "as in 2025-10")


def test_a_month_in_the_future_is_code_2_and_names_the_newest(growth):
    done = growth("audit", "--month", "2999-01")
    assert_one_sentence(
        done, 2, "2999-01 has not begun", f"is {time.strftime('%Y-%m', time.gmtime())}"
    )


def test_json_and_another_format_cannot_both_have_stdout(growth):
    done = growth("audit", "--month", "2025-10", "--json", "--format", "csv")
    assert_one_sentence(done, 2, "both want stdout", "--output")


def test_a_summary_outside_a_job_of_github_is_code_2_before_anything_starts(growth):
    done = growth("audit", "--month", "2024-01", "--github-summary", GITHUB_STEP_SUMMARY="")
    assert_one_sentence(done, 2, "GITHUB_STEP_SUMMARY", "--output")


def test_the_version_is_printed(growth):
    from growth_pipeline import __version__

    assert growth("--version").stdout == f"{__version__}\n"


# --- settings ------------------------------------------------------------------------------------


def test_settings_that_are_wrong_are_code_5_and_name_the_variable(growth):
    done = growth("config", "show", GROWTH_WEB__PORT="http", GROWTH_STRIPE__API_KEY="changeme")
    assert done.returncode == 5
    assert "GROWTH_WEB__PORT" in done.stderr
    assert "GROWTH_STRIPE__API_KEY" in done.stderr
    assert done.stdout == ""


def test_config_show_masks_secrets_and_shows_the_rest(growth):
    done = growth(
        "config", "show", GROWTH_STRIPE__API_KEY="rk_test_canary", GROWTH_WEB__PORT="8700"
    )
    assert done.returncode == 0
    assert "GROWTH_STRIPE__API_KEY=********\n" in done.stdout
    assert "GROWTH_WEB__PORT=8700\n" in done.stdout
    assert "GROWTH_DATABASE_URL=\n" in done.stdout
    assert "canary" not in done.stdout


def test_config_show_as_json_is_one_document(growth):
    shown = json.loads(growth("config", "show", "--json", GROWTH_WEB__PORT="8700").stdout)
    assert shown["GROWTH_WEB__PORT"] == "8700"
    assert shown["GROWTH_STRIPE__API_KEY"] is None


# --- migrate -------------------------------------------------------------------------------------


def test_migrate_shows_its_plan_then_applies_it_then_has_nothing_to_do(growth, empty_database_url):
    plan = json.loads(
        growth("migrate", "--dry-run", "--json", GROWTH_DATABASE_URL=empty_database_url).stdout
    )
    assert plan["pending"][0] == "0001_create_billing"
    assert plan["applied"] == []
    done = growth("migrate", GROWTH_DATABASE_URL=empty_database_url)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"applied {name}" for name in plan["pending"]]
    again = growth("migrate", GROWTH_DATABASE_URL=empty_database_url)
    assert again.stdout == f"up to date: {plan['head']}\n"


def test_a_database_that_does_not_answer_is_code_6(growth):
    done = growth("migrate", GROWTH_DATABASE_URL="postgresql://growth@127.0.0.1:9/growth")
    assert_one_sentence(
        done, 6, "database growth at 127.0.0.1 does not answer", "GROWTH_DATABASE_URL"
    )


def test_an_address_that_is_none_is_code_5_and_not_shown(growth):
    done = growth("migrate", GROWTH_DATABASE_URL="mysql://root:canary@db/growth")
    assert_one_sentence(done, 5, "does not begin with postgresql://", "postgresql://user")
    assert "canary" not in done.stderr


def test_a_database_without_rights_is_code_5_and_names_the_grant(growth, empty_database_url):
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("drop role if exists growth_poor")
        connection.execute("create role growth_poor login")
    poor = empty_database_url.replace("postgres@", "growth_poor@", 1)
    try:
        done = growth(
            "migrate", GROWTH_DATABASE_URL=poor, GROWTH_DAGSTER_DATABASE_URL=empty_database_url
        )
        assert_one_sentence(
            done, 5, "permission denied for database", "GRANT the right on database"
        )
        with psycopg.connect(empty_database_url) as connection:
            assert connection.execute("select to_regnamespace('billing')").fetchone() == (None,)
    finally:
        with psycopg.connect(empty_database_url, autocommit=True) as connection:
            connection.execute("drop role growth_poor")


def test_a_state_folder_that_cannot_be_made_is_code_5(growth, tmp_path):
    (tmp_path / "file").write_text("")
    done = growth("migrate", GROWTH_STATE_DIR=str(tmp_path / "file" / "state"))
    assert_one_sentence(done, 5, "cannot be made", "GROWTH_STATE_DIR")


# --- audit, before any company -------------------------------------------------------------------


def test_an_audit_of_a_database_that_is_behind_is_code_5(growth, empty_database_url):
    done = growth(
        *("audit", "--month", "2025-10"),
        GROWTH_DATABASE_URL=empty_database_url,
        GROWTH_STRIPE__API_KEY="rk_test_GrowthCanary2",
        GROWTH_STRIPE__ACCOUNT_ID="acct_1",
    )
    assert_one_sentence(done, 5, "0001_create_billing", "growth migrate")


def test_an_audit_names_the_missing_key_before_it_looks_at_a_database(growth):
    done = growth("audit", "--month", "2025-10", GROWTH_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert_one_sentence(done, 5, "GROWTH_STRIPE__API_KEY is missing", "restricted key")


def test_a_stopped_demo_is_named_where_nothing_else_is_configured(growth, tmp_path):
    folder = tmp_path / ".growth" / "demo"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    done = growth("audit", "--month", "2025-10")
    assert_one_sentence(done, 5, "the demo is stopped", "growth demo")
    listed = growth("findings", "list")
    assert listed.returncode == 0, listed.stderr
    assert "nothing was audited yet" in listed.stdout + listed.stderr
    assert "the demo is stopped: growth demo" in listed.stdout + listed.stderr


def test_findings_of_a_database_that_is_away_are_code_6_and_not_an_empty_list(growth):
    done = growth("findings", "list", GROWTH_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert_one_sentence(done, 6, "does not answer", "GROWTH_DATABASE_URL")


def test_a_wrong_setting_stops_every_command_that_needs_settings(growth):
    for command in (("audit", "--month", "2025-10"), ("migrate",), ("serve",), ("dev",), ("demo",)):
        done = growth(*command, GROWTH_WEB__PORT="http")
        assert_one_sentence(done, 5, "GROWTH_WEB__PORT", "correct them")


# --- backfill, before any company ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence", "remedy"),
    [
        (("--since", "October"), "'October' is neither a month nor a day", "YYYY-MM"),
        (("--since", "2999-01"), "2999-01 has not begun", "the newest month"),
        (("--since", "2025-03", "--until", "2025-01"), "is not before --until", "earlier one"),
        (("--since", "2025-03", "--objects", "orders"), "'orders' is no kind", "charges"),
        (("--since", "2025-03", "--apply", "--dry-run"), "exclude each other", "--apply alone"),
    ],
)
def test_wrong_arguments_of_a_backfill_are_code_2_before_anything_starts(
    growth, tmp_path, arguments, sentence, remedy
):
    assert_one_sentence(growth("backfill", *arguments), 2, sentence, remedy)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_backfill_migrates_no_database_not_even_an_embedded_one(growth):
    done = growth("backfill", "--since", "2025-10")
    assert_one_sentence(done, 5, "0001_create_billing", "growth migrate")
    plan = growth("migrate", "--dry-run", "--json")
    assert json.loads(plan.stdout)["pending"][0] == "0001_create_billing"


def test_a_key_of_the_other_mode_is_code_5_before_any_command_does_anything(growth, database_url):
    live, test = "rk_live_GrowthCanary1", "rk_test_GrowthCanary2"
    done = growth("migrate", GROWTH_DATABASE_URL=database_url, GROWTH_STRIPE__API_KEY=live)
    assert done.returncode == 0, done.stderr
    for command in (("migrate",), ("audit", "--month", "2025-10"), ("serve",)):
        done = growth(*command, GROWTH_DATABASE_URL=database_url, GROWTH_STRIPE__API_KEY=test)
        assert_one_sentence(done, 5, "holds live-mode rows", "GROWTH_DATABASE_URL")
        assert "Canary" not in done.stdout + done.stderr


# --- doctor --------------------------------------------------------------------------------------


def test_doctor_of_an_empty_folder_names_the_missing_key_and_is_code_5(growth):
    done = growth("doctor", "--json")
    checks = {check["check"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 5
    assert checks["stripe"]["state"] == "fail"
    assert "GROWTH_STRIPE__API_KEY is empty" in checks["stripe"]["sentence"]
    assert checks["database"]["sentence"] == "Postgres 18 (embedded) answers"


def test_doctor_prints_one_line_a_check_and_a_fix_under_what_is_not_ok(growth, database_url):
    done = growth("doctor", GROWTH_DATABASE_URL=database_url)
    lines = done.stdout.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("warn", "fail")):
            assert lines[number + 1].strip().startswith("fix: "), line
    assert any(line.startswith("ok   row security") for line in lines)
    assert "\x1b[" not in done.stdout, "colours without a terminal"


def test_doctor_says_code_6_when_only_a_remote_system_is_away(growth, database_url):
    with socket.socket() as holder:  # bound, not listening: connections are refused
        holder.bind(("127.0.0.1", 0))
        done = growth(
            "doctor",
            GROWTH_DATABASE_URL=database_url,
            GROWTH_STRIPE__API_KEY="rk_test_demo",
            GROWTH_STRIPE__API_BASE=f"http://127.0.0.1:{holder.getsockname()[1]}",
        )
    assert done.returncode == 6, done.stdout
    assert "fail stripe" in done.stdout


def test_doctor_finds_a_table_without_row_security(growth, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table audit.findings disable row level security")
    done = growth("doctor", GROWTH_DATABASE_URL=database_url)
    assert "row security is off on audit.findings" in done.stdout
    assert done.returncode == 5


def test_doctor_with_wrong_settings_says_which_and_stops_there(growth):
    done = growth("doctor", GROWTH_WEB__PORT="http")
    assert done.returncode == 5
    assert "fail settings" in done.stdout
    assert "GROWTH_WEB__PORT" in done.stdout


# --- the unexpected ------------------------------------------------------------------------------


def test_an_unexpected_error_is_one_sentence_and_code_1_and_a_traceback_only_with_debug(tmp_path):
    program = (
        "from growth_pipeline import cli\n"
        "def broken(): raise ValueError('key rk_test_canary inside')\n"
        "raise SystemExit(cli.run(broken, debug={}))"
    )
    for debug in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", program.format(debug)],
            cwd=tmp_path,
            env=os.environ | {"GROWTH_STRIPE__API_KEY": "rk_test_canary"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "growth: an unexpected error (ValueError)" in done.stderr
        assert ("Traceback" in done.stderr) is debug
        assert "canary" not in done.stderr


def test_debug_and_no_color_may_stand_anywhere(growth):
    done = growth("audit", "--debug", "--month", "2999-01", "--no-color")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_closed_pipe_is_no_stack_trace(tmp_path):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m growth_pipeline.cli config example | head -1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
