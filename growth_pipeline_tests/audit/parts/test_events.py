"""Events that did not arrive, cannot be read, and rows that stayed behind, on a real database."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from psycopg.types.json import Jsonb

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.parts import events
from growth_pipeline_tests.audit.company import AS_OF, NOON, OCTOBER, Company, epoch

LATE = datetime(2025, 10, 31, 12, tzinfo=AS_OF.tzinfo)  # a day and a half before the audit


@pytest.fixture
def listening(company) -> Company:
    """A company that has heard one event of the month, and whose list of events is extracted."""
    company.objects["events"] = []
    list_event(company, "evt_heard", "charge.updated", ("charge", "ch_0"))
    hear(company, "evt_heard", "charge.updated", ("charge", "ch_0"))
    return company


def list_event(
    company: Company,
    event_id: str,
    type_: str,
    about: tuple[str, str],
    *,
    at: datetime = NOON,
    pending: int = 0,
) -> None:
    """An event of Stripe's list."""
    company.objects["events"].append(
        {
            "id": event_id,
            "created": epoch(at),
            "type": type_,
            "object": about[0],
            "object_id": about[1],
            "pending_webhooks": pending,
        }
    )


def hear(
    company: Company,
    event_id: str,
    type_: str,
    about: tuple[str, str],
    *,
    at: datetime = NOON,
    state: str = "applied",
    reason: str | None = None,
    version: str = "2026-10-28.endive",
) -> None:
    """An event of the ledger, as a webhook brought it."""
    body = {
        "id": event_id,
        "object": "event",
        "type": type_,
        "livemode": company.scope.livemode,
        "created": epoch(at),
        "api_version": version,
        "data": {"object": {"object": about[0], "id": about[1]}},
    }
    known = about if state == "applied" else (None, None)
    with company.database.connection() as connection:
        connection.execute(
            "insert into billing.inbox (account_id, livemode, event_id, type, api_version,"
            " created_at, received_at, body, state, reason, object, object_id)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [*company.scope, event_id, type_, version, at, at, orjson.dumps(body), state, reason, *known],
        )  # fmt: skip


def keep_customer(company: Company, *, state_at: datetime = NOON, **fields: Any) -> None:
    """Customer cus_1 as the mirror has it."""
    told = {"email": "ada@example.com", "name": "Ada", "deleted": False, **fields}
    names = ", ".join(told)
    values = ", ".join(f"%({name})s" for name in told)
    with company.database.connection() as connection:
        connection.execute(
            "insert into stripe.customers (account_id, livemode, id, api_version, payload,"
            f" created_at, state_from, state_at, origin, applied_at, {names})"
            " values (%(account_id)s, %(livemode)s, 'cus_1', '2026-10-28.endive', %(payload)s,"
            f" %(at)s, %(at)s, %(state_at)s, 'event', %(at)s, {values})",
            {
                **company.scope._asdict(),
                "payload": Jsonb({"id": "cus_1", "object": "customer", **told}),
                "at": NOON,
                "state_at": state_at,
                **told,
            },
        )


def show_customer(company: Company, **fields: Any) -> dict[str, Any]:
    """Customer cus_1 as Stripe shows it."""
    shown = {
        "id": "cus_1",
        "created": epoch(NOON),
        "email": "ada@example.com",
        "name": "Ada",
        "deleted": False,
        **fields,
    }
    company.objects["customers"].append(shown)
    return {**shown, "object": "customer", "livemode": True}


def events_part(audit) -> dict[str, Any]:
    (part,) = [one for one in audit.sections if one["section"] == "events"]
    return part


# --- event_gap ---------------------------------------------------------------------------------


def test_a_list_of_which_every_event_arrived_is_judged_and_finds_nothing(listening):
    audit = listening.audit()
    assert audit.findings == ()
    side = events_part(audit)["sides"]["events"]
    assert (side["stripe"], side["database"], side["currency"]) == (1, 1, None)


def test_an_event_that_the_ledger_lacks_for_over_three_days_is_high(listening):
    list_event(listening, "evt_lost", "refund.created", ("refund", "re_1"), at=NOON)
    audit = listening.audit()
    (finding,) = audit.findings
    assert (finding.code, finding.object, finding.object_id) == ("event_gap", "event", "evt_lost")
    assert (finding.severity, finding.cause) == (Severity.HIGH, Cause.NEVER_DELIVERED)
    assert dict(finding.impacts) == {}
    (delivery,) = finding.evidence["delivery"]
    assert (delivery["state"], delivery["received_at"]) == ("missing", None)
    assert finding.evidence["stripe"]["object_id"] == "re_1"
    assert audit.verdict is Verdict.FAIL


