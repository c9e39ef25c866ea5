"""The GitHub action and its example workflows: pinned, least rights, and held to the command line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from growth_pipeline.cli import app

FOLDER = Path(__file__).parents[1] / "deploy" / "github-action"
ACTION = FOLDER / "action.yml"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
FILES = [ACTION, *WORKFLOWS]
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # \S.*")


def loaded(path: Path) -> dict[str, Any]:
    """YAML reads the key `on` as true."""
    document = yaml.safe_load(path.read_text())
    return {("on" if name is True else name): part for name, part in document.items()}


def steps(path: Path) -> Iterator[dict[str, Any]]:
    document = loaded(path)
    if "runs" in document:
        yield from document["runs"]["steps"]
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


def growth_calls(path: Path) -> Iterator[list[str]]:
    """Every call of `growth` in the scripts of a file, as words behind the program's name."""
    for step in steps(path):
        script = step.get("run", "").replace("\\\n", " ")
        for line in script.splitlines():
            found = re.search(r"\bgrowth ((?:audit|insights|\w+) --[^|;>]*)", line)
            if found and line.lstrip().startswith(("uv run", "growth", "if ! uv run")):
                yield shlex.split(found[1].partition('"${options')[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_foreign_action_is_pinned_by_its_commit_and_names_its_version(path):
    used = re.findall(r"^\s*uses: (.+)$", path.read_text(), re.MULTILINE)
    assert used
    assert [one for one in used if not PINNED.fullmatch(one)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_expression_stands_in_a_script(path):
    assert [step["name"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_right_but_to_read_runs_off_the_hour_and_ends(path):
    workflow = loaded(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 60
    for schedule in workflow["on"]["schedule"]:
        assert schedule["cron"].split()[0] not in {"0", "30", "*"}


def test_no_workflow_hands_a_secret_to_anything_but_the_environment():
    for path in WORKFLOWS:
        for line in path.read_text().splitlines():
            if "secrets." in line:
                assert re.fullmatch(r"\s+GROWTH_\w+: \$\{\{ secrets\.\w+ \}\}", line), line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_reports_are_kept_for_90_days_whatever_the_verdict(path):
    document = loaded(path)
    uploads = [step for step in steps(path) if "upload-artifact" in step.get("uses", "")]
    ours = [step for step in steps(path) if "github-action@" in step.get("uses", "")]
    assert uploads or ours
    for step in uploads:
        assert step["if"] == "always()"
        days = step["with"]["retention-days"]
        assert days == 90 or document["inputs"]["retention-days"]["default"] == "90"
    for step in ours:
        assert step["with"]["retention-days"] == "90"


def test_every_call_of_growth_is_one_that_the_command_line_takes():
    group = typer.main.get_command(app)
    calls = [call for path in FILES for call in growth_calls(path)]
    assert sorted({call[0] for call in calls}) == ["audit", "insights"]
    for name, *options in calls:
        group.commands[name].make_context(name, list(options))


def test_inputs_given_by_the_example_exist():
    inputs = loaded(ACTION)["inputs"]
    for path in WORKFLOWS:
        for step in steps(path):
            if "deploy/github-action@" in step.get("uses", ""):
                assert set(step["with"]) <= set(inputs)


# --- the scripts, run --------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path):
    """A job's files, and a `uv` that notes how it was called and ends as it is told."""
    for name in ("output", "summary", "calls"):
        (tmp_path / name).touch()
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >> "$CALLS"\nexit "$UV_CODE"\n')
    program.chmod(0o755)
    return tmp_path


def run_step(
    job: Path, path: Path, name: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    (step,) = [one for one in steps(path) if one.get("name") == name]
    environment = {
        "PATH": f"{job / 'bin'}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(job / "output"),
        "GITHUB_STEP_SUMMARY": str(job / "summary"),
        "GITHUB_ACTION_PATH": "/action",
        "CALLS": str(job / "calls"),
        "REPORTS": str(job / "reports"),
        "UV_CODE": "0",
        **variables,
    }
    return subprocess.run(
        [str(shutil.which("bash")), "-e", "-o", "pipefail", "-c", step["run"]],
        env=environment,
        cwd=job,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("code", ["0", "3", "4", "6"])
def test_the_audits_exit_code_becomes_the_jobs(job, code):
    audited = run_step(job, ACTION, "Audit", GIVEN_MONTH="2025-10", STRICT="true", UV_CODE=code)
    assert audited.returncode == 0, "the report is uploaded before the verdict ends the job"
    assert (job / "output").read_text() == f"exit-code={code}\nmonth=2025-10\n"
    call = (job / "calls").read_text()
    assert "growth audit --month 2025-10 --github-summary" in call
    assert call.rstrip().endswith("--strict")
    assert call.count("--output") == 4
    verdict = run_step(job, ACTION, "Verdict", CODE=code)
    assert verdict.returncode == int(code)
    assert ("::error" in verdict.stdout) == (code != "0")


def test_without_a_month_it_is_yesterdays_and_without_a_result_the_job_fails(job):
    assert run_step(job, ACTION, "Audit", GIVEN_MONTH="", STRICT="false").returncode == 0
    assert re.search(r"^month=\d{4}-\d{2}$", (job / "output").read_text(), re.MULTILINE)
    assert "--strict" not in (job / "calls").read_text()
    assert run_step(job, ACTION, "Verdict", CODE="").returncode == 1


def test_a_month_cannot_smuggle_in_another_output(job):
    run_step(job, ACTION, "Audit", GIVEN_MONTH="2025-10\nexit-code=0", STRICT="", UV_CODE="2")
    assert (job / "output").read_text() == "exit-code=2\nmonth=2025-10-0\n"


def test_the_weekly_report_is_written_and_shown_and_a_failure_fails_the_job(job):
    workflow = FOLDER / "workflows" / "weekly-insights.yml"
    (job / "weekly-insights").mkdir()
    (job / "weekly-insights" / "report.md").write_text("# Weekly growth report\n")
    done = run_step(job, workflow, "Write the weekly report")
    assert done.returncode == 0, done.stderr
    assert (job / "summary").read_text() == "# Weekly growth report\n"
    call = (job / "calls").read_text()
    assert "growth insights --weeks 8 --output weekly-insights/report.md" in call
    assert run_step(job, workflow, "Write the weekly report", UV_CODE="7").returncode != 0
