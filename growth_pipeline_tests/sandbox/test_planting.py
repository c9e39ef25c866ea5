"""What is planted is what books would show: recomputed by replaying events and plain SQL."""

import shutil
from collections import defaultdict
from datetime import UTC, datetime

import orjson
import psycopg
import pytest

from growth_pipeline.sandbox import planting_application
from growth_pipeline.sandbox.__main__ import app
from growth_pipeline.sandbox.application import write
from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.planting import CODES, plant
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline.sandbox.tamper import MissingRowsError, tamper
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.local_server import serving

BY_EVENTS = {"missing_in_db", "refund_missing", "dispute_missing"}
BESIDE = ("subscription_status", "credit_note_unapplied", *planting_application.CODES)
# What nobody planted: the company's life brings it, as often as it happens.
OWN = {"payout_failed", "invoice_paid_no_charge", "event_gap"}


def of_charges(planting):
    """The problems of payments."""
    return [problem for problem in planting["problems"] if problem["object"] == "charge"]


def replay(store, *, with_lost):
    """Booked net money by charge, from the last event of each charge, refund and dispute."""
    last = {}
    for event in store.events(with_lost=with_lost):
        obj = orjson.loads(event.body)["data"]["object"]
        last[obj["id"]] = obj
    net = {}
    for charge in (obj for obj in last.values() if obj["object"] == "charge"):
        if charge["status"] == "succeeded" and charge["captured"]:
            net[charge["id"]] = charge["amount_captured"]
    for refund in (obj for obj in last.values() if obj["object"] == "refund"):
        if refund["status"] in {"succeeded", "pending"}:
            net[refund["charge"]] -= refund["amount"]
    for dispute in (obj for obj in last.values() if obj["object"] == "dispute"):
        for transaction in dispute["balance_transactions"]:
            sign = -1 if transaction["amount"] < 0 else 1
            net[dispute["charge"]] += sign * dispute["amount"]
    return net


def net_of(row):
    if row["status"] != "succeeded" or not row["captured"]:
        return 0
    return row["amount_minor"] - row["refunded_minor"] - row["disputed_minor"]


@pytest.fixture(scope="module")
def planted_file(company_file, company, tmp_path_factory):
    path = shutil.copy(company_file, tmp_path_factory.mktemp("planted") / "company.sqlite")
    store = Store(path)
    plant(store, company)
    store.close()
    return path


@pytest.fixture
def planted_store(planted_file):
    store = Store(planted_file)
    yield store
    store.close()


@pytest.fixture
def planting(planted_store):
    return planted_store.fact("planting")


def test_one_problem_of_each_kind_is_planted_in_closed_months(planting, company):
    problems = [one for one in planting["problems"] if one["code"] not in OWN]
    assert sorted(problem["code"] for problem in problems) == sorted([*CODES, *BESIDE])
    assert len(problems) == 23
    assert len({problem["object_id"] for problem in problems}) == 23
    assert {problem["month"] for problem in problems} <= set(company.closed_months)
    assert {problem["severity"] for problem in problems} == {"HIGH", "MEDIUM", "LOW"}
    for problem in problems:
        assert problem["impact_minor"] == problem["impacts_minor"].get(problem["currency"], 0)
        assert problem["how"]


def test_planting_twice_is_planting_once(fresh_store, company):
    first = plant(fresh_store, company)
    assert plant(fresh_store, company, ["2026-01"]) == first


def test_the_same_company_is_planted_the_same_way(planting, fresh_store, company):
    assert plant(fresh_store, company) == planting


def test_months_can_be_chosen(fresh_store, company):
    problems = plant(fresh_store, company, ["2026-05", "2026-06"])["problems"]
    planted = [problem for problem in problems if problem["code"] not in OWN]
    assert {problem["month"] for problem in planted} <= {"2026-05", "2026-06"}
    assert len(planted) >= 14


def test_payouts_that_came_back_and_invoices_nobody_was_charged_for_are_told(planting, objects):
    told = {
        code: {one["object_id"] for one in planting["problems"] if one["code"] == code}
        for code in OWN
    }
    assert told["payout_failed"] == {
        payout["id"] for payout in objects["payouts"] if payout["status"] in {"failed", "canceled"}
    }
    charged = {join["invoice"] for join in objects["invoice_payments"] if join["status"] == "paid"}
    assert told["invoice_paid_no_charge"] == {
        invoice["id"]
        for invoice in objects["invoices"]
        if invoice.get("status") == "paid" and invoice["id"] not in charged
    }


def test_lost_events_that_stripe_still_lists_are_told_as_gaps(planted_store, planting, company):
    at = {event.id: event.created for event in planted_store.events()}
    gaps = {one["object_id"]: one for one in planting["problems"] if one["code"] == "event_gap"}
    listed = [one for one in planting["lost_events"] if at[one] >= company.as_of - 30 * 86_400]
    assert gaps.keys() == set(listed)
    for event_id, problem in gaps.items():
        is_old = at[event_id] < company.as_of - 3 * 86_400
        assert problem["severity"] == ("HIGH" if is_old else "MEDIUM")


