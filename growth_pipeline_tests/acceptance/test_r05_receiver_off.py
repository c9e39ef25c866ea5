"""R05: the receiver was off for 4 and for 31 days of changes and deletions; nobody sends them again.

The truth is what the living account holds. What the least possible requests are is counted from
the account too, by the rule that every list which may show a change must be read once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline.billing.relist import CaughtUp, catch_up, repair_outage
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep import LostSpan, sweep
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.stripe_api.errors import StripeError
from growth_pipeline_tests.fakes import stripe_list_server as faults
from growth_pipeline_tests.fakes.fast_access import fast_access
from growth_pipeline_tests.fakes.living_company import Company
from growth_pipeline_tests.fakes.living_stripe import DAY, KEPT, PATHS, Account, LivingStripe

NEW_YEAR = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
PAGE = 100
CALLS = 1.2


class Pipeline:
    """What the web app and Dagster do, at the account's own time."""

    def __init__(self, account: Account, reader: StripeReader, database: Any) -> None:
        self.account, self.reader, self.database = account, reader, database
        self.store, self.sweeps = BillingStore(database), SweepStore(database)

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.account.now, UTC)

    def receive(self) -> None:
        """The webhooks that arrived, and what the worker asks Stripe about them."""
        self.store.insert_events(
            [
                received_event(parse_envelope(b), b, account_id="acct_1", received_at=self.clock())
                for b in self.account.take_delivered()
            ]
        )
        apply_waiting(self.store, now=self.clock())
        self.account.now += 10
        refetch_waiting(self.store, self.reader, now=self.clock(), limit=10_000)

    def catch_up(self) -> CaughtUp:
        self.account.now += 60
        return catch_up(self.reader, self.store, self.sweeps, now=self.clock(), clock=self.clock)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.connection() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def pipeline(database):
    account = Account(now=NEW_YEAR)
    with LivingStripe(account) as server:
        access = fast_access(
            server.url, requests_per_second=50_000, endpoint_requests_per_second=50_000
        )
        with StripeReader(access) as reader:
            pipeline = Pipeline(account, reader, database)
            pipeline.server = server
            yield pipeline


