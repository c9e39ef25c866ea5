"""Defects of payments: each changes one thing and says what it costs, and why it came to be.

Every expected impact is written down where its defect is planted, from the change itself, never
from a formula over both sides. A `Defect` is one of them; `DEFECTS` are all, some with variants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from growth_pipeline_tests.acceptance.oracle.base import DAY, Row, drop, month_of
from growth_pipeline_tests.acceptance.oracle.company import Company, Payment

BY_HAND, HANDLED_WRONG, LOST = "written_by_hand", "handled_wrong", "never_delivered"
FAILED, UNIT, AT_STRIPE = "delivered_and_failed", "unit_factor", "happened_at_stripe"
CUT_OFF, STALE = "timing_at_the_cut_off", "stale"

Lenders = tuple[Company, Company]  # the test mode, and another account
Defect = Callable[[Company, Lenders], None]
NO_FEE: Final = {"fee_minor": None, "net_minor": None, "settlement_currency": None}


def _row(payment: Payment) -> Row:
    assert payment.row is not None
    return payment.row


def _changed(payment: Payment, **values: Any) -> None:
    """Somebody changes the row that our pipeline wrote."""
    _row(payment).update(values)


# --- rows of somebody else -----------------------------------------------------------------------


def _leak(code: str, lender: int) -> Defect:
    def plant(company: Company, lenders: Lenders) -> None:
        theirs = lenders[lender].take()
        leaked = {
            **_row(theirs), "account_id": company.account, "livemode": company.livemode, "written_by": "import",
            "invoice_id": None, "created": company.instant(),
        }  # fmt: skip
        company.rows.append(leaked)
        company.expect(code, theirs.charge["id"], BY_HAND, **{theirs.currency: theirs.amount})

    return plant


def _moved_away(code: str) -> Defect:
    def plant(company: Company, lenders: Lenders) -> None:
        ours = company.take()
        if code == "livemode_leak":
            _row(ours)["livemode"] = not company.livemode
        else:
            _row(ours)["account_id"] = lenders[1].account
        ours.is_heard = False
        company.expect(code, ours.charge["id"], "", **{ours.currency: -ours.amount})

    return plant


def _unknown_to_stripe(which: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        ids = dict.fromkeys(("charge_id", "payment_intent_id", "invoice_id"))
        prefix = {"charge_id": "ch", "payment_intent_id": "pi", "invoice_id": "in"}[which]
        name = ids[which] = company.id(prefix)
        row = {**_row(company.take()), **NO_FEE, **ids, "written_by": "hand", "amount_minor": 4321}
        company.rows.append(row)
        company.expect("missing_in_stripe", name, BY_HAND, **{row["currency"]: 4321})

    return plant


def _failed_and_unknown(company: Company, _: Lenders) -> None:
    changes = {"payment_intent_id": None, "invoice_id": None, "status": "failed", "captured": False}
    row = {**_row(company.take()), **NO_FEE, **changes, "written_by": "hand", "charge_id": company.id("ch")}  # fmt: skip
    company.rows.append(row)
    company.expect("missing_in_stripe", row["charge_id"], BY_HAND)


def _without_row(kind: str, how: str) -> Defect:
    """Its row is taken away by hand, or none of its events ever came."""

    def plant(company: Company, _: Lenders) -> None:
        payment = company.take(kind)
        drop(company.rows, _row(payment))
        payment.row = None
        if how == LOST:
            payment.lost.add("*")
        kept = payment.amount - payment.charge["amount_refunded"]
        company.expect("missing_in_db", payment.charge["id"], how, **{payment.currency: -kept})

    return plant


# --- rows that repeat ----------------------------------------------------------------------------


def _repeated(*copies: dict[str, Any]) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        payment = company.take()
        start, end = company.focus
        places = {"later": end + 500, "earlier": month_of(start - 1) + 500}
        for copy in copies:
            changes = dict(copy)
            if "created" in changes:
                changes["created"] = places[changes["created"]]
            company.rows.append({**_row(payment), **changes})
        money = {payment.currency: payment.amount * len(copies)}
        company.expect("duplicate_row", payment.charge["id"], BY_HAND, **money)

    return plant


# --- statuses ------------------------------------------------------------------------------------


def _failed_booked_as_paid(company: Company, _: Lenders) -> None:
    failed = company.take("failed", accept=lambda one: one.row is not None)
    _changed(failed, status="succeeded", captured=True)
    money = {failed.currency: _row(failed)["amount_minor"]}
    company.expect("status_mismatch", failed.charge["id"], BY_HAND, **money)


def _paid_booked_as(**wrong: Any) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        paid = company.take()
        _changed(paid, **wrong)
        company.expect("status_mismatch", paid.charge["id"], BY_HAND, **{paid.currency: -paid.amount})  # fmt: skip

    return plant


def _success_not_heard(company: Company, _: Lenders) -> None:
    """The charge was pending; the event that it succeeded never came."""
    paid = company.take()
    paid.kind = "taken pending first"
    _row(paid).update(NO_FEE | {"status": "pending", "captured": False, "invoice_id": None})
    if paid.invoice is not None:
        paid.lost |= {paid.invoice["id"], paid.join["id"] if paid.join else ""}
    company.expect("status_mismatch", paid.charge["id"], LOST, **{paid.currency: -paid.amount})


def _booked_too_early(kind: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        last = company.as_of - 2 * DAY
        payment = company.take(kind, accept=lambda one: one.charge["created"] < last)
        _changed(payment, status="succeeded", captured=True)
        money = {payment.currency: payment.charge["amount"]}
        company.expect("uncaptured_booked", payment.charge["id"], BY_HAND, **money)

    return plant


# --- amounts -------------------------------------------------------------------------------------


def _wrong_currency(company: Company, _: Lenders) -> None:
    payment = company.take(accept=lambda one: one.currency != "usd")
    _changed(payment, currency="usd")
    money = {"usd": payment.amount, payment.currency: -payment.amount}
    company.expect("currency_mismatch", payment.charge["id"], BY_HAND, **money)


def _wrong_amount(change: Callable[[int], int], cause: str = BY_HAND, part: int = 1) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        payment = company.take(accept=lambda one: one.amount % part == 0)
        booked = change(payment.amount)
        _changed(payment, amount_minor=booked)
        code = "amount_rounding" if abs(booked - payment.amount) == 1 else "amount_mismatch"
        money = {payment.currency: booked - payment.amount}
        company.expect(code, payment.charge["id"], cause, **money)

    return plant


def _refund_netted(company: Company, _: Lenders) -> None:
    payment = company.take("refunded")
    given_back = payment.charge["amount_refunded"]
    _changed(payment, amount_minor=payment.amount - given_back)
    company.expect("amount_mismatch", payment.charge["id"], BY_HAND, **{payment.currency: -given_back})  # fmt: skip


def _asked_for_booked(company: Company, _: Lenders) -> None:
    part = company.take(
        "partly_captured",
        accept=lambda one: 1 < one.charge["amount"] - one.amount != one.amount * 99,
    )
    _changed(part, amount_minor=part.charge["amount"])
    money = {part.currency: part.charge["amount"] - part.amount}
    company.expect("amount_mismatch", part.charge["id"], BY_HAND, **money)


# --- refunds and disputes ------------------------------------------------------------------------


def _refund_not_booked(part: int) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        payment = company.take("refunded")
        missing = payment.charge["amount_refunded"] // part
        _row(payment)["refunded_minor"] -= missing
        company.expect("refund_missing", payment.charge["id"], BY_HAND, **{payment.currency: missing})  # fmt: skip

    return plant


def _refund_not_heard(company: Company, _: Lenders) -> None:
    payment = company.take("refunded_in_full")
    payment.lost.add(payment.refunds[0]["id"])
    _row(payment).update(NO_FEE | {"refunded_minor": 0})
    company.expect("refund_missing", payment.charge["id"], LOST, **{payment.currency: payment.amount})  # fmt: skip


def _refund_not_applied(company: Company, _: Lenders) -> None:
    """The refund's events came in and nobody applied them."""
    payment = company.take("refunded_in_full")
    payment.lost.add(f"{payment.refunds[0]['id']} failed")
    _row(payment).update(NO_FEE | {"refunded_minor": 0})
    company.expect("refund_missing", payment.charge["id"], FAILED, **{payment.currency: payment.amount})  # fmt: skip


