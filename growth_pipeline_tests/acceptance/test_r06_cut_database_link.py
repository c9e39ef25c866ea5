"""R06: the link to Postgres is cut before, inside and after a commit; nothing is lost or doubled."""

import asyncio
import random
import time
from collections import Counter

import psycopg
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import AsyncInbox, BillingStore
from growth_pipeline.core.errors import GrowthError, RemoteUnavailableError
from growth_pipeline.storage.postgres import AsyncDatabase, Database, OutcomeUnknownError
from growth_pipeline.web.inbox_writer import InboxWriter
from growth_pipeline_tests.fakes.fault_proxy import POSTGRES_DONE, Cut, FaultProxy
from growth_pipeline_tests.fakes.stripe_events import NOON, NOW, a_customer, an_event

INSERT = b"insert into billing.inbox"
COMMIT = b"COMMIT"
LARGE = "x" * 3000
BACK_SECONDS = 1.0


@pytest.fixture
def link(database_url):
    """A proxy before the test's database, and the database's address through it."""
    given = psycopg.conninfo.conninfo_to_dict(database_url)
    host, port = str(given["host"]), int(given.get("port") or 5432)
    target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
    with FaultProxy(target, done=POSTGRES_DONE) as proxy:
        user, password = given.get("user", "postgres"), given.get("password")
        who = f"{user}:{password}" if password else user
        yield proxy, f"postgresql://{who}@127.0.0.1:{proxy.port}/{given['dbname']}"


def an_event_of(number):
    """A customer's birth, told once; large enough for a batch to be cut inside."""
    customer = a_customer(f"cus_{number}", note=LARGE)
    return an_event("customer.created", customer, id=f"evt_{number:06}", created=NOON + number)


def row_of(body):
    return received_event(parse_envelope(body), body, account_id="self", received_at=NOW)


async def receive_through_cuts(url, proxy, random_, cuts, figures):
    """Deliver in small bursts, each with a cut; whoever is refused is delivered again, as by Stripe."""
    database = AsyncDatabase(url)
    writer = InboxWriter(AsyncInbox(database), on_stored=lambda: None)
    writer.start()
    bodies = []
    for _ in range(cuts):
        burst = [an_event_of(len(bodies) + n) for n in range(random_.randint(1, 20))]
        bodies += burst
        proxy.arm(INSERT, random_.choice(list(Cut)))
        began = time.monotonic()
        waiting = burst
        while waiting:
            posts = (writer.insert(row_of(body)) for body in waiting)
            answers = await asyncio.gather(*posts, return_exceptions=True)
            assert all(answer is None or isinstance(answer, GrowthError) for answer in answers)
            waiting = [
                body for body, answer in zip(waiting, answers, strict=True) if answer is not None
            ]
            figures["refused"] += len(waiting)
        figures["back"].append(time.monotonic() - began)
    await writer.stop()
    await database.close()
    return bodies


def apply_through_cuts(url, proxy, random_, cuts, figures):
    """Apply everything while turns of the mirror are cut at their commit or at any statement."""
    with Database(url, timeout=5) as database:
        store = BillingStore(database)
        left = cuts
        while True:
            if left:
                left -= 1
                message = random_.choice([COMMIT, COMMIT, b"billing.inbox"])
                proxy.arm(message, random_.choice(list(Cut)))
            began = time.monotonic()
            try:
                apply_waiting(store, now=NOW, batch=random_.randint(1, 40))
            except RemoteUnavailableError as error:
                figures["unknown outcome"] += isinstance(error, OutcomeUnknownError)
                store.inbox_counts()
                figures["back"].append(time.monotonic() - began)
                continue
            if not left and not proxy.is_armed:
                return


