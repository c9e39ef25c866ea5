"""Sweep and re-list against the simulated company: nothing of it is drift, and an outage heals."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import KINDS, Listing
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.relist import catch_up, relist
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.billing.watch import nightly_sights
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader

KEY = "rk_test_sandbox"
DAY = 86_400
SMALL = ("--months", "4", "--customers", "60", "--requests-per-second", "0")
# Older ones of these are brought by a backfill alone: Stripe has no events of them.
NOT_MIRRORED = {"event", "payment_method", "balance_transaction"}
# It began and ended without an event.
NEVER_TOLD = ("invoice_payment", "canceled")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    ready: Path = tmp_path_factory.mktemp("sandbox") / "ready.json"
    command = [sys.executable, "-m", "growth_pipeline.sandbox", "serve", *SMALL]
    with subprocess.Popen([*command, "--ready-file", str(ready)]) as process:
        try:
            until = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            yield json.loads(ready.read_text())
        finally:
            process.terminate()


class Pipeline:
    def __init__(self, sandbox: dict[str, Any], database: Any) -> None:
        self.url, self.account = sandbox["url"], sandbox["account_id"]
        self.database = database
        self.store, self.sweeps = BillingStore(database), SweepStore(database)
        self.http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {KEY}", "X-Sandbox-Key": KEY},
            trust_env=False,
        )
        self.reader = StripeReader(
            StripeAccess(
                api_key=KEY,
                api_base=self.url,
                api_version=sandbox["api_version"],
                account_id=self.account,
                livemode=False,
                requests_per_second=10_000,
                endpoint_requests_per_second=10_000,
                timeout_seconds=10,
                retry_seconds=1,
            )
        )

    def close(self) -> None:
        self.http.close()
        self.reader.close()

    def receive(self, until: int) -> None:
        """Every event up to an instant, as the receiver would have stored it."""
        lines = self.http.get("/_sandbox/events").text.splitlines()
        bodies = [line.encode() for line in lines if json.loads(line)["created"] < until]
        now = datetime.now(UTC)
        self.store.insert_events(
            [
                received_event(parse_envelope(b), b, account_id=self.account, received_at=now)
                for b in bodies
            ]
        )
        apply_waiting(self.store, now=now)
        refetch_waiting(self.store, self.reader, now=now, limit=10_000)

    def relist(self) -> Any:
        now = datetime.now(UTC)
        return relist(
            nightly_sights(now), self.reader, self.store, self.sweeps, reason="nightly", now=now
        )

    def divergence(self) -> list[str]:
        """Ids on which the lists of the sandbox and the living rows of the mirror disagree."""
        with self.database.connection() as connection:
            mirror = {
                (kind, id_): status
                for kind, id_, status in connection.execute(
                    "select object, id, payload ->> 'status' from stripe.objects"
                    " where deleted_at is null"
                ).fetchall()
            }
        problems = []
        for kind in KINDS:
            if kind.object in NOT_MIRRORED or kind.listing is Listing.NONE:
                continue
            listed = {found["id"]: found.get("status") for found in self.all_of(kind.path)}
            known = {id_: status for (name, id_), status in mirror.items() if name == kind.object}
            problems += [
                f"{kind.object} {id_}: {known.get(id_, 'unknown')} here, {status} there"
                for id_, status in listed.items()
                if known.get(id_, "unknown") != status
                and not (id_ not in known and (kind.object, status) == NEVER_TOLD)
            ]
            problems += [f"{kind.object} {id_}: gone there" for id_ in known.keys() - listed.keys()]
        return problems

    def all_of(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        params: dict[str, str] = {"limit": "100"}
        if path == "subscriptions":
            params["status"] = "all"
        while True:
            page = self.http.get(f"/v1/{path}", params=params).raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]["id"]


@pytest.fixture
def pipeline(sandbox, database):
    opened = Pipeline(sandbox, database)
    yield opened
    opened.close()


def test_a_company_whose_every_event_arrived_has_no_drift(pipeline):
    pipeline.receive(until=2**40)
    done = pipeline.relist()
    assert done.examples == []
    assert done.unrepaired == []
    assert pipeline.relist().learned == 0


@pytest.mark.parametrize("days", [4, 31])
def test_an_outage_of_the_receiver_heals(pipeline, days):
    now = datetime.now(UTC)
    off_at = int(now.timestamp()) - days * DAY
    pipeline.receive(until=off_at)
    pipeline.sweeps.finish(pipeline.reader.scope, datetime.fromtimestamp(off_at, UTC), now=now)
    caught = catch_up(pipeline.reader, pipeline.store, pipeline.sweeps, now=now)
    assert (caught.lost is not None) is (days == 31)
    done = pipeline.relist()
    assert done.examples == []
    assert pipeline.divergence() == []
    rebuilt = rebuild_mirror(pipeline.store, now=now, check_only=True)
    assert (rebuilt.sample, rebuilt.charges) == ((), ())
