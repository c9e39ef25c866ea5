"""Each class that a repair mends: audited, planned, applied, audited again; books and Stripe agree."""

from __future__ import annotations

import pytest

from growth_pipeline.audit.repair.run import Outcome, Repair
from growth_pipeline.audit.repair.undo import undo_repair
from growth_pipeline.billing.objects import AUDITED_OBJECTS
from growth_pipeline_tests.fakes import stripe_events as shapes
from growth_pipeline_tests.fakes.living_stripe import DAY, Account, LivingStripe
from growth_pipeline_tests.fakes.repaired_company import LATER, NOON, UPDATE, Spoiled, codes

HOUR = 3600
NEW_YORK = "America/New_York"


@pytest.fixture
def company(database, tmp_path):
    with LivingStripe(Account(NOON)) as stripe:
        yield Spoiled(stripe, database, tmp_path)


def prove(
    company: Spoiled,
    expected: list[tuple[str, str]],
    *,
    tz: str = "UTC",
    resources: tuple[str, ...] = AUDITED_OBJECTS,
) -> Repair:
    """The findings are mended, nothing else is found then, and a second repair has nothing to do."""
    company.extract(resources)
    assert codes(company.audit(tz=tz)) == expected
    plan = company.repair(tz=tz).plan
    assert sorted((one.code, one.object_id) for one in plan.mended) == expected
    done = company.repair(tz=tz, apply=True)
    assert (done.outcome, done.plan.hash) == (Outcome.APPLIED, plan.hash)
    after = company.audit("second", now=LATER, tz=tz)
    assert codes(after) == []
    assert_sides_agree(after)
    assert company.repair(tz=tz).outcome is Outcome.NOTHING
    assert rows_of_the_trail(company) == {step.place for step in plan.steps}
    return done


def assert_sides_agree(audit) -> None:
    """Count and money of both sides, per currency, are equal."""
    for currency, totals in audit.totals.items():
        assert totals.stripe == totals.booked, currency


def rows_of_the_trail(company: Spoiled) -> set[tuple[str, str]]:
    with company.database.connection() as connection:
        rows = connection.execute("select table_name, row_key from audit.repair_rows").fetchall()
    return set(rows)


def places(done: Repair) -> list[tuple[str, str, str]]:
    return [(step.table, step.key, step.change) for step in done.plan.steps]


# --- payments ------------------------------------------------------------------------------------


def test_a_payment_that_was_booked_before_its_capture_is_booked_as_uncaptured(company):
    company.charge(1, 1000)
    company.charge(2, 2000, captured=False, amount_captured=0, balance_transaction=None)
    company.receive()
    company.sql(UPDATE.format("captured = true, amount_minor = 2000"), "ch_2")
    prove(company, [("uncaptured_booked", "ch_2")])
    assert [row["captured"] for row in company.books()] == [True, False]


def test_a_dispute_that_was_won_gives_the_money_back_to_the_books(company):
    company.charge(1, 2000)
    company.dispute(1, of=1, withdrawn=2000)
    company.receive()
    won = shapes.a_dispute("dp_1", "ch_1", -2000, 2000)["balance_transactions"]
    company.account.now = NOON + HOUR
    company.move_money("txn_dp_1_1", 2000, "dispute_reversal", source="dp_1")
    company.account.change("dispute", "dp_1", None, status="won", balance_transactions=won)
    company.receive()
    prove(company, [("dispute_state", "ch_1")])
    assert [row["disputed_minor"] for row in company.books()] == [0]


@pytest.mark.parametrize(
    ("wrong", "code"), [("fee_minor = 1", "fee_mismatch"), ("net_minor = 1", "net_mismatch")]
)
def test_fee_and_net_are_those_of_the_balance_transaction_again(company, wrong, code):
    company.charge(1, 1000)
    company.receive()
    company.sql(UPDATE.format(wrong), "ch_1")
    prove(company, [(code, "ch_1")])
    assert [(row["fee_minor"], row["net_minor"]) for row in company.books()] == [(30, 970)]


