"""Publishing MRR, movements, figures and receipts from a terminal: the same job as every night."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from growth_pipeline.operate.home import migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person

Say = Callable[[str], None]
JOB = "refresh_revenue_job"


@dataclass(frozen=True)
class Refreshed:
    """One run. `failed`: checks that did not pass, with what they found."""

    run_id: str
    failed: tuple[tuple[str, str, str], ...]

    @property
    def holds(self) -> bool:
        """Whether every check passed."""
        return not self.failed


def refresh_revenue(say: Say) -> Refreshed:
    """Run the job in this process; Dagster's UI shows it as any other run.

    Raises: GrowthError of the step that failed; ConfigurationError; RemoteUnavailableError.
    """
    log_for_a_person(say)
    with open_home() as home:
        if home.is_demo:
            say(f"nothing is configured here: the running demo is used ({home.state_dir})")
        migrate_home(home)
        # Only now: Dagster reads its home from the environment that open_home made.
        from growth_pipeline.definitions import launch

        launched = launch(JOB, on_progress=say)
    failed = tuple(
        (one.asset, one.check, one.description) for one in launched.checks if not one.passed
    )
    return Refreshed(launched.run_id, failed)