def test_an_event_that_stripe_may_still_bring_is_medium(listening):
    list_event(listening, "evt_lost", "refund.created", ("refund", "re_1"), at=LATE, pending=1)
    (finding,) = listening.audit().findings
    assert (finding.severity, finding.cause) == (Severity.MEDIUM, Cause.NEVER_DELIVERED)


def test_an_event_that_the_endpoint_did_not_take_was_delivered_and_failed(listening):
    list_event(listening, "evt_lost", "refund.created", ("refund", "re_1"), at=LATE, pending=1)
    after = LATE + timedelta(hours=1)
    hear(listening, "evt_after", "charge.updated", ("charge", "ch_0"), at=after)
    list_event(listening, "evt_after", "charge.updated", ("charge", "ch_0"), at=after)
    (finding,) = listening.audit().findings
    assert finding.cause is Cause.FAILED
    assert finding.evidence["delivery"][0]["pending_webhooks"] == 1


def test_young_events_and_those_that_nobody_keeps_are_no_gap(listening):
    listening.as_of = AS_OF - timedelta(days=1, minutes=30)  # still October
    young = listening.as_of - timedelta(minutes=20)
    list_event(listening, "evt_young", "charge.updated", ("charge", "ch_9"), at=young)
    list_event(listening, "evt_other", "payment_method.attached", ("payment_method", "pm_1"))
    assert listening.audit().findings == ()


def test_events_from_before_anybody_listened_are_no_gap(listening):
    before = NOON - timedelta(days=2)
    list_event(listening, "evt_before", "charge.updated", ("charge", "ch_9"), at=before)
    assert listening.audit().findings == ()


def test_without_the_list_nothing_is_said_and_no_source_is_missing(company):
    hear(company, "evt_heard", "charge.updated", ("charge", "ch_0"))
    audit = company.audit()
    assert (audit.findings, audit.verdict) == ((), Verdict.PASS)
    (said, *_) = events_part(audit)["not_judged"]
    assert said == (
        "events: Stripe's list of events of 2025-10 was not extracted, so nobody knows whether "
        "events of the month are lacking (event_gap). Stripe keeps events for 30 days: within "
        "them, extract the events of 2025-10 (billing/events_extract in Dagster) and audit again; "
        "later it stays unknown."
    )


def test_nobody_who_never_listened_misses_an_event(company):
    company.objects["events"] = []
    list_event(company, "evt_1", "charge.updated", ("charge", "ch_0"))
    audit = company.audit()
    assert audit.findings == ()
    assert "events: no event was ever received" in events_part(audit)["not_judged"]


def test_a_list_that_was_read_too_late_for_the_whole_month_says_so(listening):
    listening.certificates["events", OCTOBER] = {
        "fetched_from": (AS_OF + timedelta(days=20)).isoformat()
    }
    said = events_part(listening.audit())["not_judged"]
    assert any("do not hold all events of 2025-10" in one for one in said)


# --- unknown_version ---------------------------------------------------------------------------


def test_an_event_of_an_unknown_version_waits_for_an_adapter(company):
    hear(
        company, "evt_odd", "charge.updated", ("charge", "ch_1"),
        state="quarantined", reason="unknown_version: no adapter", version="2031-01-01.zinnia",
    )  # fmt: skip
    hear(
        company, "evt_other", "charge.odd", ("charge", "ch_2"),
        state="quarantined", reason="unknown_type: charge.odd",
    )  # fmt: skip
    audit = company.audit()
    (finding,) = audit.findings
    assert (finding.code, finding.object_id) == ("unknown_version", "evt_odd")
    assert (finding.severity, finding.cause) == (Severity.MEDIUM, Cause.QUARANTINED)
    assert finding.evidence["details"] == {
        "api_version": "2031-01-01.zinnia",
        "object": "charge",
        "id": "ch_1",
    }
    assert finding.command == "growth webhooks replay --all"
    assert audit.verdict is Verdict.WARNING


# --- stale_row ---------------------------------------------------------------------------------


def test_a_mirrored_row_that_says_what_stripe_says_is_fresh(company):
    show_customer(company)
    keep_customer(company)
    audit = company.audit()
    assert audit.findings == ()
    assert events_part(audit)["judged"] == 1


