"""Identities of money that Stripe keeps, checked by plain loops."""

from collections import defaultdict
from fractions import Fraction

from growth_pipeline.sandbox.catalogue import PLANS, amount_of
from growth_pipeline.sandbox.currencies import fee_of, list_price, settle


def by_id(objects, name):
    return {obj["id"]: obj for obj in objects[name]}


def test_amount_less_fee_is_net_in_every_balance_transaction(objects):
    for transaction in objects["balance_transactions"]:
        assert transaction["amount"] - transaction["fee"] == transaction["net"]
        assert sum(part["amount"] for part in transaction["fee_details"]) == transaction["fee"]
        assert transaction["currency"] in {"usd", "eur", "gbp"}


def test_a_payout_is_the_sum_of_its_nets_without_its_own_line(store, objects):
    assert objects["payouts"]
    for payout in objects["payouts"]:
        rows = store.execute(
            "select id, net, currency from balance_transactions where payout = ?", (payout["id"],)
        ).fetchall()
        own = [net for row_id, net, _ in rows if row_id == payout["balance_transaction"]]
        others = [net for row_id, net, _ in rows if row_id != payout["balance_transaction"]]
        assert own == [-payout["amount"]]
        assert sum(others) == payout["amount"] > 0
        assert {currency for _, _, currency in rows} == {payout["currency"]}


def test_every_available_payment_is_paid_out_once_a_payout_came(store, objects):
    last = {payout["currency"]: payout["created"] for payout in objects["payouts"]}
    for currency, at in last.items():
        (left,) = store.execute(
            "select count(*) from balance_transactions where currency = ? and payout is null"
            " and available_on <= ? and created < ?",
            (currency, at, at),
        ).fetchone()
        assert left == 0


def test_refunds_never_exceed_the_captured_amount(objects):
    charges = by_id(objects, "charges")
    counted = defaultdict(int)
    for refund in objects["refunds"]:
        if refund["status"] in {"succeeded", "pending"}:
            counted[refund["charge"]] += refund["amount"]
    for charge in charges.values():
        assert charge["amount_refunded"] == counted[charge["id"]] <= charge["amount_captured"]
        assert charge["amount_captured"] <= charge["amount"]
        assert charge["refunded"] == (charge["amount_refunded"] == charge["amount"] > 0)


def test_an_invoice_is_the_sum_of_its_lines_less_discounts(store, objects):
    lines = defaultdict(list)
    for line in objects["invoice_lines"]:
        lines[line["invoice"]].append(line)
    for invoice in objects["invoices"]:
        own = lines[invoice["id"]]
        subtotal = sum(line["amount"] for line in own)
        off = sum(part["amount"] for line in own for part in line["discount_amounts"])
        assert invoice["subtotal"] == subtotal
        assert invoice["total"] == subtotal - off
        assert sum(part["amount"] for part in invoice["total_discount_amounts"]) == off
        assert invoice["lines"]["has_more"] == (len(own) > 10)
        assert {line["currency"] for line in own} == {invoice["currency"]}


def test_what_is_due_is_the_total_and_the_customers_balance(objects):
    for invoice in objects["invoices"]:
        if invoice["status"] == "draft":
            continue
        after = invoice["total"] + invoice["starting_balance"]
        credited = invoice["pre_payment_credit_notes_amount"]
        assert invoice["amount_due"] == max(after, 0) - credited
        assert invoice["ending_balance"] == min(after, 0)
        assert invoice["amount_due"] == invoice["amount_paid"] + invoice["amount_remaining"]
        assert (invoice["status"] == "paid") == (invoice["amount_remaining"] == 0)


def test_a_paid_invoice_was_paid_by_its_intent_or_needed_no_money(objects):
    intents, joins = by_id(objects, "payment_intents"), defaultdict(list)
    for join in objects["invoice_payments"]:
        joins[join["invoice"]].append(join)
    without_charge = 0
    for invoice in objects["invoices"]:
        if invoice["status"] != "paid":
            continue
        paid = [join for join in joins[invoice["id"]] if join["status"] == "paid"]
        assert sum(join["amount_paid"] for join in paid) == invoice["amount_paid"]
        without_charge += not paid
        for join in paid:
            intent = intents[join["payment"]["payment_intent"]]
            assert (intent["status"], intent["amount_received"]) == (
                "succeeded",
                join["amount_paid"],
            )
    assert without_charge, "trials, free plans and credit balances are paid without a charge"


def test_an_intent_received_what_its_charge_captured(objects):
    charges = by_id(objects, "charges")
    for intent in objects["payment_intents"]:
        charge = charges.get(intent["latest_charge"])
        if intent["status"] == "succeeded":
            assert intent["amount_received"] == charge["amount_captured"] > 0
        else:
            assert intent["amount_received"] == 0
        if intent["status"] == "requires_capture":
            assert intent["amount_capturable"] == charge["amount"]