def reuse_after_cuts(url, proxy, random_, cuts, figures):
    """Leave marks on connections that are cut at COMMIT: none may be met again."""
    problems = []
    with Database(url, max_size=2, timeout=5) as database:
        for number in range(cuts):
            cut = random_.choice(list(Cut))
            proxy.arm(COMMIT, cut, once_seen=b"growth_mark")
            body = an_event_of(900_000 + number)
            with pytest.raises(OutcomeUnknownError):
                leave_marks(database, row_of(body))
            began = time.monotonic()
            with database.connection() as connection:
                marks = connection.execute(
                    "select to_regclass('pg_temp.growth_mark'), current_setting('statement_timeout')"
                ).fetchone()
                stored = connection.execute(
                    "select count(*) from billing.inbox where event_id = %s",
                    [f"evt_{900_000 + number:06}"],
                ).fetchone()
            figures["back"].append(time.monotonic() - began)
            if marks != (None, "0"):
                problems.append(f"a dirty connection came back: {marks}")
            if stored != (int(cut is Cut.AFTER),):
                problems.append(f"cut {cut} and {stored} rows")
    return problems


def leave_marks(database, row):
    """One transaction that changes its connection and stores a row; its COMMIT is cut."""
    with database.connection() as connection:
        connection.execute("create temporary table growth_mark (n int)")
        connection.execute("set statement_timeout = '77s'")
        connection.execute(
            "insert into billing.inbox (account_id, livemode, event_id, type, api_version,"
            " created_at, received_at, source, body) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            row,
        )


def problems_of(database, bodies):
    """What differs between the database and the events that were acknowledged."""
    problems = []
    with database.connection() as connection:
        kept = connection.execute(
            "select event_id, body, state from billing.inbox where event_id < 'evt_900000'"
        ).fetchall()
        mirrored = connection.execute(
            "select id, payload ->> 'note' from stripe.customers where id not like 'cus_9_____'"
        ).fetchall()
    told = {f"evt_{number:06}": body for number, body in enumerate(bodies)}
    if {event_id: body for event_id, body, _ in kept} != told:
        problems.append(f"{len(kept)} events kept, {len(told)} acknowledged")
    if Counter(state for *_, state in kept) != {"applied": len(told)}:
        problems.append(f"states: {Counter(state for *_, state in kept)}")
    if sorted(mirrored) != sorted((f"cus_{number}", LARGE) for number in range(len(bodies))):
        problems.append(f"{len(mirrored)} customers mirrored, {len(bodies)} told")
    return problems


def run(link, database, seed, cuts):
    proxy, url = link
    random_ = random.Random(seed)
    figures = {"refused": 0, "unknown outcome": 0, "back": []}
    receiving, applying, reusing = cuts // 2, cuts // 4, cuts - cuts // 2 - cuts // 4
    bodies = asyncio.run(receive_through_cuts(url, proxy, random_, receiving, figures))
    apply_through_cuts(url, proxy, random_, applying, figures)
    violations = problems_of(database, bodies)
    violations += reuse_after_cuts(url, proxy, random_, reusing, figures)
    back = sorted(figures.pop("back"))
    if sum(proxy.cuts.values()) < cuts:
        violations.append(f"only {sum(proxy.cuts.values())} cuts happened")
    return violations, {
        "load": {"events": len(bodies), "cuts": cuts},
        "faults": {str(cut): count for cut, count in sorted(proxy.cuts.items())},
        "back_seconds": {"p50": round(back[len(back) // 2], 3), "max": round(back[-1], 3)},
        **figures,
    }


def test_a_cut_link_to_postgres_loses_and_doubles_nothing(link, database, seed, acceptance_line):
    violations, figures = run(link, database, seed, cuts=50)
    acceptance_line("R06", violations=violations, **figures)


@pytest.mark.full
def test_a_thousand_cuts_lose_and_double_nothing(link, database, seed, acceptance_line):
    violations, figures = run(link, database, seed, cuts=1000)
    if figures["back_seconds"]["max"] > BACK_SECONDS:
        violations.append(f"back after {figures['back_seconds']['max']} s")
    acceptance_line("R06", violations=violations, **figures)
