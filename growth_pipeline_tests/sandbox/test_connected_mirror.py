"""Two connected accounts in one mirror: read with one key, told of by events, never mixed."""

from dataclasses import replace

import orjson
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import BY_RESOURCE
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import GrowthError
from growth_pipeline.sandbox.company import build
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access, Tenant
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline_tests.fakes.local_server import serving
from growth_pipeline_tests.fakes.stripe_events import NOW
from growth_pipeline_tests.sandbox.conftest import AS_OF, KEY

READ = ("customers", "coupons", "payment_intents", "charges", "refunds")


@pytest.fixture(scope="module")
def other(company, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    tenant = Tenant(Store(folder / "other.sqlite"), replace(company, months=3).connected)
    build(tenant.company, tenant.store)
    yield tenant
    tenant.store.close()


@pytest.fixture(scope="module")
def access(store, company, other):
    """The platform's own access; the connected account is another word."""
    with serving(create_app(store, company, Access(KEY), connected=[other])) as url:
        yield StripeAccess(
            api_key=KEY,
            api_base=url,
            api_version="2026-10-28.endive",
            account_id="self",
            livemode=False,
            requests_per_second=5_000,
            endpoint_requests_per_second=5_000,
            timeout_seconds=30,
            retry_seconds=5,
        )


@pytest.fixture
def books(database):
    return BillingStore(database)


def rows(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


def read_into(books, access, account):
    with StripeReader(access.of_account(account)) as reader:
        for resource in READ:
            kind = BY_RESOURCE[resource]
            for page in reader.list_window(kind.path, None, AS_OF + 1, kind.params):
                states = [
                    Fetched(
                        ObjectKey(*reader.scope, kind.object, found["id"]),
                        found,
                        raw.encode(),
                        reader.api_version,
                        page.fetched_from,
                        page.fetched_to,
                    )
                    for found, raw in zip(page.objects, page.raws, strict=True)
                ]
                outcome = apply_fetched(books, states, source="backfill", now=NOW)
                assert outcome.refused == ()


def listed(there, resource):
    """Ids of a company's file; what was deleted is on no list."""
    ids = [id_ for (id_,) in there.execute(f"select id from {resource}").fetchall()]
    found = {id_: there.find(RESOURCES[resource], id_) for id_ in ids}
    return [id_ for id_, row in found.items() if not orjson.loads(row.body).get("deleted")]


def test_what_one_key_reads_of_two_accounts_lies_apart(books, database, access, store, other):
    for account in ("self", other.account_id):
        read_into(books, access, account)
    accounts = {"self": store, other.account_id: other.store}
    for resource in READ:
        mirrored = rows(database, f"select account_id, id from stripe.{resource}")
        told = {
            (account, id_) for account, there in accounts.items() for id_ in listed(there, resource)
        }
        assert set(mirrored) == told, resource
    same = rows(
        database, "select account_id, created_at from stripe.coupons where id = 'FRIENDS20'"
    )
    assert {account for account, _ in same} == {"self", other.account_id}
    assert len({created for _, created in same}) == 2
    booked = rows(database, "select account_id, count(*) from billing.payments group by 1")
    assert {account for account, _ in booked} == {"self", other.account_id}


def test_events_of_a_connected_account_fill_its_own_rows(books, database, other):
    bodies = [
        orjson.dumps(orjson.loads(event.body) | {"account": other.account_id})
        for event in other.store.events()
    ]
    books.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )
    apply_waiting(books, now=NOW)
    assert {row[0] for row in rows(database, "select account_id from stripe.customers")} == {
        other.account_id
    }
    assert {row[0] for row in rows(database, "select account_id from billing.payments")} == {
        other.account_id
    }


def test_an_account_that_the_key_may_not_read_is_one_clear_error(access):
    with (
        StripeReader(access.of_account("acct_stranger")) as reader,
        pytest.raises(GrowthError, match="acct_stranger"),
    ):
        reader.check()
