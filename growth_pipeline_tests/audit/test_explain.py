"""Findings get cause, deliveries and what a repair would do; a part's own word stays."""

from __future__ import annotations

from typing import Any

from growth_pipeline.audit.causes import Trace
from growth_pipeline.audit.codes import CODES, Cause
from growth_pipeline.audit.explain import explain, without_repeats
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.repair.rules import outlook
from growth_pipeline.audit.sections import Section
from growth_pipeline_tests.audit.company import OCTOBER


class KnownDeliveries:
    """Answers with one trace, and remembers what it was asked about."""

    def __init__(self, trace: Trace) -> None:
        self.asked: list[set[tuple[str, str]]] = []
        self._trace = trace

    def trace(self, objects) -> Trace:
        self.asked.append(set(objects))
        return self._trace


def a_finding(number: int, code: str = "subscription_missing", **fields: Any) -> Finding:
    known: dict[str, Any] = {
        "severity": CODES[code].severity,
        "object": "subscription",
        "object_id": f"sub_{number}",
        "currency": "usd",
        "impacts": {"usd": -100},
        "action": CODES[code].action,
    }
    return Finding(code=code, **{**known, **fields})


EVENT = {
    **{"event_id": "evt_1", "type": "customer.subscription.created", "state": "quarantined"},
    **{"created_at": "2025-10-15T12:00:00+00:00", "reason": "unknown_type: x"},
}
TRACE = Trace(events={("subscription", "sub_1"): [EVENT]})


def test_a_finding_without_a_cause_gets_one_with_its_deliveries_and_a_repair():
    (finding,) = explain([a_finding(1)], KnownDeliveries(TRACE), OCTOBER)
    assert finding.cause is Cause.QUARANTINED
    assert [one["event_id"] for one in finding.evidence["delivery"]] == ["evt_1"]
    assert finding.evidence["repair"] == outlook("subscription_missing", Cause.QUARANTINED)


def test_what_a_part_has_said_itself_stays():
    said = a_finding(1, cause=Cause.WRITTEN_BY_HAND, evidence={"repair": "by hand"})
    (finding,) = explain([said], KnownDeliveries(TRACE), OCTOBER)
    assert finding.cause is Cause.WRITTEN_BY_HAND
    assert finding.evidence["repair"] == "by hand"
    assert "delivery" in finding.evidence


def test_amounts_in_the_details_may_show_a_wrong_unit():
    details = {"stripe_minor": 2900, "booked_minor": 29}
    drift = a_finding(1, "mrr_drift", evidence={"details": details})
    (finding,) = explain([drift], KnownDeliveries(Trace()), OCTOBER)
    assert finding.cause is Cause.UNIT_FACTOR


def test_many_findings_are_explained_a_part_at_a_time_and_keep_their_order():
    deliveries = KnownDeliveries(Trace())
    found = explain([a_finding(n) for n in range(5)], deliveries, OCTOBER, at_once=2)
    assert [one.object_id for one in found] == ["sub_0", "sub_1", "sub_2", "sub_3", "sub_4"]
    assert [len(asked) for asked in deliveries.asked] == [2, 2, 1]
    assert {one.cause for one in found} == {Cause.NEVER_DELIVERED}


def test_nobody_is_asked_about_findings_that_are_explained():
    deliveries = KnownDeliveries(Trace())
    known = a_finding(1, cause=Cause.STALE, evidence={"delivery": []})
    assert explain([known], deliveries, OCTOBER)[0].cause is Cause.STALE
    assert deliveries.asked == []


def test_a_stale_row_is_dropped_where_another_class_names_the_object():
    stale = [a_finding(n, "stale_row") for n in (1, 2, 3)]
    sections = [
        Section("subscriptions", findings=(a_finding(1, "subscription_status"),)),
        Section("events", judged=9, findings=tuple(stale)),
    ]
    charge = a_finding(2, "missing_in_db")
    subscriptions, events = without_repeats(sections, [charge])
    assert [one.object_id for one in events.findings] == ["sub_3"]
    assert (len(subscriptions.findings), events.judged) == (1, 9)