def plain(value: Any) -> Any:
    """A payload without nulls, a nested list as the list it holds."""
    if isinstance(value, dict):
        if value.get("object") == "list":
            return [plain(item) for item in value["data"]]
        return {name: plain(item) for name, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


def divergence(pipeline: Pipeline) -> list[str]:
    """Every object on which mirror and truth do not agree, in words."""
    account = pipeline.account
    rows = pipeline.rows("select object, id, payload, deleted_at is not null from stripe.objects")
    mirror = {(kind, id_): (payload, gone) for kind, id_, payload, gone in rows}
    problems = []
    for key, found in account.objects.items():
        payload, gone = mirror.pop(key, (None, False))
        if payload is None:
            problems.append(f"{key}: missing")
        elif gone:
            problems.append(f"{key}: has a tombstone and lives")
        elif plain(payload) != plain(found):
            problems.append(f"{key}: differs")
    for key in account.deleted:
        # What came and went while nobody listened leaves no trace at Stripe.
        if key in mirror and not mirror.pop(key)[1]:
            problems.append(f"{key}: lives and is deleted")
    return problems + [f"{key}: was never told" for key in mirror]


def pages(count: int) -> int:
    return max(1, -(-count // PAGE))


def books_diverge(pipeline: Pipeline) -> list[str]:
    """Booked payments against the account: one a charge, refunds that count, in minor units."""
    refunded: dict[str, int] = {}
    for (kind, _), found in pipeline.account.objects.items():
        if kind == "refund" and found["status"] in ("succeeded", "pending"):
            refunded[found["charge"]] = refunded.get(found["charge"], 0) + found["amount"]
    truth = {
        (found["id"], found["amount_captured"], refunded.get(found["id"], 0))
        for (kind, _), found in pipeline.account.objects.items()
        if kind == "charge"
    }
    booked = pipeline.rows("select charge_id, amount_minor, refunded_minor from billing.payments")
    return [str(row) for row in set(booked) ^ truth]


def rebuilt_otherwise(pipeline: Pipeline) -> list[str]:
    """What a rebuild from the ledger alone would make another."""
    rebuilt = rebuild_mirror(pipeline.store, now=pipeline.clock(), check_only=True)
    return [f"rebuilt otherwise: {key}" for key in (*rebuilt.sample, *rebuilt.charges)]


def live_with_webhooks(pipeline: Pipeline, seed: int, *, objects: int) -> Company:
    company = Company(pipeline.account, seed)
    company.found(objects // 5)
    while len(pipeline.account.objects) < objects:
        company.live(1, objects // 20)
        pipeline.receive()
    pipeline.catch_up()
    assert divergence(pipeline) == []
    return company


def cut_lists(pipeline: Pipeline, since: int) -> int:
    """Least requests for what events cut off: of each such object itself, and of its rest."""
    told = {
        (event["data"]["object"]["object"], event["data"]["object"]["id"])
        for event in pipeline.account.listed_events()
        if event["created"] >= since
        and any(
            isinstance(value, dict) and value.get("has_more")
            for value in event["data"]["object"].values()
        )
    }
    return 2 * len(told & pipeline.account.objects.keys())


# Lists that may show a change of a lost span: path, status asked for, days before the span's
# beginning (None: of any age). Written by hand from docs/stripe.md, "Listing again".
LISTS = (
    *(("customers", "", None), ("products", "", None), ("prices", "", None)),
    *(("coupons", "", None), ("promotion_codes", "", None), ("subscriptions", "alive", None)),
    *(("subscriptions", "", 0), ("invoices", "draft", None), ("invoices", "open", None)),
    *(("invoices", "uncollectible", None), ("invoices", "", 0)),
    *(("invoice_payments", "open", None), ("invoice_payments", "", 0)),
    *(("checkout/sessions", "open", None), ("checkout/sessions", "", 0)),
    *(("payment_intents", "", 10), ("charges", "", 10), ("refunds", "", 60)),
    *(("disputes", "", 180), ("payouts", "", 15), ("balance_transactions", "", 10)),
    ("credit_notes", "", 90),
)


# What nothing can happen to any more. Written by hand from docs/stripe.md, "Order".
CLOSED = {
    "subscription": ("canceled", "incomplete_expired"),
    "invoice": ("paid", "void"),
    "invoice_payment": ("paid", "canceled"),
    "payment_intent": ("succeeded", "canceled"),
    "charge": ("succeeded", "failed"),
    "refund": ("succeeded", "failed", "canceled"),
    "dispute": ("warning_closed", "won", "lost", "prevented"),
    "payout": ("paid", "failed", "canceled"),
}


def least_requests(pipeline: Pipeline, believed: list[tuple[Any, ...]], lost: LostSpan) -> int:
    """Least requests of a re-list: pages of all its lists, and the cheapest way to the others.

    `believed` are kind, id, status and second of creation of what the mirror held alive before.
    """
    account = pipeline.account
    lost_from, lost_to = int(lost.start.timestamp()), int(lost.end.timestamp())
    total, shown = 0, set()
    upper: dict[str, int] = {}
    for path, status, days in LISTS:
        (kind,) = [kind for kind, its in PATHS.items() if its == path]
        start, end = (0, account.now) if days is None else (lost_from - days * DAY, lost_to)
        upper[kind] = max(upper.get(kind, 0), start or end)
        fits = (
            (lambda found: found["status"] != "canceled")
            if status == "alive"
            else (lambda found, wanted=status: wanted in ("", found.get("status")))
        )
        listed = [
            key
            for key, found in account.objects.items()
            if key[0] == kind and start <= found["created"] < end and fits(found)
        ]
        shown.update(listed)
        total += pages(len(listed))
    for kind, end in upper.items():
        looked_for = [
            (created, id_)
            for name, id_, status, created in believed
            if name == kind
            and (kind, id_) not in shown
            and created < (lost_to if end < account.now else account.now)
            and (created >= end or status not in CLOSED.get(kind, ()))
        ]
        total += cheapest(account, kind, sorted(looked_for), end)
    return total


def cheapest(account: Account, kind: str, looked_for: list[tuple[int, str]], end: int) -> int:
    """Fewest requests to see these objects: a list back to any of them, the others by their id."""
    ways = [len(looked_for)]
    for start, _ in looked_for:
        listed = [
            id_
            for (name, id_), found in account.objects.items()
            if name == kind and start <= found["created"] < end
        ]
        ways.append(pages(len(listed)) + sum(id_ not in set(listed) for _, id_ in looked_for))
    return min(ways)


def singles(pipeline: Pipeline) -> list[tuple[str, str]]:
    """Objects that were asked for by their id: path of the list, id."""
    paths = [request.path.removeprefix("/v1/") for request in pipeline.server.requests]
    lists = set(PATHS.values())
    return [
        (path.rpartition("/")[0], path.rpartition("/")[2])
        for path in paths
        if path not in lists and path.rpartition("/")[0] in lists
    ]


def rests(pipeline: Pipeline) -> int:
    """Requests for the rest of a nested list."""
    return sum(
        1
        for request in pipeline.server.requests
        if request.path.endswith(("/lines", "/subscription_items"))
    )


@pytest.mark.parametrize("objects", [200, pytest.param(2_000, marks=pytest.mark.full)])
def test_after_four_days_without_a_receiver_the_events_alone_bring_everything_back(
    pipeline, seed, objects, acceptance_line
):
    company = live_with_webhooks(pipeline, seed, objects=objects)
    account = pipeline.account
    account.receiver_is_on = False
    off_at = account.now
    company.live(4, objects // 10)
    stale = len(divergence(pipeline))
    assert stale > objects // 10
    pipeline.server.requests.clear()
    caught = pipeline.catch_up()
    listed = [event for event in account.listed_events() if event["created"] >= off_at - 7200]
    least = pages(len(listed)) + cut_lists(pipeline, off_at)
    calls = len(pipeline.server.requests)
    violations = divergence(pipeline) + books_diverge(pipeline) + rebuilt_otherwise(pipeline)
    if calls > CALLS * least:
        violations.append(f"{calls} calls, least {least}")
    if caught.relisted is not None or not caught.swept.missed:
        violations.append(f"{caught}")
    acceptance_line(
        "R05",
        violations=violations,
        load={"days": 4, "objects": len(account.objects), "stale": stale},
        figures={"events": caught.swept.new, "calls": calls, "least": least},
    )


@pytest.mark.parametrize("objects", [200, pytest.param(2_000, marks=pytest.mark.full)])
def test_after_31_days_without_a_receiver_the_lists_bring_back_what_events_no_longer_tell(
    pipeline, seed, objects, acceptance_line
):
    company = live_with_webhooks(pipeline, seed, objects=objects)
    account, server = pipeline.account, pipeline.server
    account.receiver_is_on = False
    off_at = account.now
    company.live(31, max(4, objects // 50))
    stale = len(divergence(pipeline))
    told_too_late = [e for e in account.events if off_at <= e["created"] <= account.now - KEPT]
    assert told_too_late, "the simulated outage must be longer than Stripe keeps events"
    server.requests.clear()
    swept = sweep(
        pipeline.reader,
        pipeline.store,
        pipeline.sweeps,
        now=pipeline.clock(),
        clock=pipeline.clock,
    )
    apply_waiting(pipeline.store, now=pipeline.clock())
    event_calls, event_pages = len(server.requests), pages(len(account.listed_events()))
    believed = pipeline.rows(
        "select object, id, payload ->> 'status', extract(epoch from created_at)::bigint"
        " from stripe.objects where deleted_at is null"
    )
    server.requests.clear()
    (lost,) = swept.lost
    relisted = repair_outage(
        lost,
        pipeline.reader,
        pipeline.store,
        pipeline.sweeps,
        now=pipeline.clock(),
        clock=pipeline.clock,
    )
    asked, calls, nested = singles(pipeline), len(server.requests), rests(pipeline)
    least = least_requests(pipeline, believed, lost) + nested
    pipeline.account.now += 10
    pipeline.catch_up()  # the lists that events cut off
    violations = divergence(pipeline) + books_diverge(pipeline) + rebuilt_otherwise(pipeline)
    if event_calls > CALLS * event_pages or calls > CALLS * least:
        violations.append(f"{event_calls} and {calls} calls, least {event_pages} and {least}")
    if len(asked) != len(set(asked)):
        violations.append("an object was asked for twice")
    violations += unreported_repairs(pipeline)
    acceptance_line(
        "R05",
        violations=violations,
        load={"days": 31, "objects": len(account.objects), "stale": stale},
        figures={
            "events": swept.new,
            "events lost": len(told_too_late),
            "drift": relisted.drifted,
            "calls": {"events": event_calls, "lists": calls},
            "least": {"events": event_pages, "lists": least},
            "asked by id": len(asked),
        },
    )


def unreported_repairs(pipeline: Pipeline) -> list[str]:
    """States that a re-list brought without their drift being on record before."""
    rows = pipeline.rows(
        "select object, id from billing.fetched_states as fetched where source = 'relist'"
        " and not exists (select from billing.drift where drift.object = fetched.object"
        " and drift.id = fetched.id and drift.found_at <= fetched.stored_at"
        " and drift.repaired_at >= fetched.stored_at)"
    )
    return [f"{kind} {id_}: repaired and not reported" for kind, id_ in rows]


def test_a_catch_up_that_is_cut_off_again_and_again_ends_with_the_truth(
    pipeline, seed, acceptance_line
):
    company = live_with_webhooks(pipeline, seed, objects=80)
    account, server = pipeline.account, pipeline.server
    account.receiver_is_on = False
    company.live(32, 4)
    cuts = answered = 0
    while True:
        server.faults.extend([None] * answered)
        server.always = faults.status(500)
        try:
            pipeline.catch_up()
        except StripeError:
            cuts += 1
            answered += 9
        else:
            break
        finally:
            server.faults.clear()
    server.always = None
    account.now += 3600  # a question without an answer is asked again within the hour
    pipeline.catch_up()
    violations = divergence(pipeline) + books_diverge(pipeline) + rebuilt_otherwise(pipeline)
    violations += unreported_repairs(pipeline)
    acceptance_line(
        "R05",
        violations=violations,
        load={"days": 32, "objects": len(account.objects)},
        faults={"cut off": cuts},
    )
