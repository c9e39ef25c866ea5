"""Thin events of the simulated company, delivered by HTTP: they name objects, Stripe shows them."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.rebuild import rebuild_mirror
from growth_pipeline.billing.refetch import refetch_waiting
from growth_pipeline_tests.fakes.loopback_http import LoopbackServer
from growth_pipeline_tests.integration import test_sweep_on_sandbox as sweep_tests

sandbox = sweep_tests.sandbox
pipeline = sweep_tests.pipeline
EVENTS = 300


@pytest.fixture
def inbox():
    """Address of a receiver, and the bodies it got."""
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            del args

    with LoopbackServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        thread.join()


def test_thin_events_fill_the_mirror_with_what_stripe_shows(pipeline, inbox):
    url, bodies = inbox
    since = int(time.time()) - 20 * sweep_tests.DAY
    order = {"url": url, "secret": "whsec_test", "payload": "thin", "limit": EVENTS}
    order["created_gte"] = since
    answer = pipeline.http.post("/_sandbox/deliveries", json=order).raise_for_status().json()
    delivery = f"/_sandbox/deliveries/{answer['delivery_id']}"
    deadline = time.monotonic() + 60
    while not pipeline.http.get(delivery).json()["done"] and time.monotonic() < deadline:
        time.sleep(0.1)
    now = datetime.now(UTC)
    envelopes = [parse_envelope(body) for body in bodies]
    assert len(envelopes) == EVENTS
    assert all(envelope.is_thin for envelope in envelopes)
    pipeline.store.insert_events(
        [
            received_event(envelope, body, account_id=pipeline.account, received_at=now)
            for envelope, body in zip(envelopes, bodies, strict=True)
        ]
    )
    apply_waiting(pipeline.store, now=now)
    asked = refetch_waiting(pipeline.store, pipeline.reader, now=now, limit=10_000)
    assert asked.answered > 0
    assert (asked.refused, asked.unanswered) == (0, 0)
    assert pipeline.store.count_refetches(now + timedelta(days=1)) == {}
    assert set(pipeline.store.inbox_counts()) <= {"applied", "ignored"}
    with pipeline.database.connection() as connection:
        found = connection.execute(
            "select object, id, payload ->> 'status' from stripe.objects where deleted_at is null"
        ).fetchall()
        effects = connection.execute(
            "select distinct effect from billing.inbox where state = 'applied'"
        ).fetchall()
        ignored = connection.execute(
            "select distinct type from billing.inbox where state = 'ignored'"
        ).fetchall()
    assert len(found) == asked.answered
    assert effects == [("updated",)]
    # A discount is told by its customer or subscription; payment methods are only listed.
    names = {type_.rpartition(".")[0] for (type_,) in ignored}
    assert names <= {"v1.customer.discount", "v1.payment_method"}
    shown = {
        (kind.object, one["id"]): one.get("status")
        for kind in sweep_tests.KINDS
        if kind.object in {"charge", "customer", "invoice", "subscription"}
        for one in pipeline.all_of(kind.path)
    }
    checked = {(kind, id_): status for kind, id_, status in found if (kind, id_) in shown}
    assert checked
    assert checked.items() <= shown.items()
    assert rebuild_mirror(pipeline.store, now=now, check_only=True).is_equal
