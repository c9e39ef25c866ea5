"""Causes found on the real path: events go through inbox, mirror and books, then something breaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.deliveries import EventFiles, read_event_files
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline_tests.audit.company import LIVE, NOON, OCTOBER, Company, epoch
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge, a_refund

DAY = 86_400


@pytest.fixture
def told(company) -> Company:
    """A company whose one charge of 10.00 came by webhook and was booked by our own pipeline."""
    company.charge(1, 1000)
    send(company, "evt_1", "charge.succeeded", charge_of(company))
    return company


def charge_of(company: Company, **fields: Any) -> dict[str, Any]:
    """The company's charge ch_1 as Stripe's JSON."""
    shown = {**company.objects["charges"][0], "livemode": True, **fields}
    return a_charge(**shown)


def send(
    company: Company,
    event_id: str,
    type_: str,
    thing: dict[str, Any],
    *,
    seconds: int = 60,
    applied: bool = True,
    version: str = NEW,
) -> None:
    """An event that comes by webhook; applied at once unless told otherwise."""
    body = orjson.dumps(
        {
            "id": event_id,
            "object": "event",
            "type": type_,
            "livemode": True,
            "created": epoch(NOON) + seconds,
            "api_version": version,
            "data": {"object": thing},
        }
    )
    store = BillingStore(company.database)
    at = NOON + timedelta(seconds=seconds + 1)
    event = received_event(parse_envelope(body), body, account_id="acct_1", received_at=at)
    store.insert_events([event])
    if applied:
        apply_waiting(store, now=at)


def change_row(company: Company, assignment: str) -> None:
    """Somebody changes the books by hand."""
    with company.database.connection() as connection:
        done = connection.execute(f"update billing.payments set {assignment}")
        assert done.rowcount == 1


def only_finding(company: Company):
    (finding,) = company.audit().findings
    return finding


def test_what_came_and_was_booked_right_is_no_finding(told):
    assert told.audit().findings == ()


def test_a_row_of_ours_changed_by_hand_is_written_by_hand(told):
    change_row(told, "amount_minor = 1234")
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("amount_mismatch", Cause.WRITTEN_BY_HAND)
    (delivery,) = finding.evidence["delivery"]
    assert (delivery["event_id"], delivery["state"]) == ("evt_1", "applied")
    assert (delivery["type"], delivery["attempts"]) == ("charge.succeeded", 1)


def test_a_row_of_ours_that_vanished_was_handled_wrong(told):
    with told.database.connection() as connection:
        connection.execute("delete from billing.payments")
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("missing_in_db", Cause.HANDLED_WRONG)


def test_a_hundredfold_in_our_row_is_a_wrong_unit(told):
    change_row(told, "amount_minor = 100000")
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("amount_mismatch", Cause.UNIT_FACTOR)


def test_a_row_marked_as_ours_that_the_mirror_knows_nothing_of_is_written_by_hand(told):
    told.row(9, amount_minor=500, written_by="mirror")
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("missing_in_stripe", Cause.WRITTEN_BY_HAND)


def test_a_refund_whose_event_never_came_was_never_delivered(told):
    told.refund(1, 400, of=1)
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("refund_missing", Cause.NEVER_DELIVERED)


def test_a_refund_that_waits_to_be_applied_was_delivered_and_failed(told):
    told.refund(1, 400, of=1)
    refund = a_refund(created=epoch(NOON) + 3601)
    send(told, "evt_2", "refund.created", refund, seconds=3601, applied=False)
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("refund_missing", Cause.FAILED)
    newest, _ = finding.evidence["delivery"]
    assert (newest["event_id"], newest["state"]) == ("evt_2", "received")


def test_an_event_in_quarantine_is_found_by_what_its_body_speaks_of(told):
    told.refund(1, 400, of=1)
    refund = a_refund(created=epoch(NOON) + 3601, amount=None)
    send(told, "evt_2", "refund.created", refund, seconds=3601)
    finding = only_finding(told)
    assert (finding.code, finding.cause) == ("refund_missing", Cause.QUARANTINED)
    newest, _ = finding.evidence["delivery"]
    assert newest["state"] == "quarantined"
    assert newest["reason"].startswith("unknown_value: ")


def test_stripes_list_of_events_tells_which_event_did_not_come(told):
    told.refund(1, 400, of=1)
    told.objects["events"] = [
        {
            "id": "evt_lost",
            "created": epoch(NOON) + 3601,
            "type": "refund.created",
            "object": "refund",
            "object_id": "re_1",
            "pending_webhooks": 0,
        }
    ]
    missing = [one for one in told.audit().findings if one.code == "refund_missing"]
    assert missing[0].cause is Cause.NEVER_DELIVERED
    newest, _ = missing[0].evidence["delivery"]
    assert (newest["event_id"], newest["state"]) == ("evt_lost", "missing")
    assert newest["pending_webhooks"] == 0


def test_files_of_events_tell_less_than_their_window_when_they_were_read_late(company):
    company.objects["events"] = []
    company.certificates["events", OCTOBER] = {
        "fetched_from": (datetime(2025, 11, 10, tzinfo=UTC)).isoformat()
    }
    company.write()
    files = read_event_files(company.lake, LIVE)
    end = epoch(OCTOBER.end)
    assert files.spans == ((epoch(datetime(2025, 10, 11, tzinfo=UTC)), end),)
    assert not files.covers(epoch(OCTOBER.start), end)
    assert files.covers(end - DAY, end)


def test_a_list_of_events_that_did_not_end_is_not_relied_on(company):
    company.objects["events"] = []
    company.certificates["events", OCTOBER] = {"has_more": True}
    company.write()
    assert read_event_files(company.lake, LIVE) == EventFiles()


def test_spans_join_where_they_touch_and_not_across_a_gap():
    files = EventFiles(("a", "b", "c"), ((0, 10), (5, 20), (25, 30)))
    assert files.covers(0, 20)
    assert files.covers(3, 18)
    assert not files.covers(0, 30)
    assert not EventFiles().covers(0, 1)
