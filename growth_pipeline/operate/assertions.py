"""`growth events verify --billing`: what billing events say, held against the mirror of Stripe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.assertions.assertion_store import AssertionStore
from growth_pipeline.events.assertions.verify import Verified, verify_billing
from growth_pipeline.operate.home import migrate_home, open_home
from growth_pipeline.operate.logs import log_for_a_person
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.postgres import Database


def verify_billing_events(
    since: str | None, *, now: datetime, say: Callable[[str], None]
) -> Verified:
    """Compare the billing events received since a day (UTC); default: of the last 30 days.

    Raises: UsageError for a day that is none or not past; RemoteUnavailableError.
    """
    start = _day(since) if since is not None else None
    log_for_a_person(say)
    with open_home() as home:
        migrate_home(home)
        with Database(home.database_url, application_name="growth command") as database:
            assertions = AssertionStore(database, load_settings().stripe.scopes)
            return verify_billing(assertions, now=now, since=start)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", remedy="write it as 2026-10-05") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
