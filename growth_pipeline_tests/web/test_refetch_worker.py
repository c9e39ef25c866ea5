"""The thread that asks Stripe: it asks what is due, outlives trouble, and ends when told."""

import random
import time
from contextlib import contextmanager

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.errors import ConfigurationError
from growth_pipeline.web.refetch_worker import RefetchWorker
from growth_pipeline_tests.fakes.stripe_events import NOON, NOW, a_thin_event
from growth_pipeline_tests.fakes.watched_objects import (
    AnsweringStripe,
    Watched,
    a_watched_object,
    moment,
)


@pytest.fixture
def store(database):
    """A mirror that has one question: a thin event named a customer."""
    store = BillingStore(database)
    body = a_thin_event("v1.customer.updated", "customer", "cus_0")
    envelope = parse_envelope(body)
    store.insert_event(received_event(envelope, body, account_id="self", received_at=NOW))
    apply_waiting(store, now=NOW)
    return store


def a_customer_of(seed):
    random_ = random.Random(seed)
    while True:
        watched: Watched = a_watched_object(random_, 0)
        if watched.object == "customer" and not watched.is_gone:
            return watched


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def later():
    return moment(NOON + 10**7)


def test_it_asks_what_is_due_and_goes_on_after_trouble(store, seed):
    reader = AnsweringStripe([a_customer_of(seed)], at=NOON + 10**7)
    trouble = [ConfigurationError("no key yet")]

    @contextmanager
    def open_reader():
        if trouble:
            raise trouble.pop()
        yield reader

    worker = RefetchWorker(store, [open_reader], clock=later, poll_seconds=0.01, pause_seconds=0.01)
    worker.start()
    wait_until(lambda: reader.asked == ["cus_0"])
    wait_until(lambda: store.count_refetches(later()) == {})
    worker.stop()


def test_without_anybody_to_ask_it_does_not_even_begin(store):
    worker = RefetchWorker(store, [], clock=later)
    worker.start()
    worker.stop()
    assert store.count_refetches(later()) == {"thin_event": 1}


def test_an_account_in_trouble_holds_up_no_other(store, seed):
    reader = AnsweringStripe([a_customer_of(seed)], at=NOON + 10**7)

    @contextmanager
    def no_key():
        raise ConfigurationError("no key for the first account")
        yield

    @contextmanager
    def open_reader():
        yield reader

    worker = RefetchWorker(store, [no_key, open_reader], clock=later, poll_seconds=0.01)
    worker.start()
    wait_until(lambda: reader.asked == ["cus_0"])
    worker.stop()
