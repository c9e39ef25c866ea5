"""Billing events against Stripe, as Dagster shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.assertions.compare import Doubt, Known, Told
from growth_pipeline.events.assertions.facts import Charge, Facts
from growth_pipeline.events.assertions.verify import KEPT, verify_billing
from growth_pipeline.events.assets import billing_assertions

NOW = datetime(2030, 2, 1, tzinfo=UTC)
PAID = Facts("cus_1", "succeeded", charges=(Charge(True, False, 100, "eur"),))


class Store:
    """Events and objects of one test; remembers which span it was asked for."""

    def __init__(self, *told: Told, known: Known, customers: dict[str, frozenset[str]]) -> None:
        self._told = told
        self._known = known
        self._customers = customers
        self.span: tuple[datetime, datetime] | None = None

    def known(self) -> Known:
        return self._known

    def told(self, since: datetime, until: datetime) -> Iterator[list[Told]]:
        self.span = (since, until)
        yield list(self._told)

    def facts(self, references: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Facts]:
        return {one: PAID for one in references if one[1] == "pi_paid"}

    def customers(self, user_ids: Iterable[str]) -> dict[str, frozenset[str]]:
        return {one: self._customers[one] for one in user_ids if one in self._customers}


def paid(number: int, intent: str, *, user_id: str | None = None, amount: int = 100) -> Told:
    properties = {"payment_intent_id": intent, "amount_minor": amount, "currency": "eur"}
    at = NOW - timedelta(days=1)
    return Told(f"m_{number}", "Payment Succeeded", user_id, at, properties)


def a_store(*told: Told, customers: dict[str, frozenset[str]] | None = None) -> Store:
    return Store(*told, known=Known(NOW - timedelta(days=9), NOW), customers=customers or {})


def materialize(store: Store) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [billing_assertions], resources={"assertion_store": store, "clock": lambda: NOW}
    )


def checked(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_events_that_stripe_agrees_with_pass():
    store = a_store(paid(1, "pi_paid"))
    evaluation = checked(materialize(store))
    assert evaluation.passed
    assert evaluation.description is None
    assert store.span == (NOW - timedelta(days=30), NOW)


def test_an_event_that_stripe_contradicts_warns_and_is_shown():
    result = materialize(a_store(paid(1, "pi_paid"), paid(2, "pi_gone"), paid(3, "pi_gone")))
    evaluation = checked(result)
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.description == "Stripe contradicts 2 billing events"
    (materialized,) = result.asset_materializations_for_node("events__billing_assertions")
    assert materialized.metadata["agreed"].value == 1
    shown = materialized.metadata["findings"].value
    assert [(one["message_id"], one["code"]) for one in shown] == [
        ("m_2", "object_unknown"),
        ("m_3", "object_unknown"),
    ]


def test_an_empty_mirror_passes_and_says_so():
    store = Store(paid(1, "pi_gone"), known=Known(None, None), customers={})
    result = materialize(store)
    assert checked(result).passed
    (materialized,) = result.asset_materializations_for_node("events__billing_assertions")
    assert materialized.metadata["as_of"].value == "the mirror has heard nothing yet"
    assert materialized.metadata["undecided"].value["mirror_is_empty"] == 1


def test_somebody_elses_payment_is_found_by_the_users_customer():
    users = {"user_1": frozenset({"cus_1"}), "user_2": frozenset({"cus_2"})}
    report = verify_billing(
        a_store(
            paid(1, "pi_paid", user_id="user_1"),
            paid(2, "pi_paid", user_id="user_2"),
            paid(3, "pi_paid", user_id="user_3"),
            customers=users,
        ),
        now=NOW,
    )
    assert report.agreed == 2
    assert [(one.told.message_id, str(one.code)) for one in report.findings] == [
        ("m_2", "other_customer")
    ]


def test_findings_are_kept_up_to_a_bound_and_counted_beyond_it():
    many = [paid(number, "pi_gone") for number in range(KEPT + 5)]
    report = verify_billing(a_store(*many), now=NOW)
    assert len(report.findings) == KEPT
    assert report.contradicted == KEPT + 5
    assert len(report.to_dict(limit=3)["findings"]) == 3
    assert report.lines(limit=3)[-1] == f"and {KEPT + 2} more"


def test_no_events_are_a_plain_answer():
    report = verify_billing(a_store(), now=NOW)
    assert report.lines() == ["0 billing events: Stripe agrees with 0, contradicts 0, 0 undecided"]
    assert report.doubts[Doubt.TOO_YOUNG] == 0


def test_a_span_that_is_not_past_is_refused():
    with pytest.raises(UsageError, match="not in the past"):
        verify_billing(a_store(), now=NOW, since=NOW)
