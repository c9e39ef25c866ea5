"""An outbox full of messages and a Kit account on this machine, for tests of sending."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import psycopg

from growth_pipeline.lifecycle.kit.client import KitClient
from growth_pipeline.lifecycle.kit.gate import KitGate, KitLimits
from growth_pipeline.lifecycle.outbox.addresses import AddressBook
from growth_pipeline.lifecycle.outbox.send import SendLimits, SendReport, send_due
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.sandbox.kit import Account, create_app
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.fakes.local_server import serving

KEY = "kit_sandbox"
FAST = SendLimits(settle_after=timedelta(seconds=2), lease=timedelta(seconds=4), within=0.8)


def fill_users(url: str, count: int, *, first: int = 1) -> list[str]:
    """Users with addresses, as the ingest tells them; their addresses."""
    with psycopg.connect(url, autocommit=True) as connection:
        told = [first, first + count - 1]
        connection.execute(
            "insert into activity.told_users (user_key, user_id, email)"
            " select activity.user_key('u' || n), 'u' || n, 'user' || n || '@example.com'"
            " from generate_series(%s::int, %s::int) as n",
            told,
        )
        connection.execute(
            "insert into activity.user_numbers (user_key, user_id)"
            " select activity.user_key('u' || n), 'u' || n"
            " from generate_series(%s::int, %s::int) as n order by n",
            told,
        )
    return [f"user{number}@example.com" for number in range(first, first + count)]


def fill_outbox(url: str, message: str = "welcome/hello", *, basis: str = "consent") -> None:
    """One due message for every user."""
    journey, step = message.split("/")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into lifecycle.outbox (user_key, user_number, message, journey, version, step,"
            " action, target, priority, basis, trigger_at, due_at, late_at)"
            " select user_key, user_number, %s, %s, 1, %s, 'tag', %s, 1, %s, now(),"
            " now() - interval '1 second', now() + interval '3 days' from activity.user_numbers",
            [message, journey, step, f"growth/{message}", basis],
        )


@contextmanager
def kit_account(**options: Any) -> Iterator[tuple[Account, str]]:
    """A Kit account and its base URL."""
    account = Account(**options)
    with serving(create_app(account)) as base:
        yield account, f"{base}/v4"


@contextmanager
def kit_client(
    database: Database, base: str, limits: KitLimits | None = None
) -> Iterator[KitClient]:
    gate = KitGate(database, limits or KitLimits(requests=100_000, seconds=1))
    with KitClient(KEY, gate, base=base, allow_loopback=True) as client:
        yield client


def send_once(
    database: Database, base: str, limits: SendLimits = FAST, kit: KitLimits | None = None
) -> SendReport:
    with kit_client(database, base, kit) as client:
        return send_due(OutboxStore(database), client, AddressBook(database), limits=limits)


def control(base: str, path: str, **told: Any) -> Any:
    """What a test asks of the account itself."""
    root = base.removesuffix("/v4")
    if told:
        return httpx.post(f"{root}/control/{path}", json=told, trust_env=False, timeout=30).json()
    return httpx.get(f"{root}/control/{path}", trust_env=False, timeout=30).json()


def states(url: str) -> dict[str, int]:
    """Messages of the outbox by state."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("select state, count(*) from lifecycle.outbox group by state")
        return dict(rows.fetchall())
