"""`growth cohorts assign`: every user there is, into the cohort of the sign-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from growth_pipeline.cohorts.cohort_store import Assigned, CohortStore
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.operate.home import check_home, migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.storage.postgres import Database


@dataclass(frozen=True)
class AssignedUsers:
    """What was done, or would be.

    `numbered`: users seen for the first time, most of whom are in their cohort by that alone;
    `assigned`: those in Postgres already.
    """

    numbered: int
    assigned: Assigned
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"dry_run": self.dry_run, "numbered": self.numbered, **asdict(self.assigned)}

    def lines(self) -> list[str]:
        """For a person."""
        head = ["dry run: nothing was written"] if self.dry_run else []
        done = self.assigned
        return [
            *head,
            f"users seen for the first time: {self.numbered}",
            f"put into cohorts: {done.assigned} new, {done.moved} moved, {done.removed} taken out",
        ]


def assign_users(*, now: datetime, dry_run: bool, say: Callable[[str], None]) -> AssignedUsers:
    """Number the users of the source, and put all users who count into their cohorts.

    Twice changes nothing; a dry run only counts.
    Raises: GrowthError without a database of ours; RemoteUnavailableError.
    """
    log_for_a_person(say)
    with open_home() as home:
        (check_home if dry_run else migrate_home)(home)
        with Database(home.database_url, application_name="growth command") as database:
            database.dry_run = dry_run
            numbered = ActivityStore(database).number_users(now=now)["new"]
            assigned = CohortStore(database).assign_users()
    return AssignedUsers(numbered, assigned, dry_run)
