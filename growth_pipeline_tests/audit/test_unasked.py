"""Questions that nobody answered: their classes wait, and the report says how many they were."""

import re
from pathlib import Path

import pytest

from growth_pipeline import audit
from growth_pipeline.audit.codes import CODES, SECTIONS
from growth_pipeline.audit.confirm import LIST_OF, PAYMENTS, Asker
from growth_pipeline.audit.sections import Section
from growth_pipeline.audit.unasked import ASKS, with_unasked
from growth_pipeline.core.errors import RemoteUnavailableError


def nobody_knows(resource: str, object_id: str) -> None:
    del resource, object_id


def test_every_allowance_in_the_code_belongs_to_a_part_and_its_classes():
    text = "".join(path.read_text() for path in Path(audit.__file__).parent.rglob("*.py"))
    named = set(re.findall(r'allowance="([a-z_ ]+)"', text))
    assert len(named) > 5
    assert named <= ASKS.keys()
    assert {f"orphan_row {kind}" for kind in LIST_OF} <= ASKS.keys()
    for asks in ASKS.values():
        assert asks.section in SECTIONS
        assert asks.classes
        assert asks.classes <= CODES.keys()


def test_a_class_with_unasked_questions_waits_and_its_part_says_how_many():
    balance, payouts = Section("balance", judged=7), Section("payouts", judged=2)
    told = with_unasked([balance, payouts], {"balance_unlinked": 12})
    assert told[1] == payouts
    assert (told[0].name, told[0].judged) == ("balance", 7)
    assert told[0].unjudged == {"balance_unlinked"}
    (said,) = told[0].not_judged
    assert said.startswith("12 objects left open for balance_unlinked: Stripe was not asked")


def test_a_part_that_said_so_itself_is_not_told_twice():
    own = Section("customers", not_judged=("3",), unjudged=frozenset({"customer_deleted"}))
    assert with_unasked([own], {"customer_deleted": 3}) == [own]


def test_payments_without_an_answer_get_a_part_of_their_own():
    (told,) = with_unasked([], {PAYMENTS: 1})
    assert told.name == "payments"
    assert {"missing_in_db", "amount_mismatch", "orphan_row"} <= told.unjudged
    assert told.not_judged[0].startswith("1 object left open for ")


def test_where_every_question_was_answered_nothing_waits():
    sections = [Section("balance"), Section("payouts")]
    assert with_unasked(sections, {}) == sections


def test_payments_beyond_the_allowance_are_counted_once_each():
    asker = Asker(nobody_knows, limit=2)
    for number in (0, 1, 2, 3, 4, 4, 3):
        asker.ask("charge", f"ch_{number}")
    assert asker.unasked == {PAYMENTS: 3}


@pytest.mark.parametrize("allowance", ["orphan_row customer", "customer_deleted"])
def test_what_a_failed_source_did_not_answer_is_counted_too(allowance):
    def failing(resource: str, object_id: str) -> None:
        raise RemoteUnavailableError("Stripe cannot be reached")

    asker = Asker(failing)
    for number in range(3):
        asker.ask("customer", f"cus_{number}", is_payment=False, allowance=allowance)
    assert asker.unasked == {allowance: 3}


def test_an_audit_that_got_no_answer_about_orphans_keeps_the_class_open(company):
    def failing(resource: str, object_id: str) -> None:
        raise RemoteUnavailableError("Stripe cannot be reached")

    for number in (1, 2, 3):
        company.payment(number, 1000, booked={"customer_id": f"cus_ghost_{number}"})
    told = company.audit(confirm=failing)
    assert "orphan_row" in told.unjudged
    (part,) = [one for one in told.sections if one["section"] == "payments"]
    assert part["not_judged"][0].startswith("3 objects left open for orphan_row: ")
