"""One audit from a terminal: the same job that Dagster's schedule runs, and its report.

Decides nothing about findings; which exit code a verdict means is said here.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from growth_pipeline.audit.sources import LATER_PARTS
from growth_pipeline.core.errors import ConfigurationError, ExitCode, GrowthError, UsageError
from growth_pipeline.core.periods import UTC_NAME, Month, PeriodState, ZonedMonth
from growth_pipeline.operate.home import (
    check_home,
    is_demo_running,
    is_demo_stopped,
    migrate_home,
    open_home,
)
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.settings import github_summary_path, load_settings
from growth_pipeline.stripe_api.access import access_of

Say = Callable[[str], None]

_STEP = re.compile(r"[a-z]+/[a-z_]+")
_STEPS = {
    "billing/inbox": "looking at the received events",
    "billing/inbox_no_events_are_quarantined": "checking that no received event was set aside",
    "billing/mirror": "bringing the mirror up to date",
    "billing/payments": "booking payments from the mirror",
    "audit/findings": "comparing Stripe with the books",
    "audit/report": "writing the report",
}

AUDIT_JOB = "audit_job"
_ZONED = ("audit__findings", "audit__report")  # steps that are told the zone
# GitHub refuses a longer summary of a step. Source: GitHub Actions, "Job summaries", limits.
_SUMMARY_LIMIT = 1 << 20
_CUT = b"\n\nThe report is longer than a summary may be: the rest is in its files.\n"
# What belongs to a month may be younger than it; the job itself reads the month alone.
_RETURNS = tuple(f"billing/{name}_extract" for name in LATER_PARTS)


@dataclass(frozen=True)
class Report:
    """The report of one audit in its faces: `md`, `html`, `json`, `csv`."""

    documents: Mapping[str, bytes]
    verdict: str

    def text(self, face: str) -> str:
        """One face as text."""
        return self.documents[face].decode()

    def write(self, path: Path, face: str) -> None:
        """Put one face into a file, whole or not at all.

        Raises: UsageError when the file cannot be written there.
        """
        write_file(path, self.documents[face])

    def append_summary(self, path: Path) -> None:
        """Append the Markdown face to a job's summary; what GitHub would refuse is cut, and said.

        Raises: UsageError when the file cannot be written.
        """
        try:
            taken = path.stat().st_size if path.exists() else 0
            text = _within(self.documents["md"], _SUMMARY_LIMIT - taken)
            with path.open("ab") as stream:
                stream.write(text)
        except OSError as error:
            raise _unwritable(path, error) from None

    def exit_code(self, *, strict: bool) -> int:
        """3 for FAIL, 4 for WARNING when strict, else 0. Raises: GrowthError for no verdict."""
        codes = {
            "PASS": ExitCode.DONE,
            "WARNING": ExitCode.AUDIT_WARNING if strict else ExitCode.DONE,
            "FAIL": ExitCode.AUDIT_FAIL,
        }
        if self.verdict not in codes:
            raise GrowthError(f"the audit ended without a verdict ({self.verdict!r})")
        return int(codes[self.verdict])


def month_to_audit(month: Month, *, now: datetime, tz: str = "") -> ZonedMonth:
    """The month of a zone, if there is anything in it yet; `tz` "" is the configured zone.

    Raises: UsageError for an unknown zone, or a month that has not begun there and in UTC.
    """
    period = ZonedMonth(month, tz or load_settings().audit.time_zone)
    for one in (period, month):
        if one.state(now) is PeriodState.NOT_BEGUN:
            where = "" if period.tz == UTC_NAME else f" in {'UTC' if one is month else period.tz}"
            newest = min(ZonedMonth.of(now, period.tz).month, Month.of(now))
            raise UsageError(
                f"{month} has not begun{where}", remedy=f"the newest month to audit is {newest}"
            )
    return period


def check_output(path: Path) -> Path:
    """The report's file, absolute, if it can be written: known before minutes are spent.

    Raises: UsageError for a folder, or one that is missing or closed.
    """
    path = path.absolute()
    if path.is_dir():
        raise UsageError(
            f"the report cannot be written to {path}: it is a folder",
            remedy="give --output a file, as in report.md",
        )
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise _unwritable(path, error) from None


def audit_month(period: ZonedMonth, *, now: datetime, dry_run: bool, say: Say) -> Report:
    """Run the audit of a zone's month in this process, recorded in Dagster like any other run.

    Raises: the GrowthError of the step that failed; GrowthError when no report came out.
    """
    month = period.month
    log_for_a_person(say)
    _check_key()
    with open_home() as home:
        if home.is_demo:
            say(f"nothing is configured here: auditing the running demo ({home.state_dir})")
        first = Month.parse(load_settings().history_start)
        if month < first:
            raise UsageError(
                f"{month} is before {first}, where the history begins",
                remedy="set GROWTH_HISTORY_START to an earlier month",
            )
        (check_home if dry_run else migrate_home)(home)
        # Only now: Dagster reads its home from the environment that open_home made.
        from growth_pipeline.definitions import launch

        zone = "" if period.tz == UTC_NAME else f" of {period.tz}"
        say(f"auditing {month}{zone}" + (" (dry run: nothing is kept)" if dry_run else ""))
        if period.state(now) is PeriodState.OPEN:
            say(f"{month} is not over: every number is provisional")
        elif not dry_run and month < Month.of(now):
            say("reading from Stripe the refunds and disputes made after the month")
            span = (month.next.key, Month.of(now).key)
            launch("extract_job", partition_range=span, assets=_RETURNS)
        launched = launch(
            AUDIT_JOB,
            partition_key=month.key,
            run_config={"ops": {name: {"config": {"tz": period.tz}} for name in _ZONED}},
            dry_run=dry_run,
            on_progress=lambda line: say(in_words(line)),
        )
    if "json" not in launched.documents:
        raise GrowthError(
            f"the audit of {month} ended without a report",
            remedy=f"open run {launched.run_id} in Dagster's UI (growth serve)",
        )
    verdict = json.loads(launched.documents["json"])["verdict"]
    return Report(launched.documents, str(verdict))


def in_words(line: str) -> str:
    """A line of progress for a person: the name of a step as what it does."""
    if _STEP.fullmatch(line) is None:
        return line
    name = line.partition("/")[2]
    if name.endswith("_extract"):
        return f"reading {name.removesuffix('_extract').replace('_', ' ')} from Stripe"
    return _STEPS.get(line, line.replace("/", ": ").replace("_", " "))


def _check_key() -> None:
    """See that Stripe can be asked before a database is started for it.

    Raises: ConfigurationError for no key, or a wrong one.
    """
    settings = load_settings()
    if is_demo_running(settings):
        return
    if is_demo_stopped(settings):
        raise ConfigurationError(
            "nothing is configured here, and the demo is stopped",
            remedy="growth demo, or set GROWTH_STRIPE__API_KEY",
        )
    access_of(settings.stripe, settings.state_dir)


def write_file(path: Path, data: bytes) -> None:
    """Put a report into a file, whole or not at all.

    Raises: UsageError when the file cannot be written there.
    """
    try:
        _write_whole(path, data)
    except OSError as error:
        raise _unwritable(path, error) from None


def summary_file() -> Path:
    """The file that GitHub names for the running job's summary.

    Raises: UsageError outside a job of GitHub Actions.
    """
    path = github_summary_path()
    if path is None:
        raise UsageError(
            "--github-summary needs a job of GitHub Actions: GITHUB_STEP_SUMMARY is not set",
            remedy="leave it out, or use --output report.md",
        )
    return check_output(path)


def _within(text: bytes, limit: int) -> bytes:
    """The text, or as many of its lines as fit, with a sentence that says so."""
    if len(text) <= limit:
        return text
    room = limit - len(_CUT)
    return text[: text.rfind(b"\n", 0, room) + 1] + _CUT if room > 0 else b""


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the report cannot be written to {path}: {error.strerror}",
        remedy="give --output a file in a folder you may write",
    )


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.chmod(0o644)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
