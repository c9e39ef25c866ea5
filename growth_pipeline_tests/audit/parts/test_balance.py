"""The balance: types, sources, and the bridge to the payouts, beside sums worked by hand."""

from __future__ import annotations

import random
import typing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import stripe

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.evidence import Frame, bridge_finding
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.parts.balance_types import WITH_SOURCE, WITHOUT_SOURCE, part_of
from growth_pipeline.audit.parts.settlement_bridge import build_bridges
from growth_pipeline_tests.audit.company import (
    AS_OF,
    LIVE,
    NOON,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    epoch,
    found,
)
from growth_pipeline_tests.audit.parts.test_payouts import payout

LATE = epoch(NOVEMBER.start) - 3600  # too young to be missed


def move(company, name, amount, *, fee=0, kind, category=None, source=None, **fields):
    told = {
        "id": f"txn_{name}",
        "currency": "usd",
        "amount": amount,
        "fee": fee,
        "net": amount - fee,
        "type": kind,
        "reporting_category": category or kind,
        "source": source,
        "status": "available",
        "available_on": epoch(NOON),
        **fields,
    }
    company.other("balance_transactions", **told)


def lines(audit, currency="usd"):
    (section,) = [one for one in audit.sections if one["section"] == "balance"]
    return {
        side["measure"]: side["stripe"]
        for side in section["sides"].values()
        if side["currency"] == currency
    }


def test_every_type_that_stripe_documents_is_classified_once():
    kinds = typing.get_args(stripe.BalanceTransaction.__annotations__["type"])[0]
    documented = set(typing.get_args(kinds))
    assert documented
    assert documented <= WITH_SOURCE | WITHOUT_SOURCE
    assert not WITH_SOURCE & WITHOUT_SOURCE


def test_the_money_of_a_month_walks_to_its_payouts(company):
    """200.00 and 50.00 earned, 30.00 refunded, fees 7.50, 2.00 for Stripe, 150.00 paid out: 60.50 stay."""
    company.payment(1, 20_000)
    company.payment(2, 5_000, booked={"refunded_minor": 3_000})
    company.refund(1, 3_000, of=2)
    move(company, "fee", -200, kind="stripe_fee", category="fee")
    payout(company, 1, 15_000, automatic=False)
    audit = company.audit()
    assert found(audit) == []
    assert lines(audit) == {
        "charges: objects of the month": 25_000,
        "charges: in the balance": 25_000,
        "refunds: objects of the month": -3_000,
        "refunds: in the balance": -3_000,
        "disputes: in the balance": 0,
        "other: fee": -200,
        "fees": -750,
        "net before payouts": 21_050,
        "payouts: objects of the month": -15_000,
        "payouts: in the balance": -15_000,
        "change of the balance": 6_050,
        "remainder": 0,
    }


def test_money_that_moves_in_another_month_or_currency_is_named(company):
    """A yen charge settles in dollars, a charge waits, and an old charge's refund moves now."""
    company.months = [SEPTEMBER, *company.months[1:]]
    company.payment(1, 9_000, currency="jpy")
    company.objects["balance_transactions"][-1] |= {
        "currency": "usd", "amount": 6_000, "fee": 0, "net": 6_000,
    }  # fmt: skip
    company.payment(
        2,
        400,
        balance_transaction=None,
        created=LATE,
        booked={"created_at": datetime.fromtimestamp(LATE, UTC)},
    )
    company.payment(3, 700)
    company.objects["balance_transactions"][-1] |= {"created": epoch(NOVEMBER.start) + 5}
    company.refund(7, 100, of=99, moved=False, created=epoch(SEPTEMBER.start) + 5)
    move(company, "re_7", -100, kind="refund", source="re_7")
    audit = company.audit()
    assert audit.verdict is Verdict.PASS, found(audit)
    assert lines(audit) == {
        "charges: objects of the month": 1_100,
        "charges: not in the balance yet": -400,
        "charges: in the balance of later months": -700,
        "charges: converted from other currencies": 6_000,
        "charges: in the balance": 6_000,
        "refunds: of objects of other months": -100,
        "refunds: in the balance": -100,
        "disputes: in the balance": 0,
        "fees": 0,
        "net before payouts": 5_900,
        "payouts: in the balance": 0,
        "change of the balance": 5_900,
        "remainder": 0,
    }


