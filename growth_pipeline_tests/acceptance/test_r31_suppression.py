"""R31: whoever leaves gets nothing more, however they leave and whatever is under way.

Races: a message is due and its address is suppressed at a random instant around the call, by Kit's
webhook, the application's call, the page of a signed link, SQL, or erasure. Judged by the account:
no request that sends may arrive after the instant that the suppression bears, which lies before its
commit. All clocks are this machine's.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import cycle

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from growth_pipeline.lifecycle.outbox.addresses import AddressBook, address_hash
from growth_pipeline.lifecycle.outbox.send import SendLimits, send_due
from growth_pipeline.lifecycle.outbox.store import OutboxStore
from growth_pipeline.lifecycle.suppression.copy import keep_copy
from growth_pipeline.lifecycle.suppression.links import UnsubscribeLinks
from growth_pipeline.lifecycle.suppression.read_back import read_back
from growth_pipeline.lifecycle.suppression.store import SuppressionStore
from growth_pipeline.sandbox.kit import Faults
from growth_pipeline.settings import LifecycleSettings
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import Database
from growth_pipeline.web.app import create_app
from growth_pipeline_tests.fakes.kit_outbox import (
    FAST,
    fill_outbox,
    fill_users,
    kit_account,
    kit_client,
    send_once,
)
from growth_pipeline_tests.fakes.web_server import SECRET, serve, settings_of

KIT_SECRET, LINK_SECRET, TOKEN = "k" * 40, "l" * 40, "t" * 40
WAYS = ("webhook", "api", "page", "sql", "erasure")


@pytest.fixture
def web(database_url, tmp_path):
    """The address of the web app, with every way out open."""
    settings = settings_of(database_url, tmp_path, SECRET)
    settings.lifecycle = LifecycleSettings(
        kit_webhook_secret=SecretStr(KIT_SECRET),
        link_secret=SecretStr(LINK_SECRET),
        api_token=SecretStr(TOKEN),
    )
    with serve(create_app(settings)) as base:
        yield base


class Leaving:
    """Ways in which somebody leaves; each returns when the answer is there."""

    def __init__(self, url, web, kit):
        self._url, self._web = url, web
        self._kit = kit.removesuffix("/v4")
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._links = UnsubscribeLinks(LINK_SECRET)

    def webhook(self, address):
        told = {"address": address, "state": "cancelled"}
        assert self._client.post(f"{self._kit}/control/state", json=told).status_code == 200

    def api(self, address):
        answer = self._client.post(
            f"{self._web}/v1/unsubscribe",
            json={"email": address.upper()},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        assert answer.json() == {"unsubscribed": True}

    def page(self, address):
        token = self._links.token(address_hash(address))
        answer = self._client.post(
            f"{self._web}/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}
        )
        assert answer.status_code == 200

    def sql(self, address):
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("select lifecycle.unsubscribe(%s)", [address])

    def erasure(self, address):
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "select lifecycle.suppress(lifecycle.address_hash(%s), 'erased', 'api')", [address]
            )


def send_until(stopped, database_url, base):
    with Database(database_url, max_size=4) as database, kit_client(database, base) as client:
        store, book = OutboxStore(database), AddressBook(database)
        limits = SendLimits(settle_after=timedelta(hours=1), most=50)
        while not stopped.is_set():
            send_due(store, client, book, limits=limits)
            time.sleep(0.002)


def suppressed_since(url):
    """Address hash -> the first instant from which it was suppressed, in Unix seconds."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select address_hash, extract(epoch from min(since))::float8"
            " from lifecycle.suppressions group by 1"
        ).fetchall()
    return {bytes(known_as): since for known_as, since in rows}


def sends_of(account):
    """When a request that sends arrived, by address."""
    found = {}
    for one in account.log:
        if one["method"] == "POST" and one["path"].startswith("/v4/tags/"):
            number = int(one["path"].rsplit("/", 1)[1])
            address = account.subscribers[number]["email_address"]
            found.setdefault(address, []).append(one["at"])
    return found