def _refunded_twice(company: Company, _: Lenders) -> None:
    twice = company.take("refunded_in_full")
    _row(twice)["refunded_minor"] *= 2
    company.expect("refund_excess", twice.charge["id"], BY_HAND, **{twice.currency: -twice.amount})


def _refund_invented(company: Company, _: Lenders) -> None:
    payment = company.take()
    _changed(payment, refunded_minor=55)
    company.expect("refund_excess", payment.charge["id"], BY_HAND, **{payment.currency: -55})


def _failed_refund_booked(company: Company, _: Lenders) -> None:
    failed = company.take("refund_failed")
    _row(failed)["refunded_minor"] += 300
    company.expect("refund_failed_booked", failed.charge["id"], BY_HAND, **{failed.currency: -300})


def _stuck(status: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        latest = min(company.as_of - 12 * DAY, company.focus[1] - 1)
        stuck = company.take(accept=lambda one: one.charge["created"] < latest - 100)
        at = company.random.randint(stuck.charge["created"] + 10, latest)
        refund = company.refund(stuck, 120, status=status, created=at)
        company.expect("refund_stuck", refund["id"], AT_STRIPE)

    return plant


def _withdrawn_not_booked(company: Company, _: Lenders) -> None:
    payment = company.take()
    company.dispute(payment, "lost")
    _changed(payment, disputed_minor=0)
    company.expect("dispute_missing", payment.charge["id"], BY_HAND, **{payment.currency: payment.amount})  # fmt: skip


def _dispute_not_heard(company: Company, _: Lenders) -> None:
    payment = company.take()
    payment.lost.add(company.dispute(payment, "lost")["id"])
    _row(payment).update(NO_FEE | {"disputed_minor": 0})
    company.expect("dispute_missing", payment.charge["id"], LOST, **{payment.currency: payment.amount})  # fmt: skip


def _booked_as_withdrawn(status: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        payment = company.take()
        company.dispute(payment, status)
        _changed(payment, disputed_minor=payment.amount)
        company.expect("dispute_state", payment.charge["id"], BY_HAND, **{payment.currency: -payment.amount})  # fmt: skip

    return plant


# --- fees, references, periods -------------------------------------------------------------------


def _estimated_fee(company: Company, _: Lenders) -> None:
    payment = company.take(accept=lambda one: _row(one)["fee_minor"] is not None)
    _row(payment)["fee_minor"] += 13
    company.expect("fee_mismatch", payment.charge["id"], "", **{_row(payment)["settlement_currency"]: 13})  # fmt: skip


def _gross_as_net(company: Company, _: Lenders) -> None:
    payment = company.take(accept=lambda one: _row(one)["net_minor"] is not None)
    fee = _row(payment)["fee_minor"]
    _row(payment)["net_minor"] += fee
    company.expect("net_mismatch", payment.charge["id"], "", **{_row(payment)["settlement_currency"]: fee})  # fmt: skip


def _unlinked(prefix: str, category: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        lost = company.move(900, company.id(prefix), company.instant(), "usd", category)
        company.extra["balance_transactions"].append(lost)
        company.expect("balance_unlinked", lost["id"], AT_STRIPE, usd=lost["net"])

    return plant


def _points_nowhere(reference: str, prefix: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        orphan = company.take()
        _row(orphan)[reference] = company.id(prefix)
        company.expect("orphan_row", orphan.charge["id"], BY_HAND)

    return plant


def _refund_of_nothing(company: Company, _: Lenders) -> None:
    ghost = Payment({"id": company.id("ch"), "payment_intent": None, "created": company.focus[0] + DAY, "currency": "usd",
                     "amount_captured": 500, "amount_refunded": 0}, None)  # fmt: skip
    refund = company.refund(ghost, 100, created=company.instant())
    company.extra["refunds"].append(refund)
    company.expect("orphan_row", refund["id"], AT_STRIPE)


def _other_month(edge: str) -> Defect:
    def plant(company: Company, _: Lenders) -> None:
        moved = company.take()
        start, end = company.focus
        _row(moved)["created"] = {"after": end + 40, "before": month_of(start - 1) + 40}[edge]
        company.expect("period_cutoff", moved.charge["id"], CUT_OFF)

    return plant


DEFECTS: Final[tuple[Defect, ...]] = (
    _leak("livemode_leak", 0),
    _leak("account_leak", 1),
    _moved_away("livemode_leak"),
    _moved_away("account_leak"),
    _unknown_to_stripe("charge_id"),
    _unknown_to_stripe("payment_intent_id"),
    _unknown_to_stripe("invoice_id"),
    _failed_and_unknown,
    _without_row("plain", HANDLED_WRONG),
    _without_row("refunded", HANDLED_WRONG),
    _without_row("plain", LOST),
    _repeated({"written_by": "import"}),
    _repeated({"written_by": "hand"}, {"written_by": "import"}),
    _repeated({"written_by": "import", "charge_id": None}),
    _repeated({"written_by": "import", "created": "later"}),
    _repeated({"written_by": "hand", "charge_id": None, "created": "earlier"}),
    _failed_booked_as_paid,
    _paid_booked_as(status="failed", captured=False),
    _paid_booked_as(status="pending", captured=False),
    _paid_booked_as(status="paid"),
    _success_not_heard,
    _booked_too_early("uncaptured"),
    _booked_too_early("pending"),
    _wrong_currency,
    _wrong_amount(lambda minor: minor * 100, UNIT),
    _wrong_amount(lambda minor: minor * 1000, UNIT),
    _wrong_amount(lambda minor: minor // 100, UNIT, part=100),
    _wrong_amount(lambda minor: -minor),
    _wrong_amount(lambda minor: minor + 777),
    _wrong_amount(lambda minor: minor - 2),
    _wrong_amount(lambda minor: minor + 1),
    _wrong_amount(lambda minor: minor - 1),
    _refund_netted,
    _asked_for_booked,
    _refund_not_booked(1),
    _refund_not_booked(2),
    _refund_not_heard,
    _refund_not_applied,
    _refunded_twice,
    _refund_invented,
    _failed_refund_booked,
    _stuck("pending"),
    _stuck("requires_action"),
    _withdrawn_not_booked,
    _dispute_not_heard,
    _booked_as_withdrawn("won"),
    _booked_as_withdrawn("warning_needs_response"),
    _estimated_fee,
    _gross_as_net,
    _unlinked("ch", "charge"),
    _unlinked("re", "refund"),
    _points_nowhere("customer_id", "cus"),
    _points_nowhere("invoice_id", "in"),
    _refund_of_nothing,
    _other_month("after"),
    _other_month("before"),
)


def plant(company: Company, *, test_mode: Company, other_account: Company, each: int = 3) -> None:
    """Every payment defect `each` times in a company's first month; the others lend their ids."""
    with company.within(company.first):
        for _ in range(each):
            for defect in DEFECTS:
                defect(company, (test_mode, other_account))