def test_a_dispute_withdraws_and_returns_the_settled_amount(objects):
    for dispute in objects["disputes"]:
        expected = settle(dispute["amount"], dispute["currency"])[0]
        moves = [transaction["amount"] for transaction in dispute["balance_transactions"]]
        wanted = {"won": [-expected, expected], "warning_closed": []}
        assert moves == wanted.get(dispute["status"], [-expected])


def test_the_ledger_agrees_with_the_objects_recomputed_by_hand(store, objects):
    refunds, disputes = defaultdict(int), defaultdict(int)
    for refund in objects["refunds"]:
        if refund["status"] in {"succeeded", "pending"}:
            refunds[refund["charge"]] += refund["amount"]
    for dispute in objects["disputes"]:
        signs = [transaction["amount"] < 0 for transaction in dispute["balance_transactions"]]
        for withdrawn in signs:
            disputes[dispute["charge"]] += dispute["amount"] if withdrawn else -dispute["amount"]
    ledger = {row["charge_id"]: row for row in store.ledger()}
    assert ledger.keys() == {charge["id"] for charge in objects["charges"]}
    booked = by_id(objects, "balance_transactions")
    invoices = {
        join["payment"]["payment_intent"]: join["invoice"]
        for join in objects["invoice_payments"]
        if join["status"] == "paid"
    }
    for charge in objects["charges"]:
        row = ledger[charge["id"]]
        assert row["invoice_id"] == invoices.get(charge["payment_intent"])
        assert row["status"] == charge["status"]
        assert row["captured"] is charge["captured"]
        assert row["currency"] == charge["currency"]
        assert row["customer_id"] == charge["customer"]
        assert row["payment_intent_id"] == charge["payment_intent"]
        assert row["amount_minor"] == (
            charge["amount_captured"] if charge["captured"] else charge["amount"]
        )
        assert row["refunded_minor"] == refunds[charge["id"]]
        assert row["disputed_minor"] == disputes[charge["id"]]
        transaction = booked.get(charge["balance_transaction"])
        assert row["fee_minor"] == (transaction["fee"] if transaction else None)
        assert row["net_minor"] == (transaction["net"] if transaction else None)


def test_three_decimal_amounts_end_in_zero(objects):
    for name in ("charges", "refunds", "invoice_lines"):
        for obj in objects[name]:
            if obj["currency"] == "kwd":
                assert obj["amount"] % 10 == 0


def test_prices_in_other_currencies_by_hand():
    # 19.00 usd: 17.10 eur, 15.20 gbp, 2850 jpy (x150, no decimals), 5.700 kwd (x0.3).
    assert [list_price(1900, c) for c in ("usd", "eur", "gbp", "jpy", "kwd")] == [
        1900, 1710, 1520, 2850, 5700,
    ]  # fmt: skip


def test_tiers_by_hand():
    # Graduated, 37 units: 10 x 5.00 + 27 x 4.00 + 10.00 flat for the second tier = 168.00.
    assert amount_of(PLANS["volume_graduated"], 37, "usd") == 16800
    assert amount_of(PLANS["volume_graduated"], 10, "usd") == 5000
    # Volume, 18 units: all at 4.50 + 5.00; 28 units: all at 3.50.
    assert amount_of(PLANS["volume_flat"], 18, "usd") == 8600
    assert amount_of(PLANS["volume_flat"], 28, "usd") == 9800


def test_settlement_and_fees_by_hand():
    # 2850 jpy x 0.0067 = 19.095 -> 19.10 usd (half to even of 1909.5 is 1910).
    assert settle(2850, "jpy")[:2] == (1910, "usd")
    # 5.700 kwd x 3.25 = 18.525 -> 18.52 usd (1852.5 is half: to even).
    assert settle(5700, "kwd")[:2] == (1852, "usd")
    assert settle(-1710, "eur") == (-1710, "eur", None)
    # 2.9 % of 19.00 = 55.1 cents, + 30.
    assert fee_of(1900, "usd") == 85


def test_a_proration_is_the_unused_share_of_the_period(objects):
    seen = 0
    for line in objects["invoice_lines"]:
        details = line["parent"]["subscription_item_details"]
        if not details["proration"] or line["amount"] >= 0 or line["currency"] == "kwd":
            continue
        unit = line["pricing"]["unit_amount_decimal"]
        if unit is None:
            continue
        full = Fraction(unit) * line["quantity"]
        assert 0 < -line["amount"] <= full
        assert details["proration_details"]["credited_items"]["invoice"].startswith("in_")
        seen += 1
    assert seen