def test_a_charge_whose_movement_is_another_amount_keeps_the_bridge_open(company):
    company.payment(1, 1_000)
    company.objects["balance_transactions"][-1] |= {"amount": 900, "net": 870}
    audit = company.audit()
    assert found(audit) == [("bridge_nonzero", "settlement usd", {"usd": -100})]
    (finding,) = audit.findings
    assert finding.severity is Severity.HIGH
    assert finding.evidence["differing"] == [
        {"part": "charges", "id": "ch_1", "object_minor": 1_000, "moved_minor": 900}
    ]
    assert lines(audit)["remainder"] == -100


def unmoved(company):
    """A charge, refund, dispute and payout of the 15th that nothing in the balance moved."""
    company.payment(1, 1_000, balance_transaction=None, booked={"disputed_minor": 400})
    company.payment(2, 5_000, booked={"refunded_minor": 300})
    company.refund(1, 300, of=2, moved=False)
    company.dispute(1, 400, of=1, withdrawn=400, moved=False)
    payout(company, 1, 700, automatic=False)
    company.objects["balance_transactions"].pop()


def test_final_money_that_never_moved_is_named_after_a_week(company):
    unmoved(company)
    audit = company.audit()
    assert found(audit) == [
        ("balance_unlinked", "ch_1", {"usd": 1_000}),
        ("balance_unlinked", "dp_1", {"usd": -400}),
        ("balance_unlinked", "po_1", {"usd": -700}),
        ("balance_unlinked", "re_1", {"usd": -300}),
    ]
    assert audit.verdict is Verdict.WARNING
    assert lines(audit)["charges: without a balance transaction"] == -1_000
    assert lines(audit)["payouts: without a balance transaction"] == 700
    assert lines(audit)["remainder"] == 0


def test_within_a_week_money_may_still_be_on_its_way(company):
    company.as_of = NOON + timedelta(days=7)
    unmoved(company)
    audit = company.audit()
    assert found(audit) == []
    assert lines(audit)["charges: not in the balance yet"] == -1_000


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"ch_1": {"balance_transaction": None}}, "names no balance transaction"),
        ({"ch_1": {"balance_transaction": "txn_9"}, "txn_9": {"created": epoch(NOON)}}, "txn_9"),
        ({"ch_1": {"balance_transaction": "txn_9"}, "txn_9": {"created": epoch(AS_OF)}}, None),
        ({"ch_1": {"balance_transaction": "txn_9"}, "txn_9": {"created": 1_700_000_000}}, None),
    ],
)
def test_stripe_is_asked_before_money_is_called_missing(company, told, reason):
    company.payment(1, 1_000, balance_transaction=None)
    audit = company.audit(confirm=lambda resource, one: told.get(one))
    assert [one.object_id for one in audit.findings] == ["ch_1"] * (reason is not None)
    assert all(reason in one.evidence["reason"] for one in audit.findings)


def test_balance_lists_with_a_gap_call_nothing_missing(company):
    company.payment(1, 1_000, balance_transaction=None)
    company.payment(2, 5_000)
    company.unwritten.add(("balance_transactions", NOVEMBER))
    audit = company.audit()
    assert "balance_unlinked" not in audit.counts
    (section,) = [one for one in audit.sections if one["section"] == "balance"]
    assert "1 objects have no balance transaction" in section["not_judged"][0]


