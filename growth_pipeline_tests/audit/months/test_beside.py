"""Stripe's side of a closed month beyond its charges: never derived from booked rows."""

from __future__ import annotations

from growth_pipeline.audit.months.beside import lines_to_compare, look_up
from growth_pipeline.audit.months.closing import LineKey, LineState
from growth_pipeline.audit.payments.sides import StripePayment


def a_payment(kind: str, id: str, minor: int) -> StripePayment:
    return StripePayment(
        object=kind,
        id=id,
        created=1,
        status="succeeded",
        captured=True,
        paid=True,
        currency="usd",
        asked_minor=minor,
        captured_minor=minor,
    )


def known(id: str, minor: int) -> dict[LineKey, LineState]:
    return {
        LineKey("stripe", "invoice", id, "usd"): LineState("succeeded", count=1, gross_minor=minor)
    }


def compared(judged=(), of_close=None, listed=None) -> list[tuple[str, int]]:
    def look(kind: str, ids: set[str]) -> dict[str, StripePayment | None]:
        return {one: found for one, found in (listed or {}).items() if one in ids}

    lines = lines_to_compare(judged, of_close or {}, look)
    return sorted(lines.select("id", "captured_minor").rows())


def test_what_the_month_was_frozen_with_is_looked_up_in_the_lists():
    listed = {"in_1": a_payment("invoice", "in_1", 800)}
    assert compared(of_close=known("in_1", 900), listed=listed) == [("in_1", 800)]


def test_what_no_list_holds_is_as_it_was():
    assert compared(of_close=known("in_1", 900)) == [("in_1", 900)]


def test_money_that_a_charge_tells_by_now_is_no_line_of_the_invoice():
    assert compared(of_close=known("in_1", 900), listed={"in_1": None}) == []


def test_what_only_rows_of_later_name_is_left_out_and_charges_asked_again_stay():
    judged = [a_payment("invoice", "in_2", 700), a_payment("charge", "ch_1", 500)]
    assert compared(judged) == [("ch_1", 500)]


def test_what_the_audit_judged_counts_before_the_lists():
    judged = [a_payment("invoice", "in_1", 850)]
    listed = {"in_1": a_payment("invoice", "in_1", 800)}
    assert compared(judged, known("in_1", 900), listed) == [("in_1", 850)]


class _Lists:
    """Lists with an intent that a charge paid, one that none did, and what they belong to."""

    def intents(self, ids):
        rows = {
            "pi_paid": {"latest_charge": "ch_1"},
            "pi_open": {
                **{"id": "pi_open", "created": 1, "status": "canceled", "latest_charge": None},
                **{"currency": "usd", "amount": 5, "customer": None},
            },
        }
        return {one: rows[one] for one in ids}

    def invoice_payments(self, ids):
        row = {"created": 1, "status": "paid", "amount_paid": 9, "amount_requested": 9}
        row |= {"currency": "usd", "invoice": "in_1", "charge": None}
        rows = {
            "inpay_1": {**row, "id": "inpay_1", "payment_intent": None},
            "inpay_2": {**row, "id": "inpay_2", "payment_intent": "pi_paid"},
        }
        return {one: rows[one] for one in ids}

    def invoices(self, ids):
        row = {"created": 1, "status": "paid", "amount_paid": 9, "currency": "usd"}
        intents = {"in_1": None, "in_2": "pi_paid", "in_3": "pi_open"}
        return {
            one: {**row, "id": one, "customer": None, "payment_intent": intents[one]}
            for one in ids
            if one in intents
        }


def test_objects_whose_charge_is_known_carry_no_money_of_their_own():
    lists = _Lists()
    paid = {
        kind: {
            one: found and found.captured_minor for one, found in look_up(lists, kind, ids).items()
        }
        for kind, ids in {
            "invoice": {"in_1", "in_2", "in_3", "in_nowhere"},
            "invoice_payment": {"inpay_1", "inpay_2"},
            "payment_intent": {"pi_paid", "pi_open"},
        }.items()
    }
    assert paid == {
        "invoice": {"in_1": 9, "in_2": None, "in_3": 9},
        "invoice_payment": {"inpay_1": 9, "inpay_2": None},
        "payment_intent": {"pi_paid": None, "pi_open": 0},
    }