def test_a_wrong_amount_in_another_month_is_not_moved_unless_the_move_is_asked_for(company):
    company.charge(1, 1000)
    company.charge(2, 2000)
    company.receive()
    company.copy_row(1, amount_minor=900)
    company.sql("delete from billing.payments where charge_id = 'ch_1' and written_by = 'mirror'")
    company.sql(
        "update billing.payments set created_at = created_at - interval '1 month'"
        " where charge_id = 'ch_1'"
    )
    company.sql(UPDATE.format("amount_minor = 1"), "ch_2")
    company.extract()
    (first,) = [one for one in company.audit().findings if one.object_id == "ch_1"]
    assert (first.code, first.also) == ("amount_mismatch", ("period_cutoff",))
    before = company.books()

    for only in ([], ["amount_mismatch"]):
        plan = company.repair(only=only).plan
        assert [one.object_id for one in plan.mended] == ["ch_2"]
        assert ["--only period_cutoff does both" in note.said for note in plan.left] == [True]
    company.repair(apply=True)
    company.repair(apply=True)
    assert company.books()[0] == before[0]

    company.audit("second")
    company.repair(only=["period_cutoff"])
    company.repair(only=["period_cutoff"], apply=True)
    assert codes(company.audit("third")) == []


def test_the_month_of_a_zone_is_repaired_by_its_own_boundaries(company):
    late = 20 * DAY + 14 * HOUR  # 02:00 UTC of 1 February: still January in New York
    company.charge(1, 1000)
    company.charge(late, 3000)
    company.receive()
    company.sql(UPDATE.format("amount_minor = 30"), f"ch_{late}")
    company.extract()
    assert codes(company.audit("in UTC")) == []
    done = prove(company, [("amount_mismatch", f"ch_{late}")], tz=NEW_YORK)
    assert done.plan.tz == NEW_YORK
    assert sorted(row["amount_minor"] for row in company.books()) == [1000, 3000]
    undone = undo_repair(done.plan.plan_id, store=company.stores.repairs, now=LATER, by="eve")
    assert (undone.month, undone.tz, undone.rows) == ("2030-01", NEW_YORK, 1)


# --- mirror --------------------------------------------------------------------------------------


def test_a_credit_note_that_never_arrived_is_brought_into_the_mirror(company):
    company.charge(1, 1000)
    company.receive()
    company.silent(False)
    note = {"amount": 300, "total": 300, "currency": "usd", "status": "issued"}
    named = {"id": "cn_1", "object": "credit_note", "invoice": "in_1", "customer": "cus_1"}
    company.account.now = NOON + 60
    company.account.create(note | named | {"type": "post_payment", "number": "CN-1"})
    company.receive()
    done = prove(company, [("credit_note_unapplied", "cn_1")])
    assert places(done) == [("stripe.credit_notes", "cn_1", "insert")]


def test_a_payment_of_an_invoice_that_the_mirror_lost_is_brought_back(company):
    company.charge(1, 600)
    company.charge(2, 400)
    company.account.now = NOON + 60
    paid = {"status": "paid", "amount_paid": 1000, "amount_remaining": 0}
    company.account.create(shapes.an_invoice(**paid, parent=None))
    company.account.create(
        shapes.an_invoice_payment(intent="pi_1", amount_paid=600), "invoice_payment.paid"
    )
    company.receive()
    company.silent(False)
    company.account.now = NOON + 60
    second = shapes.an_invoice_payment("inpay_2", intent="pi_2", amount_paid=400)
    company.account.create(second, "invoice_payment.paid")
    company.receive()
    done = prove(company, [("invoice_payment_sum", "in_1")])
    assert ("stripe.invoice_payments", "inpay_2", "insert") in places(done)


def test_an_invoice_paid_outside_that_never_arrived_is_brought_into_the_mirror(company):
    company.charge(1, 1000)
    company.receive()
    company.silent(False)
    company.account.now = NOON + 60
    paid = {"status": "paid", "amount_paid": 700, "amount_remaining": 0}
    company.account.create(shapes.an_invoice(**paid, parent=None))
    record = {"type": "payment_record", "payment_record": "prec_1"}
    company.account.create(
        {**shapes.an_invoice_payment(amount_paid=700), "payment": record}, "invoice_payment.paid"
    )
    company.receive()
    company.extract()
    assert codes(company.audit()) == [("missing_in_db", "in_1")]
    plan = company.repair().plan
    done = company.repair(apply=True)
    assert (done.outcome, done.plan.hash) == (Outcome.APPLIED, plan.hash)
    assert codes(company.audit("second", now=LATER)) == [("invoice_paid_no_charge", "in_1")]
    assert places(done) == [
        ("stripe.invoice_payments", "inpay_1", "insert"),
        ("stripe.invoices", "in_1", "insert"),
    ]