def test_a_row_that_stayed_behind_names_its_fields_and_hides_what_people_wrote(company):
    show_customer(company, name="Ada Lovelace", delinquent=True)
    keep_customer(company, delinquent=False)
    audit = company.audit()
    (finding,) = audit.findings
    assert (finding.code, finding.object_id) == ("stale_row", "cus_1")
    assert (finding.severity, finding.cause) == (Severity.MEDIUM, Cause.NEVER_DELIVERED)
    assert finding.evidence["details"]["fields"] == ["delinquent", "name"]
    assert finding.evidence["mirror"]["delinquent"] is False
    assert finding.evidence["stripe"]["delinquent"] is True
    assert finding.evidence["stripe"]["name"] == "hidden"
    assert "Lovelace" not in str(finding.to_dict())


def test_a_row_whose_every_event_came_is_stale(listening):
    show_customer(listening, name="Ada Lovelace")
    keep_customer(listening, state_at=NOON)
    later = NOON + timedelta(hours=1)
    hear(listening, "evt_c", "customer.updated", ("customer", "cus_1"), at=later)
    list_event(listening, "evt_c", "customer.updated", ("customer", "cus_1"), at=later)
    (finding,) = listening.audit().findings
    assert (finding.code, finding.cause) == ("stale_row", Cause.STALE)


def test_a_mirror_that_is_newer_than_the_file_is_right(company):
    show_customer(company, name="Ada")
    keep_customer(company, name="Ada Lovelace", state_at=AS_OF + timedelta(seconds=5))
    assert company.audit().findings == ()


def test_stripe_is_asked_before_a_row_is_called_stale(company):
    shown = show_customer(company, name="Ada Lovelace")
    keep_customer(company)
    as_mirrored = {**shown, "name": "Ada"}
    asked = []

    def confirm(resource, object_id):
        asked.append((resource, object_id))
        return as_mirrored

    assert company.audit(confirm=confirm).findings == ()
    assert asked == [("customers", "cus_1")]
    (finding,) = company.audit(confirm=lambda *_: shown).findings
    assert finding.evidence["confirmed_by_stripe"] is True


def test_a_row_that_is_about_to_be_asked_for_is_left_alone(company):
    show_customer(company, name="Ada Lovelace")
    keep_customer(company)
    with company.database.connection() as connection:
        connection.execute(
            "insert into billing.refetches (account_id, livemode, object, id, reason, queued_at,"
            " due_at) values (%s, %s, 'customer', 'cus_1', 'undecided', %s, %s)",
            [*company.scope, AS_OF, AS_OF],
        )
    assert company.audit().findings == ()


def test_a_row_whose_event_is_under_way_is_left_alone(listening):
    listening.as_of = AS_OF - timedelta(days=1, minutes=30)
    minutes_ago = listening.as_of - timedelta(minutes=10)
    show_customer(listening, name="Ada Lovelace")
    keep_customer(listening)
    list_event(
        listening, "evt_c", "customer.updated", ("customer", "cus_1"), at=minutes_ago, pending=1
    )
    assert listening.audit().findings == ()


def test_another_version_that_lacks_a_field_says_nothing_about_it(company):
    show_customer(company, api_version="2025-03-31.basil", delinquent=None)
    keep_customer(company, delinquent=False)
    assert company.audit().findings == ()


def test_an_object_that_another_class_names_is_not_called_stale_too(company):
    company.charge(1, 1000, customer="cus_1")
    company.mirrored("charge", "ch_1", status="succeeded", amount_captured=1000, customer="cus_2")
    assert [one.code for one in company.audit().findings] == ["missing_in_db"]


def test_a_busy_month_is_read_some_days_at_a_time_and_none_is_left_out():
    first = 20_000
    counted = [20_000, 20_000, 20_000, 70_000, 10, 49_995, 5]
    rows = [{"day": first + place, "events": number} for place, number in enumerate(counted)]
    start, end = first * 86_400 + 3_600, (first + len(counted)) * 86_400 - 3_600
    view = SimpleNamespace(rows=lambda *_: rows)
    spans = list(events._spans(view, SimpleNamespace(paths=[]), start, end))
    days = [(a / 86_400 - first, b / 86_400 - first) for a, b in spans]
    assert [(int(a), round(b + 0.4)) for a, b in days] == [(0, 2), (2, 3), (3, 4), (4, 5), (5, 7)]
    assert (spans[0][0], spans[-1][1]) == (start, end)