@pytest.mark.parametrize(
    ("told", "impact"), [(-400, {}), (-900, {"usd": 500}), (None, {})],
)  # fmt: skip
def test_a_dispute_is_held_to_the_funds_that_it_names(company, told, impact):
    """9.00 are disputed and 4.00 moved: right if the dispute's own transactions say 4.00 too."""
    company.payment(1, 5_000, booked={"disputed_minor": 900})
    moves = [] if told is None else [{"amount": told, "created": epoch(NOON)}]
    raw = orjson.dumps({"balance_transactions": moves}).decode()
    company.dispute(1, 900, of=1, withdrawn=900, moved=False, raw=raw)
    move(company, "dp", -400, kind="adjustment", category="dispute", source="dp_1")
    audit = company.audit()
    assert found(audit) == [("bridge_nonzero", "settlement usd", impact)] * bool(impact)
    assert lines(audit)["remainder"] == impact.get("usd", 0)


def test_both_bridges_open_in_one_currency_are_two_findings_that_can_be_stored(company):
    company.payment(1, 1_000)
    company.objects["balance_transactions"][-1] |= {"amount": 900, "net": 870}
    audit = company.audit()
    other = bridge_finding("usd", {"remainder": 5}, Frame(LIVE, OCTOBER))
    assert other.fingerprint not in {one.fingerprint for one in audit.findings}
    company.store.publish(replace(audit, findings=(*audit.findings, other)))
    assert len(company.store.findings(LIVE, OCTOBER)) == 2


def test_a_partial_capture_of_an_old_version_is_no_difference(company):
    """Before basil the balance moved all that was authorised, and a refund the rest back."""
    company.payment(1, 3_000, amount_captured=1_800, booked={"amount_minor": 1_800})
    company.objects["balance_transactions"][-1] |= {"amount": 3_000, "net": 2_946}
    assert found(company.audit()) == []


def test_a_failed_payout_gives_its_money_back_to_the_balance(company):
    payout(company, 1, 500, status="failed")
    audit = company.audit()
    assert found(audit) == [("payout_failed", "po_1", {"usd": 500})]
    assert lines(audit)["payouts: in the balance"] == 0
    assert lines(audit)["change of the balance"] == 0


def test_a_payout_whose_return_is_not_in_the_balance_yet_opens_no_bridge(company):
    payout(company, 1, 500, status="failed")
    company.objects["balance_transactions"].pop()
    assert found(company.audit()) == [("payout_failed", "po_1", {"usd": 500})]


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("stripe_fee", None), ("topup", "tu_1"), ("transfer", "tr_1"), ("adjustment", None),
        ("application_fee", "fee_1"), ("reserve_hold", None), ("tax_fee", "txi_1"),
        ("payout_minimum_balance_hold", "po_9"), ("issuing_transaction", "ipi_1"),
        ("contribution", None), ("stripe_fx_fee", None), ("connect_collection_transfer", "cct_1"),
    ],
)  # fmt: skip
def test_a_movement_without_an_object_of_ours_is_no_finding(company, kind, source):
    move(company, "a", -100, kind=kind, category="other_adjustment", source=source)
    audit = company.audit()
    assert found(audit) == []
    assert lines(audit)["other: other_adjustment"] == -100


@pytest.mark.parametrize(
    ("kind", "category", "source", "reason"),
    [
        ("charge", "charge", "ch_gone", "unknown to Stripe"),
        ("refund", "refund", "re_gone", "unknown to Stripe"),
        ("payout", "payout", "po_gone", "unknown to Stripe"),
        ("adjustment", "dispute", "dp_gone", "unknown to Stripe"),
        ("charge", "charge", None, "names no source"),
        ("charge", "charge", "xx_1", "unexpected kind"),
        ("moon_money", "moon", None, "not classified"),
    ],
)
def test_a_movement_nobody_can_place_is_found_with_its_net(company, kind, category, source, reason):
    move(company, "a", 1_000, fee=30, kind=kind, category=category, source=source)
    audit = company.audit()
    assert found(audit) == [("balance_unlinked", "txn_a", {"usd": 970})]
    assert reason in audit.findings[0].evidence["reason"]
    assert lines(audit)["remainder"] == 0


