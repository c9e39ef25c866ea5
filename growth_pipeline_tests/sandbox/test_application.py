"""The company's application: users and access, MRR by hand, and that writing twice is writing once."""

import subprocess
import sys
from collections import Counter
from fractions import Fraction

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

from growth_pipeline.sandbox.__main__ import app
from growth_pipeline.sandbox.application import write
from growth_pipeline.sandbox.control import create_app
from growth_pipeline.sandbox.stripe_server import Access
from growth_pipeline_tests.fakes.command_line import CliRunner
from growth_pipeline_tests.fakes.local_server import serving

# US cents a month, copied by hand from the price list: yearly ones are a twelfth, weekly 52 twelfths.
A_MONTH = {
    "starter_monthly": Fraction(1900),
    "starter_yearly": Fraction(19000, 12),
    "pro_monthly": Fraction(4900),
    "pro_yearly": Fraction(49000, 12),
    "pro_quarterly": Fraction(13200, 3),
    "team_monthly": Fraction(1200),
    "pulse_weekly": Fraction(700 * 52, 12),
    "free_monthly": Fraction(0),
}


@pytest.fixture(scope="module")
def rows(store):
    return list(store.application())


@pytest.fixture(scope="module")
def entitlements(rows):
    return {row["subscription_id"]: row for table, row in rows if table == "entitlements"}


@pytest.fixture(scope="module")
def users(rows):
    return {row["customer_id"]: row for table, row in rows if table == "user_customers"}


def tables(database_url):
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return {
            name: connection.execute(f"select * from billing.{name} order by user_id").fetchall()
            for name in ("entitlements", "user_customers")
        }


def test_every_subscription_has_one_entitlement_and_every_customer_one_user(
    rows, entitlements, users, objects
):
    assert entitlements.keys() == {one["id"] for one in objects["subscriptions"]}
    assert users.keys() == {one["id"] for one in objects["customers"]}
    names = [row["user_id"] for table, row in rows if table == "user_customers"]
    assert len(names) == len(set(names))


def test_access_follows_the_status(entitlements, objects):
    seen = Counter()
    for sub in objects["subscriptions"]:
        row = entitlements[sub["id"]]
        assert row["has_access"] == (sub["status"] in {"active", "trialing", "past_due"})
        seen[sub["status"]] += 1
        if row["has_access"]:
            ends = {item["current_period_end"] for item in sub["items"]["data"]}
            assert row["access_ends_at"] in ends | {sub["cancel_at"]}
        else:
            assert row["mrr_minor"] == 0
    assert {"active", "trialing", "past_due", "canceled", "unpaid", "paused"} <= seen.keys()


def test_mrr_is_what_the_price_list_says(entitlements, objects):
    judged = 0
    for sub in objects["subscriptions"]:
        items = sub["items"]["data"]
        plan = items[0]["price"]["lookup_key"].rsplit("_", 1)[0]
        plain = len(items) == 1 and plan in A_MONTH and not sub["discounts"]
        if plain and sub["currency"] == "usd" and sub["status"] == "active":
            wanted = 0 if sub["pause_collection"] else round(A_MONTH[plan] * items[0]["quantity"])
            assert entitlements[sub["id"]]["mrr_minor"] == wanted
            judged += 1
    assert judged >= 5


def test_a_discount_that_lasts_lowers_mrr_and_one_for_a_single_invoice_does_not(
    entitlements, objects
):
    coupons = {}
    for sub in objects["subscriptions"]:
        if sub["status"] == "active" and sub["currency"] == "usd":
            row, plan = entitlements[sub["id"]], sub["items"]["data"][0]["price"]["lookup_key"]
            if sub["discounts"] and plan == "pro_monthly_usd":
                coupons["FRIENDS20"] = row["mrr_minor"]
    assert coupons.get("FRIENDS20", 3920) == 3920  # 49.00 less 20 %


def test_who_left_is_a_deleted_user(users, objects):
    gone = {one["id"] for one in objects["customers"] if one.get("deleted")}
    assert gone
    assert gone == {one for one, row in users.items() if row["deleted_at"] is not None}


def test_writing_twice_is_writing_once(database_url, rows):
    assert write(database_url, rows) == len(rows)
    once = tables(database_url)
    write(database_url, rows)
    again = tables(database_url)
    assert again == once
    assert len(once["entitlements"]) + len(once["user_customers"]) == len(rows)
    assert {row["written_by"] for row in once["entitlements"]} == {"application"}


def test_the_command_writes_what_the_control_tells(database_url, store, company, rows):
    with serving(create_app(store, company, Access("rk_test_sandbox"))) as url:
        environment = {"SANDBOX_DATABASE_URL": database_url}
        done = CliRunner().invoke(app, ["application", "--control", url], env=environment)
        wrong = CliRunner().invoke(
            app, ["application", "--control", url, "--api-key", "rk_test_no"], env=environment
        )
    assert done.exit_code == 0, done.output
    assert wrong.exit_code == 1
    assert sum(map(len, tables(database_url).values())) == len(rows)


def test_the_application_imports_nothing_of_the_product():
    code = (
        "import sys; import growth_pipeline.sandbox.application;"
        "print([m for m in sys.modules if m.startswith('growth_pipeline.')"
        " and not m.startswith('growth_pipeline.sandbox')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert orjson.loads(done.stdout.strip()) == []
