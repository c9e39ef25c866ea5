"""The audit of a planted sandbox company of any seed finds what was planted, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from growth_pipeline.audit.audit import run_audit
from growth_pipeline.audit.confirm import StripeNow
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.extract import extract_month
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.truth import compare_with_truth
from growth_pipeline.sandbox.application import write
from growth_pipeline.sandbox.company import Company, build, now_hour
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline.sandbox.tamper import tamper
from growth_pipeline.storage.engine import Engine
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline_tests.fakes.local_server import serving

KEY = "rk_test_sandbox"


@contextmanager
def served(company: Company, folder: Path) -> Iterator[tuple[str, Store]]:
    """A company without limits of requests, and its file."""
    store = Store(folder / "company.sqlite")
    build(company, store)
    with serving(create_app(store, company, Access(KEY))) as url:
        yield url, store
    store.close()


def reader_of(company: Company, url: str) -> StripeReader:
    access = StripeAccess(
        api_key=KEY,
        api_base=url,
        api_version=company.api_version,
        account_id=company.account.id,
        livemode=False,
        requests_per_second=100_000,
        endpoint_requests_per_second=100_000,
        timeout_seconds=30,
        retry_seconds=5,
    )
    return StripeReader(access)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "turn", [0, *(pytest.param(number, marks=pytest.mark.full) for number in range(1, 6))]
)
def test_all_that_was_planted_is_found_and_nothing_else(
    turn, seed, lake, database, database_url, tmp_path
):
    chance = random.Random(f"{seed}/{turn}")
    as_of = now_hour()  # Stripe lists events of thirty days, counted from the server's own clock
    months = 3 + turn
    company = Company(as_of=as_of, seed=chance.randrange(10**6), months=months, customers=60)
    now = datetime.fromtimestamp(as_of, UTC)
    with ExitStack() as stack:
        url, store = stack.enter_context(served(company, tmp_path))
        reader = stack.enter_context(reader_of(company, url))
        plant = httpx.post(f"{url}/_sandbox/plant", headers={"X-Sandbox-Key": KEY}, json={})
        planting = plant.json()
        hear(BillingStore(database), store, company, reader, now)
        write(database_url, store.application())
        tamper(database_url, planting["tampering"])
        wanted = [Month(int(key[:4]), int(key[5:])) for key in company.month_keys]
        for month in wanted:
            extract(month, reader, lake, now)
        engine = Engine(memory_limit="1GiB", temp_dir=tmp_path / "spill")
        findings: list[dict[str, Any]] = []
        for month in wanted:
            audit = run_audit(
                month,
                scope=reader.scope,
                lake=lake,
                store=AuditStore(database),
                engine=engine,
                confirm=StripeNow.through(lambda: reader),
                as_of=now,
                started_at=now,
                now=now,
            )
            assert not [one for one in audit.totals.values() if one.remainder]
            findings += [{**one.to_dict(), "month": month.key} for one in audit.findings]
    outcome = compare_with_truth(planting["problems"], findings)
    assert outcome.is_green, (company, [*map(str, outcome.missed)], [*map(str, outcome.unexpected)])
    assert outcome.planted >= 15


def hear(
    books: BillingStore, store: Store, company: Company, reader: StripeReader, now: datetime
) -> None:
    """What was not lost arrives and is applied; Stripe is asked what events leave in doubt."""
    heard = list(store.events(with_lost=False))
    books.insert_events(
        [
            received_event(
                parse_envelope(event.body),
                event.body,
                account_id=company.account.id,
                received_at=datetime.fromtimestamp(event.created, UTC) + timedelta(seconds=2),
            )
            for event in heard
        ]
    )
    for event in heard:
        store.mark_delivered(event.id)
    apply_waiting(books, now=now)
    refetch_waiting(books, reader, now=now, limit=10_000)


def extract(month: Month, reader: StripeReader, lake: Any, now: datetime) -> None:
    for resource in (*AUDITED_OBJECTS, "events"):
        extract_month(resource, month, reader=reader, lake=lake, now=now)