def test_a_source_that_only_stripe_still_knows_is_known(company):
    move(company, "a", 1_000, kind="charge", source="ch_old")
    assert found(company.audit(confirm=lambda resource, one: {"id": one})) == []
    gone = found(company.audit(confirm=lambda resource, one: None))
    assert gone == [("balance_unlinked", "txn_a", {"usd": 1_000})]


def test_a_source_in_the_file_of_another_month_is_known(company):
    company.charge(5, 1_000, created=epoch(SEPTEMBER.start) + 60)
    company.objects["balance_transactions"][-1]["created"] = epoch(NOON)
    assert found(company.audit()) == []


def test_a_movement_whose_net_is_not_amount_less_fee_is_found(company):
    company.payment(1, 1_000)
    company.objects["balance_transactions"][-1]["net"] = 971
    audit = company.audit()
    assert ("net_mismatch", "txn_1", {"usd": 1}) in found(audit)


def test_the_mirrors_balance_stands_beside_stripes(company):
    company.payment(1, 1_000)
    company.mirrored(
        "balance_transaction",
        "txn_1",
        currency="usd",
        net=960,
        amount=1_000,
        fee=40,
        available_on="2025-10-15T12:00:00Z",
    )
    audit = company.audit()
    (section,) = [one for one in audit.sections if one["section"] == "balance"]
    change = section["sides"]["usd change of the balance"]
    assert (change["stripe"], change["database"]) == (970, 960)


@pytest.mark.parametrize("seed", range(20))
def test_any_bridge_ends_at_zero_and_its_lines_add_up(seed):
    """Random movements, summed twice: by type, and by object; an independent loop adds them up."""
    draw = random.Random(seed)
    activity, settled, nets = {}, {}, {"usd": 0, "eur": 0}
    kinds = {"charge": 1, "refund": -1, "adjustment": -1, "payout": -1, "stripe_fee": -1}
    for _ in range(300):
        kind = draw.choice(list(kinds))
        category = "dispute" if kind == "adjustment" else kind
        own, currency = draw.choice(["usd", "eur", "jpy", None]), draw.choice(["usd", "eur"])
        amount = kinds[kind] * draw.randint(1, 5_000)
        fee = draw.randint(0, 40) if kind == "charge" else 0
        told = {"amount_minor": amount, "fee_minor": fee, "net_minor": amount - fee}
        add(activity, (currency, kind, category), told, transactions=1)
        nets[currency] += amount - fee
        part = part_of(kind, category)
        if part is None:
            continue
        after = draw.choice([0, 0, draw.randint(-500, 500)])
        is_other = own is not None and own != currency
        objects = 0 if own is None else amount * 2 if is_other else amount + after
        moved = {"objects_minor": objects, "in_month_minor": amount, "after_minor": after}
        add(settled, (part, own, currency), moved)
    rows = [dict(zip(("currency", "type", "reporting_category"), key, strict=True)) | sums
            for key, sums in activity.items()]  # fmt: skip
    pairs = [dict(zip(("part", "of_currency", "settled_in"), key, strict=True)) | sums
             for key, sums in settled.items()]  # fmt: skip
    bridges = build_bridges(rows, pairs)
    assert {currency: bridge.net for currency, bridge in bridges.items()} == nets
    assert [bridge.remainder for bridge in bridges.values()] == [0] * len(bridges)


def add(sums, key, told, **more):
    row = sums.setdefault(key, dict.fromkeys([*told, *more], 0))
    for name, value in {**told, **more}.items():
        row[name] += value


def test_a_movement_that_no_line_explains_stays_as_the_remainder():
    activity = [{"currency": "usd", "type": "charge", "reporting_category": "charge",
                 "transactions": 1, "amount_minor": 500, "fee_minor": 20, "net_minor": 480}]  # fmt: skip
    (bridge,) = build_bridges(activity, []).values()
    assert bridge.remainder == 500
    assert dict(bridge.lines())["remainder"] == 500
