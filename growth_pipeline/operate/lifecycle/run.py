"""The hourly job of lifecycle, and scores of days, run from a terminal in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.operate.home import migrate_home, open_home
from growth_pipeline.operate.lifecycle.pages import counts
from growth_pipeline.operate.logs import log_for_a_person

Say = Callable[[str], None]
JOB: Final = "lifecycle_job"
SCORES_JOB: Final = "engagement_scores_job"
_MOST_DAYS: Final = 400


@dataclass(frozen=True)
class Ran:
    """Runs of jobs. `failed`: checks that did not pass, with what they found."""

    run_ids: Sequence[str]
    stages: Mapping[str, Any] = field(default_factory=dict)
    messages: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    failed: Sequence[tuple[str, str, str]] = ()

    @property
    def holds(self) -> bool:
        """Whether every check passed."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        names = ("asset", "check", "description")
        return {
            "run_ids": list(self.run_ids),
            "holds": self.holds,
            "stages": dict(self.stages),
            "messages": dict(self.messages),
            "scores": dict(self.scores),
            "failed_checks": [dict(zip(names, one, strict=True)) for one in self.failed],
        }

    def lines(self) -> Iterator[str]:
        """For a person."""
        if self.stages:
            yield (
                f"stages up to {self.stages['decided_on']}: {self.stages['looked_at']:,} users "
                f"looked at, {self.stages['written']:,} transitions written, "
                f"{self.stages['superseded']:,} superseded, {self.stages['removed']:,} removed"
            )
        if self.scores:
            yield f"scores of {self.scores['last_day']}: average {self.scores['average_score']}"
            yield f"  by stage: {counts(self.scores['stages'])}"
            yield f"  by band:  {counts(self.scores['bands'])}"
        if self.messages:
            yield from _message_lines(self.messages)
        for asset, check, description in self.failed:
            yield f"NO  {asset} {check}: {description}"


def run_lifecycle(*, anew: bool, say: Say) -> Ran:
    """Stages, messages, and scores of the last day that is over, as Dagster's schedules do it.

    Raises: GrowthError of the step that failed; ConfigurationError; RemoteUnavailableError.
    """
    with _home(say):
        from growth_pipeline.definitions import launch

        config = {"ops": {"lifecycle__stages": {"config": {"anew": anew}}}}
        hourly = launch(JOB, run_config=config, on_progress=say)
        stages = hourly.metadata.get("lifecycle/stages", {})
        day = min(_yesterday(), date.fromisoformat(stages["decided_on"]))
        scored = None
        if _has_stages():
            scored = launch(SCORES_JOB, partition_key=day.isoformat(), on_progress=say)
        else:
            say("nobody has a stage yet: no user was known before today")
    made = [hourly, *([scored] if scored else [])]
    return Ran(
        run_ids=[one.run_id for one in made],
        stages=stages,
        messages=hourly.metadata.get("lifecycle/messages", {}),
        scores=scored.metadata.get("lifecycle/engagement_scores", {}) if scored else {},
        failed=[
            (one.asset, one.check, one.description)
            for launched in made
            for one in launched.checks
            if not one.passed
        ],
    )


def score_days(first: date | None, last: date | None, *, say: Say) -> Ran:
    """Score days anew; without any, the last one that is over.

    Raises: UsageError for days that are not over, or too many; what `run_lifecycle` raises.
    """
    until = last or _yesterday()
    since = first or until
    if until < since:
        raise UsageError(f"{since} is after {until}", remedy="give the earlier day first")
    if (until - since).days >= _MOST_DAYS:
        raise UsageError(f"more than {_MOST_DAYS} days", remedy="score them in parts")
    with _home(say):
        from growth_pipeline.definitions import launch

        days = since.isoformat(), until.isoformat()
        made = launch(SCORES_JOB, partition_range=days, on_progress=say)
    return Ran(
        run_ids=[made.run_id],
        scores=made.metadata.get("lifecycle/engagement_scores", {}),
        failed=[(one.asset, one.check, one.description) for one in made.checks if not one.passed],
    )


@contextmanager
def _home(say: Say) -> Iterator[None]:
    log_for_a_person(say)
    with open_home() as home:
        if home.is_demo:
            say(f"nothing is configured here: the running demo is used ({home.state_dir})")
        migrate_home(home)
        yield


def _has_stages() -> bool:
    """Whether any user has a stage. Asked inside a home only."""
    from growth_pipeline.lifecycle.health import decided_until
    from growth_pipeline.settings import load_settings
    from growth_pipeline.storage.postgres import Database

    url = load_settings().database_url
    if url is None:
        return False
    with Database(url.get_secret_value(), application_name="growth command") as database:
        return decided_until(database) is not None


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _message_lines(told: Mapping[str, Any]) -> Iterator[str]:
    if told["is_dry_run"]:
        yield f"messages: dry run, {told['why_nothing_is_sent']}"
    yield f"  {told['users_looked_at']:,} users looked at; entered: {counts(told['entered'])}"
    yield f"  {'would be planned' if told['is_dry_run'] else 'planned'}: {counts(told['messages'])}"
    yield f"  held back: {counts(told['held_back'])}"
    if not told["is_dry_run"]:
        yield f"  sent {told['sent']:,}; skipped: {counts(told['skipped'])}"
        yield f"  stopped: {told['stopped']}"
    yield f"  outbox: {counts(told['outbox'])}"
