"""The sentinel of moved fields on a whole company: silent while nothing moved, loud when it did."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.schema_drift import find_falls, unknown_statuses
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.sandbox.conftest import AS_OF

NOW = datetime.fromtimestamp(AS_OF, UTC)


@pytest.fixture
def books(database, events):
    """The whole company in the mirror."""
    store = BillingStore(database)
    bodies = [orjson.dumps(event) for event in events]
    store.insert_events(
        [
            received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
            for body in bodies
        ]
    )
    apply_waiting(store, now=NOW)
    return store


def test_a_company_without_moved_fields_gives_no_alarm_on_any_day(books):
    rates = books.fill_rates(NOW)
    assert {rate.resource for rate in rates} >= {"charges", "invoices", "invoice_line_items"}
    for days in range(0, 140, 7):
        assert find_falls(books.fill_rates(NOW - timedelta(days=days))) == []


def test_a_company_has_only_statuses_that_we_know(books):
    counts = books.recent_statuses(NOW - timedelta(days=400))
    assert {count.object for count in counts} >= {"charge", "invoice", "subscription", "dispute"}
    assert unknown_statuses(counts) == []


def test_a_field_that_goes_missing_for_a_week_is_named(books, database):
    with database.connection() as connection:
        connection.execute(
            "update stripe.invoices set subscription = null where created_at > %s",
            [NOW - timedelta(days=7)],
        )
    (fall,) = find_falls(books.fill_rates(NOW))
    assert (fall.resource, fall.field) == ("invoices", "subscription")
