"""What the audit's assets are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

from growth_pipeline.core.periods import UTC_NAME
from growth_pipeline.settings import load_settings

if TYPE_CHECKING:
    from growth_pipeline.audit.audit import Audit
    from growth_pipeline.audit.confirm import Confirm
    from growth_pipeline.audit.report.report_store import ReportStore
    from growth_pipeline.audit.store import AuditStore, Published
    from growth_pipeline.billing.resources import OpenReader
    from growth_pipeline.core.ids import Scope
    from growth_pipeline.core.periods import Month
    from growth_pipeline.storage.postgres import Database
    from growth_pipeline.stripe_api.client import StripeReader


@dg.resource(description="Audits and findings in Postgres.", required_resource_keys={"database"})
def audit_store(context: dg.InitResourceContext) -> AuditStore:
    """Store on the run's database."""
    from growth_pipeline.audit.store import AuditStore

    return AuditStore(context.resources.database)


def remembering_store(database: Database) -> AuditStore:
    """A store for a dry run: what it publishes is rolled back, so it keeps the audit in memory."""
    from growth_pipeline.audit.store import AuditStore

    class RememberingStore(AuditStore):
        kept: Audit | None = None

        def publish(self, audit: Audit) -> Published:
            self.kept = audit
            return super().publish(audit)

        def latest(self, scope: Scope, month: Month, *, tz: str = UTC_NAME) -> Audit | None:
            kept = self.kept
            if kept is not None and (kept.scope, kept.month, kept.tz) == (scope, month, tz):
                return kept
            return super().latest(scope, month, tz=tz)

    return RememberingStore(database)


@dg.resource(
    description="Where reports lie and which of them must stay.",
    required_resource_keys={"database"},
)
def report_store(context: dg.InitResourceContext) -> ReportStore:
    """Store on the run's database."""
    from growth_pipeline.audit.report.report_store import ReportStore

    return ReportStore(context.resources.database)


@dg.resource(description="How long reports of audits are kept.")
def reports_keep(_context: dg.InitResourceContext) -> timedelta:
    """The setting `reports.keep_days`."""
    return timedelta(days=load_settings().reports.keep_days)


@dg.resource(description="How young an object may be and still be left unjudged.")
def audit_grace(_context: dg.InitResourceContext) -> timedelta:
    """The setting `audit.grace_minutes`."""
    return timedelta(minutes=load_settings().audit.grace_minutes)


class AuditTiming(NamedTuple):
    """Whose months are audited, and when they are closed."""

    tz: str
    close_after_days: int


@dg.resource(description="Whose months are audited, and when they are closed.")
def audit_timing(_context: dg.InitResourceContext) -> AuditTiming:
    """The settings `audit.time_zone` and `audit.close_after_days`."""
    audit = load_settings().audit
    return AuditTiming(audit.time_zone, audit.close_after_days)


@contextmanager
def asking_stripe(open_reader: OpenReader) -> Iterator[Confirm]:
    """How an audit asks Stripe itself. A reader is opened only when there is a question."""
    from growth_pipeline.audit.confirm import StripeNow  # brings polars

    with ExitStack() as stack:

        @cache
        def reader() -> StripeReader:
            return stack.enter_context(open_reader())

        yield StripeNow.through(reader)