def test_without_losses_the_events_give_the_ledger(store):
    assert {row["charge_id"]: net_of(row) for row in store.ledger() if net_of(row)} == {
        charge: net for charge, net in replay(store, with_lost=True).items() if net
    }


def test_lost_events_change_the_books_by_the_planted_impacts_and_nothing_else(
    planted_store, planting
):
    truth = {row["charge_id"]: net_of(row) for row in planted_store.ledger()}
    heard = replay(planted_store, with_lost=False)
    wrong = {
        charge: heard.get(charge, 0) - net
        for charge, net in truth.items()
        if heard.get(charge, 0) != net
    }
    assert wrong == {
        problem["object_id"]: problem["impact_minor"]
        for problem in planting["problems"]
        if problem["code"] in BY_EVENTS
    }


def test_an_end_that_was_not_heard_leaves_the_subscription_running(planted_store, planting):
    (problem,) = [one for one in planting["problems"] if one["code"] == "subscription_status"]
    last = None
    for event in planted_store.events(with_lost=False):
        obj = orjson.loads(event.body)["data"]["object"]
        if obj["id"] == problem["object_id"]:
            last = obj
    assert last is not None
    assert last["status"] == "active"
    (item,) = last["items"]["data"]
    assert item["price"]["recurring"]["interval"] == "month"
    assert problem["impact_minor"] == item["price"]["unit_amount"] * item["quantity"] > 0


def test_nothing_is_left_of_what_a_lost_payment_told(planted_store, planting):
    (problem,) = [p for p in planting["problems"] if p["code"] == "missing_in_db"]
    row = next(r for r in planted_store.ledger() if r["charge_id"] == problem["object_id"])
    told = [orjson.loads(event.body) for event in planted_store.events(with_lost=False)]
    ids = {event["data"]["object"]["id"] for event in told}
    assert row["charge_id"] not in ids
    assert row["payment_intent_id"] not in ids
    states = [
        event["data"]["object"]["status"]
        for event in told
        if event["data"]["object"]["id"] == row["invoice_id"]
    ]
    assert "paid" not in states


# --- rows changed by hand ----------------------------------------------------------------------------


def book(database_url, store):
    """Books as a perfect pipeline would leave them after hearing all that was not lost."""
    heard = replay(store, with_lost=False)
    write(database_url, store.application())
    with psycopg.connect(database_url) as connection:
        for row in store.ledger():
            told = heard.get(row["charge_id"])
            if told is None and net_of(row):
                continue  # its events were lost
            # A refund or dispute that was lost is simply not booked.
            lost = told is not None and told != net_of(row)
            values = {
                **{k: v for k, v in row.items() if k not in {"month", "created_at"}},
                "refunded_minor": 0 if lost else row["refunded_minor"],
                "disputed_minor": 0 if lost else row["disputed_minor"],
                "created_at": datetime.fromtimestamp(row["created_at"], UTC),
            }
            connection.execute(
                "insert into billing.payments (account_id, livemode, charge_id, payment_intent_id,"
                " invoice_id, customer_id, status, captured, currency, amount_minor,"
                " refunded_minor, disputed_minor, fee_minor, net_minor, settlement_currency,"
                " created_at, written_by, written_at) values ('self', false, %(charge_id)s,"
                " %(payment_intent_id)s, %(invoice_id)s, %(customer_id)s, %(status)s,"
                " %(captured)s, %(currency)s, %(amount_minor)s, %(refunded_minor)s,"
                " %(disputed_minor)s, %(fee_minor)s, %(net_minor)s, %(settlement_currency)s,"
                " %(created_at)s, 'mirror', now())",
                values,
            )


