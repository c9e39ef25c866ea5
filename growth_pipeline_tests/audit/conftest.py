from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.report.report_store import ReportStore
from growth_pipeline.audit.resources import AuditTiming
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline_tests.audit.company import Company
from growth_pipeline_tests.fakes import stripe_list_server as fake_stripe
from growth_pipeline_tests.fakes.fast_access import fast_access


@pytest.fixture
def company(lake, database, engine) -> Company:
    """A company without payments, live mode, whose files of three months are read at one instant."""
    return Company(lake, database, engine)


@pytest.fixture
def now() -> datetime:
    """What the clock of the resources says; a module of tests may say another instant."""
    return datetime(2025, 11, 15, tzinfo=UTC)


@pytest.fixture
def stripe():
    """A Stripe whose lists a test fills."""
    with fake_stripe.StripeListServer() as server:
        yield server


@pytest.fixture
def resources(stripe, lake, engine, database, tmp_path, now) -> dict[str, object]:
    """What the assets of the audit are given, on that Stripe and real storage."""
    scope = Scope("acct_1", False)
    return {
        "stripe": lambda: StripeReader(fast_access(stripe.url)),
        "scopes": [scope],
        "lake": lake,
        "checkpoints": tmp_path / "extracts",
        "engine": engine,
        "billing_store": BillingStore(database),
        "audit_store": AuditStore(database),
        "report_store": ReportStore(database),
        "scope": scope,
        "audit_grace": timedelta(minutes=60),
        "audit_timing": AuditTiming("UTC", close_after_days=5),
        "clock": lambda: now,
    }