def test_a_row_that_stayed_behind_says_what_stripe_says(company):
    company.charge(1, 1000)
    company.receive()
    company.silent(False)
    company.account.now = NOON + HOUR
    company.account.change("customer", "cus_1", "customer.updated", email="new@example.test")
    company.receive()
    done = prove(company, [("stale_row", "cus_1")])
    assert places(done) == [("stripe.customers", "cus_1", "update")]


def test_a_subscription_that_never_arrived_is_brought_into_the_mirror(company):
    company.charge(1, 1000)
    company.receive()
    company.silent(False)
    company.account.now = NOON + 60
    company.account.create(shapes.a_subscription("sub_1"))
    company.receive()
    done = prove(company, [("subscription_missing", "sub_1")])
    assert places(done) == [("stripe.subscriptions", "sub_1", "insert")]


def items(**changes):
    """The items of a subscription whose only item differs in some fields."""
    listed = shapes.a_subscription("sub_1")["items"]
    return {**listed, "data": [{**listed["data"][0], **changes}]}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("subscription_status", {"status": "past_due"}),
        ("tier_mismatch", {"items": items(price=shapes.a_price("price_2"))}),
        ("quantity_mismatch", {"items": items(quantity=5), "quantity": 5}),
        ("period_mismatch", {"items": items(current_period_end=NOON + 62 * DAY)}),
    ],
)
def test_a_change_of_a_subscription_that_never_arrived_is_brought_into_the_mirror(
    company, code, changes
):
    company.charge(1, 1000)
    company.account.now = NOON + 60
    company.account.create(shapes.a_subscription("sub_1"))
    company.receive()
    company.silent(False)
    company.account.now = NOON + HOUR
    company.account.change("subscription", "sub_1", "customer.subscription.updated", **changes)
    company.receive()
    done = prove(company, [(code, "sub_1")])
    assert places(done) == [("stripe.subscriptions", "sub_1", "update")]


# --- events --------------------------------------------------------------------------------------


def test_a_missed_event_is_planned_with_every_row_that_it_changes(company):
    late = 15 * DAY  # Stripe lists events for 30 days
    company.charge(1, 1000)
    company.charge(late, 2000)
    company.receive()
    company.silent(False)
    company.account.now = NOON + late + HOUR
    company.account.change("customer", "cus_1", "customer.updated", email="new@example.test")
    missed = company.account.events[-1]["id"]
    company.receive()
    company.extract((*AUDITED_OBJECTS, "events"))
    found = codes(company.audit())
    assert ("event_gap", missed) in found
    done = company.repair(only=["event_gap"])
    assert places(done) == [
        ("billing.inbox", missed, "insert"),
        ("stripe.customers", "cus_1", "update"),
    ]
    assert [(one.code, one.object_id) for one in done.plan.mended] == [("event_gap", missed)]
    (step,) = [one for one in done.plan.steps if one.table == "stripe.customers"]
    assert ("email", "ada@example.test", "new@example.test") in step.differences()
    assert step.codes == ("event_gap",)
    company.repair(only=["event_gap"], apply=True)
    assert rows_of_the_trail(company) == {one.place for one in done.plan.steps}
    after = company.audit("second", now=LATER)
    assert codes(after) == []
    assert_sides_agree(after)
    assert company.repair().outcome is Outcome.NOTHING


# --- portions ------------------------------------------------------------------------------------


def test_more_findings_than_one_repair_mends_are_planned_in_portions(company):
    for number in (1, 2, 3):
        company.charge(number, 1000)
    company.receive()
    for number in (1, 2, 3):
        company.sql(UPDATE.format("amount_minor = 5"), f"ch_{number}")
    company.extract()
    company.audit()
    first = company.repair(most=2)
    assert (len(first.plan.mended), first.plan.later) == (2, 1)
    company.repair(most=2, apply=True)
    assert len(company.audit("second", now=LATER).findings) == 1
    last = company.repair(most=2)
    assert (len(last.plan.mended), last.plan.later) == (1, 0)
    company.repair(most=2, apply=True)
    assert codes(company.audit("third", now=LATER)) == []