@pytest.mark.parametrize(
    "races",
    [500, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])],
)
def test_nothing_is_sent_after_a_suppression(database_url, web, seed, acceptance_line, races):
    random_ = random.Random(seed)
    with kit_account(requests=10**9) as (account, base):
        for event in ("unsubscribe", "bounce", "complain"):
            name = f"subscriber.subscriber_{event}"
            account.webhooks.append({"url": f"{web}/webhooks/kit/{KIT_SECRET}", "event": name})
        addresses = fill_users(database_url, races)
        for address in addresses:
            account.add(address)
        leaving = Leaving(database_url, web, base)
        stopped = threading.Event()
        senders = [
            threading.Thread(target=send_until, args=(stopped, database_url, base))
            for _ in range(2)
        ]
        for one in senders:
            one.start()
        slowest = _race(database_url, addresses, leaving, random_)
        stopped.set()
        for one in senders:
            one.join()
    since, sends = suppressed_since(database_url), sends_of(account)
    late = [
        address
        for address, arrived in sends.items()
        if any(at > since[address_hash(address)] for at in arrived)
    ]
    revived = [
        one for one in account.log if one["path"] == "/v4/subscribers" and one["method"] == "POST"
    ]
    acceptance_line(
        "R31",
        violations={
            name: found
            for name, found in {
                "sent after": late,
                "not suppressed": races - len(since),
                "made active": revived,
                "slower than a second": slowest > 1.0,
            }.items()
            if found
        },
        load={"races": races, "ways": len(WAYS), "sent before": len(sends)},
        slowest_suppression=round(slowest, 3),
    )
    assert 0.1 * races < len(sends) < 0.9 * races, "these were no races"


def _race(url, addresses, leaving, random_):
    """Every address becomes due and leaves a moment later; the slowest way out, in seconds."""

    def leave(way, address, pause):
        time.sleep(pause)
        began = time.monotonic()
        getattr(leaving, way)(address)
        return time.monotonic() - began

    taken = []
    with ThreadPoolExecutor(3) as pool, psycopg.connect(url, autocommit=True) as connection:
        for number, way in zip(range(len(addresses)), cycle(WAYS), strict=False):
            connection.execute(
                "insert into lifecycle.outbox (user_key, user_number, message, journey, version,"
                " step, action, target, priority, basis, trigger_at, due_at, late_at)"
                " select user_key, user_number, 'race/go', 'race', 1, 'go', 'tag', 'growth/race',"
                " 1, 'consent', now(), now(), now() + interval '1 day'"
                " from activity.user_numbers where user_id = %s",
                [f"u{number + 1}"],
            )
            taken.append(pool.submit(leave, way, addresses[number], random_.uniform(0, 0.1)))
            if len(taken) % 6 == 0:
                [one.result() for one in taken[-6:]]
        return max(one.result() for one in taken)


def test_a_suppression_counts_within_a_second_while_kit_hangs(database, database_url):
    with kit_account(requests=10**9) as (account, base):
        addresses = fill_users(database_url, 5)
        fill_outbox(database_url)
        for address in addresses:
            account.add(address)
        account.faults = Faults(late=1, delay=20)  # takes the call and does not answer
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send_once, database, base)
            waits = []
            for address in addresses:
                _until_called(account, address)
                began = time.monotonic()
                SuppressionStore(database).suppress(address_hash(address), "unsubscribed", "page")
                waits.append(time.monotonic() - began)
            sending.result()
    assert max(waits) <= 1.0
    assert max(waits) > 0.3  # it did wait for the call that was under way


def _until_called(account, address):
    number = account.by_address[address]
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        if any(
            one["path"].endswith(f"/subscribers/{number}") and one["method"] == "POST"
            for one in account.log
        ):
            return
        time.sleep(0.005)
    pytest.fail("the call was never made")