def rows_of(database_url):
    with psycopg.connect(database_url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute("select * from billing.payments").fetchall()


def test_tampering_gives_exactly_the_planted_impacts_and_twice_is_once(
    database_url, planted_store, planting
):
    book(database_url, planted_store)
    assert tamper(database_url, planting["tampering"]) == len(planting["tampering"])
    once = rows_of(database_url)
    tamper(database_url, planting["tampering"])
    assert sorted(rows_of(database_url), key=str) == sorted(once, key=str)

    difference = defaultdict(lambda: defaultdict(int))
    for row in once:
        difference[row["charge_id"]][row["currency"]] += net_of(row)
    for row in planted_store.ledger():
        difference[row["charge_id"]][row["currency"]] -= net_of(row)
    found = {
        charge: {currency: money for currency, money in by_currency.items() if money}
        for charge, by_currency in difference.items()
    }
    assert {charge: money for charge, money in found.items() if money} == {
        problem["object_id"]: problem["impacts_minor"]
        for problem in of_charges(planting)
        if problem["impacts_minor"]
    }


def test_tampering_with_the_application_is_what_was_planted(database_url, planted_store, planting):
    book(database_url, planted_store)
    before = application_of(database_url)
    tamper(database_url, planting["tampering"])
    after = application_of(database_url)
    tamper(database_url, planting["tampering"])
    assert application_of(database_url) == after
    by_code = {one["code"]: one for one in planting["problems"]}

    def access(code, rows):
        (row,) = [
            r for r in rows["entitlements"] if r["subscription_id"] == by_code[code]["object_id"]
        ]
        return row

    def users(code, rows):
        return [r for r in rows["user_customers"] if r["customer_id"] == by_code[code]["object_id"]]

    for code in ("tier_mismatch", "quantity_mismatch", "mrr_drift"):
        gained = access(code, after)["mrr_minor"] - access(code, before)["mrr_minor"]
        assert gained == by_code[code]["impact_minor"] != 0, code
    assert access("provisioned_not_paid", after)["has_access"] is True
    assert access("provisioned_not_paid", after)["mrr_minor"] == by_code["provisioned_not_paid"]["impact_minor"]  # fmt: skip
    assert access("paid_not_provisioned", after)["has_access"] is False
    assert access("period_mismatch", after)["access_ends_at"] > access("period_mismatch", before)["access_ends_at"]  # fmt: skip
    assert access("tier_mismatch", after)["price_id"] != access("tier_mismatch", before)["price_id"]
    assert users("customer_unmapped", after) == []
    assert len(users("customer_shared", after)) == 2
    assert users("customer_deleted", after)[0]["deleted_at"] is None
    assert users("email_differs", after) != users("email_differs", before)
    changed = [r for r in after["entitlements"] if r["written_by"] == "hand"]
    assert len(changed) == 6


def application_of(database_url):
    with psycopg.connect(database_url, row_factory=psycopg.rows.dict_row) as connection:
        return {
            name: connection.execute(f"select * from billing.{name} order by user_id").fetchall()
            for name in ("entitlements", "user_customers")
        }


def test_tampered_rows_look_as_their_kind_says(database_url, planted_store, planting):
    book(database_url, planted_store)
    tamper(database_url, planting["tampering"])
    rows, truth = defaultdict(list), {}
    for row in rows_of(database_url):
        rows[row["charge_id"]].append(row)
    for row in planted_store.ledger():
        truth[row["charge_id"]] = row
    by_code = {problem["code"]: problem for problem in planting["problems"]}

    def booked(code):
        return rows[by_code[code]["object_id"]]

    def stripe(code):
        return truth[by_code[code]["object_id"]]

    assert [row["written_by"] for row in booked("missing_in_stripe")] == ["hand"]
    assert by_code["missing_in_stripe"]["object_id"] not in truth
    assert sorted(row["written_by"] for row in booked("duplicate_row")) == ["hand", "mirror"]
    assert (
        booked("amount_mismatch")[0]["amount_minor"]
        == 100 * stripe("amount_mismatch")["amount_minor"]
    )
    assert (
        abs(
            booked("amount_rounding")[0]["amount_minor"] - stripe("amount_rounding")["amount_minor"]
        )
        == 1
    )
    assert (
        booked("currency_mismatch")[0]["currency"],
        stripe("currency_mismatch")["currency"] != "usd",
    ) == ("usd", True)
    assert (booked("status_mismatch")[0]["status"], stripe("status_mismatch")["status"]) == (
        "succeeded",
        "failed",
    )
    assert (
        booked("refund_excess")[0]["refunded_minor"]
        > stripe("refund_excess")["refunded_minor"]
        == 0
    )
    customers = {row["customer_id"] for row in planted_store.ledger()}
    assert booked("orphan_row")[0]["customer_id"] not in customers
    assert booked("missing_in_db") == []


def test_rows_that_are_not_booked_yet_leave_everything_as_it_was(database_url, planting):
    with pytest.raises(MissingRowsError, match="deliver and apply the events first"):
        tamper(database_url, planting["tampering"])
    assert rows_of(database_url) == []


def test_the_command_tampers_with_the_database_of_its_environment(
    database_url, planted_store, company
):
    book(database_url, planted_store)
    with serving(create_app(planted_store, company, Access("rk_test_sandbox"))) as url:
        environment = {"SANDBOX_DATABASE_URL": database_url}
        result = CliRunner().invoke(app, ["tamper", "--control", url], env=environment)
        wrong = CliRunner().invoke(
            app, ["tamper", "--control", url, "--api-key", "rk_test_wrong"], env=environment
        )
    assert result.exit_code == 0, result.output
    assert wrong.exit_code == 1
    assert sum(row["written_by"] == "hand" for row in rows_of(database_url)) == 2


def test_many_companies_can_be_planted(tmp_path):
    for seed in range(5):
        company = Company(as_of=1_793_491_200, seed=seed, months=7)
        store = Store(tmp_path / f"{seed}.sqlite")
        build(company, store)
        codes = {problem["code"] for problem in plant(store, company)["problems"]}
        store.close()
        assert len(codes) >= 10
