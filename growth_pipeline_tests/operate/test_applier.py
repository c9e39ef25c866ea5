"""The process that applies: what waits is applied, and it ends when told."""

import signal
import time

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.fakes.receiver_process import ApplierProcess
from growth_pipeline_tests.fakes.stripe_events import NOW, a_customer, an_event


def receive(store, number):
    body = an_event("customer.created", a_customer(f"cus_{number}"), id=f"evt_{number}")
    store.insert_event(
        received_event(parse_envelope(body), body, account_id="self", received_at=NOW)
    )


def wait_for(question, seconds=30):
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_it_applies_what_waited_and_what_comes_and_ends_when_told(database_url, database, tmp_path):
    store = BillingStore(database)
    receive(store, 1)
    with ApplierProcess(database_url, tmp_path) as applier:
        wait_for(lambda: store.inbox_counts() == {"applied": 1})
        receive(store, 2)
        wait_for(lambda: store.inbox_counts() == {"applied": 2})
        assert applier.end(signal.SIGTERM) == 0
    assert applier.log.read_text() == ""


def test_without_a_database_it_says_what_to_set(tmp_path):
    with ApplierProcess("", tmp_path) as applier:
        assert applier.wait() == 1
    assert "GROWTH_DATABASE_URL" in applier.log.read_text()