def test_a_hint_of_kit_holds_until_kit_was_asked(database, database_url, web):
    with kit_account(requests=10**9) as (account, base):
        (one, other) = fill_users(database_url, 2)
        fill_outbox(database_url)
        account.add(one)
        account.add(other, "complained")
        client = httpx.Client(trust_env=False)
        for number, address in enumerate((one, other), start=1):
            hint = {"subscriber": {"id": number, "email_address": address, "state": "cancelled"}}
            assert client.post(f"{web}/webhooks/kit/{KIT_SECRET}", json=hint).status_code == 200
        assert dict(send_once(database, base).skipped) == {"suppressed": 2}
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("update lifecycle.outbox set state = 'pending'")
        with kit_client(database, base) as kit:
            learned = read_back(database, kit, now=datetime.now(UTC))
        assert (learned.lifted, dict(learned.learned)) == (1, {"complained": 1})
        report = send_once(database, base)
        assert (report.sent, dict(report.skipped)) == (1, {"suppressed": 1})
        assert [row["address"] for row in account.accepted] == [one]


def test_who_left_here_is_unsubscribed_at_kit_too(database, database_url):
    with kit_account(requests=10**9) as (account, base):
        (address,) = fill_users(database_url, 1)
        account.add(address)
        SuppressionStore(database).suppress(address_hash(address), "unsubscribed", "page")
        with kit_client(database, base) as kit:
            assert read_back(database, kit, now=datetime.now(UTC)).told == 1
            assert read_back(database, kit, now=datetime.now(UTC)).told == 0
        assert account.subscribers[1]["state"] == "cancelled"


def test_a_restored_database_learns_what_it_forgot(
    database_url, database, postgres_server, tmp_path
):
    """Dumped, then somebody leaves, then the dump comes back: from the lake, and from Kit itself."""
    lake = Lake(str(tmp_path))
    (here, there) = fill_users(database_url, 2)
    fill_outbox(database_url)
    keep_copy(SuppressionStore(database), lake)
    database.close()
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    older = f"{name}_older"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {older} template {name}")
    with ExitStack() as stack:
        account, base = stack.enter_context(kit_account(requests=10**9))
        for address in (here, there):
            account.add(address)
        with Database(database_url) as lived:
            SuppressionStore(lived).suppress(address_hash(here), "unsubscribed", "page")
            keep_copy(SuppressionStore(lived), lake)
        account.subscribers[2]["state"] = "cancelled"  # told to nobody: the web app was down
        with Database(postgres_server.url(older)) as restored:
            assert keep_copy(SuppressionStore(restored), lake) == 1
            report = send_once(restored, base)
            assert dict(report.skipped) == {"suppressed": 2}
            assert account.accepted == []
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"drop database {older} with (force)")


def test_a_user_who_is_imported_again_stays_suppressed(database, database_url):
    with kit_account(requests=10**9) as (account, base):
        (address,) = fill_users(database_url, 1)
        account.add(address)
        SuppressionStore(database).suppress(address_hash(address), "unsubscribed", "cli")
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("delete from activity.told_users")
            connection.execute("delete from activity.user_numbers")
        fill_users(database_url, 1)
        migrate(database_url)  # an upgrade changes nothing about it
        fill_outbox(database_url)
        assert dict(send_once(database, base).skipped) == {"suppressed": 1}
        assert account.accepted == []


def test_erasure_reaches_messages_that_wait(database, database_url):
    with kit_account(requests=10**9) as (account, base):
        (address,) = fill_users(database_url, 1)
        fill_outbox(database_url)
        account.add(address)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "update lifecycle.outbox set address_hash = %s", [address_hash(address)]
            )
            connection.execute(
                "update activity.user_numbers set user_id = null, deleted_at = now()"
            )
        SuppressionStore(database).suppress_deleted()
        report = send_once(database, base, FAST)
        assert (report.sent, account.accepted) == (0, [])
        assert SuppressionStore(database).counts() == {"erased": 1}
